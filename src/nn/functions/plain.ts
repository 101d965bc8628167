/** torch's functions of bare values, and any primitive at all. */
import { record } from '../../data/fields.js'
import { demandOp, type Attrs, type BarePrimitive, type Op, type Value } from '../../graph/op.js'
import { dequantize } from './operators.js'
import { permute } from './shapes.js'
import { demandSome, demandValue, lift, refused, type Operand } from './support.js'
import { maxPool, type PoolOptions } from './windows.js'

/** Applies a primitive, a user's own included. */
export const apply = (op: Op, xs: readonly Value[], attrs: Attrs = {}): Value => {
  demandOp('apply', op)
  const [first] = demandSome(op.name, xs)
  const bad = refused(op.name, first, { attrs }, { attrs: record })
  if (bad !== null) return bad
  return first.kit.apply(op, xs, attrs)
}

const bare = (name: string, x: Value): Value => {
  demandValue(`plain.${name}`, x)
  return dequantize(
    x,
    `torch.${name} knows no quant tensors (it is in neither of Brevitas' tables) and gets the bare value`,
  )
}
const plainUnary =
  (op: BarePrimitive, name: string = op) =>
  (x: Value): Value => {
    const v = bare(name, x)
    return v.kit.emit(op, [v])
  }
const plainBinary =
  (name: BarePrimitive) =>
  (a: Value, b: Operand): Value => {
    const v = bare(name, a)
    return v.kit.emit(name, [v, bare(name, lift(v.kit, b))])
  }

/** torch's functions, which get bare values: they strip where the functions of the same name above keep. */
export const plain = {
  relu: plainUnary('relu'),
  neg: plainUnary('neg'),
  abs: plainUnary('abs'),
  add: plainBinary('add'),
  sub: plainBinary('sub'),
  mul: plainBinary('mul'),
  div: plainBinary('div'),
  permute: (x: Value, dims: readonly number[]): Value => permute(bare('permute', x), dims),
  /** torch.max_pool2d, which is not F.max_pool2d. */
  maxPool2d: (x: Value, o: PoolOptions): Value => maxPool(bare('max_pool2d', x), o, 2),
} as const
