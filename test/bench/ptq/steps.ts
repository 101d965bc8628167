/** The steps of post-training quantization in the combinations of `../shared/bench/PTQ.md`, and what each combination is worth. */
import { compile, orThrow, tensorInput, trace, Uint8ActPerTensorFloat, type Tensor } from '../../../src/index.js'
import type { Value } from '../../../src/graph/op.js'
import {
  calibrate,
  correctBias,
  equalize,
  quantize,
  roundWeights,
  schemes,
  type Quantized,
  type RoundOptions,
  type Rule,
  type Trained,
} from '../../../src/quantize/index.js'
import type { Digits } from '../../../examples/digits/data.js'

type Net = Trained<Value, Value>
type QuantNet = Quantized<Value, Value>

const BATCH = 500
export const inputs = tensorInput([64, 1, 28, 28])

/** The class that a network sees in each image. */
export const classesOf = ({ net, params, state }: Net, { images, labels }: Digits): Uint8Array => {
  const program = orThrow(trace(net, tensorInput([BATCH, 1, 28, 28]), { mode: 'eval' }))
  const compiled = orThrow(compile(program))
  const classes = new Uint8Array(labels.data.length)
  for (let from = 0; from < labels.data.length; from += BATCH) {
    const batch = { shape: [BATCH, 1, 28, 28], data: images.data.subarray(from * 784, (from + BATCH) * 784) }
    const { data } = orThrow(compiled.run({ params, state, inputs: batch })).outputs as Tensor
    for (let i = 0; i < BATCH; i++) {
      const row = data.subarray(i * 10, i * 10 + 10)
      classes[from + i] = row.indexOf(Math.max(...row))
    }
  }
  compiled.dispose()
  return classes
}

/** In how many of a hundred places two lists agree. */
export const agreement = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let same = 0
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) same++
  return (100 * same) / a.length
}

/** Right answers in percent. */
export const accuracyOf = (net: Net, digits: Digits): number => agreement(classesOf(net, digits), digits.labels.data)

/** The first images of the training set, as many as Brevitas is shown. */
export const samplesOf = ({ images }: Digits): Tensor => ({
  shape: [1024, 1, 28, 28],
  data: images.data.subarray(0, 1024 * 784),
})

/** Grey levels are never negative, as in the yardstick. */
export const rulesFor = (bits: readonly [weights: number, activations: number]): readonly Rule[] => [
  ...schemes.int8,
  { to: { actQuant: Uint8ActPerTensorFloat, weightBitWidth: bits[0], actBitWidth: bits[1] } },
]

/** The combinations of steps, by name; the last one is ours alone. */
export const COMBINATIONS = [
  'calibrate',
  '+ equalise',
  '+ correct',
  'equalise + correct',
  '+ GPTQ',
  'GPTQ + correct',
  'all',
  'roundWeights',
] as const

/** As `gptq_mode`: its own float results, scales of the largest weight, no descent. */
const GPTQ: RoundOptions = { target: 'own', scales: 'keep', bias: false, sweeps: 0 }

/** A network after a combination of steps, quantized by these rules. */
export const after = (
  float: Net,
  equal: Net,
  rules: readonly Rule[],
  steps: (typeof COMBINATIONS)[number],
  samples: Tensor,
): QuantNet => {
  const from = steps === '+ equalise' || steps === 'equalise + correct' || steps === 'all' ? equal : float
  const calibrated = orThrow(
    calibrate<Value, Value>(orThrow(quantize(from.net, inputs, from, rules)), samples, { batchSize: 64 }),
  )
  const rounded = ['+ GPTQ', 'GPTQ + correct', 'all'].includes(steps)
    ? orThrow(roundWeights(calibrated, calibrated.float, samples, GPTQ))
    : calibrated
  if (steps === 'roundWeights') return orThrow(roundWeights(calibrated, calibrated.float, samples))
  return ['+ correct', 'equalise + correct', 'GPTQ + correct', 'all'].includes(steps)
    ? orThrow(correctBias(rounded, rounded.float, samples))
    : rounded
}

/** The network with equalised ranges. */
export const equalised = (t: Net): Net => orThrow(equalize(t.net, inputs, t))
