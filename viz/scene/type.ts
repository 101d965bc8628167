/** Type: how large words are set, how wide they are, and how a word is cut to a width. */

/** How a word is set: names of layers, names of nodes, what stands under them, what stands at lines. */
export type Style = 'strong' | 'title' | 'sub' | 'label'

/** The families of text, the first that a machine has. */
export const FAMILY = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"

/** Sizes in units of the drawing, and weights. */
export const FONTS: { readonly [S in Style]: { readonly size: number; readonly weight: number } } = {
  strong: { size: 13, weight: 600 },
  title: { size: 13, weight: 400 },
  sub: { size: 12, weight: 600 },
  label: { size: 12, weight: 600 },
}

/** No word on the page is smaller than this, in pixels. */
export const LEAST_PIXELS = 11.04

/** The smallest scale at which every word of a drawing can be read. */
export const READABLE = LEAST_PIXELS / Math.min(...Object.values(FONTS).map((f) => f.size))

/** From one line of text at lines to the next. */
export const ROW = 15

/** The width of a text. */
export type Measure = (text: string, style: Style) => number

/** Width of a character in a wide font (Verdana, DejaVu Sans), in its size. */
const widthOf = (c: string): number => {
  if (/[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/.test(c) || c.length > 1)
    return 1.05
  if (/[mwMW@%∞…—]/.test(c)) return 1
  if (/[iIjlt.,:;|!'`()[\] ·₁]/.test(c)) return 0.42
  return /[A-ZА-Я]/.test(c) ? 0.76 : 0.66
}

/** A width that no usual font exceeds by much: for drawings that are made where no font can be asked. */
export const estimate: Measure = (text, style) =>
  [...text].reduce((w, c) => w + widthOf(c), 0) * FONTS[style].size * (FONTS[style].weight > 500 ? 1.07 : 1)

/** A text cut to a width, with an ellipsis; whole characters only. */
export const cutTo = (measure: Measure, text: string, style: Style, width: number): string => {
  if (measure(text, style) <= width) return text
  const characters = [...text]
  let [fits, over] = [0, characters.length]
  while (over - fits > 1) {
    const middle = (fits + over) >> 1
    if (measure(`${characters.slice(0, middle).join('')}…`, style) <= width) fits = middle
    else over = middle
  }
  return `${characters.slice(0, fits).join('')}…`
}
