/**
 * Laws that every op and every quantizer meets, as checkers that return a counterexample in words, or null. Each holds only
 * where the good comparison does: a NaN is close to nothing, so that an op or quantizer which makes one is a counterexample.
 */
import { orThrow } from '../data/error.js'
import { isFloatGrid, type Carried } from '../data/quant.js'
import { isQuantTensor, isValidQuantTensor, valueOf, type QuantTensor } from '../data/quantTensor.js'
import { broadcastStrides } from '../data/shape.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import { leaves } from '../data/tree.js'
import { attrsFor, type Example, type Op, type OpTable } from '../graph/op.js'
import type { Program } from '../graph/program.js'
import { vjpProgram } from '../autodiff/vjp.js'
import { QuantIdentity } from '../nn/layers/activationLayers.js'
import { init, run, trace, type Ran } from '../nn/program/program.js'
import { ops } from '../ops/index.js'
import { walk } from '../ops/support/elementwise.js'
import type { Quantizer } from '../quantizers/quantizer.js'

import { tensorInput } from '../graph/trace.js'
import { demandLaw } from './demands.js'
import { programOver } from './programOver.js'

type Operand = Tensor | QuantTensor
const get = orThrow

const tableWith = (op: Op): OpTable => ({ ...ops, [op.name]: op })

/** The program that applies one op to the operands of an example. */
export const programOf = (op: Op, example: Example, metadata = true): Program => {
  demandLaw('programOf', [op], { example, metadata })
  return programOver(tableWith(op), op, example, metadata)
}

const outcome = (program: Program, inputs: unknown): Ran<unknown, unknown> =>
  get(run(program, { params: {}, state: {}, inputs }))

/** What the op's rule says of its result. */
export const carriedBy = (op: Op, example: Example): Carried => {
  demandLaw('carriedBy', [op], { example })
  const program = programOf(op, example)
  return program.graph.nodes[program.outputs[0].node].carried
}

/** How far the value lies from its grid, in steps of its scale; of groups, whose scales lie elsewhere, 0. */
const offGrid = ({ value, scale, zeroPoint }: QuantTensor): number => {
  let most = 0
  if (scale.shape.length > value.shape.length || zeroPoint.shape.length > value.shape.length) return most
  const strides = [value, scale, zeroPoint].map((t) => broadcastStrides(t.shape, value.shape))
  walk(value.shape, strides, (_, [i, j, k]) => {
    const steps = value.data[i] / scale.data[j] + zeroPoint.data[k]
    most = Math.max(most, Math.abs(steps - Math.round(steps)))
  })
  return most
}

/** Carry soundness: if the rule says `carries`, the result lies on its grid and in its range, no farther from it than its `slack` says. */
export const carrySound = (op: Op, example: Example, operands: readonly Operand[]): string | null => {
  demandLaw('carrySound', [op], { example, operands })
  const carried = carriedBy(op, example)
  if (carried.tag !== 'carries') return null
  const out = outcome(programOf(op, example), operands).outputs as Operand
  if (!isQuantTensor(out) || !isValidQuantTensor(out))
    return `${op.name} says carries, but the result is ${isQuantTensor(out) ? 'not valid' : 'no quant tensor'}`
  const { quant } = carried
  if (isFloatGrid(quant) || quant.group !== undefined || quant.zero === 'any' || quant.zero === 'equalScales')
    return null
  const off = offGrid(out)
  return off <= quant.slack
    ? null
    : `${op.name} says a slack of ${quant.slack} steps, but the result is ${off} off its grid`
}

const plainOperands = (operands: readonly Operand[]): readonly Tensor[] => operands.map(valueOf)

const differentiated = (op: Op, example: Example): Program =>
  get(vjpProgram(tableWith(op))(programOf(op, example, false), { cotangent: 'given', inputs: true }))

/** Gradients of `Σ g * op(operands)` with respect to the operands. */
export const gradients = (op: Op, example: Example, operands: readonly Operand[], g: Tensor): readonly Tensor[] => {
  demandLaw('gradients', [op], { example, operands, g })
  return leaves(
    isTensor,
    outcome(differentiated(op, example), { inputs: plainOperands(operands), cotangent: g }).grads.inputs,
  ).map((l) => l.leaf)
}

