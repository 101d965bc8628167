/** Operators whose results are known when sizes are, and those that hand their operand on. */
import { showShape, sizeOf, type Shape } from '../../../../data/shape.js'
import type { Entry, Importing, ImportRule } from '../entry.js'
import { shapeOf } from '../fold.js'
import { DataType, int64s, isFloat, type Host } from '../host.js'

const knownEntry = (x: Importing, host: Host, i = 0): Entry => ({ is: 'known', host, leaf: x.node.outputs[i] ?? '' })

/** Shape: known, as soon as sizes are. */
export const shape: ImportRule = (x) => knownEntry(x, shapeOf(x, shapeHere(x)))
/** Size. */
export const size: ImportRule = (x) => knownEntry(x, int64s([sizeOf(shapeHere(x))], []))

const shapeHere = (x: Importing): Shape => {
  const e = x.entry(0)
  if (e.is === 'known') return e.host.shape
  if (e.is === 'stored') return e.shape
  return e.is === 'value' ? e.value.shape : x.value(0).shape
}

const MOST_FILLED = 2 ** 26

/** ConstantOfShape. */
export const constantOfShape: ImportRule = (x) => {
  const to = x.numbers(0, 'shape')
  const fill = x.tensor('value')
  const n = sizeOf(to)
  if (!to.every((d) => Number.isInteger(d) && d >= 0) || !(n <= MOST_FILLED))
    return x.refuse(`it fills the shape ${showShape(to)}`, 'fill a smaller one')
  const type = fill?.type ?? DataType.FLOAT
  const data = isFloat(type) ? new Float32Array(n) : new Float64Array(n)
  return knownEntry(x, { type, shape: to, data: data.fill(fill?.data[0] ?? 0) })
}

/** Constant, in all its forms. */
export const constant: ImportRule = (x) => {
  const tensor = x.tensor('value')
  if (tensor !== null) return knownEntry(x, tensor)
  const [floats, ints] = [x.list('value_floats'), x.list('value_ints')]
  if (floats !== null)
    return knownEntry(x, { type: DataType.FLOAT, shape: [floats.length], data: Float32Array.from(floats) })
  if (ints !== null) return knownEntry(x, int64s(ints))
  if (x.has_('value_int')) return knownEntry(x, int64s([x.number('value_int', 0)], []))
  if (x.has_('value_float'))
    return knownEntry(x, { type: DataType.FLOAT, shape: [], data: Float32Array.of(x.number('value_float', 0)) })
  return x.refuse('it holds no numbers', 'store numbers')
}

/** Identity, and whatever hands its operand on. */
export const through: ImportRule = (x) => x.entry(0)

/** Dropout, which does nothing where models are deployed; its mask is all true. */
export const dropout: ImportRule = (x) => {
  x.number('ratio', 0.5)
  x.number('seed', 0)
  x.number('is_test', 1)
  const mask = { type: DataType.BOOL, shape: shapeHere(x), data: new Float32Array(sizeOf(shapeHere(x))).fill(1) }
  const training = x.known(2)
  if (x.has(2) && (training === null || training.data[0] !== 0))
    return x.refuse('it drops in training', 'export the model for inference')
  return [x.entry(0), knownEntry(x, mask, 1)]
}
