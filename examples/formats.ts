/**
 * npx tsx examples/formats.ts [examples] [epochs]
 * The digits in other numbers than integers: weights and activations in FP8 (e4m3), and in MXInt8, whose scales are powers of two of groups,
 * each beside the same network in floats. Prints the share of 2,000 held-out digits that each gets right.
 */
import { pathToFileURL } from 'node:url'
import {
  accuracy,
  adam,
  chain,
  compile,
  crossEntropy,
  finish,
  Flatten,
  Fp8e4m3OCPActPerTensorFloat,
  Fp8e4m3OCPWeightPerTensorFloat,
  MaxPool2d,
  MXInt8Act,
  MXInt8Weight,
  orThrow,
  QuantConv2d,
  QuantLinear,
  QuantReLU,
  tensorInput,
  trace,
  train,
  valueOf,
  type Quantizer,
} from '../src/index.js'
import { loadDigits, type Digits } from './digits/data.js'

/** Quantizers of a network: of weights and of activations, as options of layers; null: floats. */
type Numbers = {
  readonly weight: Quantizer | null
  readonly act: Quantizer | null
  /** Options of groups, where scales are those of groups. */
  readonly groups: boolean
}

export const FORMATS: { readonly [name: string]: Numbers } = {
  float: { weight: null, act: null, groups: false },
  e4m3: { weight: Fp8e4m3OCPWeightPerTensorFloat, act: Fp8e4m3OCPActPerTensorFloat, groups: false },
  MXInt8: { weight: MXInt8Weight, act: MXInt8Act, groups: true },
}

/** The network in these numbers. Groups are along channels: as many as there are, or 32. */
export const netIn = ({ weight, act, groups }: Numbers) => {
  const weights = (channels: number) => ({
    weightQuant: weight,
    ...(groups ? { weightGroupSize: Math.min(32, channels) } : {}),
  })
  const acts = (channels: number) => ({
    actQuant: act,
    ...(groups ? { groupSize: Math.min(32, channels), groupDim: 1 } : {}),
  })
  const pool = MaxPool2d({ kernelSize: 2 })
  return chain({
    conv1: QuantConv2d({ inChannels: 1, outChannels: 8, kernelSize: 3, padding: 1, ...weights(1) }),
    relu1: QuantReLU(acts(8)),
    pool1: pool,
    conv2: QuantConv2d({ inChannels: 8, outChannels: 16, kernelSize: 3, padding: 1, ...weights(8) }),
    relu2: QuantReLU(acts(16)),
    pool2: pool,
    flatten: Flatten(),
    fc: QuantLinear({ inFeatures: 784, outFeatures: 10, ...weights(784) }),
  })
}

/** The share of digits that a network gets right after a training. */
export const trained = async (
  numbers: Numbers,
  digits: { readonly train: Digits; readonly test: Digits },
  epochs: number,
): Promise<number> => {
  const net = netIn(numbers)
  const data = { x: digits.train.images, target: digits.train.labels }
  const recipe = { optimizer: adam({ lr: 3e-3 }), epochs, batchSize: 32, accuracy }
  const { params, state } = orThrow(await finish(train(net, crossEntropy, data, recipe)))
  const program = orThrow(trace(net, tensorInput(digits.test.images.shape), { mode: 'eval' }))
  const compiled = orThrow(compile(program))
  const { outputs } = orThrow(compiled.run({ params, state, inputs: digits.test.images }))
  compiled.dispose()
  return accuracy(valueOf(outputs), digits.test.labels)
}

const main = async (): Promise<void> => {
  const [examples = 8000, epochs = 8] = process.argv.slice(2).map(Number)
  const digits = loadDigits(examples)
  for (const [name, numbers] of Object.entries(FORMATS))
    console.log(`${name.padEnd(8)} ${((await trained(numbers, digits, epochs)) * 100).toFixed(2)} %`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()
