/** What a quantization starts from and ends with. */
import type { Layer, TensorTree } from '../nn/layers/layer.js'
import type { KeptNorm, MergedNorm } from '../nn/merging/mergeBatchNorm.js'
import type { InputsOf } from '../nn/program/program.js'

/** A network with its numbers. */
export type Trained<I, O> = {
  readonly net: Layer<TensorTree, TensorTree, I, O>
  readonly params: TensorTree
  readonly state: TensorTree
}

/** What became of one layer. */
export type LayerReport = {
  readonly path: string
  /** Its class before and now. */
  readonly was: string
  readonly now: string
  /** Its quantizers by place, as `Int8WeightPerChannelFloat at 4 bits`. */
  readonly quantizers: { readonly [place: string]: string }
  /**
   * Of one that stayed float although a rule is about it, or a layer without a quantizer in its place: why, and how to
   * mend it.
   */
  readonly left: { readonly why: string; readonly fix: string } | null
}

/** Whether a product (convolution, linear layer) will run on integers, known before any data is seen. */
export type ProductReport = {
  readonly path: string
  readonly op: string
  readonly integers: boolean
  /** Why not; empty where it does. */
  readonly why: string
}

/** A part that could not be rewritten layer by layer, and is a model of our layers now (`lift`). */
export type LiftedPart = {
  /** Where it stands; empty for the network itself. */
  readonly path: string
  /** Its class before. */
  readonly was: string
  /** The layers found in it, by name. */
  readonly layers: readonly string[]
  /** Operations for which no layer stands, replayed as they were. */
  readonly replayed: number
}

/** Something that is no error, and that one will want to know. */
export type CalibrationNote = {
  /** Path of the quantizer: `conv.inputQuant`. */
  readonly path: string
  readonly why: string
  readonly fix: string
}

/** What `quantize` did, and what comes of it. */
export type QuantizeReport = {
  readonly layers: readonly LayerReport[]
  readonly products: readonly ProductReport[]
  /** Batch norms that went into layers, and those that stayed. */
  readonly merged: readonly MergedNorm[]
  readonly kept: readonly KeptNorm[]
  /** Parts that were rewritten as models of layers first. */
  readonly lifted: readonly LiftedPart[]
  /** Behind `calibrate`: quantizers that saw nothing but zeros. */
  readonly notes?: readonly CalibrationNote[]
}

/**
 * A quantized network, not calibrated yet (or calibrated further): an ordinary layer, with the float one that it came
 * from.
 */
export type Quantized<I, O> = Trained<I, O> & {
  /** As they were declared. */
  readonly inputs: InputsOf<I>
  /** The float network with batch norms merged: layers stand under the same paths. */
  readonly float: Trained<I, O>
  readonly report: QuantizeReport
}