const dot = (a: Tensor, b: Tensor): number => a.data.reduce((s, x, i) => s + x * b.data[i], 0)

const nudged = (operands: readonly Tensor[], k: number, i: number, h: number): readonly Tensor[] =>
  operands.map((t, j) => (j === k ? { shape: t.shape, data: t.data.map((x, e) => (e === i ? x + h : x)) } : t))

/** The tensor with its elements spread out, so that hardly any two tie (a tie is a kink of every maximum). */
const apart = (t: Tensor): Tensor => ({ shape: t.shape, data: t.data.map((x, i) => x + 2 * ((i * 0.618034) % 1)) })

/** `|a - b| <= most` of finite numbers; false of a NaN and of infinities. */
const within = (a: number, b: number, most: number): boolean =>
  Number.isFinite(a) && Number.isFinite(b) && Math.abs(a - b) <= most

/**
 * The gradient of a smooth op agrees with central differences. Elements near a kink are passed over: there the
 * differences to both sides are finite, and disagree with each other. A difference or a gradient that is NaN or infinite
 * is a counterexample.
 */
export const gradientMatches = (
  op: Op,
  example: Example,
  given: readonly Operand[],
  g: Tensor,
  tolerance = 0.03,
): string | null => {
  demandLaw('gradientMatches', [op], { example, operands: given, g, tolerance })
  const operands = plainOperands(given).map((t, k) => (example.args[k].fixed === true ? t : apart(t)))
  const program = programOf(op, example, false)
  const f = (xs: readonly Tensor[]): number => dot(outcome(program, xs).outputs as Tensor, g)
  const grads = gradients(op, example, operands, g)
  const here = f(operands)
  const oneSided = (k: number, i: number, h: number): number => (f(nudged(operands, k, i, h)) - here) / h
  for (const [k, t] of operands.entries()) {
    if (example.args[k].fixed === true) continue
    for (let i = 0; i < t.data.length; i++) {
      const [up, down] = [oneSided(k, i, 1 / 128), oneSided(k, i, -1 / 128)]
      const narrow = (up + down) / 2
      const size = 1 + Math.abs(narrow)
      const kink = Number.isFinite(narrow) && Math.abs(up - down) > 2 * tolerance * size
      if (!kink && !within(grads[k].data[i], narrow, tolerance * size))
        return `${op.name}: operand ${k}, element ${i}: gradient ${grads[k].data[i]}, differences ${narrow}`
    }
  }
  return null
}

/** Below this, float32 loses bits to subnormals. */
const TINY = 1e-36

/** Is b twice a? Bit for bit (subnormals apart); never of a NaN. */
const isTwice = (a: number, b: number): boolean => 2 * a === b || Math.abs(2 * a - b) <= TINY

/** A vjp is linear in the cotangent: `vjp(2*g) = 2*vjp(g)`, bit for bit (subnormals apart); a NaN in either is a counterexample. */
export const vjpLinear = (op: Op, example: Example, operands: readonly Operand[], g: Tensor): string | null => {
  demandLaw('vjpLinear', [op], { example, operands, g })
  const once = gradients(op, example, operands, g)
  const twice = gradients(op, example, operands, { shape: g.shape, data: g.data.map((x) => 2 * x) })
  const k = once.findIndex((t, j) => !t.data.every((x, i) => isTwice(x, twice[j].data[i])))
  return k < 0 ? null : `${op.name}: twice the cotangent does not give twice the gradient of operand ${k}`
}

const sameBits = (a: Tensor, b: Tensor): boolean =>
  a.data.length === b.data.length && a.data.every((x, i) => Object.is(x + 0, b.data[i] + 0))

/** The law of surrogates: `surrogate(f, g)` evaluates as f and differentiates as g. */
// oxlint-disable-next-line max-params -- public since 0.1.0: a record in place of six operands would break who calls it
export const surrogateLaw = (
  s: Op,
  f: Op,
  g: Op,
  example: Example,
  operands: readonly Operand[],
  cotangent: Tensor,
): string | null => {
  demandLaw('surrogateLaw', [s, f, g], { example, operands, cotangent })
  const call = (op: Op): Example => ({ args: example.args, attrs: attrsFor(op, example.attrs) })
  const value = (op: Op): Tensor =>
    valueOf(outcome(programOf(op, call(op), false), plainOperands(operands)).outputs as Operand)
  if (!sameBits(value(s), value(f))) return `${s.name} does not evaluate as ${f.name}`
  const [ds, dg] = [gradients(s, call(s), operands, cotangent), gradients(g, call(g), operands, cotangent)]
  return ds.every((t, i) => sameBits(t, dg[i])) ? null : `${s.name} does not differentiate as ${g.name}`
}

