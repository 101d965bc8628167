/** QuantGRU: torch's equations with the quantizer places of QuantLSTM; Brevitas has none. */
import type { OptionsOf, Resolved } from '../../data/fields.js'
import { dequantize } from '../functions/index.js'
import type { Value } from '../../graph/op.js'
import type { Layer, TensorTree } from './layer.js'
import type { PlaceOptions, Quantizers, ReturnOption } from './quantizedLayer.js'
import { recurrentLayer } from './recurring.js'
import type { RnnInput, RnnOutput } from './recurrentLayers.js'
import {
  firstPlace,
  GATE_PLACES,
  GATES,
  ownPlace,
  RECURRENT,
  type Carry,
  type Cell,
  type StepTools,
} from './recurrentPlaces.js'

const GRU = { ...RECURRENT, ...GATES }
/** Options of QuantGRU. */
export interface GruOptions extends OptionsOf<typeof GRU>, PlaceOptions<typeof GATE_PLACES>, ReturnOption {}

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

const gruCell = (o: Resolved<typeof GRU>, q: Quantizers<typeof GATE_PLACES>): Cell => ({
  name: 'QuantGRU',
  gates: [RESET, UPDATE, NEW],
  paramsOf: (gate) => `${gate}GateParams`,
  borrows: (gate) => gate,
  hiddenBias: (gate) => gate === NEW,
  oneWeightQuant: o.sharedIntraLayerWeightQuant,
  quantizers: [
    { name: 'outputQuant', quantizer: q.ioQuant },
    ...ACC.map((name) => ({ name, quantizer: q.gateAccQuant })),
    ...[RESET, UPDATE].map((g) => ({ name: `${g}SigmoidQuant`, quantizer: q.sigmoidQuant })),
    { name: `${NEW}TanhQuant`, quantizer: q.tanhQuant },
  ],
  owner: (n, place) => {
    if (n === 'outputQuant') return firstPlace(n)
    return o.sharedIntraLayerGateAccQuant && n.endsWith('AccQuant') ? ownPlace(ACC[0], place) : ownPlace(n, place)
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
export const QuantGRU = (o: GruOptions): Layer<TensorTree, TensorTree, RnnInput, RnnOutput> =>
  recurrentLayer({
    name: 'QuantGRU',
    options: o,
    own: GRU,
    places: GATE_PLACES,
    specOf: (q, own) => ({
      o: own,
      cell: gruCell(own, q),
      weight: q.weightQuant,
      bias: q.biasQuant,
      io: q.ioQuant,
    }),
    finish: ({ y, h }) => ({ y, h }),
  })
