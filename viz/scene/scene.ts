/** What the page draws, as plain JSON: nodes, layers, edges and named values of a program. Knows no coordinates. */
import type { ScenePlan, SceneProfile } from './timing.js'

export type { ScenePlan, SceneProfile, SceneStep } from './timing.js'

/** How a value stands with metadata. */
export type Carry = 'carries' | 'claimed' | 'stripped' | 'float'

/** Metadata of a value, flat. `scale` names the scale's identity: equal scales have equal names. */
export type Meta = {
  readonly carry: Carry
  readonly bits?: number
  readonly signed?: boolean
  /** What its numbers are called where they are no plain integers: `e4m3 (OCP)`, `int8 · 32`, `≤int32`. */
  readonly kind?: string
  readonly scale?: string
  readonly why?: string
  /** Of a claim that is no doubt: right in integers, or two scales of one quantizer that are one in eval. */
  readonly calm?: 'exact' | 'training'
  /** The scale, and the zero point, as formulas. */
  readonly formula?: string
  readonly zeroPoint?: string
  /** Integers that can occur. */
  readonly lo?: number
  readonly hi?: number
}

/** A node: a primitive, an input, a constant, or a phase (which is also a box). */
export type SceneNode = Meta & {
  readonly id: string
  readonly op: string
  readonly label: string
  /** The box in which it stands; empty at the top. */
  readonly box: string
  readonly shape: readonly number[]
  readonly attrs?: string
  /** Is it on the way of the values, and not of scales, zero points and counters? */
  readonly flow: boolean
  /** In the body of a loop: is it on the way of the values of a step? */
  readonly step?: true
  /** Where metadata is lost: is it a place to change (a product runs in float for it), one that costs nothing, or does it only follow from another loss? A claim is `free`: it is drawn as a doubt, whatever it costs. */
  readonly loss?: 'costly' | 'free' | 'behind'
  /** Of a node that quantizes a value: onto the integers of its bits, or onto levels of its own. */
  readonly quantizes?: 'integers' | 'levels'
  /** Of a product: what a reader calls it, `convolution`; and may it run on integers, or why not, as plans have it. */
  readonly product?: string
  readonly integer?: boolean
  readonly whyFloat?: string
  /** Of an input that is no float: whole numbers, or 0 and 1. */
  readonly dtype?: 'integer' | 'boolean'
  /** Of a node that picks rows out of a table by indices: how many rows the table has. */
  readonly rows?: number
  /** `param conv1.weight`, for inputs of the program. */
  readonly origin?: string
  readonly location?: string
  /** Does it belong to the backward pass of a differentiated program? */
  readonly side?: 'backward'
  /** Of a backward node: the forward node whose gradient rule made it. */
  readonly backwardOf?: string
  /** Of a differentiated node: the node that holds the gradient with respect to its value. */
  readonly cotangent?: string
  /** The parameter or state whose gradient this is: `conv1.weight`. */
  readonly gradientOf?: string
  /** Why its gradient is not its derivative, in words: a straight-through estimator. */
  readonly estimator?: string
  /** Its place in `Scene.curves`. */
  readonly curve?: number
}

/** A box: a layer by its path, a phase, or one branch of a phase. */
export type SceneBox = {
  readonly id: string
  readonly label: string
  readonly parent: string
  readonly kind: 'layer' | 'phase' | 'branch'
  /** Of a layer its class, where that is known: `QuantConv2d`. */
  readonly layer?: string
  /** Of an attention layer: its heads. */
  readonly heads?: number
  /** Of a loop and of its body: how many steps there are, and how many states go from one to the next. */
  readonly loop?: { readonly steps: number; readonly states: number; readonly reverse: boolean }
  /** Of a body: its states, each from the node that a step hands back to the input of the next step. */
  readonly states?: readonly { readonly name: string; readonly from: string; readonly to: string }[]
  readonly side?: 'backward'
}

/** An operand of a node. */
export type SceneEdge = {
  readonly from: string
  readonly to: string
  readonly slot: number
  readonly flow: boolean
  /** In the body of a loop: does it carry values of a step? */
  readonly step?: true
}

/** A named input or result of the program. */
export type SceneValue = { readonly name: string; readonly node: string; readonly role: 'input' | 'result' }

/** Options of a layer, as code. */
type OptionCodes = readonly (readonly [option: string, code: string])[]
/**
 * A change of a program's layers, as data: options set in a layer; another layer in its place; a new one behind it in its
 * chain; or a residual block whose sum quantizes both branches.
 */
export type Edit =
  | { readonly do: 'set'; readonly path: string; readonly options: OptionCodes }
  | { readonly do: 'replace'; readonly path: string; readonly layer: string; readonly options: OptionCodes }
  | {
      readonly do: 'insert'
      readonly after: string
      readonly name: string
      readonly layer: string
      readonly options: OptionCodes
    }
  | { readonly do: 'join'; readonly path: string }

/**
 * What to change, in words (what else it changes included) and as code. `edits` is the same as data: made all together they end
 * what was complained of, and bring no new complaint. Without edits it is for a reader's own code.
 */
export type Advice = { readonly text: string; readonly code?: string; readonly edits?: readonly Edit[] }

/** A place where metadata is lost or doubtful, and what follows from it. */
export type SceneLoss = {
  readonly node: string
  readonly carry: 'stripped' | 'claimed'
  readonly advice: readonly Advice[]
}

