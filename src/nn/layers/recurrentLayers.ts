/** QuantRNN and QuantLSTM: the gates and the step of each (SEMANTICS-3, 1 and 2). */
import type { QuantError } from '../../data/error.js'
import { anything, flag, type Field } from '../../data/fields.js'
import type { Value } from '../../graph/op.js'
import { Uint8ActPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { cat } from '../functions/index.js'
import type { Layer, TensorTree } from './layer.js'
import { quantizerFields, recordOf, type Prefixed } from './options.js'
import { recurrentLayer, type RecurrentInput } from './recurrent.js'
import {
  actQuantizer,
  brokenIf,
  firstPlace,
  ownPlace,
  RECURRENT_FIELDS,
  sharedProblems,
  weightAndBias,
  type Carry,
  type Cell,
  type RecurrentOptions,
  type States,
  type StepTools,
} from './recurrentPlaces.js'

/** Options of QuantRNN. Those of the accumulators have the prefix `gateAccQuant`, as in Brevitas. */
export type RnnOptions = RecurrentOptions &
  Prefixed<'gateAccQuant'> & {
    /** Default tanh. */
    readonly nonlinearity?: 'tanh' | 'relu'
  }
/** What QuantRNN takes: x `[T, B, I]`, and where it starts (zeros without). */
export type RnnInput = { readonly x: Value; readonly hx?: States }
/** What it gives: `y [T, B, H * directions]` and the last states, `h [layers * directions, B, H]`. */
export type RnnOutput = { readonly y: Value; readonly h: Value }

const RNN: { readonly [name: string]: Field } = {
  ...RECURRENT_FIELDS,
  nonlinearity: anything,
  ...quantizerFields('gateAccQuant'),
  // Known in Brevitas, where they are ignored.
  ...quantizerFields('gateAcc'),
}

const nonlinearityProblems = ({ nonlinearity = 'tanh' }: RnnOptions): readonly QuantError[] =>
  ['tanh', 'relu'].includes(nonlinearity)
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'nonlinearity',
          path: '',
          message: `QuantRNN: ${String(nonlinearity)} not supported.`,
          fix: "choose 'tanh' or 'relu'",
        },
      ]

/**
 * Elman's recurrent network (brevitas.nn.QuantRNN): `h = io(tanh(acc((x Wiᵀ + h Whᵀ) + b)))` for each step of time. One quantizer `io` for the
 * input and all states, one for the two weights, one for the sums. Called with `{ x, hx }`, gives `{ y, h }`. Order of collection, metadata and
 * quirks: SEMANTICS-3, 1.
 */
export const QuantRNN = (o: RnnOptions): Layer<TensorTree, TensorTree, RnnInput, RnnOutput> => {
  const name = 'QuantRNN'
  const given = recordOf(o)
  const { weight, bias, problems } = weightAndBias(name, given)
  const io = actQuantizer(name, given, 'ioQuant', 'io')
  const acc = actQuantizer(name, given, 'gateAccQuant', 'gateAccQuant')
  const broken = brokenIf<RnnInput, RnnOutput>(name, o, RNN, () => [
    ...problems,
    ...io.problems,
    ...acc.problems,
    ...nonlinearityProblems(o),
    ...sharedProblems(name, o, io.quantizer),
  ])
  if (broken !== null) return broken
  const act = o.nonlinearity ?? 'tanh'
  const cell: Cell = {
    name,
    gates: [''],
    paramsOf: () => 'gateParams',
    borrows: () => '',
    oneWeightQuant: false,
    quantizers: [
      { name: 'outputQuant', quantizer: io.quantizer },
      { name: 'gateAccQuant', quantizer: acc.quantizer },
    ],
    owner: (n, place) => (n === 'outputQuant' ? firstPlace(n) : ownPlace(n, place)),
    cellState: null,
    catCells: true,
    step: ({ kit, gate, through, io: toIo }) => ({
      h: toIo(kit.emit(act, [through('gateAccQuant', gate(''))])),
      c: null,
    }),
  }
  const spec = { o, fields: RNN, cell, weight: weight.quantizer, bias: bias.quantizer }
  return recurrentLayer<RnnInput, RnnOutput>(spec, ({ y, h }) => ({ y, h }))
}

