/** The networks of the int8 rows: the digits net, one of depthwise convolutions (32×32 pixels, widths 16 to 128), and a perceptron; and what PyTorch makes of them. */
import {
  AvgPool2d,
  chain,
  crossEntropy,
  Flatten,
  grad,
  init,
  orThrow,
  QuantConv2d,
  QuantIdentity,
  QuantLinear,
  QuantReLU,
  randn,
  manualSeed,
  run,
  tensorInput,
  tensorOf,
  trace,
  withLoss,
  type Layer,
  type Tensor,
} from '../../src/index.js'
import { network } from './cases.js'

/** Any network. */
export type AnyNet = Layer<unknown, unknown>

/** A network, and the shape of one sample. */
export type Int8Net = { readonly name: string; readonly net: AnyNet; readonly sample: readonly number[] }

const COLLECT = 2
const ACT = { collectStatsSteps: COLLECT, returnQuantTensor: true } as const

/** Widths of the blocks, and by how much each strides. */
const BLOCKS = [
  [16, 32, 2],
  [32, 64, 2],
  [64, 128, 2],
  [128, 128, 1],
] as const

const depthwise = (): AnyNet => {
  const blocks = BLOCKS.flatMap(([ins, outs, stride], k) => [
    [`dw${k}`, QuantConv2d({ inChannels: ins, outChannels: ins, kernelSize: 3, padding: 1, stride, groups: ins })],
    [`relu${k}a`, QuantReLU(ACT)],
    [`pw${k}`, QuantConv2d({ inChannels: ins, outChannels: outs, kernelSize: 1 })],
    [`relu${k}b`, QuantReLU(ACT)],
  ])
  const layers = Object.fromEntries([
    ['input', QuantIdentity(ACT)],
    ['stem', QuantConv2d({ inChannels: 3, outChannels: 16, kernelSize: 3, padding: 1 })],
    ['relu', QuantReLU(ACT)],
    ...blocks,
    ['pool', AvgPool2d({ kernelSize: 4 })],
    ['pooled', QuantIdentity(ACT)],
    ['flatten', Flatten()],
    ['fc', QuantLinear({ inFeatures: 128, outFeatures: 10 })],
  ]) as { readonly [name: string]: AnyNet }
  return chain(layers) as unknown as AnyNet
}

const perceptron = (): AnyNet =>
  chain({
    input: QuantIdentity(ACT),
    fc1: QuantLinear({ inFeatures: 784, outFeatures: 512 }),
    relu1: QuantReLU(ACT),
    fc2: QuantLinear({ inFeatures: 512, outFeatures: 512 }),
    relu2: QuantReLU(ACT),
    fc3: QuantLinear({ inFeatures: 512, outFeatures: 10 }),
  }) as unknown as AnyNet

/** The networks by name. */
export const int8Nets = (): readonly Int8Net[] => [
  { name: 'digits', net: network(COLLECT) as unknown as AnyNet, sample: [1, 28, 28] },
  { name: 'depthwise', net: depthwise(), sample: [3, 32, 32] },
  { name: 'mlp', net: perceptron(), sample: [784] },
]

/** Numbers for a batch. */
export const batchOf = ({ sample }: Int8Net, n: number): Tensor => randn([n, ...sample])(manualSeed(5))[0]

/** Parameters, and state after every quantizer has learned its scale. */
export const settled = (made: Int8Net, x: Tensor): { readonly params: unknown; readonly state: unknown } => {
  const first = orThrow(init(made.net, 0))
  const program = orThrow(trace(made.net, tensorInput(x.shape) as never, { mode: 'train' }))
  let { state } = first
  for (let k = 0; k <= COLLECT; k++)
    state = orThrow(run(program, { params: first.params, state, inputs: x as never })).state
  return { params: first.params, state }
}

/** The program of a training step's forward and backward pass on such a batch, and the batch's labels. */
export const trainingOf = ({ net }: Int8Net, x: Tensor) => {
  const [n] = x.shape
  const labels = Array.from({ length: n }, (_, i) => i % 10)
  const task = withLoss(net as never, crossEntropy) as unknown as AnyNet
  const declared = { x: tensorInput(x.shape), target: tensorInput([n]) }
  const program = orThrow(grad(orThrow(trace(task, declared as never, { mode: 'train' })), { output: 'loss' } as never))
  return { program: program as never, target: tensorOf([n], labels) }
}
