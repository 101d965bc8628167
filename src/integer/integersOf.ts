/** Per layer the integers that a deployment needs, as plain typed arrays: `integersOf`. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import type { NodeId } from '../data/quant.js'
import type { Tensor } from '../data/tensor.js'
import { demand } from '../data/fields.js'
import { usersOf, type Node } from '../graph/graph.js'
import type { Program } from '../graph/program.js'
import type { Rounding } from '../ops/rounding.js'
import { integerProgramProblems } from './checks.js'
import type { AccumulatorProof } from './lower/session.js'
import { accumulatorBits } from './lower/products.js'
import type { IntegerProgram } from './program.js'
import { integerBias } from './ops/sums.js'
import { lookup, requantize, thresholds } from './ops/maps.js'
import { toInteger, type IntegerOptions } from './toInteger.js'
import type { IntegerTensor, Range } from './values.js'

/** How a layer's accumulator becomes its output's integer. */
export type LayerRequantization =
  /** `clamp(round((a * multiplier + offset) / 2^shift))`: one number, or one per channel. */
  | {
      readonly form: 'multiplier'
      readonly multiplier: IntegerTensor
      readonly offset: IntegerTensor
      readonly shift: IntegerTensor
      readonly rounding: Rounding
      readonly output: Range
    }
  /** `start + step * (number of thresholds that a reaches)`; thresholds along the last axis. */
  | {
      readonly form: 'thresholds'
      readonly thresholds: IntegerTensor
      readonly start: IntegerTensor
      readonly step: IntegerTensor
      readonly output: Range
    }
  /** `table[a - first]`. */
  | { readonly form: 'table'; readonly table: IntegerTensor; readonly first: number; readonly output: Range }

/** One layer with weights, in integers. */
export type LayerIntegers = {
  /** Path of the layer. */
  readonly path: string
  /** `conv`, `convTranspose`, `linear`, `matmul`. */
  readonly op: string
  /** Integers of the weight, less their zero point; null where both factors are data. */
  readonly weight: IntegerTensor | null
  readonly weightScale: Tensor
  readonly inputScale: Tensor
  readonly inputZeroPoint: Tensor
  /** Scale of the accumulator: input's times weight's. */
  readonly accumulatorScale: Tensor
  /**
   * `round(bias / accumulatorScale)`; null without bias. `exact`: the bias lies on that grid and is added in the accumulator. Else a requantization holds it
   * at full precision, in its offset or thresholds.
   */
  readonly bias: (IntegerTensor & { readonly exact: boolean }) | null
  /** The accumulator's proved range, bias included, and the least width of 16, 24 and 32 bits. */
  readonly accumulator: Range & { readonly bits: 16 | 24 | 32 }
  /** What makes the output's integer; null where the accumulator is handed on. */
  readonly requantization: LayerRequantization | null
}

const isRounding = (x: unknown): x is Rounding => typeof x === 'string'

type Reading = {
  readonly p: IntegerProgram
  readonly users: readonly (readonly NodeId[])[]
  readonly constants: ReadonlyMap<NodeId, IntegerTensor>
}

const constantAt = (r: Reading, node: Node, operand: number): IntegerTensor =>
  r.constants.get(node.inputs[operand]) ?? { shape: [], data: Int32Array.of(0) }

/** The one reader of a value, if its first operand is that value. */
const next = (r: Reading, id: NodeId): Node | undefined => {
  const [first, ...others] = r.users[id].map((u) => r.p.program.graph.nodes[u])
  return others.length === 0 && first?.inputs[0] === id ? first : undefined
}

const requantizationOf = (r: Reading, node: Node | undefined): LayerRequantization | null => {
  if (node === undefined) return null
  const output = { lo: Number(node.attrs.lo), hi: Number(node.attrs.hi) }
  const at = (operand: number): IntegerTensor => constantAt(r, node, operand)
  const { rounding } = node.attrs
  if (node.op.name === requantize.name && isRounding(rounding))
    return { form: 'multiplier', multiplier: at(1), offset: at(2), shift: at(3), rounding, output }
  if (node.op.name === thresholds.name)
    return { form: 'thresholds', thresholds: at(1), start: at(2), step: at(3), output }
  return node.op.name === lookup.name ? { form: 'table', table: at(1), first: Number(node.attrs.first), output } : null
}

const layerOf = (r: Reading, a: AccumulatorProof): LayerIntegers => {
  const behind = next(r, a.node)
  const biased = behind?.op.name === integerBias.name ? behind : undefined
  const off = r.p.biases.find((b) => b.node === a.node)
  const own = biased === undefined ? off?.bias : constantAt(r, biased, 1)
  const node = r.p.program.graph.nodes[a.node]
  const range = biased === undefined ? a.accumulator : { lo: Number(biased.attrs.lo), hi: Number(biased.attrs.hi) }
  return {
    path: a.path,
    op: a.op,
    weight: r.constants.get(node.inputs[1]) ?? null,
    weightScale: a.weightScale,
    inputScale: a.inputGrid.scale,
    inputZeroPoint: a.inputGrid.zeroPoint,
    accumulatorScale: a.scale,
    bias: own === undefined ? null : { ...own, exact: off === undefined },
    accumulator: { ...range, bits: accumulatorBits(range) ?? 32 },
    requantization: requantizationOf(r, next(r, (biased ?? node).id)),
  }
}

/** The layers of an integer program. */
export const layersOf = (p: IntegerProgram): readonly LayerIntegers[] => {
  demand(integerProgramProblems('layersOf', p))
  const constants = new Map(
    p.program.inputs.flatMap((i) => (i.kind === 'param' ? [[i.node, p.constants[i.path]] as const] : [])),
  )
  const r = { p, users: usersOf(p.program.graph), constants }
  return p.accumulators.map((a) => layerOf(r, a))
}

/**
 * Per layer with weights: integer weights and bias, scales, zero points, multiplier and shift (or thresholds), and the proved range of its accumulator; all as
 * plain typed arrays. Errors: those of `toInteger`.
 *
 * @example
 * for (const { path, weight, bias, accumulator } of orThrow(integersOf(program, { params, state }))) console.log(path, weight?.data, accumulator.bits)
 */
export const integersOf = <P, S, I, O>(
  program: Program<P, S, I, O>,
  fixed: { readonly params: P; readonly state: S },
  options: IntegerOptions = {},
): E.Either<QuantErrors, readonly LayerIntegers[]> => E.map(layersOf)(toInteger(program, fixed, options))
