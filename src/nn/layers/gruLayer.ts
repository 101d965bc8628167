/** QuantGRU: torch's equations with the quantizer places of QuantLSTM; Brevitas has none. */
import { anything, flag, type Field } from '../../data/fields.js'
import { Uint8ActPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { dequantize } from '../functions/index.js'
import type { Value } from '../../graph/op.js'
import type { Layer, TensorTree } from './layer.js'
import { quantizerFields, recordOf, type Prefixed } from './options.js'
import { recurrentLayer } from './recurrent.js'
import type { RnnInput, RnnOutput } from './recurrentLayers.js'
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
  type StepTools,
} from './recurrentPlaces.js'

/** Options of QuantGRU. */
export type GruOptions = RecurrentOptions &
  Prefixed<'gateAcc'> &
  Prefixed<'sigmoid'> &
  Prefixed<'tanh'> & {
    /** Of the gates r and z. Default Uint8ActPerTensorFloat. */
    readonly sigmoidQuant?: Quantizer | null
    /** Of the new state n. Default Int8ActPerTensorFloat. */
    readonly tanhQuant?: Quantizer | null
    /** One weight quantizer for all gates of a direction (default false). */
    readonly sharedIntraLayerWeightQuant?: boolean
    /** One accumulator quantizer for all gates of a direction (default false). */
    readonly sharedIntraLayerGateAccQuant?: boolean
  }

const GRU: { readonly [name: string]: Field } = {
  ...RECURRENT_FIELDS,
  sigmoidQuant: anything,
  tanhQuant: anything,
  sharedIntraLayerWeightQuant: flag,
  sharedIntraLayerGateAccQuant: flag,
  ...quantizerFields('gateAcc'),
  ...quantizerFields('sigmoid'),
  ...quantizerFields('tanh'),
}

const RESET = 'reset'
const UPDATE = 'update'
const NEW = 'new'
const ACC = [`${RESET}AccQuant`, `${UPDATE}AccQuant`, `${NEW}HiddenAccQuant`, `${NEW}AccQuant`]

const gruStep = ({ kit, gate, parts, through, quant, io }: StepTools, { h }: Carry): Carry => {
  const mul = (a: Value, b: Value): Value => kit.emit('mul', [a, b])
  const sigmoid = (g: string): Value =>
    through(`${g}SigmoidQuant`, kit.emit('sigmoid', [through(`${g}AccQuant`, gate(g))]))
  const r = sigmoid(RESET)
  const z = sigmoid(UPDATE)
  const { input, hidden } = parts(NEW)
  const sum = kit.emit('add', [input, mul(r, through(`${NEW}HiddenAccQuant`, hidden))])
  const n = through(`${NEW}TanhQuant`, kit.emit('tanh', [through(`${NEW}AccQuant`, sum)]))
  const rest = kit.emit('sub', [through(`${UPDATE}SigmoidQuant`, kit.constant(1, z.shape)), z])
  const plain = dequantize(h, 'a cell computes with plain values between its quantizers')
  const added = dequantize(quant('outputQuant', mul(rest, n)))
  const kept = dequantize(quant('outputQuant', mul(z, plain)))
  return { h: io(kit.emit('add', [added, kept])), c: null }
}

const gruCell = (o: GruOptions, q: { readonly [kind: string]: Quantizer | null }): Cell => ({
  name: 'QuantGRU',
  gates: [RESET, UPDATE, NEW],
  paramsOf: (gate) => `${gate}GateParams`,
  borrows: (gate) => gate,
  hiddenBias: (gate) => gate === NEW,
  oneWeightQuant: o.sharedIntraLayerWeightQuant === true,
  quantizers: [
    { name: 'outputQuant', quantizer: q.io },
    ...ACC.map((name) => ({ name, quantizer: q.acc })),
    ...[RESET, UPDATE].map((g) => ({ name: `${g}SigmoidQuant`, quantizer: q.sigmoid })),
    { name: `${NEW}TanhQuant`, quantizer: q.tanh },
  ],
  owner: (n, place) => {
    if (n === 'outputQuant') return firstPlace(n)
    return o.sharedIntraLayerGateAccQuant === true && n.endsWith('AccQuant')
      ? ownPlace(ACC[0], place)
      : ownPlace(n, place)
  },
  cellState: null,
  catCells: true,
  step: gruStep,
})

/**
 * Gated recurrent unit: `r = σ(x Wir + h Whr + br)`, `z = σ(x Wiz + h Whz + bz)`, `n = tanh((x Win + bn) + r (h Whn + b'n))`, `h = (1 - z) n + z h`, as
 * torch.nn.GRU. Quantizers stand where QuantLSTM has them: at the sums (of n also at the hidden part, before r), behind sigmoids and tanh, and, in the
 * place of its cell state's, the one of input and states at both products and at their sum; 1 goes through the quantizer of z. Called with `{ x, hx }`, gives `{ y, h }`.
 * The two biases of r and of z are one; that of the hidden part of n stays float unless its quantizer has a scale of its own.
 */
export const QuantGRU = (o: GruOptions): Layer<TensorTree, TensorTree, RnnInput, RnnOutput> => {
  const name = 'QuantGRU'
  const given = recordOf(o)
  const { weight, bias, problems } = weightAndBias(name, given)
  const q = {
    io: actQuantizer(name, given, 'ioQuant', 'io'),
    acc: actQuantizer(name, given, 'gateAccQuant', 'gateAcc'),
    sigmoid: actQuantizer(name, given, 'sigmoidQuant', 'sigmoid', Uint8ActPerTensorFloat),
    tanh: actQuantizer(name, given, 'tanhQuant', 'tanh'),
  }
  const broken = brokenIf<RnnInput, RnnOutput>(name, o, GRU, () => [
    ...problems,
    ...Object.values(q).flatMap((f) => f.problems),
    ...sharedProblems(name, o, q.io.quantizer),
  ])
  if (broken !== null) return broken
  const cell = gruCell(o, Object.fromEntries(Object.entries(q).map(([k, f]) => [k, f.quantizer])))
  const spec = { o, fields: GRU, cell, weight: weight.quantizer, bias: bias.quantizer }
  return recurrentLayer<RnnInput, RnnOutput>(spec, ({ y, h }) => ({ y, h }))
}
