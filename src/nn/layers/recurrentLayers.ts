/** QuantRNN and QuantLSTM: the gates and the step of each (SEMANTICS-3, 1 and 2). */
import type { QuantError } from '../../data/error.js'
import { byDefault, flag, oneOf, type OptionsOf, type Resolved } from '../../data/fields.js'
import type { Value } from '../../graph/op.js'
import { Int8ActPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { cat } from '../functions/index.js'
import type { Layer, TensorTree } from './layer.js'
import { quantizerFields } from './options.js'
import type { PlaceOptions, Quantizers, ReturnOption } from './quantizedLayer.js'
import type { RecurrentInput } from './recurrent.js'
import { recurrentLayer } from './recurring.js'
import {
  firstPlace,
  GATE_PLACES,
  GATES,
  ownPlace,
  RECURRENT,
  RECURRENT_PLACES,
  type Carry,
  type Cell,
  type States,
  type StepTools,
} from './recurrentPlaces.js'

const RNN = {
  ...RECURRENT,
  /** Default tanh. Another one is refused in Brevitas' words. */
  nonlinearity: byDefault<'tanh' | 'relu'>({ ...oneOf('tanh', 'relu'), holds: () => true }, 'tanh'),
}
const RNN_PLACES = {
  ...RECURRENT_PLACES,
  /** The sums. Default Int8ActPerTensorFloat. */
  gateAccQuant: { fallback: Int8ActPerTensorFloat, prefix: 'gateAccQuant', use: 'act' },
} as const
/** Options of QuantRNN. Those of the accumulators have the prefix `gateAccQuant`, as in Brevitas. */
export interface RnnOptions extends OptionsOf<typeof RNN>, PlaceOptions<typeof RNN_PLACES>, ReturnOption {}
/** What QuantRNN takes: x `[T, B, I]`, and where it starts (zeros without). */
export type RnnInput = { readonly x: Value; readonly hx?: States }
/** What it gives: `y [T, B, H * directions]` and the last states, `h [layers * directions, B, H]`. */
export type RnnOutput = { readonly y: Value; readonly h: Value }

const nonlinearityProblems = (nonlinearity: string): readonly QuantError[] =>
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

const rnnCell = (act: 'tanh' | 'relu', io: Quantizer | null, acc: Quantizer | null): Cell => ({
  name: 'QuantRNN',
  gates: [''],
  paramsOf: () => 'gateParams',
  borrows: () => '',
  oneWeightQuant: false,
  quantizers: [
    { name: 'outputQuant', quantizer: io },
    { name: 'gateAccQuant', quantizer: acc },
  ],
  owner: (n, place) => (n === 'outputQuant' ? firstPlace(n) : ownPlace(n, place)),
  cellState: null,
  catCells: true,
  step: ({ kit, gate, through, io: toIo }) => ({
    h: toIo(kit.emit(act, [through('gateAccQuant', gate(''))])),
    c: null,
  }),
})

/**
 * Elman's recurrent network (brevitas.nn.QuantRNN): `h = io(tanh(acc((x Wiᵀ + h Whᵀ) + b)))` for each step of time. One quantizer `io` for the
 * input and all states, one for the two weights, one for the sums. Called with `{ x, hx }`, gives `{ y, h }`. Order of collection, metadata and
 * quirks: SEMANTICS-3, 1.
 */
export const QuantRNN = (o: RnnOptions): Layer<TensorTree, TensorTree, RnnInput, RnnOutput> =>
  recurrentLayer({
    name: 'QuantRNN',
    options: o,
    own: RNN,
    // Known in Brevitas, where they are ignored.
    known: quantizerFields('gateAcc'),
    places: RNN_PLACES,
    problems: (_q, { nonlinearity }) => nonlinearityProblems(nonlinearity),
    specOf: ({ weightQuant: weight, biasQuant: bias, ioQuant: io, gateAccQuant: acc }, own) => {
      const cell = rnnCell(own.nonlinearity, io, acc)
      return { o: own, cell, weight, bias, io }
    },
    finish: ({ y, h }) => ({ y, h }),
  })

const LSTM = {
  ...RECURRENT,
  /** No forget gate: it is one minus the input gate (default false). */
  coupledInputForgetGates: byDefault(flag, false),
  /** Join the cell states of all layers (default true), or give a list. */
  catOutputCellStates: byDefault(flag, true),
  ...GATES,
  /** One cell state quantizer for all layers and directions (default true). */
  sharedCellStateQuant: byDefault(flag, true),
}
const LSTM_PLACES = {
  ...GATE_PLACES,
  /** Default Int8ActPerTensorFloat. */
  cellStateQuant: { fallback: Int8ActPerTensorFloat, prefix: 'cellState', use: 'act' },
} as const
/** Options of QuantLSTM. */
export interface LstmOptions extends OptionsOf<typeof LSTM>, PlaceOptions<typeof LSTM_PLACES>, ReturnOption {}
type Lstm = Resolved<typeof LSTM>
/** What QuantLSTM takes: x `[T, B, I]`, and where it starts. */
export type LstmInput = RecurrentInput
/** What it gives: y, and the last hidden and cell states; the latter as a list with `catOutputCellStates: false`. */
export type LstmOutput<C = Value> = { readonly y: Value; readonly h: Value; readonly c: C }

const cellProblems = (o: Lstm, cellState: Quantizer | null, returnQuantTensor: boolean): readonly QuantError[] => {
  const out: QuantError[] = []
  const problem = (option: string, message: string, fix: string): void => {
    out.push({ tag: 'ConfigError', option, path: '', message: `QuantLSTM: ${message}`, fix })
  }
  if (returnQuantTensor && cellState === null)
    problem(
      'returnQuantTensor',
      'return_quant_tensor=True requires cell_state_quant != None.',
      'give it a cellStateQuant, or drop returnQuantTensor',
    )
  if (!o.sharedCellStateQuant && o.catOutputCellStates && cellState !== null)
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
const lstmCell = (o: Lstm, q: Quantizers<typeof LSTM_PLACES>): Cell => {
  const coupled = o.coupledInputForgetGates
  const gates = coupled ? ['input', 'cell', 'output'] : ['input', 'forget', 'cell', 'output']
  const named = (suffix: string, quantizer: Quantizer | null, list = gates) =>
    list.map((g) => ({ name: `${g}${suffix}`, quantizer }))
  return {
    name: 'QuantLSTM',
    gates,
    paramsOf: (gate) => `${gate}GateParams`,
    // In Brevitas the input gate of the backward direction uses the forward one's forget weight, and the other way round.
    borrows: (gate) => (coupled && gate === 'input' ? null : FORWARD_OF[gate]),
    oneWeightQuant: o.sharedIntraLayerWeightQuant,
    quantizers: [
      { name: 'outputQuant', quantizer: q.ioQuant },
      { name: 'cellStateQuant', quantizer: q.cellStateQuant },
      ...named('AccQuant', q.gateAccQuant),
      ...named(
        'SigmoidQuant',
        q.sigmoidQuant,
        gates.filter((g) => g !== 'cell'),
      ),
      { name: 'cellTanhQuant', quantizer: q.tanhQuant },
      { name: 'hiddenStateTanhQuant', quantizer: q.tanhQuant },
    ],
    owner: (n, place) => {
      if (n === 'outputQuant' || (n === 'cellStateQuant' && o.sharedCellStateQuant)) return firstPlace(n)
      return o.sharedIntraLayerGateAccQuant && n.endsWith('AccQuant')
        ? ownPlace('inputAccQuant', place)
        : ownPlace(n, place)
    },
    cellState: 'cellStateQuant',
    catCells: o.catOutputCellStates,
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
  return recurrentLayer({
    name: 'QuantLSTM',
    options: o,
    own: LSTM,
    places: LSTM_PLACES,
    problems: (q, own, returnQuantTensor) => cellProblems(own, q.cellStateQuant, returnQuantTensor),
    specOf: (q, own) => ({
      o: own,
      cell: lstmCell(own, q),
      weight: q.weightQuant,
      bias: q.biasQuant,
      io: q.ioQuant,
    }),
    finish: ({ y, h, c }, { catCells }) => ({ y, h, c: catCells ? cat(c, 0) : c }),
  })
}