/** A product that runs in float although no single place lost its metadata: why, and what to change. */
export type SceneFloat = { readonly node: string; readonly why: string; readonly advice: readonly Advice[] }

/** Numbers of a run for one named value; `count` is 0 where only its scale and zero point are known. */
export type SceneNumbers = {
  readonly count: number
  readonly min: number
  readonly max: number
  readonly nonfinite: number
  /** Scales (at most 64 of them), zero points likewise, and how many there are. */
  readonly scales?: readonly number[]
  readonly zeroPoints?: readonly number[]
  readonly channels?: number
  /** Counts over the range `from` … `to`: of integers where it is a quant tensor, else of values. */
  readonly bins: readonly number[]
  readonly from: number
  readonly to: number
  /** The lowest and the highest integer that occurs. */
  readonly used?: readonly [low: number, high: number]
  /** Bits that the occurring integers would need, of those there are. */
  readonly usedBits?: number
  /** How many different integers occur (up to 16 bits). */
  readonly levels?: number
  /** Shares of values at the lowest and the highest integer. */
  readonly atEnds?: readonly [low: number, high: number]
  /** Of a quantizer whose operand is known: shares that were cut off below and above. */
  readonly clipped?: readonly [low: number, high: number]
  /** Of a quantizer whose operand is known: signal over quantization noise, in dB; null where nothing was lost. */
  readonly sqnr?: number | null
}

/** What the values of a node of a loop's body were, step by step of the sequence. */
export type SceneSeries = {
  readonly min: readonly number[]
  readonly max: readonly number[]
  readonly mean: readonly number[]
  /** Of a quantizer: the share of values that it cut off. */
  readonly clipped?: readonly number[]
}

/** A grid of which a value uses at most half: bits that buy nothing. */
export type SceneWaste = {
  /** Where it is seen: the quantizer, or the ReLU that cuts off what it spent bits on. */
  readonly node: string
  /** All calls of the quantizer, and where it stands: `join.outputQuant`. */
  readonly calls: readonly string[]
  readonly quantizer: string
  readonly bits: number
  readonly used: number
  readonly advice: readonly Advice[]
}

/** An estimator over a range of its operand: what it computes, and the gradient that it hands on. Equidistant samples from `from` to `to`. */
export type SceneCurve = {
  readonly from: number
  readonly to: number
  readonly forward: readonly number[]
  readonly gradient: readonly number[]
  readonly unit: string
  readonly note: string
}

/** A column of a training log: one number, or nothing, per step that was kept. */
export type Column = readonly (number | null)[]
/** What one quantizer did in training, per step; `learnedAt`: the first kept step at which its scale is learned. */
export type SceneTrack = {
  readonly path: string
  readonly scale: Column
  readonly zeroPoint: Column
  readonly buffer: Column
  readonly statistic: Column
  /** The bit width, where it is learned. */
  readonly bits: Column
  readonly learnedAt: number | null
}
/** A training log, in columns over the steps that were kept. */
export type SceneLog = {
  readonly steps: readonly number[]
  readonly epochs: Column
  readonly loss: Column
  readonly accuracy: Column
  readonly lr: Column
  readonly tracks: readonly SceneTrack[]
}

/** The sentence at the top, in parts; a part with targets lights them up. */
export type Phrase = {
  readonly text: string
  readonly tone: 'plain' | 'good' | 'claimed' | 'stripped'
  readonly targets?: readonly string[]
}

/** What an exported model can't say. `about`: the nodes, or the box, that an entry is about; none where it is the whole. */
export type SceneExport = {
  readonly target: 'qcdq' | 'qonnx'
  readonly entries: readonly {
    readonly severity: 'blocking' | 'warning' | 'note'
    readonly about: readonly string[]
    readonly what: string
    readonly instead: string
    readonly fix: string
  }[]
}

/** Errors of layers behind each step of a quantization, against the float network; null where a step has none of it. */
export type SceneSteps = {
  readonly names: readonly string[]
  /** `box`: where it is drawn; null for the results of the network. */
  readonly layers: readonly {
    readonly path: string
    readonly box: string | null
    readonly errors: readonly (number | null)[]
  }[]
}

/** Everything that a page shows of a program. */
export type Scene = {
  readonly title: string
  readonly mode: 'train' | 'eval'
  readonly nodes: readonly SceneNode[]
  readonly boxes: readonly SceneBox[]
  readonly edges: readonly SceneEdge[]
  readonly values: readonly SceneValue[]
  readonly losses: readonly SceneLoss[]
  readonly floats: readonly SceneFloat[]
  readonly sentence: readonly Phrase[]
  /** Numbers by the name of a value, or by `%id` of a node. */
  readonly numbers: { readonly [name: string]: SceneNumbers }
  /** Numbers of a run by node. */
  readonly observed: { readonly [node: string]: SceneNumbers }
  /** Values over the steps of loops, by node of their bodies. */
  readonly series?: { readonly [node: string]: SceneSeries }
  /** Nodes that made the first NaN or infinity out of finite operands. */
  readonly nonfinite: readonly string[]
  readonly wasted: readonly SceneWaste[]
  readonly curves: readonly SceneCurve[]
  readonly log?: SceneLog
  readonly profile?: SceneProfile
  readonly plan?: ScenePlan
  readonly exported?: SceneExport
  readonly steps?: SceneSteps
}
