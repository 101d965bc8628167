/**
 * What recurrent layers share: layers and directions, weights under shared quantizers, the order in which quantizers collect, states in
 * and out (SEMANTICS-3, 1 and 2). A kind of layer adds its gates and its step.
 */
import type { QuantError } from '../../data/error.js'
import { anything, count, flag, required, type Field } from '../../data/fields.js'
import { showShape, type Shape } from '../../data/shape.js'
import { at } from '../../data/tree.js'
import { isInvalid } from '../../graph/builder.js'
import type { Kit, Value } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'
import type { QuantizerState } from '../../quantizers/activation.js'
import { Int32Bias, Int8ActPerTensorFloat, Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { quantizeBias } from '../../quantizers/weight.js'
import { cat, dequantize, permute, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { brokenLayer } from './checks.js'
import type { Layer, LeafSpec, SpecTree, TensorTree, Traced } from './layer.js'
import { chosen, optionProblems, quantizerFields, recordOf, type Given, type Prefixed } from './options.js'
import { actSpec, optionalConfig, throughQuantizer } from './quantizing.js'
import { isBinary, uniformLeaf, weigh, weightSpec } from './weighing.js'
import { accumulatorScale, plainOperand } from './weightLayer.js'

/** Options of every recurrent layer. */
export type RecurrentOptions = Prefixed<'weight'> &
  Prefixed<'bias'> &
  Prefixed<'io'> & {
    readonly inputSize: number
    readonly hiddenSize: number
    /** Layers on top of each other (default 1). */
    readonly numLayers?: number
    readonly bias?: boolean
    /** Input and result are `[B, T, ..]` instead of `[T, B, ..]` (default false); states stay as they are. */
    readonly batchFirst?: boolean
    /** A second direction, backward in time, beside each layer (default false). */
    readonly bidirectional?: boolean
    /** Default Int8WeightPerTensorFloat, one for the weights of a gate; null disables it. */
    readonly weightQuant?: Quantizer | null
    /** Default Int32Bias, on the scale of input times input weight; null: float biases. */
    readonly biasQuant?: Quantizer | null
    /** Input and hidden states: one quantizer for all layers and directions. Default Int8ActPerTensorFloat. */
    readonly ioQuant?: Quantizer | null
    /** The sums of each gate. Default Int8ActPerTensorFloat. */
    readonly gateAccQuant?: Quantizer | null
    /** The backward direction uses the input weights of the forward one (default false). */
    readonly sharedInputHiddenWeights?: boolean
    /** Give quant tensors (default false). */
    readonly returnQuantTensor?: boolean
  }

/** What is started from: one tensor `[rows, B, H]`, or a list of `[B, H]`. Row `2*layer + direction`, with one direction too, as in Brevitas. */
export type States = Value | readonly Value[]

/** Fields that all have. */
export const RECURRENT_FIELDS: { readonly [name: string]: Field } = {
  inputSize: required(count),
  hiddenSize: required(count),
  numLayers: count,
  bias: flag,
  batchFirst: flag,
  bidirectional: flag,
  weightQuant: anything,
  biasQuant: anything,
  ioQuant: anything,
  gateAccQuant: anything,
  sharedInputHiddenWeights: flag,
  returnQuantTensor: flag,
  ...quantizerFields('weight'),
  ...quantizerFields('bias'),
  ...quantizerFields('io'),
}

/** A quantizer of activations of a cell: its name there, and whose state it is. */
export type CellQuantizer = { readonly name: string; readonly quantizer: Quantizer | null }

/** One gate of a direction: paths of its leaves, and of the weight quantizer that serves it. */
type GatePlaces = {
  readonly gate: string
  readonly wi: string
  readonly wh: string
  readonly bias: string
  readonly group: string
}

/** One direction of one layer. */
export type Place = { readonly layer: number; readonly direction: number }

/** What one step in time may do. `gate` gives `(x Wiᵀ + h Whᵀ) + b`; `through` sends a value through a quantizer of the cell, and gives the plain value on. */
export type StepTools = {
  readonly kit: Kit
  readonly gate: (gate: string) => Value
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

const placeName = ({ layer, direction }: Place): string => `layers.${layer}.${direction}`
const DIRECTION_0 = { layer: 0, direction: 0 }

/** The directions of all layers, in the order in which they are called. */
const placesOf = (o: RecurrentOptions): readonly Place[] =>
  Array.from({ length: o.numLayers ?? 1 }, (_, layer) =>
    (o.bidirectional === true ? [0, 1] : [0]).map((direction) => ({ layer, direction })),
  ).flat()

const gatePlaces = (o: RecurrentOptions, cell: Cell, place: Place): readonly GatePlaces[] => {
  const own = (gate: string, p = place): string => `${placeName(p)}.${cell.paramsOf(gate)}`
  const forward = { ...place, direction: 0 }
  return cell.gates.map((gate) => {
    const lent = o.sharedInputHiddenWeights === true && place.direction === 1 ? cell.borrows(gate) : null
    const wi = lent === null ? own(gate) : own(lent, forward)
    const group = cell.oneWeightQuant && lent === null ? own(cell.gates[0]) : wi
    return {
      gate,
      wi: `${wi}.inputWeight.weight`,
      wh: `${own(gate)}.hiddenWeight.weight`,
      bias: `${own(gate)}.bias`,
      group: cell.oneWeightQuant && lent !== null ? own(cell.gates[0], forward) : group,
    }
  })
}

/** Weights by the quantizer that serves them, each once, in the order in which they are met. */
const groupsOf = (all: readonly GatePlaces[]): ReadonlyMap<string, readonly string[]> => {
  const groups = new Map<string, readonly string[]>()
  for (const { group, wi, wh } of all)
    groups.set(group, [...new Set([...(groups.get(group) ?? []), wi, wh])])
  return groups
}

/** Leaves by path as nested records. */
const nested = <A>(leaves: readonly (readonly [path: string, leaf: A])[]): { readonly [name: string]: unknown } => {
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

type Built = {
  readonly o: RecurrentOptions
  readonly cell: Cell
  readonly places: readonly Place[]
  readonly gates: ReadonlyMap<string, readonly GatePlaces[]>
  readonly groups: ReadonlyMap<string, readonly string[]>
  readonly weight: Quantizer | null
  readonly bias: Quantizer | null
  /** Quantizers of activations by the path of their state. */
  readonly slots: ReadonlyMap<string, Quantizer | null>
}

const slotOf = (cell: Cell, name: string, place: Place): string => {
  const { place: p, name: n } = cell.owner(name, place)
  return `${placeName(p)}.cell.${n}`
}

const build = (o: RecurrentOptions, cell: Cell, weight: Quantizer | null, bias: Quantizer | null): Built => {
  const places = placesOf(o)
  const gates = new Map(places.map((p) => [placeName(p), gatePlaces(o, cell, p)] as const))
  const slots = new Map(
    places.flatMap((p) => cell.quantizers.map((q) => [slotOf(cell, q.name, p), q.quantizer] as const)),
  )
  return { o, cell, places, gates, groups: groupsOf([...gates.values()].flat()), weight, bias, slots }
}

/** Features that a layer reads. */
const inputSizeOf = (o: RecurrentOptions, layer: number): number =>
  layer === 0 ? o.inputSize : o.hiddenSize * (o.bidirectional === true ? 2 : 1)

/** The leaves of weights and biases, by path. */
const parameters = ({ o, places, gates }: Built) => {
  const bound = 1 / Math.sqrt(o.hiddenSize)
  const h = o.hiddenSize
  const weights = new Map<string, LeafSpec>()
  const biases = new Map<string, LeafSpec>()
  for (const place of places)
    for (const { wi, wh, bias } of gates.get(placeName(place)) ?? []) {
      if (!weights.has(wi)) weights.set(wi, uniformLeaf([h, inputSizeOf(o, place.layer)], bound))
      weights.set(wh, uniformLeaf([h, h], bound))
      if (o.bias !== false) biases.set(bias, uniformLeaf([h], bound))
    }
  return { weights, biases }
}

const specs = (b: Built): { readonly params: SpecTree; readonly state: SpecTree } => {
  const { weights, biases } = parameters(b)
  const columns = (paths: readonly string[]): number =>
    paths.reduce((n, p) => n + (weights.get(p)?.shape[1] ?? 0), 0)
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

/** One forward: its quantized weights, and the states of its quantizers, which each call moves on. */
type Run = {
  readonly b: Built
  readonly kit: Kit
  readonly root: string
  readonly params: unknown
  readonly weights: ReadonlyMap<string, Value>
  readonly states: Map<string, unknown>
}

const under = (root: string, path: string): string => (root === '' ? path : `${root}.${path}`)

/** Sends x through the quantizer of a place, and keeps its state. */
const quantized = (run: Run, name: string, place: Place, x: Value): Value => {
  const slot = slotOf(run.b.cell, name, place)
  const cut = slot.lastIndexOf('.')
  return run.kit.scoped(slot.slice(0, cut), () => {
    const q = run.b.slots.get(slot) ?? null
    const [y, after] = throughQuantizer(q, run.kit, run.states.get(slot), x, slot.slice(cut + 1))
    run.states.set(slot, after)
    return y
  })
}

const start = (b: Built, params: unknown, state: unknown, kit: Kit): Run => {
  const root = kit.path()
  const weights = new Map<string, Value>()
  const states = new Map<string, unknown>([...b.slots.keys()].map((slot) => [slot, at(state, slot)]))
  const stored = (path: string): readonly { readonly value: Value; readonly leaf: string }[] => {
    const value = at(params, path) ?? at(state, path)
    return isValue(value) ? [{ value, leaf: under(root, path) }] : []
  }
  for (const [group, paths] of b.groups) {
    const slot = `${group}.inputWeight.weightQuant`
    const done = kit.scoped(`${group}.inputWeight`, () =>
      weigh(b.weight, kit, at(state, slot), paths.flatMap(stored), { leaf: under(root, slot), axis: 0 }),
    )
    paths.forEach((path, i) => {
      weights.set(path, done.weights[i])
      if (done.clamped !== null) states.set(path, done.clamped[i])
    })
    states.set(slot, done.state)
  }
  return { b, kit, root, params, weights, states }
}

/** The bias of a gate, on the scale of input times input weight where it is quantized; null: there is none. */
const biasOf = (run: Run, g: GatePlaces, x: Value, product: Value): Value | null => {
  const bias = at(run.params, g.bias)
  if (!isValue(bias)) return null
  const { bias: q } = run.b
  const w = run.weights.get(g.wi)
  if (q === null || w === undefined) return bias
  const scale = q.biasScale === 'external' ? accumulatorScale(x, w, product, run.kit) : null
  const path = g.bias.slice(0, g.bias.lastIndexOf('.'))
  return dequantize(
    run.kit.scoped(`${path}.biasQuant`, () => quantizeBias(q, run.kit, bias, scale, () => plainOperand(run.kit, x, w) ?? '')),
  )
}

/** A row of states that a call was given, or a refusal. */
const stateRow = (run: Run, given: States, place: Place, batch: number): Value => {
  const { kit, b } = run
  const row = 2 * place.layer + place.direction
  const isList = !isValue(given)
  const rows = isList ? given.length : (given.shape[0] ?? 0)
  const wanted = [batch, b.o.hiddenSize]
  const refuse = (refused: string): Value =>
    kit.fail({
      op: b.cell.name,
      refuse: refused,
      fix: `give states as [rows, ${batch}, ${b.o.hiddenSize}] or a list of ${showShape(wanted)}; layer l takes row 2*l + direction, with one direction too (as in Brevitas)`,
    })
  if (row >= rows)
    return refuse(
      isList
        ? `list index out of range: state ${row} of ${rows}`
        : `index ${row} is out of bounds for dimension 0 with size ${rows}`,
    )
  const state = isList ? given[row] : given
  const shape = isList ? state.shape : state.shape.slice(1)
  if (showShape(shape) !== showShape(wanted)) return refuse(`a state has shape ${showShape(shape)}, but ${showShape(wanted)} is wanted`)
  if (isList) return state
  const one = kit.emit('slice', [dequantize(state), ], { dim: 0, start: row, end: row + 1 })
  return reshape(one, wanted)
}

/** What one direction gives: its steps in the order of time, and its last states, as `[1, B, H]`. */
type Directed = { readonly ys: Value; readonly h: Value; readonly c: Value | null }

type Given2 = { readonly hx?: States; readonly cx?: States }

const plainIf = (plain: boolean, x: Value): Value =>
  plain ? dequantize(x, 'this layer does not return quant tensors; set returnQuantTensor: true') : x

/** All steps of one direction over x `[T, B, I]`. */
const direct = (run: Run, place: Place, x: Value, given: Given2, quantOut: boolean): Directed | Value => {
  const { kit, b } = run
  const { cell } = b
  const [steps, batch] = x.shape
  const h = b.o.hiddenSize
  const gates = b.gates.get(placeName(place)) ?? []
  const inputs = gates.map((g) => {
    const w = run.weights.get(g.wi) ?? x
    const product = kit.emit('linear', [x, w])
    return { g, product: dequantize(product), bias: biasOf(run, g, x, product) }
  })
  const failed = inputs.flatMap((i) => [i.product, i.bias]).find((v) => v !== null && isInvalid(v))
  if (failed !== undefined && failed !== null) return failed
  const zero = kit.constant(0, [batch, h])
  const begin = (states: States | undefined, name: string): Value =>
    states === undefined ? zero : quantized(run, name, place, stateRow(run, states, place, batch))
  let carry: Carry = {
    h: begin(given.hx, 'outputQuant'),
    c: cell.cellState === null ? null : begin(given.cx, cell.cellState),
  }
  if (isInvalid(carry.h)) return carry.h
  if (carry.c !== null && isInvalid(carry.c)) return carry.c
  const ys: Value[] = []
  for (let k = 0; k < steps; k++) {
    const t = place.direction === 0 ? k : steps - 1 - k
    carry = cell.step(stepTools(run, place, inputs, carry, (v) => rowOf(v, t)), carry)
    ys[t] = reshape(plainIf(!quantOut, carry.h), [1, batch, h])
  }
  const plainCell = !quantOut
  const one = (v: Value, plain: boolean): Value => reshape(plainIf(plain, v), [1, batch, h])
  return { ys: cat(ys, 0), h: one(carry.h, !quantOut), c: carry.c === null ? null : one(carry.c, plainCell) }
}

const rowOf = (v: Value, t: number): Value => {
  const one = v.kit.emit('slice', [v], { dim: 0, start: t, end: t + 1 })
  return reshape(one, v.shape.slice(1))
}

type GateInput = { readonly g: GatePlaces; readonly product: Value; readonly bias: Value | null }

const stepTools = (
  run: Run,
  place: Place,
  inputs: readonly GateInput[],
  { h }: Carry,
  now: (v: Value) => Value,
): StepTools => {
  const { kit } = run
  return {
    kit,
    gate: (gate) => {
      const input = inputs.find((i) => i.g.gate === gate)
      if (input === undefined) return h
      const hidden = dequantize(kit.emit('linear', [h, run.weights.get(input.g.wh) ?? h]))
      const sum = kit.emit('add', [now(input.product), hidden])
      return input.bias === null ? sum : kit.emit('add', [sum, input.bias])
    },
    through: (name, x) => dequantize(quantized(run, name, place, x)),
    quant: (name, x) => quantized(run, name, place, x),
    io: (x) => quantized(run, 'outputQuant', place, x),
  }
}

/** What a call gives: the result, the hidden states, and the cell states as a list. */
type Called = { readonly y: Value; readonly h: Value; readonly c: readonly Value[] }

/** All layers over x in the layout that was given. */
const callLayers = (run: Run, x: Value, given: Given2): Called | Value => {
  const { b, kit } = run
  const { o, cell } = b
  const ioOn = cell.quantizers.find((q) => q.name === 'outputQuant')?.quantizer !== null
  const timeFirst = (v: Value): Value => (o.batchFirst === true ? permute(v, [1, 0, 2]) : v)
  const last = (o.numLayers ?? 1) - 1
  const hs: Value[] = []
  const cs: Value[] = []
  let below = x
  for (let layer = 0; layer <= last; layer++) {
    const directions = b.places.filter((p) => p.layer === layer)
    const quantOut = (o.returnQuantTensor === true || layer < last) && ioOn
    const ys: Value[] = []
    for (const place of directions) {
      const input = layer === 0 ? timeFirst(quantized(run, 'outputQuant', place, x)) : below
      const done = direct(run, place, input, given, quantOut)
      if ('kit' in done) return done
      ys.push(done.ys)
      hs.push(done.h)
      if (done.c !== null) cs.push(done.c)
    }
    below = cat(ys, 2)
  }
  return { y: timeFirst(below), h: cat(hs, 0), c: cs, ...(kit === run.kit ? {} : {}) }
}

/** What does not fit of the input, or null. */
const misfit = (o: RecurrentOptions, { shape }: Value): string | null => {
  if (shape.length !== 3) return `an input ${showShape(shape)} is no sequence of batches`
  if (shape[2] !== o.inputSize) return `its input ${showShape(shape)} has ${shape[2]} features, but inputSize is ${o.inputSize}`
  return shape[o.batchFirst === true ? 1 : 0] > 0 ? null : `its input ${showShape(shape)} has no step of time`
}

/** What a recurrent layer gives before it is named: `c` is empty where it has no cell states. */
export type Recurrent = { readonly y: Value; readonly h: Value; readonly c: readonly Value[] }
/** What it takes. */
export type RecurrentInput = { readonly x: Value; readonly hx?: States; readonly cx?: States }

/** The quantizers of weights and biases as given. */
export const weightAndBias = (name: string, given: Given) => {
  const weight = chosen(name, given, 'weightQuant', Int8WeightPerTensorFloat, 'weight', 'weight')
  const bias = chosen(name, given, 'biasQuant', Int32Bias, 'bias', 'bias')
  return { weight, bias, problems: [...weight.problems, ...bias.problems] }
}

/** A quantizer of activations as given, Int8 by default. */
export const actQuantizer = (name: string, given: Given, place: string, prefix: string, fallback: Quantizer = Int8ActPerTensorFloat) =>
  chosen(name, given, place, fallback, prefix, 'act')

/** Problems that every recurrent layer may have. */
export const sharedProblems = (name: string, o: RecurrentOptions, io: Quantizer | null): readonly QuantError[] => {
  const out: QuantError[] = []
  const problem = (option: string, message: string, fix: string): void => {
    out.push({ tag: 'ConfigError', option, path: '', message: `${name}: ${message}`, fix })
  }
  if (o.sharedInputHiddenWeights === true && o.bidirectional !== true)
    problem(
      'sharedInputHiddenWeights',
      'Shared input-hidden weights requires bidirectional=True.',
      'set bidirectional: true, or leave sharedInputHiddenWeights out',
    )
  if (o.returnQuantTensor === true && io === null)
    problem(
      'returnQuantTensor',
      'return_quant_tensor=True requires io_quant != None.',
      'give it an ioQuant, or drop returnQuantTensor',
    )
  return out
}

/** Everything that a recurrent layer is made of. */
export type RecurrentSpec = {
  readonly o: RecurrentOptions
  readonly fields: { readonly [name: string]: Field }
  readonly cell: Cell
  readonly weight: Quantizer | null
  readonly bias: Quantizer | null
}

/** The layer; `finish` names the parts of its result. */
export const recurrentLayer = <I extends RecurrentInput, O>(
  { o, fields, cell, weight, bias }: RecurrentSpec,
  finish: (r: Recurrent) => O,
): Layer<TensorTree, TensorTree, I, O> => {
  const b = build(o, cell, weight, bias)
  const { params, state } = specs(b)
  const named = cell.quantizers.map((q) => [q.name, q.quantizer] as const)
  const quantizers = { weightQuant: weight, biasQuant: bias, ...Object.fromEntries(named) }
  return {
    layer: cell.name,
    params,
    state,
    problems: [],
    source: {
      layer: cell.name,
      options: recordOf(o),
      takes: Object.keys(fields).filter((f) => f.endsWith('Quant') || !/(?<=weight|bias|io|Acc|sigmoid|tanh|State)[A-Z]/.test(f)),
      quantizers,
    },
    config: {
      name: cell.name,
      parts: [
        ['inputSize', String(o.inputSize)],
        ['hiddenSize', String(o.hiddenSize)],
        ['numLayers', String(o.numLayers ?? 1)],
        ...Object.entries(quantizers).map(([place, q]) => [place, optionalConfig(q)] as const),
      ],
    },
    apply: (p, s, input, kit) => {
      demandValue(cell.name, input.x)
      const odd = misfit(o, input.x)
      const run = start(b, p, s, kit)
      const refused = odd === null ? null : kit.fail({ op: cell.name, refuse: odd, fix: `give it ${o.batchFirst === true ? '[B, T' : '[T, B'}, ${o.inputSize}]` })
      const done = refused ?? callLayers(run, input.x, input)
      const result = 'kit' in done ? { y: done, h: done, c: cell.cellState === null ? [] : [done] } : done
      const after = nested([...run.states]) as Traced<TensorTree>
      return [finish(result), after]
    },
  }
}

/** A broken layer, if anything is wrong with the options. */
export const brokenIf = <I, O>(
  name: string,
  o: unknown,
  fields: { readonly [name: string]: Field },
  more: () => readonly QuantError[],
): Layer<TensorTree, TensorTree, I, O> | null => {
  const wrong = optionProblems(name, o, fields)
  const problems = wrong.length > 0 ? wrong : more()
  return problems.length > 0 ? brokenLayer(name, problems) : null
}

/** The quantizer of a direction is its own. */
export const ownPlace = (name: string, place: Place) => ({ place, name })
/** The quantizer of the first direction of the first layer serves all. */
export const firstPlace = (name: string) => ({ place: DIRECTION_0, name })
export type { QuantizerState, Shape }
