/** Quantizers of users' own pieces: a statistic, a restriction and a rounding, composed of public ops. */
import { intMax, intMin, quantOf } from '../data/quant.js'
import {
  anyNumber,
  demand,
  demandArguments,
  fieldProblems,
  finite,
  flag,
  func,
  record,
  required,
  text,
  type Fields,
} from '../data/fields.js'
import type { Op, Value } from '../graph/op.js'
import { isValue } from '../graph/trace.js'

/** The pieces of a custom quantizer. Only `threshold` has no default: it is what makes the quantizer one's own. */
export type CustomQuantizer = {
  /** Names the quantizer in paths, prints and errors. */
  readonly name: string
  /** 1 … 32; from 2 bits on, as far as float32 can hold the grid, the result is known to lie on it. */
  readonly bits: number
  readonly signed: boolean
  /** The statistic: the largest magnitude to represent, a scalar or broadcastable over x. Gradients flow through it. */
  readonly threshold: (x: Value) => Value
  /** Which thresholds are allowed (default: all). */
  readonly restrict?: (threshold: Value) => Value
  /** From steps to integers, with the gradient of choice (default `round~identity`); what it leaves between two integers goes to the nearest. */
  readonly round?: Op
  /** Lower bound of the restricted threshold, so that no scale is 0 (default 1e-10, as in Brevitas' presets). */
  readonly scalingMinVal?: number
}

const plainOf = (x: Value): Value =>
  quantOf(x.carried) === null ? x : x.kit.emit('dequantize', [x], { why: 'it is quantized anew' })

const scaleOf = (q: CustomQuantizer, x: Value): Value => {
  const { kit } = x
  const threshold = q.threshold(x)
  const restricted = q.restrict === undefined ? threshold : q.restrict(threshold)
  const bounded = kit.emit('signedLowerBound~identity', [restricted], { min: q.scalingMinVal ?? 1e-10 })
  return kit.emit('div', [bounded, kit.constant(q.signed ? -intMin(q.bits, true) : intMax(q.bits, false))])
}

const PIECES: Fields<CustomQuantizer> = {
  name: required(text),
  bits: required(anyNumber),
  signed: required(flag),
  threshold: required(func),
  restrict: func,
  round: record,
  scalingMinVal: finite,
}

/**
 * A function from a value to a quant tensor: `clamp(round(x/s)) * s` with `s = restrict(threshold(x)) / T`, where T is
 * `2^(bits-1)` if signed, else `2^bits - 1`. Without state: the statistic is taken of each input, in train and eval.
 * Gradients pass the rounding as its op says, stop where x is clipped, and reach the threshold through the scale.
 * @example
 * ```ts
 * import { abs, customQuantizer, functionLayer, max, orThrow, run, tensorInput, tensorOf, trace, valueOf } from 'quantrace'
 *
 * const quantizer = customQuantizer({ name: 'Uint4Max', bits: 4, signed: false, threshold: (x) => max(abs(x)) })
 * const program = orThrow(trace(functionLayer('Uint4Max', quantizer), tensorInput([3]), { mode: 'eval' }))
 * const { outputs } = orThrow(run(program, { params: {}, state: {}, inputs: tensorOf([3], [1, 4.4, 15]) }))
 * console.log(valueOf(outputs).data) // the scale is 15 / 15
 * ```
 * ```text
 * Float32Array(3) [ 1, 4, 15 ]
 * ```
 */
export const customQuantizer =
  (q: CustomQuantizer) =>
  (input: Value): Value => {
    demand(fieldProblems('customQuantizer', q, PIECES))
    if (!isValue(input))
      demandArguments(q.name, { input }, { input: required({ says: 'a traced value', like: 'x', holds: isValue }) })
    const { kit } = input
    if (!Number.isInteger(q.bits) || q.bits < 1 || q.bits > 32)
      return kit.fail({
        op: 'bits',
        tag: 'ConfigError',
        refuse: `${q.name}: a bit width of ${q.bits} was asked for; it must be a whole number from 1 to 32`,
        fix: 'give bits: 8, for instance',
      })
    return kit.scoped(q.name, () => {
      const x = plainOf(input)
      const scale = scaleOf(q, x)
      const steps = kit.emit('div', [x, scale])
      const rounded = q.round === undefined ? kit.emit('round~identity', [steps]) : kit.apply(q.round, [steps])
      return kit.emit('fromSteps', [rounded, scale, kit.constant(0)], {
        bits: q.bits,
        signed: q.signed,
        rounding: 'ROUND',
        training: kit.mode === 'train',
        zero: 'zero',
      })
    })
  }
