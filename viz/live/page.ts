/** The frame of a live page, and its style: the report's, with controls above, quantizers at the left and curves below. */
import { demand, fieldProblems, required, text, type Fields } from '../../src/data/fields.js'
import { escapeText } from '../draw/mark.js'
import { pageStyle } from '../draw/style.js'
import { htmlDocument } from '../document.js'
import { frame } from '../shell.js'
import { liveStyle } from './style.js'
import { transportMarkup } from './transport.js'

/** A title, and where script and style stand beside the page. */
export type LivePageOptions = { readonly title: string; readonly script: string; readonly style: string }

const chart = (id: string, name: string, note = ''): string =>
  `<figure><figcaption>${name} <output id="${id}-now"></output> <span>${note}</span></figcaption><svg id="${id}" class="axes" viewBox="0 0 420 124" role="img" aria-label="${name} over steps"></svg></figure>`

const left = '<section id="quantizers" aria-label="Quantizers" tabindex="0"></section>\n'
const below = `<section id="curves" aria-label="Curves">${chart('loss', 'Loss', 'of a batch, and its course')}${chart('accuracy', 'Accuracy', 'of a batch; dots: held out, after each epoch')}${chart('scales', 'Scales of the values', 'dotted: statistics of a batch, line: learned')}</section>\n`

/** A page's own files, WebAssembly and workers, and nothing else. */
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"

const LIVE: Fields<LivePageOptions> = { title: required(text), script: required(text), style: required(text) }

/** The page as HTML. */
export const livePage = (options: LivePageOptions): string => {
  demand(fieldProblems('livePage', options, LIVE))
  const { title, script, style } = options
  return htmlDocument({
    title,
    policy: POLICY,
    kind: 'live',
    head: `<link rel="stylesheet" href="${escapeText(style)}">\n<script type="module" src="${escapeText(script)}"></script>\n`,
    body: `${frame({ title, mode: 'train', sentence: [] }, { above: transportMarkup, left, below })}\n`,
  })
}

/** The style of the page. */
export const livePageStyle = `${pageStyle}${liveStyle}`
