/** What an estimator computes and what gradient it hands on, over a range of its operand: sampled from the op itself. */
import * as E from 'fp-ts/lib/Either.js'
import { intMax, intMin, quantOf } from '../../src/data/quant.js'
import { isQuantTensor } from '../../src/data/quantTensor.js'
import type { Tensor } from '../../src/data/tensor.js'
import type { Node } from '../../src/graph/graph.js'
import type { Attrs, Op, Value } from '../../src/graph/op.js'
import { functionLayer } from '../../src/nn/layers/functionLayer.js'
import { tensorInput } from '../../src/graph/trace.js'
import { vjp } from '../../src/nn/program/derivatives.js'
import { run, trace } from '../../src/nn/program/program.js'
import { operandsAlone, quantizes } from './quantizers.js'
import type { SceneCurve } from './scene.js'

const SAMPLES = 241
/** Grids of up to this many integers are shown whole. */
const WHOLE = 16

type Range = Pick<SceneCurve, 'from' | 'to' | 'unit' | 'note'>

const bound = (x: unknown, otherwise: number): number => (typeof x === 'number' && Number.isFinite(x) ? x : otherwise)

const stairsRange = (a: Attrs): Range => {
  const [bits, signed, narrow] = [bound(a.bits, 8), a.signed === true, a.narrow === true]
  const [lo, hi] = [intMin(bits, signed, narrow), intMax(bits, signed, narrow)]
  const count = hi - lo + 1
  const unit = 'x / s + z'
  return count <= WHOLE
    ? { from: lo - 2, to: hi + 2, unit, note: `all ${count} integers` }
    : { from: hi - 6.5, to: hi + 3.5, unit, note: `the last 7 of ${count} integers; the other end mirrors it` }
}

/** Over which range a node's op is shown, or null where it is none of one variable. */
const rangeOf = (node: Node): Range | null => {
  const { op, inputs, attrs: a } = node
  const onto = quantizes(node)
  if (onto === 'integers') return stairsRange(a)
  if (onto === 'levels')
    return quantOf(node.carried)?.bits === 1 ? { from: -2, to: 2, unit: 'x / s', note: 'both values' } : null
  if (inputs.length !== 1 || op.backward === undefined) return null
  const [lo, hi] = [bound(a.min, -3.5), bound(a.max, 3.5)]
  // A lower bound without an upper one is one of magnitudes: both signs are shown.
  const least = 'min' in a && !('max' in a) ? -3.5 : Math.min(lo, hi)
  const margin = Math.max(1, (hi - least) * 0.3)
  return { from: least - (least === -3.5 ? 0 : margin), to: hi + (hi === 3.5 ? 0 : margin), unit: 'x', note: '' }
}

/** The op over a ramp, with scale 1 and zero point 0. */
const callOf =
  (op: Op, attrs: Attrs) =>
  (x: Value): Value => {
    const rest = operandsAlone(op) ?? []
    return x.kit.apply(op, [x, ...rest.map((v) => x.kit.constant(v))], attrs)
  }

const rounded = (t: Tensor): readonly number[] => Array.from(t.data, (v) => Number(v.toPrecision(5)))

/** Samples an op: its values, and the cotangent that it hands back for a cotangent of 1. Null where it can not be drawn. */
export const curveOf = (node: Node): SceneCurve | null => {
  const { op, attrs } = node
  const range = rangeOf(node)
  if (range === null || !(range.to > range.from)) return null
  const x: Tensor = {
    shape: [SAMPLES],
    data: Float32Array.from({ length: SAMPLES }, (_, i) => range.from + ((range.to - range.from) * i) / (SAMPLES - 1)),
  }
  const ones: Tensor = { shape: [SAMPLES], data: new Float32Array(SAMPLES).fill(1) }
  const program = E.chain((p: Parameters<typeof vjp>[0]) => vjp(p, { inputs: true }))(
    trace(functionLayer('curve', callOf(op, attrs)), tensorInput([SAMPLES]), { mode: 'train' }) as never,
  )
  if (E.isLeft(program)) return null
  const ran = run(program.right, { params: {}, state: {}, inputs: { inputs: x, cotangent: ones } } as never)
  if (E.isLeft(ran)) return null
  const y = ran.right.outputs as Tensor | Parameters<typeof isQuantTensor>[0]
  const g = ran.right.grads.inputs as Tensor
  return { ...range, forward: rounded(isQuantTensor(y) ? y.value : y), gradient: rounded(g) }
}
