/** Pages whose pictures are looked at: nets of the shapes that people build, with all that can be laid over them. */
import { ideas } from '../../../examples/tutorial/pages.js'
import { quantNet } from '../../../examples/digits/network.js'
import * as q from '../../../src/index.js'
import { toHtml, watch, type LogRecord, type SceneOptions } from '../../../viz/index.js'
import { right } from '../../graph/fixtures/programs.js'
import { ATTACKS, hostile } from '../attacks.js'
import { layers } from '../programs.js'

type Net = q.Layer<unknown, unknown, never>
type Mode = 'train' | 'eval'

const KEEP = { returnQuantTensor: true } as const
const chainOf = (parts: readonly (readonly [name: string, layer: unknown])[]): Net =>
  q.chain(Object.fromEntries(parts) as never) as unknown as Net
const conv = (inChannels: number, outChannels: number, more: Partial<Parameters<typeof q.QuantConv2d>[0]> = {}) =>
  q.QuantConv2d({ inChannels, outChannels, kernelSize: 3, padding: 1, ...KEEP, ...more })

/** A residual block: conv, norm, ReLU, conv, norm; a sum on one grid; ReLU. */
const block = (channels: number): unknown =>
  q.model(
    {
      conv1: conv(channels, channels, { bias: false }),
      bn1: q.BatchNorm2d({ numFeatures: channels }),
      relu1: q.QuantReLU(KEEP),
      conv2: conv(channels, channels, { bias: false }),
      bn2: q.BatchNorm2d({ numFeatures: channels }),
      add: q.QuantEltwiseAdd(KEEP),
      relu2: q.QuantReLU(KEEP),
    },
    (l, p, s, x: q.Value) => {
      const [a, conv1] = l.conv1(p.conv1, s.conv1, x)
      const [b, bn1] = l.bn1(p.bn1, s.bn1, a)
      const [c, relu1] = l.relu1(p.relu1, s.relu1, b)
      const [d, conv2] = l.conv2(p.conv2, s.conv2, c)
      const [e, bn2] = l.bn2(p.bn2, s.bn2, d)
      const [f, add] = l.add(p.add, s.add, [e, x])
      const [y, relu2] = l.relu2(p.relu2, s.relu2, f)
      return [y, { conv1, bn1, relu1, conv2, bn2, add, relu2 }]
    },
  )

/** A residual net of so many blocks. */
export const residualNet = (blocks: number): Net =>
  chainOf([
    ['input', q.QuantIdentity(KEEP)],
    ['stem', conv(3, 8)],
    ['act', q.QuantReLU(KEEP)],
    ...Array.from({ length: blocks }, (_, i) => [`block${i + 1}`, block(8)] as const),
    ['pool', q.AdaptiveAvgPool2d({ outputSize: 1 })],
    ['flatten', q.Flatten()],
    ['fc', q.QuantLinear({ inFeatures: 8, outFeatures: 10 })],
  ])

/** Three branches that meet in a concatenation, twice. */
export const concatNet = (): Net => {
  const inception = (channels: number): unknown =>
    q.model(
      {
        one: conv(channels, 4, { kernelSize: 1, padding: 0 }),
        three: conv(channels, 4),
        five: conv(channels, 4, { kernelSize: 5, padding: 2 }),
        cat: q.QuantCat(KEEP),
        relu: q.QuantReLU(KEEP),
      },
      (l, p, s, x: q.Value) => {
        const [a, one] = l.one(p.one, s.one, x)
        const [b, three] = l.three(p.three, s.three, x)
        const [c, five] = l.five(p.five, s.five, x)
        const [d, cat] = l.cat(p.cat, s.cat, { values: [a, b, c] })
        const [y, relu] = l.relu(p.relu, s.relu, d)
        return [y, { one, three, five, cat, relu }]
      },
    )
  return chainOf([
    ['input', q.QuantIdentity(KEEP)],
    ['mixed1', inception(3)],
    ['mixed2', inception(12)],
    ['head', conv(12, 5)],
  ])
}

