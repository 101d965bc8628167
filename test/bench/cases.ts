/** What is measured: workloads, sizes, phases, and the numbers that every peer is given. */
import {
  QuantConv2d,
  QuantIdentity,
  QuantLinear,
  QuantReLU,
  Fp8e4m3OCPActPerTensorFloat,
  Int8ActPerTensorFloat,
  Int8DynamicActPerGroupFloat,
  MaxPool2d,
  Flatten,
  chain,
} from '../../src/index.js'

export const WORKLOADS = ['W1', 'W2', 'W3', 'W4', 'W5', 'W6', 'W7', 'W8', 'W9', 'W10', 'W11', 'W12'] as const
export type WorkloadName = (typeof WORKLOADS)[number]

/** One row of the benchmark. */
export type Case = { readonly workload: WorkloadName; readonly size: string; readonly phase: string }

export const ELEMENTWISE = ['learned-fwd', 'learned-fwd-bwd', 'collecting-fwd', 'collecting-fwd-bwd'] as const
/** Minifloats (W9), and dynamic groups of 32 channels (W10), whose one phase goes by the name of the others'. */
const LEARNED = ['learned-fwd', 'learned-fwd-bwd'] as const
/** Shapes of the element-wise workloads. */
export const SHAPES: Readonly<Record<string, readonly number[]>> = {
  '50': [50],
  '1.6M': [32, 64, 28, 28],
  '12.8M': [256, 64, 28, 28],
}
/** Channels in, channels out and input shape of the convolutions. */
export const CONVS: Readonly<
  Record<string, { readonly cin: number; readonly cout: number; readonly shape: readonly number[] }>
> = {
  '64-64-8x28x28': { cin: 64, cout: 64, shape: [8, 64, 28, 28] },
  '3-32-32x32x32': { cin: 3, cout: 32, shape: [32, 3, 32, 32] },
}
export const BATCHES: Readonly<Record<string, number>> = { b1: 1, b32: 32, b128: 128 }
/** Nodes of the chains of W7; `net` is the network. */
export const CHAINS: Readonly<Record<string, number>> = { '1k': 1000, '10k': 10_000, '100k': 100_000 }
export const BUILD_PHASES = ['trace', 'grad', 'compile', 'cold'] as const

const sizesAndPhases: Readonly<Record<WorkloadName, readonly (readonly [readonly string[], readonly string[]])[]>> = {
  W1: [[['50', '1.6M', '12.8M'], ELEMENTWISE]],
  W2: [[['50', '1.6M', '12.8M'], ELEMENTWISE]],
  W3: [[['1.6M'], ELEMENTWISE]],
  W4: [[Object.keys(CONVS), ['fwd', 'fwd-bwd']]],
  W5: [[Object.keys(BATCHES), ['step']]],
  W6: [[Object.keys(BATCHES), ['eval']]],
  W7: [[['net', ...Object.keys(CHAINS)], BUILD_PHASES]],
  W8: [[['8bit'], ['train']]],
  W9: [[['1.6M'], LEARNED]],
  W10: [[['1.6M'], LEARNED]],
  W11: [
    [
      ['b1', 'b32'],
      ['train', 'eval'],
    ],
  ],
  W12: [
    [
      ['b1', 'b32'],
      ['train', 'eval'],
    ],
  ],
}

/** Every row of some workloads, in order. */
export const casesOf = (only: readonly WorkloadName[]): readonly Case[] =>
  only.flatMap((workload) =>
    sizesAndPhases[workload].flatMap(([sizes, phases]) =>
      sizes.flatMap((size) => phases.map((phase) => ({ workload, size, phase }))),
    ),
  )

/** `W1/1.6M/learned-fwd`. */
export const idOf = (c: Case): string => `${c.workload}/${c.size}/${c.phase}`

/** The case of an id. */
export const caseOf = (id: string): Case => {
  const found = casesOf(WORKLOADS).find((c) => idOf(c) === id)
  if (found === undefined) throw new RangeError(`there is no case ${id}`)
  return found
}

/** Calls that collect before a quantizer is learned; one more call switches it over. */
export const COLLECT = 2
/** A phase that never ends. */
export const FOREVER = 1e9

/** Numbers close to a normal distribution: the sum of four uniform ones of a linear congruential generator. */
export const normals = (count: number, seed: number, deviation = 1): Float32Array => {
  const out = new Float32Array(count)
  let s = seed >>> 0
  for (let i = 0; i < count; i++) {
    let sum = -2
    for (let k = 0; k < 4; k++) {
      s = (Math.imul(s, 1664525) + 1013904223) >>> 0
      sum += s / 2 ** 32
    }
    out[i] = sum * 1.7320508 * deviation
  }
  return out
}

export const elements = (shape: readonly number[]): number => shape.reduce((n, k) => n * k, 1)

/** Class numbers 0 … 9 in turn. */
export const classes = (batch: number): Float32Array => Float32Array.from({ length: batch }, (_, i) => i % 10)

/** The layer of an element-wise workload. */
export const activation = (workload: WorkloadName, collectStatsSteps: number) => {
  switch (workload) {
    case 'W1':
      return QuantIdentity({ collectStatsSteps })
    case 'W2':
      return QuantReLU({ collectStatsSteps })
    case 'W9':
      return QuantIdentity({ actQuant: Fp8e4m3OCPActPerTensorFloat, collectStatsSteps })
    case 'W10':
      return QuantIdentity({ actQuant: Int8DynamicActPerGroupFloat, groupSize: 32, groupDim: 1 })
    default:
      return QuantReLU({
        collectStatsSteps,
        scalingPerOutputChannel: true,
        perChannelBroadcastableShape: [1, 64, 1, 1],
        scalingStatsPermuteDims: [1, 0, 2, 3],
      })
  }
}

/** The convolution of W4. */
export const convolution = (size: string) => {
  const { cin, cout } = CONVS[size]
  return QuantConv2d({
    inChannels: cin,
    outChannels: cout,
    kernelSize: 3,
    padding: 1,
    inputQuant: Int8ActPerTensorFloat,
    outputQuant: Int8ActPerTensorFloat,
    inputCollectStatsSteps: COLLECT,
    outputCollectStatsSteps: COLLECT,
  })
}

/** The network of W5 to W8. */
export const network = (collectStatsSteps: number) => {
  const act = { collectStatsSteps, returnQuantTensor: true }
  return chain({
    input: QuantIdentity(act),
    conv1: QuantConv2d({ inChannels: 1, outChannels: 16, kernelSize: 3, padding: 1 }),
    relu1: QuantReLU(act),
    pool1: MaxPool2d({ kernelSize: 2 }),
    conv2: QuantConv2d({ inChannels: 16, outChannels: 32, kernelSize: 3, padding: 1 }),
    relu2: QuantReLU(act),
    pool2: MaxPool2d({ kernelSize: 2 }),
    flatten: Flatten(),
    fc1: QuantLinear({ inFeatures: 1568, outFeatures: 128 }),
    relu3: QuantReLU(act),
    fc2: QuantLinear({ inFeatures: 128, outFeatures: 10 }),
  })
}

/** The training of W8. */
export const TRAINING = { train: 8000, test: 2000, epochs: 6, batch: 32, lr: 1e-3, seed: 1, collect: 30 } as const
