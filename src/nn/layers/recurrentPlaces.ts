/**
 * What recurrent layers are made of: options, gates and their weights under shared quantizers, whose state stands where (SEMANTICS-3, 1
 * and 2). Nothing here is traced.
 */
import type { QuantError } from '../../data/error.js'
import { byDefault, count, flag, required, type Resolved } from '../../data/fields.js'
import type { Kit, Value } from '../../graph/op.js'
import {
  Int32Bias,
  Int8ActPerTensorFloat,
  Int8WeightPerTensorFloat,
  Uint8ActPerTensorFloat,
} from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import type { LeafSpec, SpecTree } from './layer.js'
import { actSpec } from './quantizing.js'
import { isBinary, uniformLeaf, weightSpec } from './weighing.js'

/** Options of its own that every recurrent layer has. */
export const RECURRENT = {
  inputSize: required(count),
  hiddenSize: required(count),
  /** Layers on top of each other (default 1). */
  numLayers: byDefault(count, 1),
  /** Default true. */
  bias: byDefault(flag, true),
  /** Input and result are `[B, T, ..]` instead of `[T, B, ..]` (default false); states stay as they are. */
  batchFirst: byDefault(flag, false),
  /** A second direction, backward in time, beside each layer (default false). */
  bidirectional: byDefault(flag, false),
  /** The backward direction uses the input weights of the forward one (default false). */
  sharedInputHiddenWeights: byDefault(flag, false),
}
/** Options of the layers whose gates have several weights and sums. */
export const GATES = {
  /** One weight quantizer for all gates of a direction (default false). */
  sharedIntraLayerWeightQuant: byDefault(flag, false),
  /** One accumulator quantizer for all gates of a direction (default false). */
  sharedIntraLayerGateAccQuant: byDefault(flag, false),
}

const act = { fallback: Int8ActPerTensorFloat, use: 'act' } as const
/** Places that every recurrent layer has, beside that of its sums. */
export const RECURRENT_PLACES = {
  /** Default Int8WeightPerTensorFloat, one for the weights of a gate; null disables it. */
  weightQuant: { fallback: Int8WeightPerTensorFloat, prefix: 'weight', use: 'weight' },
  /** Default Int32Bias, on the scale of input times input weight; null: float biases. */
  biasQuant: { fallback: Int32Bias, prefix: 'bias', use: 'bias' },
  /** Input and hidden states: one quantizer for all layers and directions. Default Int8ActPerTensorFloat. */
  ioQuant: { ...act, prefix: 'io' },
} as const
/** Places of layers with gates. */
export const GATE_PLACES = {
  ...RECURRENT_PLACES,
  /** The sums of each gate. Default Int8ActPerTensorFloat. */
  gateAccQuant: { ...act, prefix: 'gateAcc' },
  /** Behind the sigmoids. Default Uint8ActPerTensorFloat. */
  sigmoidQuant: { fallback: Uint8ActPerTensorFloat, use: 'act', prefix: 'sigmoid' },
  /** Behind tanh. Default Int8ActPerTensorFloat. */
  tanhQuant: { ...act, prefix: 'tanh' },
} as const

/** Options of every recurrent layer, defaults filled in. */
export type RecurrentOptions = Resolved<typeof RECURRENT>

/** What is started from: one tensor `[rows, B, H]`, or a list of `[B, H]`. Row `2*layer + direction`, with one direction too, as in Brevitas. */
export type States = Value | readonly Value[]

/** A quantizer of activations of a cell: its name there, and whose state it is. */
export type CellQuantizer = { readonly name: string; readonly quantizer: Quantizer | null }

/** One gate of a direction: paths of its leaves, and of the weight quantizer that serves it. */
export type GatePlaces = {
  readonly gate: string
  readonly wi: string
  readonly wh: string
  readonly bias: string
  /** The bias of the hidden part, where it is not summed with the other. */
  readonly hiddenBias: string | null
  readonly group: string
}

/** One direction of one layer. */
export type Place = { readonly layer: number; readonly direction: number }

