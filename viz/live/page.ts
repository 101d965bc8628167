/** The frame of a live page, and its style: the report's, with controls above, quantizers at the left and curves below. */
import { demand, fieldProblems, listOf, required, shaped, text, type Fields } from '../../src/data/fields.js'
import { escapeText } from '../draw/mark.js'
import { pageStyle } from '../draw/style.js'
import { htmlDocument } from '../document.js'
import { frame } from '../shell.js'
import { liveStyle } from './style.js'
import { transportMarkup } from './transport.js'

/** A title, where script and style stand beside the page, and other pages that it leads to. */
export type LivePageOptions = {
  readonly title: string
  readonly script: string
  readonly style: string
  /** Pages beside this one, as tabs: their names and addresses. */
  readonly tabs?: readonly { readonly name: string; readonly href: string }[]
}

const chart = (id: string, name: string, note = ''): string =>
  `<figure><figcaption>${name} <output id="${id}-now"></output> <span>${note}</span></figcaption><svg id="${id}" class="axes" viewBox="0 0 420 124" role="img" aria-label="${name} over steps"></svg></figure>`

const left = '<section id="quantizers" aria-label="Quantizers" tabindex="0"></section>\n'
const below = `<section id="curves" aria-label="Curves">${chart('loss', 'Loss', 'of a batch, and its course')}${chart('accuracy', 'Accuracy', 'of a batch; dots: held out, after each epoch')}${chart('scales', 'Scales of the values', 'dotted: statistics of a batch, line: learned')}</section>\n`

/** A page's own files, WebAssembly and workers, and nothing else. */
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"

const LIVE: Fields<LivePageOptions> = {
  title: required(text),
  script: required(text),
  style: required(text),
  tabs: listOf(shaped('a page beside this one', { name: required(text), href: required(text) })),
}

/** Other pages, in a list of links; nothing where there are none. */
const tabsMarkup = (tabs: LivePageOptions['tabs'] = []): string =>
  tabs.length === 0
    ? ''
    : `<nav aria-label="Pages">${tabs.map((t) => `<a href="${escapeText(t.href)}">${escapeText(t.name)}</a>`).join('')}</nav>\n`

/** The page as HTML. */
export const livePage = (options: LivePageOptions): string => {
  demand(fieldProblems('livePage', options, LIVE))
  const { title, script, style, tabs } = options
  return htmlDocument({
    title,
    policy: POLICY,
    kind: 'live',
    head: `<link rel="stylesheet" href="${escapeText(style)}">\n<script type="module" src="${escapeText(script)}"></script>\n`,
    body: `${frame({ title, mode: 'train', sentence: [] }, { above: transportMarkup.replace('</section>', `${tabsMarkup(tabs)}</section>`), left, below })}\n`,
  })
}

/** The style of the page. */
export const livePageStyle = `${pageStyle}${liveStyle}`