/** Quantizes a tensor with an activation quantizer at its first step in eval, or in training. */
export const quantizeWith = (quantizer: Quantizer, x: Tensor, mode: 'train' | 'eval' = 'train'): QuantTensor => {
  demandLaw('quantizeWith', [], { quantizer, x, mode })
  const layer = QuantIdentity({ actQuant: quantizer, returnQuantTensor: true })
  const { params, state } = get(init(layer, 0))
  const out = get(run(get(trace(layer, tensorInput(x.shape), { mode })), { params, state, inputs: x })).outputs
  if (!isQuantTensor(out)) throw new Error(`${quantizer.name} gave no quant tensor`)
  return out
}

/** The first element that a quantizer made a NaN of a number, in words; or null. */
const madeNaN = (quantizer: Quantizer, x: Tensor, { value }: QuantTensor): string | null => {
  const i = value.data.findIndex((v, k) => Number.isNaN(v) && !Number.isNaN(x.data[k]))
  return i < 0 ? null : `${quantizer.name}: ${x.data[i]} became NaN`
}

/**
 * Quantizing what is quantized changes nothing (for a fixed range, where the scale does not follow the input). A number
 * that becomes NaN is a counterexample.
 */
export const idempotent = (quantizer: Quantizer, x: Tensor): string | null => {
  demandLaw('idempotent', [], { quantizer, x })
  const once = quantizeWith(quantizer, x, 'eval')
  const nan = madeNaN(quantizer, x, once)
  if (nan !== null) return nan
  return sameBits(once.value, quantizeWith(quantizer, once.value, 'eval').value)
    ? null
    : `${quantizer.name} is not idempotent`
}

/** A larger input never gives a smaller output; a number that becomes NaN is a counterexample, a NaN that is given is passed over. */
export const monotone = (quantizer: Quantizer, x: Tensor): string | null => {
  demandLaw('monotone', [], { quantizer, x })
  const y = quantizeWith(quantizer, x, 'eval')
  const nan = madeNaN(quantizer, x, y)
  if (nan !== null) return nan
  const { data } = y.value
  const order = [...x.data.keys()].filter((i) => !Number.isNaN(x.data[i])).sort((i, j) => x.data[i] - x.data[j])
  return order.every((i, k) => k === 0 || data[i] >= data[order[k - 1]]) ? null : `${quantizer.name} is not monotone`
}

/** The scale of each element, as it broadcasts over the value. */
const scalesOf = ({ value, scale }: QuantTensor): Float32Array => {
  const out = new Float32Array(value.data.length)
  walk(value.shape, [broadcastStrides(scale.shape, value.shape)], (i, [j]) => {
    out[i] = scale.data[j]
  })
  return out
}

/**
 * Inside the range the error is at most half a step (and float32 rounding). A scale that is no positive number is a
 * counterexample: it has no steps.
 */
export const errorBounded = (quantizer: Quantizer, x: Tensor, range: readonly [number, number]): string | null => {
  demandLaw('errorBounded', [], { quantizer, x, range })
  const q = quantizeWith(quantizer, x, 'eval')
  const odd = q.scale.data.find((s) => !(s > 0 && s < Infinity))
  if (odd !== undefined) return `${quantizer.name}: its scale is ${odd}, which is no positive number`
  const scales = scalesOf(q)
  const inside = (v: number, s: number): boolean => v >= range[0] + s && v <= range[1] - s
  const i = x.data.findIndex((v, k) => inside(v, scales[k]) && !within(v, q.value.data[k], scales[k] * 0.5001))
  return i < 0
    ? null
    : `${quantizer.name}: ${x.data[i]} became ${q.value.data[i]}, more than half a step of ${scales[i]} away`
}