/** What one step in time may do. `gate` gives `(x Wiᵀ + h Whᵀ) + b`, `parts` the two sums `x Wiᵀ + b` and `h Whᵀ + b'`; `through` sends a value through a quantizer of the cell, and gives the plain value on. */
export type StepTools = {
  readonly kit: Kit
  readonly gate: (gate: string) => Value
  readonly parts: (gate: string) => { readonly input: Value; readonly hidden: Value }
  readonly through: (name: string, x: Value) => Value
  /** The same through the quantizer of input and states; a quant tensor where that is on. */
  readonly io: (x: Value) => Value
  /** The same through any quantizer of the cell, the quant tensor kept. */
  readonly quant: (name: string, x: Value) => Value
}
/** What goes from step to step: the hidden state, and the cell state of layers that have one. */
export type Carry = { readonly h: Value; readonly c: Value | null }

/** What tells recurrent layers apart. */
export type Cell = {
  readonly name: string
  readonly gates: readonly string[]
  /** Where the parameters of a gate stand: `inputGateParams`. */
  readonly paramsOf: (gate: string) => string
  /** Of which gate of the forward direction a gate of the backward one takes its input weight; null: it has its own. */
  readonly borrows: (gate: string) => string | null
  /** Has a gate a bias of its own for the hidden part? Absent: none has. */
  readonly hiddenBias?: (gate: string) => boolean
  /** Does the quantizer of the first gate serve all weights of its direction? */
  readonly oneWeightQuant: boolean
  readonly quantizers: readonly CellQuantizer[]
  /** Whose quantizer of this name a direction uses: another's (shared), or its own. */
  readonly owner: (name: string, place: Place) => { readonly place: Place; readonly name: string }
  /** The name of the quantizer of cell states; null: there are none. */
  readonly cellState: string | null
  /** Are the cell states of all layers joined? */
  readonly catCells: boolean
  readonly step: (tools: StepTools, carry: Carry) => Carry
}

/** The path of a direction. */
export const placeName = ({ layer, direction }: Place): string => `layers.${layer}.${direction}`
const DIRECTION_0 = { layer: 0, direction: 0 }

/** The directions of all layers, in the order in which they are called. */
const placesOf = (o: RecurrentOptions): readonly Place[] =>
  Array.from({ length: o.numLayers }, (_, layer) =>
    (o.bidirectional ? [0, 1] : [0]).map((direction) => ({ layer, direction })),
  ).flat()

const gatePlaces = (o: RecurrentOptions, cell: Cell, place: Place): readonly GatePlaces[] => {
  const own = (gate: string, p = place): string => `${placeName(p)}.${cell.paramsOf(gate)}`
  const forward = { ...place, direction: 0 }
  return cell.gates.map((gate) => {
    const lent = o.sharedInputHiddenWeights && place.direction === 1 ? cell.borrows(gate) : null
    const wi = lent === null ? own(gate) : own(lent, forward)
    const group = cell.oneWeightQuant && lent === null ? own(cell.gates[0]) : wi
    return {
      gate,
      wi: `${wi}.inputWeight.weight`,
      wh: `${own(gate)}.hiddenWeight.weight`,
      bias: `${own(gate)}.bias`,
      hiddenBias: cell.hiddenBias?.(gate) === true ? `${own(gate)}.hiddenBias` : null,
      group: cell.oneWeightQuant && lent !== null ? own(cell.gates[0], forward) : group,
    }
  })
}

/** Weights by the quantizer that serves them, each once, in the order in which they are met. */
const groupsOf = (all: readonly GatePlaces[]): ReadonlyMap<string, readonly string[]> => {
  const groups = new Map<string, readonly string[]>()
  for (const { group, wi, wh } of all) groups.set(group, [...new Set([...(groups.get(group) ?? []), wi, wh])])
  return groups
}

/** Leaves by path as nested records. */
export const nested = <A>(
  leaves: readonly (readonly [path: string, leaf: A])[],
): { readonly [name: string]: unknown } => {
  const out: Record<string, unknown> = {}
  for (const [path, leaf] of leaves) {
    const parts = path.split('.')
    const last = parts.pop() ?? path
    let here: Record<string, unknown> = out
    for (const part of parts) here = (here[part] ??= {}) as Record<string, unknown>
    here[last] = leaf
  }
  return out
}

