/** From what stands under a name to a traced value. */
import { gridOf, quantOf } from '../../../data/quant.js'
import { broadcastShapes, sameShape, showShape, type Shape } from '../../../data/shape.js'
import { isInvalid } from '../../../graph/builder.js'
import type { Value } from '../../../graph/op.js'
import { dequantize, isQuantValue } from '../../../nn/functions/index.js'
import type { Entry, Importing, Role, Traced } from './entry.js'
import { DataType } from './host.js'
import { integersOf } from './grids.js'

/** The element type of what stands under a name. */
export const typeOf = (e: Entry): DataType => {
  if (e.is === 'known') return e.host.type
  return e.is === 'value' || e.is === 'levels' ? e.type : DataType.FLOAT
}

/** An entry as a value. */
export const valueOf = (x: Importing, e: Entry, role: Role): Value => {
  switch (e.is) {
    case 'value':
      return e.value
    case 'known':
      return x.leaf(e, role)
    case 'stored':
      return e.make()
    case 'levels':
      return integersOf(x, e)
  }
}

/** A value without its metadata. */
export const plainOf = (v: Value, why: string): Value => (isQuantValue(v) ? dequantize(v, why) : v)

/** A value with its element type. */
export const typed = (value: Value, type: DataType): Traced => ({ is: 'value', value, type })

/** Numbers that a rule itself makes, as a constant under a name of its own. */
export const numbersAs = (x: Importing, name: string, shape: Shape, numbers: ArrayLike<number>): Value => {
  const host = { type: DataType.FLOAT, shape, data: Float32Array.from(numbers) }
  return x.leaf({ is: 'known', host, leaf: `${x.node.outputs[0]}.${name}` }, 'constant')
}

/** The value without metadata, where it has any. */
export const outOf = (v: Value): Value => plainOf(v, 'its metadata does not fit the operation')

/**
 * The value as it is where its scale and zero point lie over it, else its plain one: a Reshape leaves both in the old shape, in which they say nothing
 * of the result, and no op that follows could compute with them.
 */
export const lyingOver = (v: Value): Value => {
  const g = gridOf(v.carried)
  if (g === null || g.group !== undefined || isInvalid(v)) return v
  const fits = [g.scale, g.zeroPoint].every((id) => {
    const over = broadcastShapes(v.shape, v.kit.value(id).shape)
    return over !== null && sameShape(over, v.shape)
  })
  return fits ? v : plainOf(v, 'its scale and zero point kept the shape from before')
}

/**
 * Quant tensors as they are where they all lie on one grid; else their plain values. Models of other tools add and join tensors of different
 * scales, which Brevitas' operators refuse.
 */
export const agreeing = (values: readonly Value[]): readonly Value[] => {
  const [first] = values
  const q = quantOf(first.carried)
  const alike = values.every((v) => {
    const p = quantOf(v.carried)
    return (
      p !== null &&
      q !== null &&
      p.bits === q.bits &&
      p.signed === q.signed &&
      first.kit.same(p.scale, q.scale) &&
      first.kit.same(p.zeroPoint, q.zeroPoint)
    )
  })
  return alike ? values : values.map(outOf)
}

/** Refuses shapes that do not broadcast; null where they do. */
export const broadcasts = (x: Importing, a: Value, b: Value): null =>
  isInvalid(a) || isInvalid(b) || broadcastShapes(a.shape, b.shape) !== null
    ? null
    : x.refuse(`${showShape(a.shape)} and ${showShape(b.shape)} do not broadcast`, 'make the axes equal, or 1')
