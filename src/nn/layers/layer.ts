/** What a layer is: a pure description of its parameters, state and forward. Nothing happens until it is traced. */
import type { Either } from 'fp-ts/lib/Either.js'
import type { QuantError } from '../../data/error.js'
import { COUNT } from '../../data/marks.js'
import type { Generator } from '../../data/random.js'
import type { Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import { full } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import type { LeafDecl } from '../../graph/trace.js'
import type { TruncQuantizer } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import type { Collection } from '../../quantizers/collection.js'

/** Nested records of tensors by name: parameters or state. */
export type TensorTree = { readonly [name: string]: Tensor | TensorTree }
/** No parameters, or no state. */
export type None = { readonly [name: string]: never }

/** A tree of tensors as a forward sees it while it is traced: each tensor is a value. */
export type Traced<T> = T extends Tensor ? Value : { readonly [K in keyof T]: Traced<T[K]> }

declare const next: unique symbol
/** State that a layer has handed back. Only this may be returned from a model: old state doesn't type-check. */
export type Next<S> = Traced<S> & { readonly [next]: S }

/** One leaf of parameters or state: its shape, whether it is learned, what it means, and how it starts. */
export type LeafSpec = LeafDecl & {
  readonly init: (generator: Generator) => readonly [Tensor, Generator]
  /** Of a counter: it counts a collection, which ends like this. */
  readonly collection?: Collection
  /** Of the norm of accumulator-aware weights: the bits of the accumulator that it bounds. */
  readonly accumulatorBits?: number
  /** True of what is drawn once and never assigned, the seed of masks for instance: that a forward hands it back as it was is no mistake. */
  readonly constant?: true
}
/** Nested records of leaves. */
export type SpecTree = { readonly [name: string]: LeafSpec | SpecTree }

/** A leaf of state that counts, from 0. */
export const countingLeaf: LeafSpec = { shape: [], learned: false, means: COUNT, init: (g) => [full([], 0), g] }

/** A leaf that starts with every element equal to `value`. */
export const constantLeaf = (shape: Shape, value: number, learned: boolean): LeafSpec => ({
  shape,
  learned,
  init: (g) => [full(shape, value), g],
})

/** A layer's resolved configuration, for people: what it is made of, nested. */
export type Config = { readonly name: string; readonly parts: readonly (readonly [string, Config | string])[] }

/** How one layer was written. */
export type Source = {
  readonly layer: string
  readonly options: { readonly [option: string]: unknown }
  /** Options that its constructor knows; of its quantizers the places. */
  readonly takes: readonly string[]
  /** Its quantizers by place; null where one is switched off. */
  readonly quantizers?: { readonly [place: string]: Quantizer | TruncQuantizer | null }
  /** The layer that does the same on quant tensors. */
  readonly twin?: { readonly layer: string; readonly options: { readonly [option: string]: unknown } }
  /** The layers in it, by name. */
  readonly within?: { readonly [name: string]: AnyLayer }
  /** The same combination of other layers under these names; a chain also does without one. */
  readonly rebuilt?: (layers: { readonly [name: string]: AnyLayer }) => AnyLayer
  /** How many layers deep it is, itself included. */
  readonly depth?: number
  /** Does it still make sense with a layer less: is what one gives what the next one takes? */
  readonly sequential?: boolean
}

/** Why something can't be merged, and what to do about it. */
export type Unmerged = { readonly why: string; readonly fix: string }

/** `y = factor·x + shift`, channel by channel. */
export type ChannelMap = { readonly factor: Float32Array; readonly shift: Float32Array }

/** Parameters and state of a layer. */
export type Trees = { readonly params: TensorTree; readonly state: TensorTree }

/** A layer with its parameters and state. */
export type TrainedLayer = Trees & { readonly layer: AnyLayer }

/** Where a batch norm stands, seen from the layer that takes it over. */
export type Side = 'behind' | 'before'

/** How a layer takes over a map of the channels of its output (`behind`) or of its input (`before`). */
export type Absorb = {
  /** The axis of the channels in an output, or an input, of so many axes. */
  readonly channels: (rank: number) => number
  /** How many channels there are on that side. */
  readonly count: (side: Side) => number
  /** The axis of the weight along which these channels stand. */
  readonly weightAxis: (side: Side) => number
  /** The channel on that side to which each element of the weight belongs. */
  readonly channelOf: (side: Side) => Int32Array
  /** What speaks against it: a quantizer whose range would then meet other numbers. Null: nothing. */
  readonly against: (side: Side) => Unmerged | null
  /** The layer that computes both, with its parameters and its state. */
  readonly take: (trees: Trees, map: ChannelMap, side: Side) => Either<Unmerged, TrainedLayer>
}

/**
 * A layer: `apply(params, state, x) → [y, state′]`. `P` and `S` are the trees of its parameters and state.
 * Construction never fails; what is wrong stands in `problems` and is reported, all at once, by `init` and `trace`.
 */
export interface Layer<P = TensorTree, S = TensorTree, I = Value, O = Value> {
  /** Its class name in Brevitas or torch. */
  readonly layer: string
  readonly params: SpecTree
  readonly state: SpecTree
  readonly problems: readonly QuantError[]
  readonly config: Config
  /** How it was written, for a page that says what to change. */
  readonly source?: Source
  /** In evaluation it is a map per channel of axis 1, which a layer with weights beside it can take over (`mergeBatchNorm`). */
  readonly channelMap?: (trees: Trees) => Either<Unmerged, ChannelMap>
  /** How it takes over such a map beside it. */
  readonly absorb?: Absorb
  apply(params: Traced<P>, state: Traced<S>, x: I, kit: Kit): readonly [O, Traced<S>]
  /** For the compiler only. */
  readonly types?: { readonly params: P; readonly state: S; readonly input: I; readonly output: O }
}

/** Any layer, whatever it takes and gives. */
export interface AnyLayer {
  readonly layer: string
  readonly params: SpecTree
  readonly state: SpecTree
  readonly problems: readonly QuantError[]
  readonly config: Config
  readonly source?: Source
  /** In evaluation it is a map per channel of axis 1, which a layer with weights beside it can take over (`mergeBatchNorm`). */
  readonly channelMap?: (trees: Trees) => Either<Unmerged, ChannelMap>
  /** How it takes over such a map beside it. */
  readonly absorb?: Absorb
  apply(params: never, state: never, x: never, kit: Kit): readonly [unknown, unknown]
  readonly types?: {
    readonly params: unknown
    readonly state: unknown
    readonly input: unknown
    readonly output: unknown
  }
}
/** The parameters of a layer. */
export type ParamsOf<L> = L extends { readonly types?: { readonly params: infer P } } ? P : never
/** The state of a layer. */
export type StateOf<L> = L extends { readonly types?: { readonly state: infer S } } ? S : never
/** What a layer is given. */
export type InputOf<L> = L extends { readonly types?: { readonly input: infer I } } ? I : never
/** What a layer gives back. */
export type OutputOf<L> = L extends { readonly types?: { readonly output: infer O } } ? O : never