/** Depthwise and pointwise convolutions, as in MobileNet. */
export const mobileNet = (): Net =>
  chainOf([
    ['input', q.QuantIdentity(KEEP)],
    ['stem', conv(3, 8, { stride: 2 })],
    ['act', q.QuantReLU(KEEP)],
    ...Array.from(
      { length: 4 },
      (_, i) =>
        [
          `separable${i + 1}`,
          chainOf([
            ['depthwise', conv(8, 8, { groups: 8, bias: false })],
            ['depthwiseNorm', q.BatchNorm2d({ numFeatures: 8 })],
            ['depthwiseRelu', q.QuantReLU(KEEP)],
            ['pointwise', conv(8, 8, { kernelSize: 1, padding: 0, weightScalingPerOutputChannel: true })],
            ['pointwiseRelu', q.QuantReLU(KEEP)],
          ]),
        ] as const,
    ),
    ['pool', q.AvgPool2d({ kernelSize: 2 })],
  ])

const mlp = (): Net =>
  chainOf([
    ['quant', q.QuantIdentity(KEEP)],
    ['fc1', q.QuantLinear({ inFeatures: 16, outFeatures: 32 })],
    ['relu1', q.QuantReLU(KEEP)],
    ['fc2', q.QuantLinear({ inFeatures: 32, outFeatures: 32, bias: false, ...KEEP })],
    ['tanh', q.QuantTanh(KEEP)],
    ['fc3', q.QuantLinear({ inFeatures: 32, outFeatures: 4 })],
  ])

/** A recurrent cell, unrolled: the same two layers at every step. */
const recurrent = (steps: number): Net =>
  q.model(
    {
      quant: q.QuantIdentity(KEEP),
      cell: q.QuantLinear({ inFeatures: 8, outFeatures: 8, ...KEEP }),
      act: q.QuantTanh(KEEP),
    },
    (l, p, s, x: q.Value) => {
      const [x0, quant] = l.quant(p.quant, s.quant, x)
      const step = (h: q.Value, from: Pick<typeof s, 'cell' | 'act'>) => {
        const [a, cell] = l.cell(p.cell, from.cell, h)
        const [b, act] = l.act(p.act, from.act, a)
        return [q.add(b, h), cell, act] as const
      }
      let [h, cell, act] = step(x0, s)
      for (let t = 1; t < steps; t++) [h, cell, act] = step(h, { cell, act } as never)
      return [h, { quant, cell, act }]
    },
  ) as unknown as Net

const longNames = (): Net =>
  chainOf([
    ['the_quantizer_of_the_preprocessed_camera_image', q.QuantIdentity(KEEP)],
    ['feature_extractor_stage_one_convolution_with_wide_kernel', conv(3, 4)],
    ['WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW', q.QuantReLU()],
    [
      'вложенный_блок_с_очень_длинным_именем',
      chainOf([
        [
          '畳み込み層の名前がとても長い場合の例です畳み込み層',
          q.QuantConv2d({ inChannels: 4, outChannels: 4, kernelSize: 3 }),
        ],
        ['iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii', q.QuantReLU(KEEP)],
      ]),
    ],
    [
      'classification_head_without_any_quantized_output_at_all',
      q.QuantConv2d({ inChannels: 4, outChannels: 2, kernelSize: 3 }),
    ],
  ])

const firstProgram = (): Net =>
  chainOf([
    ['input', q.QuantIdentity(KEEP)],
    ['conv', q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 3, weightBitWidth: 4, ...KEEP })],
    ['act', q.QuantReLU({ bitWidth: 4, ...KEEP })],
  ])

const traced = (net: Net, shape: readonly number[], mode: Mode): q.Program =>
  right(q.trace(net as never, q.tensorInput(shape) as never, { mode })) as q.Program

const summed = (net: Net): Net =>
  chainOf([
    ['net', net],
    ['loss', q.functionLayer('loss', (x: q.Value) => q.sum(q.mul(x, x)))],
  ])

/** Everything that a run tells: values, outputs, times, plan. */
const observed = (net: Net, program: q.Program, shape: readonly number[], timed = true): SceneOptions => {
  const start = right(q.init(net as never, 1)) as { readonly params: unknown; readonly state: unknown }
  const count = shape.reduce((n, d) => n * d, 1)
  const inputs = { shape, data: Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7) * 2) }
  const args = { ...start, inputs }
  const w = watch(program, args as never)
  const ran = right(q.run(program, args as never, { observe: w.observe }))
  return {
    values: w.values,
    outputs: ran.outputs,
    ...(timed
      ? {
          profile: right(q.profile(program, args as never, { rounds: 1, warmUpMs: 1 })),
          plan: right(q.explainPlan(program, args as never)),
        }
      : {}),
  }
}