/** Options of QuantLSTM. */
export type LstmOptions = RecurrentOptions &
  Prefixed<'gateAcc'> &
  Prefixed<'sigmoid'> &
  Prefixed<'tanh'> &
  Prefixed<'cellState'> & {
    /** Of the gates i, f, o. Default Uint8ActPerTensorFloat. */
    readonly sigmoidQuant?: Quantizer | null
    /** Of the gate g, and of the state that leaves. Default Int8ActPerTensorFloat. */
    readonly tanhQuant?: Quantizer | null
    /** Default Int8ActPerTensorFloat. */
    readonly cellStateQuant?: Quantizer | null
    /** No forget gate: it is one minus the input gate (default false). */
    readonly coupledInputForgetGates?: boolean
    /** Join the cell states of all layers (default true), or give a list. */
    readonly catOutputCellStates?: boolean
    /** One weight quantizer for all gates of a direction (default false). */
    readonly sharedIntraLayerWeightQuant?: boolean
    /** One accumulator quantizer for all gates of a direction (default false). */
    readonly sharedIntraLayerGateAccQuant?: boolean
    /** One cell state quantizer for all layers and directions (default true). */
    readonly sharedCellStateQuant?: boolean
  }
/** What QuantLSTM takes: x `[T, B, I]`, and where it starts. */
export type LstmInput = RecurrentInput
/** What it gives: y, and the last hidden and cell states; the latter as a list with `catOutputCellStates: false`. */
export type LstmOutput<C = Value> = { readonly y: Value; readonly h: Value; readonly c: C }

const LSTM: { readonly [name: string]: Field } = {
  ...RECURRENT_FIELDS,
  sigmoidQuant: anything,
  tanhQuant: anything,
  cellStateQuant: anything,
  coupledInputForgetGates: flag,
  catOutputCellStates: flag,
  sharedIntraLayerWeightQuant: flag,
  sharedIntraLayerGateAccQuant: flag,
  sharedCellStateQuant: flag,
  ...quantizerFields('gateAcc'),
  ...quantizerFields('sigmoid'),
  ...quantizerFields('tanh'),
  ...quantizerFields('cellState'),
}

const cellProblems = (o: LstmOptions, cellState: Quantizer | null): readonly QuantError[] => {
  const out: QuantError[] = []
  const problem = (option: string, message: string, fix: string): void => {
    out.push({ tag: 'ConfigError', option, path: '', message: `QuantLSTM: ${message}`, fix })
  }
  if (o.returnQuantTensor === true && cellState === null)
    problem(
      'returnQuantTensor',
      'return_quant_tensor=True requires cell_state_quant != None.',
      'give it a cellStateQuant, or drop returnQuantTensor',
    )
  if (o.sharedCellStateQuant === false && o.catOutputCellStates !== false && cellState !== null)
    problem(
      'catOutputCellStates',
      'Concatenating cell states requires shared cell quantizers.',
      'set catOutputCellStates: false, or share them',
    )
  return out
}

const FORWARD_OF: { readonly [gate: string]: string } = {
  input: 'forget',
  forget: 'input',
  cell: 'cell',
  output: 'output',
}

/** `x` through the sigmoid's, tanh's, … place of a gate. */
const lstmCell = (o: LstmOptions, q: { readonly [kind: string]: Quantizer | null }): Cell => {
  const coupled = o.coupledInputForgetGates === true
  const gates = coupled ? ['input', 'cell', 'output'] : ['input', 'forget', 'cell', 'output']
  const named = (suffix: string, kind: string, list = gates) =>
    list.map((g) => ({ name: `${g}${suffix}`, quantizer: q[kind] }))
  return {
    name: 'QuantLSTM',
    gates,
    paramsOf: (gate) => `${gate}GateParams`,
    // In Brevitas the input gate of the backward direction uses the forward one's forget weight, and the other way round.
    borrows: (gate) => (coupled && gate === 'input' ? null : FORWARD_OF[gate]),
    oneWeightQuant: o.sharedIntraLayerWeightQuant === true,
    quantizers: [
      { name: 'outputQuant', quantizer: q.io },
      { name: 'cellStateQuant', quantizer: q.cellState },
      ...named('AccQuant', 'acc'),
      ...named(
        'SigmoidQuant',
        'sigmoid',
        gates.filter((g) => g !== 'cell'),
      ),
      { name: 'cellTanhQuant', quantizer: q.tanh },
      { name: 'hiddenStateTanhQuant', quantizer: q.tanh },
    ],
    owner: (n, place) => {
      if (n === 'outputQuant' || (n === 'cellStateQuant' && o.sharedCellStateQuant !== false)) return firstPlace(n)
      return o.sharedIntraLayerGateAccQuant === true && n.endsWith('AccQuant')
        ? ownPlace('inputAccQuant', place)
        : ownPlace(n, place)
    },
    cellState: 'cellStateQuant',
    catCells: o.catOutputCellStates !== false,
    step: (tools, carry) => lstmStep(tools, carry, coupled),
  }
}

