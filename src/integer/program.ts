/** An integer program as data: a graph of integer ops with its constants, what goes in and out, and what was proved. */
import type { Shape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import type { NodeId } from '../data/quant.js'
import type { Program } from '../graph/program.js'
import type { AccumulatorProof, OffGridBias, RequantizationProof, Tap } from './lower/session.js'
import type { IntegerTensor, Range } from './values.js'

/** A grid of a value that goes in or out: `value = (integer - zeroPoint) * scale`; both broadcast to the value. */
export type Border = {
  /** Name of the input, or path of the result. */
  readonly name: string
  readonly shape: Shape
  readonly node: NodeId
  readonly scale: Tensor
  /** Whole numbers, but for a result to which floats were added. */
  readonly zeroPoint: Tensor
  readonly bits: number
  readonly signed: boolean
  /** The integers that can occur. */
  readonly range: Range
}

/** What makes integers of data: the float ops up to the first quantizers, as an ordinary program. */
export type Entry = {
  readonly program: Program
  readonly constants: { readonly [key: string]: Tensor }
}

/**
 * A program of integers only. `program` is an ordinary program whose ops are those of `integerOps`: print it with `printProgram`, draw it with `toHtml`,
 * store it with `programToJSON`. Its parameters are `constants`, as typed arrays of whole numbers.
 */
export type IntegerProgram = {
  readonly version: 1
  readonly program: Program
  readonly constants: { readonly [key: string]: IntegerTensor }
  readonly inputs: readonly Border[]
  readonly outputs: readonly Border[]
  readonly entry: Entry
  /** Of each sum of products: what can come in, and what the accumulator can be, in any order of its terms. */
  readonly accumulators: readonly AccumulatorProof[]
  /** Of each quantizer: its form, and how far that is from the float rule. */
  readonly requantizations: readonly RequantizationProof[]
  /** Biases that a requantization took in. */
  readonly biases: readonly OffGridBias[]
  /** Where it can be compared with the float program: quantizers and results. */
  readonly taps: readonly Tap[]
  /** The same of sums and of what only moves elements, in front of a quantizer. */
  readonly inner: readonly Tap[]
}