/** A training log of these quantizers: statistics for 30 steps, then learned; `shift` makes zero points. */
export const logOf = (paths: readonly string[], steps = 750): readonly LogRecord[] =>
  Array.from({ length: 120 }, (_, i) => 1 + Math.round(((steps - 1) * i) / 119)).map((step): LogRecord => ({
    step,
    epoch: Math.floor(step / (steps / 3)),
    over: 1,
    loss: 2.3 * Math.exp(-step / 200) + 0.05 * Math.sin(step),
    accuracy: 1 - 0.9 * Math.exp(-step / 150),
    lr: 1e-3,
    quantizers: Object.fromEntries(
      paths.map((path, k) => [
        path,
        {
          scale: (k % 3 === 2 ? 3e-4 : 0.012 + k * 1e-4) * (1 + 0.2 * Math.sin(step / 90 + k)),
          zeroPoint: k === 1 ? Math.round(step / 100) : 0,
          ...(path.endsWith('actQuant')
            ? {
                counter: Math.min(31, step),
                buffer: 2 + 0.1 * Math.sin(step),
                ...(step < 31 ? { statistic: 2 + 0.3 * Math.sin(step) } : {}),
              }
            : {}),
        },
      ]),
    ),
  }))

const quantizersOf = (program: q.Program): readonly string[] => [
  ...new Set(
    program.graph.nodes.flatMap((n) =>
      n.backwardOf === undefined && n.path.endsWith('Quant') && n.op.births === true ? [n.path] : [],
    ),
  ),
]

/** A page with everything laid over it: both passes, a log, values, times. */
const full = (net: Net, shape: readonly number[], title: string): string => {
  const whole = summed(net)
  const program = right(q.grad(traced(whole, shape, 'train') as never)) as q.Program
  return toHtml(program, { ...observed(whole, program, shape), log: logOf(quantizersOf(program)), title })
}

const page =
  (net: () => Net, shape: readonly number[], mode: Mode, values = false) =>
  (): string => {
    const [n, title] = [net(), mode]
    const program = traced(n, shape, mode)
    return toHtml(program, { title, ...(values ? observed(n, program, shape, false) : {}) })
  }

const IMAGE = [1, 3, 8, 8]
const digits = (): Net => quantNet(8) as unknown as Net

/** The pages by name. */
export const pictures: { readonly [name: string]: () => string } = {
  first: page(firstProgram, [1, 1, 4, 4], 'train'),
  'first-values': page(firstProgram, [1, 1, 4, 4], 'train', true),
  'digits-full': () => full(digits(), [2, 1, 28, 28], 'digits, trained'),
  'digits-eval': page(digits, [1, 1, 28, 28], 'eval', true),
  residual2: page(() => residualNet(2), IMAGE, 'train', true),
  'residual2-full': () => full(residualNet(2), [2, 3, 8, 8], 'two residual blocks'),
  residual10: page(() => residualNet(10), IMAGE, 'eval'),
  concat: page(concatNet, IMAGE, 'train', true),
  mobile: page(mobileNet, [2, 3, 8, 8], 'train', true),
  mlp: page(mlp, [4, 16], 'train', true),
  'mlp-full': () => full(mlp(), [4, 16], 'a multilayer perceptron'),
  recurrent: page(() => recurrent(5), [2, 8], 'train'),
  chain50: () => toHtml(layers(50), { title: '50 layers' }),
  'long-names': page(longNames, IMAGE, 'eval', true),
  pair: () =>
    toHtml([traced(digits(), [1, 1, 28, 28], 'train'), traced(digits(), [1, 1, 28, 28], 'eval')], {
      sides: [{ title: 'train' }, { title: 'eval' }],
    }),
  'pair-residual': () => toHtml([traced(residualNet(2), IMAGE, 'train'), traced(residualNet(3), IMAGE, 'train')]),
  hostile: () => toHtml(hostile(ATTACKS[0]), { title: ATTACKS[0] }),
  'hostile-bidi': () => toHtml(hostile('\u202Egnp.exe\u2066 \u0301\u0301\u0301 <b>'), { title: 'bidi' }),
  'hostile-pair': () => toHtml([hostile(ATTACKS[1]), hostile(ATTACKS[2])]),
  ...Object.fromEntries(
    ideas().map((i) => [
      `tutorial-${i.file}`,
      () =>
        toHtml(i.ways.map((w) => w.program) as unknown as readonly [q.Program, q.Program], {
          title: i.title,
          sides: i.ways.map((w) => ({ title: w.name, outputs: w.outputs })) as never,
        }),
    ]),
  ),
}
