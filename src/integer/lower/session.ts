/** What every rule of the lowering is given: the integer graph under construction, its constants, and what has been proved or refused so far. */
import type { QuantError } from '../../data/error.js'
import type { NodeId } from '../../data/quant.js'
import type { Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import { newBuilder, type Builder } from '../../graph/builder.js'
import type { Node } from '../../graph/graph.js'
import type { Attrs, Op, Value } from '../../graph/op.js'
import type { Specialized } from '../../graph/specialize.js'
import { integerOps } from '../ops/index.js'
import type { IntegerTensor, Range } from '../values.js'
import type { Expr, Grid } from './chain.js'

/** How a quantizer is written: `multiplier`: by multiplier and shift; `thresholds`: exactly; `auto`: by multiplier where that is nearly always right. */
export type Requantization = 'auto' | 'multiplier' | 'thresholds'

/** An integer: a node of the new graph, the range that was proved, and the grid on which it stands for a float value. */
export type Integer = { readonly value: Value; readonly range: Range; readonly grid: Grid }

/** What a value of the float program has become. */
export type Lowered =
  /** Computed from data by floats alone, before the first quantizer. */
  | { readonly tag: 'entry' }
  /** Known: a weight, a scale. `node` tells its metadata. */
  | { readonly tag: 'fixed'; readonly tensor: Tensor; readonly node: Node }
  | { readonly tag: 'integer'; readonly integer: Integer }
  /** Element-wise float ops behind an integer, waiting for their quantizer. `shape` is the value's own. */
  | { readonly tag: 'chain'; readonly root: Integer; readonly expr: Expr; readonly node: Node }
  /** It has no integers; the error has been recorded. */
  | { readonly tag: 'lost' }

/** How a requantization was written, and how far it is from the float rule on integers. */
export type RequantizationProof = {
  readonly path: string
  readonly form: 'identity' | 'clamp' | 'shift' | 'multiplier' | 'thresholds' | 'table'
  /** The integers that go in. */
  readonly input: Range
  /** The integers that come out. */
  readonly output: Range
  /** Of how many integers of the input range, over all channels, the form gives another integer than the float rule. */
  readonly apart: number
  /** Of how many. */
  readonly of: number
  /** The largest difference, in steps. */
  readonly most: number
  /** Was every integer of the range asked, or the float rule's monotone behaviour used between the places where it changes? */
  readonly everywhere: boolean
}

/** A proof of a sum of products, and what it is a sum of. */
export type AccumulatorProof = {
  readonly path: string
  readonly op: string
  readonly input: Range
  readonly accumulator: Range & { readonly bits: 16 | 24 | 32 }
  /** Its node of the integer program. */
  readonly node: NodeId
  /** Grid of the input, and scale of the weight and of the accumulator, one number or one per output channel. */
  readonly inputGrid: Grid
  readonly weightScale: Tensor
  readonly scale: Tensor
}

/** A bias that went into the requantization, in whole steps of the accumulator: rounded, since it does not lie on that grid. */
export type OffGridBias = { readonly node: NodeId; readonly bias: IntegerTensor }

/** Where a float value and an integer meet, for comparisons: node of the specialized float program, node of the integer program. */
export type Tap = {
  readonly path: string
  readonly float: NodeId
  readonly integer: NodeId
  readonly grid: Grid
  readonly shape: Shape
}

/** The lowering of one program. */
export type Session = {
  readonly fixed: Specialized
  readonly b: Builder
  readonly requantization: Requantization
  readonly lowered: Map<NodeId, Lowered>
  /** Chains that were brought onto a grid because somebody needs integers. */
  readonly settled: Map<NodeId, Integer>
  readonly constants: Record<string, IntegerTensor>
  /** The constant behind a node of the integer graph. */
  readonly keys: Map<NodeId, string>
  readonly errors: QuantError[]
  readonly accumulators: AccumulatorProof[]
  readonly requantizations: RequantizationProof[]
  readonly taps: Tap[]
  readonly biases: OffGridBias[]
}

/** Starts a lowering. */
export const newSession = (fixed: Specialized, requantization: Requantization): Session => {
  const b = newBuilder({ table: integerOps, mode: 'eval' })
  return {
    fixed,
    b,
    requantization,
    lowered: new Map(),
    settled: new Map(),
    constants: {},
    keys: new Map(),
    errors: [],
    accumulators: [],
    requantizations: [],
    taps: [],
    biases: [],
  }
}

/** An input of the integer graph. */
export const inputOf = (s: Session, kind: 'data' | 'param', name: string, shape: Shape): Value =>
  s.b.input(kind, name, shape)

/** A tensor of constants in the integer graph, in the layer's name. */
export const constantOf = (s: Session, path: string, t: IntegerTensor): Value => {
  const key = `c${Object.keys(s.constants).length}`
  s.constants[key] = t
  const value = s.b.scoped(path, () => inputOf(s, 'param', key, t.shape))
  s.keys.set(value.id, key)
  return value
}

/** Appends a node in the layer's name. */
export const append = (s: Session, path: string, op: Op, args: readonly Value[], attrs: Attrs): Value => {
  const made = s.b.scoped(path, () => s.b.apply(op, args, attrs))
  const [error] = s.b.errors
  if (error !== undefined) throw new Error(`internal: ${error.message}`)
  return made
}

/** Records why a node has no integers. */
export const prevented = (s: Session, node: Node, why: string, fix: string): Lowered => {
  s.errors.push({ tag: 'ExportError', op: node.op.name, path: node.path, message: `${node.op.name}: ${why}`, fix })
  return { tag: 'lost' }
}
