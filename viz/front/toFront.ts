/** A search for bits as a picture: an SVG, or a page with the table of what each layer loses at each width. */
import { demandFront } from '../border.js'
import { htmlDocument } from '../document.js'
import { escapeText, markup } from '../draw/mark.js'
import { number } from '../draw/words.js'
import { frontAssets } from '../generated/assets.js'
import { frontMarks, SIZE } from './marks.js'
import { pointsOf, type Found, type Unit } from './points.js'
import { frontDrawingStyle } from './style.js'

/** How a front is drawn. */
export type FrontOptions = {
  /** Title of the picture (default: `Bits under a budget`). */
  readonly title?: string
  /** In what the search counted costs: the name of its budget (default `bytes`). */
  readonly unit?: Unit
}

const TITLE = 'Bits under a budget'

const drawing = (found: Found, unit: Unit): string => frontMarks(pointsOf(found, unit), unit).map(markup).join('')

/**
 * The front of `searchBits` as an SVG file, in the light theme: loss over cost, the chosen plan marked, all layers with equal bits beside it. A point
 * under the pointer, or with the focus, tells its cost, its loss and its bits. Throws a `QuantFailure` for what is no search.
 * @example writeFileSync('front.svg', toFrontSvg(found, { unit: 'bitOperations' }))
 */
export const toFrontSvg = (found: Found, options: FrontOptions = {}): string => {
  demandFront('toFrontSvg', found, options)
  const { title = TITLE, unit = 'bytes' } = options
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" class="front" width="${SIZE.width}" height="${SIZE.height}" viewBox="0 0 ${SIZE.width} ${SIZE.height}">` +
    `<title>${escapeText(title)}</title><style>${escapeText(frontDrawingStyle).replaceAll('&#39;', "'")}</style>` +
    `<rect width="100%" height="100%" fill="#fbfbfa"/>${drawing(found, unit)}</svg>\n`
  )
}

/** What each layer loses at each width, with the chosen one marked. */
const tableOf = ({ bits, sensitivity: { layers } }: Found): string => {
  const widths = [...new Set(layers.flatMap((l) => l.losses.map((x) => x.bits)))].toSorted((a, b) => a - b)
  const cell = (path: string, width: number, loss: number | undefined): string =>
    `<td${bits[path] === width ? ' class="chosen"' : ''}>${loss === undefined ? '' : number(loss)}</td>`
  const rows = layers.map(
    (l) =>
      `<tr><th scope="row">${escapeText(l.path === '' ? 'the network' : l.path)}</th>${widths.map((w) => cell(l.path, w, l.losses.find((x) => x.bits === w)?.loss)).join('')}</tr>`,
  )
  return `<table><thead><tr><th scope="col">Layer</th>${widths.map((w) => `<th scope="col">${w} bits</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`
}

/**
 * The same as a self-contained page (no network, no script), light or dark as the reader's system says, with a table of the loss of each layer at each
 * width, the chosen one underlined. Throws a `QuantFailure` for what is no search.
 * @example writeFileSync('front.html', toFrontHtml(found, { title: 'digits', unit: 'bitOperations' }))
 */
export const toFrontHtml = (found: Found, options: FrontOptions = {}): string => {
  demandFront('toFrontHtml', found, options)
  const { title = TITLE, unit = 'bytes' } = options
  return htmlDocument({
    title,
    policy: `default-src 'none'; style-src 'sha256-${frontAssets.styleHash}'; img-src data:; base-uri 'none'; form-action 'none'`,
    head: `<style>${frontAssets.style}</style>\n`,
    body: `<main>
<h1>${escapeText(title)}</h1>
<p>${found.front.length} plans that nothing beats; the chosen one costs ${number(found.cost)} and is expected to lose ${number(found.loss)}. Hollow: all layers with the same bits.</p>
<svg class="front" role="group" aria-label="Loss over cost of each plan" viewBox="0 0 ${SIZE.width} ${SIZE.height}">${drawing(found, unit)}</svg>
<h2>What each layer loses at each width, alone</h2>
${tableOf(found)}
</main>
`,
  })
}
