/** Measures text in the font that the page is really drawn in, whichever of its families a machine has. */
import { estimate, FAMILY, FONTS, type Measure } from '../scene/type.js'

/** Digits may be set as wide as the widest of them; engines round what they draw. */
const SLACK = 1.02

/** A measure with a memory: most words of a drawing occur often. */
export const pageMeasure = (): Measure => {
  const pen = document.createElement('canvas').getContext('2d')
  if (pen === null) return estimate
  const known = new Map<string, number>()
  return (text, style) => {
    const { size, weight } = FONTS[style]
    const key = `${weight} ${size} ${text}`
    const found = known.get(key)
    if (found !== undefined) return found
    const font = `${weight} ${size}px ${FAMILY}`
    if (pen.font !== font) pen.font = font
    const width = SLACK * Math.max(pen.measureText(text).width, pen.measureText(text.replace(/\d/g, '0')).width)
    known.set(key, width)
    return width
  }
}
