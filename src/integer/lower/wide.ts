/** Functions onto a grid so fine that its steps can't be listed: what an accumulator keeps when its scale or zero point is only said anew. */
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Range } from '../values.js'
import { rangeOf } from '../values.js'
import type { Affine } from './fit.js'
import { affineNode, type Mapping, type Unmapped } from './forms.js'
import type { Integer, Session } from './session.js'

const SAMPLES = 4096

const unmapped = (why: string): Unmapped => ({
  why,
  fix: 'quantize it behind this op, with a QuantIdentity of at most 16 bits',
})

/** The line `y = multiplier * x + offset` through the ends, if it is one of whole numbers. */
const wholeLine = (x0: number, y0: number, x1: number, y1: number): Affine | null => {
  const multiplier = Math.round((y1 - y0) / (x1 - x0))
  return { multiplier, offset: y0 - multiplier * x0, shift: 0, rounding: 'FLOOR' }
}

/**
 * The function as a line of whole numbers, which it is where an integer keeps its grid or is multiplied by an integer. Float32 can't hold all of these
 * integers, and asks of it may be off by its last bit there: samples must lie within that of the line.
 */
export const wideMap = (
  s: Session,
  m: Mapping,
  classes: Shape,
  f: { readonly at: (points: Float64Array, count: number) => Float64Array },
): Integer | Unmapped => {
  const { lo, hi } = m.root.range
  const total = sizeOf(classes)
  const points = new Float64Array(total * SAMPLES)
  for (let i = 0; i < points.length; i++) points[i] = lo + Math.round(((i % SAMPLES) * (hi - lo)) / (SAMPLES - 1))
  const ys = f.at(points, SAMPLES)
  const forms: Affine[] = []
  const ends: number[] = []
  for (let c = 0; c < total; c++) {
    const [i, j] = [c * SAMPLES, (c + 1) * SAMPLES - 1]
    const line = wholeLine(points[i], ys[i], points[j], ys[j])
    if (line === null) return unmapped('it is no line')
    const centre = Math.round(ys[i + SAMPLES / 2] - line.multiplier * points[i + SAMPLES / 2])
    const form = { ...line, offset: centre }
    for (let k = i; k <= j; k++) {
      const y = form.multiplier * points[k] + form.offset
      if (!(Math.abs(ys[k] - y) <= Math.abs(y) * 2 ** -22))
        return unmapped(
          `its integers reach ${rangeOf(ys).lo} … ${rangeOf(ys).hi}, a grid finer than that of its input, and no whole multiple of it`,
        )
    }
    forms.push(form)
    ends.push(form.multiplier * lo + form.offset, form.multiplier * hi + form.offset)
  }
  const out: Range = rangeOf(ends)
  if (out.lo < -(2 ** 31) || out.hi >= 2 ** 31)
    return unmapped(`its integers reach ${out.lo} … ${out.hi}, more than 32 bits hold`)
  const value = affineNode(s, m.path, m.root, { forms, rounding: 'FLOOR', classes, out })
  s.requantizations.push({
    path: m.path,
    form: value === m.root.value ? 'identity' : 'multiplier',
    input: m.root.range,
    output: out,
    apart: 0,
    of: total * (hi - lo + 1),
    most: 0,
    everywhere: false,
  })
  return { value, range: out, grid: m.target }
}
