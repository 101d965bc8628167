/** What stands under a name of an ONNX graph while it is traced, and what a rule is given to make more of it. */
import type { FloatFormat } from '../../../data/minifloat.js'
import type { Shape } from '../../../data/shape.js'
import type { Kit, Value } from '../../../graph/op.js'
import type { DataType, Host } from './host.js'
import type { ModelNode } from './model.js'

/** Known numbers, and the name under which they become a leaf if somebody computes with them. */
export type Known = {
  readonly is: 'known'
  readonly host: Host
  readonly leaf: string
  /** Tells it from others of the same name: stored integers that are read with two scales. */
  readonly key?: string
  /** Of integers that went through a Clip: its bounds, which say how many bits were meant. */
  readonly bounds?: readonly [number, number]
}
/** A traced value; integers and booleans are whole floats there, so its type stands beside it. */
export type Traced = { readonly is: 'value'; readonly value: Value; readonly type: DataType }
/** What QuantizeLinear makes: integers that DequantizeLinear will take back to a grid, cut to bounds by a Clip in between. */
export type Levels = {
  readonly is: 'levels'
  readonly from: Known | Traced
  readonly scale: Known
  readonly zero: Known | null
  readonly axis: number | null
  readonly type: DataType
  readonly bounds: readonly [number, number]
  /** Elements of a block along the axis, where scales are those of blocks. */
  readonly block?: number
  /** Of floats in 8 bits: their format. */
  readonly format?: FloatFormat
}
/** A quantized constant that is not traced yet: a bias asks for the scale of its accumulator first. */
export type Stored = {
  readonly is: 'stored'
  readonly shape: Shape
  /** Traces it; with another scale, which must have the same numbers. */
  readonly make: (scale?: Value) => Value
  readonly scale: Host
  readonly zeroIsZero: boolean
}
/** One of them. */
export type Entry = Known | Traced | Levels | Stored

/** What a known tensor is, once a value is computed with it. */
export type Role =
  /** Trained: weights, biases, norms. */
  | 'weight'
  /** A quantizer's scale: learned, as state. */
  | 'scale'
  /** A quantizer's zero point: learned, as state. */
  | 'zero'
  /** Neither: tables, masks, running statistics. */
  | 'constant'

/** A node on its way into a trace. Whatever is wrong is thrown by `refuse`, and becomes one error with the node's name. */
export type Importing = {
  readonly kit: Kit
  readonly opset: number
  readonly node: ModelNode
  /** Is operand `i` there? */
  has(i: number): boolean
  entry(i: number): Entry
  /** The element type of operand `i`. */
  type(i: number): DataType
  /** Operand `i` as a value; a known one becomes a leaf or a constant. */
  value(i: number, role?: Role): Value
  /** The same without quantization metadata. */
  plain(i: number, role?: Role): Value
  /** A known tensor as a value. */
  leaf(known: Known, role: Role): Value
  /** The known numbers of operand `i`, or null. */
  known(i: number): Host | null
  /** The same; refused where they are not known. */
  numbers(i: number, what: string): readonly number[]
  /** An attribute; refused where it is of another kind. */
  number(name: string, otherwise: number): number
  text(name: string, otherwise: string): string
  list(name: string): readonly number[] | null
  tensor(name: string): Host | null
  has_(name: string): boolean
  /** What was an attribute in older versions and is operand `i` in newer ones. */
  setting(name: string, i: number): readonly number[] | null
  /** The matrix of which this value is the transpose, if one is. */
  transposed(v: Value): Value | null
  /** Says that a value is the transpose of another. */
  noteTranspose(v: Value, of: Value): void
  /** Says which numbers a value has. */
  note(v: Value, data: Float32Array): void
  /** What is computed once for the whole model, however often it is traced. */
  cached(key: string, make: () => Host): Host
  /** Numbers of a scale or zero point, where they are known. */
  numbersOf(v: Value): Float32Array | null
  refuse(why: string, fix: string): never
}

/** Makes the results of a node, in order. */
export type ImportRule = (x: Importing) => readonly Entry[] | Entry | Value