/** Everything that a recurrent layer is made of. */
export type RecurrentSpec = {
  readonly o: RecurrentOptions
  readonly cell: Cell
  readonly weight: Quantizer | null
  readonly bias: Quantizer | null
  readonly returnQuantTensor: boolean
}
/** The same with all its places. */
export type Built = RecurrentSpec & {
  readonly places: readonly Place[]
  readonly gates: ReadonlyMap<string, readonly GatePlaces[]>
  readonly groups: ReadonlyMap<string, readonly string[]>
  /** Quantizers of activations by the path of their state. */
  readonly slots: ReadonlyMap<string, Quantizer | null>
}

/** The path of the state of a quantizer, as a direction uses it. */
export const slotOf = (cell: Cell, name: string, place: Place): string => {
  const { place: p, name: n } = cell.owner(name, place)
  return `${placeName(p)}.cell.${n}`
}

/** All places of a layer. */
export const build = ({ o, cell, weight, bias, returnQuantTensor }: RecurrentSpec): Built => {
  const places = placesOf(o)
  const gates = new Map(places.map((p) => [placeName(p), gatePlaces(o, cell, p)] as const))
  const slots = new Map(
    places.flatMap((p) => cell.quantizers.map((q) => [slotOf(cell, q.name, p), q.quantizer] as const)),
  )
  return {
    o,
    cell,
    places,
    gates,
    groups: groupsOf([...gates.values()].flat()),
    weight,
    bias,
    slots,
    returnQuantTensor,
  }
}

/** Features that a layer reads. */
const inputSizeOf = (o: RecurrentOptions, layer: number): number =>
  layer === 0 ? o.inputSize : o.hiddenSize * (o.bidirectional ? 2 : 1)

/** The leaves of weights and biases, by path. */
const parameters = ({ o, places, gates }: Built) => {
  const bound = 1 / Math.sqrt(o.hiddenSize)
  const h = o.hiddenSize
  const weights = new Map<string, LeafSpec>()
  const biases = new Map<string, LeafSpec>()
  for (const place of places)
    for (const { wi, wh, bias, hiddenBias } of gates.get(placeName(place)) ?? []) {
      if (!weights.has(wi)) weights.set(wi, uniformLeaf([h, inputSizeOf(o, place.layer)], bound))
      weights.set(wh, uniformLeaf([h, h], bound))
      if (!o.bias) continue
      biases.set(bias, uniformLeaf([h], bound))
      if (hiddenBias !== null) biases.set(hiddenBias, uniformLeaf([h], bound))
    }
  return { weights, biases }
}

/** Parameters and state. */
export const specs = (b: Built): { readonly params: SpecTree; readonly state: SpecTree } => {
  const { weights, biases } = parameters(b)
  const columns = (paths: readonly string[]): number => paths.reduce((n, p) => n + (weights.get(p)?.shape[1] ?? 0), 0)
  const quantizers = [
    ...[...b.groups].map(
      ([group, paths]) =>
        [`${group}.inputWeight.weightQuant`, weightSpec(b.weight, [b.o.hiddenSize, columns(paths)], 0)] as const,
    ),
    ...[...b.slots].map(([slot, q]) => [slot, actSpec(q)] as const),
  ]
  const binary = isBinary(b.weight)
  return {
    params: nested([...(binary ? [] : weights), ...biases]) as SpecTree,
    state: nested<SpecTree | LeafSpec>([...(binary ? weights : []), ...quantizers]) as SpecTree,
  }
}

/** What several options together do wrong in every recurrent layer. */
export const sharedProblems = (
  name: string,
  o: RecurrentOptions,
  io: Quantizer | null,
  returnQuantTensor: boolean,
): readonly QuantError[] => {
  const out: QuantError[] = []
  const problem = (option: string, message: string, fix: string): void => {
    out.push({ tag: 'ConfigError', option, path: '', message: `${name}: ${message}`, fix })
  }
  if (o.sharedInputHiddenWeights && !o.bidirectional)
    problem(
      'sharedInputHiddenWeights',
      'Shared input-hidden weights requires bidirectional=True.',
      'set bidirectional: true, or leave sharedInputHiddenWeights out',
    )
  if (returnQuantTensor && io === null)
    problem(
      'returnQuantTensor',
      'return_quant_tensor=True requires io_quant != None.',
      'give it an ioQuant, or drop returnQuantTensor',
    )
  return out
}

/** The quantizer of a direction is its own. */
export const ownPlace = (name: string, place: Place) => ({ place, name })
/** The quantizer of the first direction of the first layer serves all. */
export const firstPlace = (name: string) => ({ place: DIRECTION_0, name })