const lstmStep = ({ kit, gate, through, quant, io }: StepTools, { c }: Carry, coupled: boolean): Carry => {
  const mul = (a: Value, b: Value): Value => kit.emit('mul', [a, b])
  const sigmoid = (g: string): Value =>
    through(`${g}SigmoidQuant`, kit.emit('sigmoid', [through(`${g}AccQuant`, gate(g))]))
  const tanh = (place: string, x: Value): Value => through(place, kit.emit('tanh', [x]))
  const i = sigmoid('input')
  const f = coupled ? kit.emit('sub', [through('inputSigmoidQuant', kit.constant(1, i.shape)), i]) : sigmoid('forget')
  const g = tanh('cellTanhQuant', through('cellAccQuant', gate('cell')))
  const o = sigmoid('output')
  const kept = through('cellStateQuant', mul(f, c === null ? i : plain(c)))
  const added = through('cellStateQuant', mul(i, g))
  const next = quant('cellStateQuant', kit.emit('add', [kept, added]))
  return { h: io(mul(o, tanh('hiddenStateTanhQuant', plain(next)))), c: next }
}

const plain = (v: Value): Value =>
  v.carried.tag === 'carries' || v.carried.tag === 'claimed'
    ? v.kit.emit('dequantize', [v], { why: 'a cell computes with plain values between its quantizers' })
    : v

/**
 * Long short-term memory (brevitas.nn.QuantLSTM), quantizers at the sums, sigmoids, tanhs, cell states and hidden states, shared as the
 * options say. Called with `{ x, hx, cx }`, gives `{ y, h, c }`. Formulas, order of collection, metadata and quirks: SEMANTICS-3, 2.
 */
export function QuantLSTM(
  o: LstmOptions & { readonly catOutputCellStates: false },
): Layer<TensorTree, TensorTree, LstmInput, LstmOutput<readonly Value[]>>
export function QuantLSTM(o: LstmOptions): Layer<TensorTree, TensorTree, LstmInput, LstmOutput>
export function QuantLSTM(
  o: LstmOptions,
): Layer<TensorTree, TensorTree, LstmInput, LstmOutput<Value | readonly Value[]>> {
  const name = 'QuantLSTM'
  const given = recordOf(o)
  const { weight, bias, problems } = weightAndBias(name, given)
  const q = {
    io: actQuantizer(name, given, 'ioQuant', 'io'),
    acc: actQuantizer(name, given, 'gateAccQuant', 'gateAcc'),
    sigmoid: actQuantizer(name, given, 'sigmoidQuant', 'sigmoid', Uint8ActPerTensorFloat),
    tanh: actQuantizer(name, given, 'tanhQuant', 'tanh'),
    cellState: actQuantizer(name, given, 'cellStateQuant', 'cellState'),
  }
  const broken = brokenIf<LstmInput, LstmOutput<Value | readonly Value[]>>(name, o, LSTM, () => [
    ...problems,
    ...Object.values(q).flatMap((f) => f.problems),
    ...sharedProblems(name, o, q.io.quantizer),
    ...cellProblems(o, q.cellState.quantizer),
  ])
  if (broken !== null) return broken
  const cell = lstmCell(o, Object.fromEntries(Object.entries(q).map(([k, f]) => [k, f.quantizer])))
  const spec = { o, fields: LSTM, cell, weight: weight.quantizer, bias: bias.quantizer }
  return recurrentLayer<LstmInput, LstmOutput<Value | readonly Value[]>>(spec, ({ y, h, c }) => ({
    y,
    h,
    c: cell.catCells ? cat(c, 0) : c,
  }))
}
