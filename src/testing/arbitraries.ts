/** fast-check arbitraries for tensors, quant tensors and the operands of an op. */
import fc from 'fast-check'
import {
  count,
  demand,
  demandArguments,
  fieldProblems,
  finite,
  flag,
  isShape,
  listOf,
  oneOf,
  record,
  required,
  shapeField,
  shaped,
  whole,
  type Field,
  type Fields,
} from '../data/fields.js'
import { intMax, intMin, type ZeroPointKind } from '../data/quant.js'
import { isQuantTensor, valueOf, type QuantTensor } from '../data/quantTensor.js'
import { broadcastStrides, sizeOf, type Shape } from '../data/shape.js'
import { full, scalar, type Tensor } from '../data/tensor.js'
import type { Example, ExampleArg } from '../graph/op.js'
import { walk } from '../ops/support/elementwise.js'

const MOST = 2 ** 16
/** A shape whose elements can be drawn one by one. */
const smallShape: Field = {
  ...shapeField,
  says: `a shape of at most ${MOST} elements`,
  holds: (x) => isShape(x) && sizeOf(x) <= MOST,
}
const rangeField: Field = {
  says: 'two numbers, the smaller first',
  like: '[-3, 3]',
  holds: (x) => Array.isArray(x) && x.length === 2 && x.every(Number.isFinite) && x[0] <= x[1],
}
const SPEC: Fields<QuantSpec> = {
  bits: required({ ...count, says: 'a whole number from 1 to 31', holds: (x) => count.holds(x) && Number(x) < 32 }),
  signed: required(flag),
  zero: oneOf('zero', 'integer', 'any'),
  scaleShape: smallShape,
}
const argField = shaped('an operand of an example: { shape }', {
  shape: required(smallShape),
  quant: record,
  range: rangeField,
})

/** A shape of at most `rank` axes with 1 to `most` elements each. */
export const shapeArb = (rank = 3, most = 4): fc.Arbitrary<Shape> => {
  demandArguments('shapeArb', { rank, most }, { rank: whole, most: count })
  return fc.array(fc.integer({ min: 1, max: most }), { maxLength: rank })
}

/** A tensor of finite float32 numbers from a range; none is closer to 0 than 1e-6 unless it is 0. */
export const tensorArb = (shape: Shape, range: readonly [number, number] = [-3, 3]): fc.Arbitrary<Tensor> => {
  demandArguments('tensorArb', { shape, range }, { shape: required(smallShape), range: rangeField })
  const [least, most] = range
  return fc
    .array(fc.double({ min: least, max: most, noNaN: true }), { minLength: sizeOf(shape), maxLength: sizeOf(shape) })
    .map((xs) => ({ shape, data: Float32Array.from(xs, (x) => (Math.abs(x) < 1e-6 ? 0 : x)) }))
}

/** Cotangents: multiples of 1/64 between -1 and 1, so that no product of them is lost in subnormals. */
export const cotangentArb = (shape: Shape): fc.Arbitrary<Tensor> => {
  demandArguments('cotangentArb', { shape }, { shape: required(smallShape) })
  return fc
    .array(fc.integer({ min: -64, max: 64 }), { minLength: sizeOf(shape), maxLength: sizeOf(shape) })
    .map((xs) => ({ shape, data: Float32Array.from(xs, (x) => x / 64) }))
}

/** What a drawn quant tensor is like. */
export type QuantSpec = {
  readonly bits: number
  readonly signed: boolean
  readonly zero?: ZeroPointKind
  readonly scaleShape?: Shape
}

/** A scale that is neither zero nor extreme, and hardly ever a power of two. */
export const scaleArb: fc.Arbitrary<number> = fc.double({ min: 0.01, max: 2, noNaN: true }).map(Math.fround)

const valuesOf = (shape: Shape, ints: readonly number[], scale: Tensor, z: number): Tensor => {
  const data = new Float32Array(ints.length)
  walk(shape, [broadcastStrides(scale.shape, shape)], (i, [j]) => {
    data[i] = Math.fround(ints[i] - z) * scale.data[j]
  })
  return { shape, data }
}

/**
 * A quant tensor on its grid: every integer of the width can occur. With `least` above 0 (of a logarithm's operand, say) no
 * value is below it: smaller integers, zero and the negative ones become the largest of the width. The zero point is 0 then.
 */
export const quantTensorArb = (shape: Shape, spec: QuantSpec, least = 0): fc.Arbitrary<QuantTensor> => {
  demandArguments(
    'quantTensorArb',
    { shape, spec, least },
    { shape: required(smallShape), spec: required(record), least: finite },
  )
  demand(fieldProblems('quantTensorArb', spec, SPEC))
  const { bits, signed, zero = 'zero', scaleShape = [] } = spec
  const [lo, hi] = [intMin(bits, signed), intMax(bits, signed)]
  const n = sizeOf(shape)
  const steps = scaleArb.map((s) => (least > 0 ? Math.max(s, Math.fround((1.01 * least) / Math.max(1, hi))) : s))
  return fc
    .record({
      ints: fc.array(fc.integer({ min: lo, max: hi }), { minLength: n, maxLength: n }),
      scales: fc.array(steps, { minLength: sizeOf(scaleShape), maxLength: sizeOf(scaleShape) }),
      z: zero === 'zero' || least > 0 ? fc.constant(0) : fc.integer({ min: lo, max: hi }),
    })
    .map(({ ints: drawn, scales, z }) => {
      const smallest = Math.min(...scales)
      const ints = least > 0 ? drawn.map((q) => (q * smallest < least ? hi : q)) : drawn
      const scale = { shape: scaleShape, data: Float32Array.from(scales) }
      return {
        kind: 'quant',
        value: valuesOf(shape, ints, scale, z),
        scale,
        zeroPoint: z === 0 ? scalar(0) : full([], z),
        bitWidth: scalar(bits),
        signed,
        training: true,
      }
    })
}

/** One operand of an example: a tensor, or a quant tensor where the example says so, positive if its range is. */
export const operandArb = (arg: ExampleArg): fc.Arbitrary<Tensor | QuantTensor> => {
  demandArguments('operandArb', { arg }, { arg: required(argField) })
  return arg.quant === undefined
    ? tensorArb(arg.shape, arg.range)
    : quantTensorArb(arg.shape, arg.quant, Math.max(0, arg.range?.[0] ?? 0))
}

/** All operands of an example. */
export const operandsArb = (example: Example): fc.Arbitrary<readonly (Tensor | QuantTensor)[]> => {
  demandArguments(
    'operandsArb',
    { example },
    { example: required(shaped('an example of an op, { args, attrs }', { args: required(listOf(argField)) })) },
  )
  return fc
    .tuple(...example.args.map(operandArb))
    .map((xs) => xs.map((x, k) => onSteps(x, example.args[k].steps, xs[example.args[k].steps?.of ?? k])))
}

/** Integers times the scale that another operand is, where an example says so. */
const onSteps = (
  x: Tensor | QuantTensor,
  steps: ExampleArg['steps'],
  scale: Tensor | QuantTensor,
): Tensor | QuantTensor => {
  if (steps === undefined || isQuantTensor(x)) return x
  const [lo, hi] = [intMin(steps.bits, steps.signed), intMax(steps.bits, steps.signed)]
  const [s] = valueOf(scale).data
  return { shape: x.shape, data: x.data.map((v) => Math.min(hi, Math.max(lo, Math.round(v / s))) * s) }
}
