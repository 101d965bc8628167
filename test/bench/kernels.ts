/**
 * `npx tsx test/bench/kernels.ts [filter]`: time of single kernels of products, on one thread, for the layers of the
 * benchmark's nets. Best of many calls after a warm-up for the engine's optimising tier.
 */
import { performance } from 'node:perf_hooks'
import { sizeOf, type Shape } from '../../src/data/shape.js'
import { productKernel } from '../../src/evaluator/wasm/kernels/products/index.js'
import type { IntegerLicence } from '../../src/evaluator/wasm/kernel.js'
import { isRefusal, type Attrs } from '../../src/graph/op.js'
import { ops } from '../../src/ops/index.js'
import { instantiate, type RunnableStage } from '../evaluator/support/instantiate.js'

type Call = {
  readonly name: string
  readonly op: string
  readonly attrs: Attrs
  readonly shapes: readonly Shape[]
  readonly licence?: IntegerLicence
}

const shapeOf = (op: string, attrs: Attrs, shapes: readonly Shape[]): Shape => {
  const shape = ops[op].shape(shapes, attrs)
  if (isRefusal(shape)) throw new Error(shape.refuse)
  return shape
}

const licence = (weightScales: number): IntegerLicence => ({
  x: { lo: -128, hi: 127 },
  w: { lo: -127, hi: 127 },
  weightScales,
  declared: false,
})

/** All passes of a convolution. */
const convs = (name: string, x: Shape, w: Shape, attrs: Attrs): readonly Call[] => {
  const y = shapeOf('conv', attrs, [x, w])
  return [
    { name: `${name} fwd`, op: 'conv', attrs, shapes: [x, w] },
    { name: `${name} fwd int`, op: 'conv', attrs, shapes: [x, w], licence: licence(1) },
    { name: `${name} dx`, op: 'convInputGrad', attrs: { ...attrs, inputShape: x }, shapes: [y, w] },
    { name: `${name} dw`, op: 'convWeightGrad', attrs: { ...attrs, weightShape: w }, shapes: [x, y] },
  ]
}
const linears = (name: string, n: number, ins: number, outs: number): readonly Call[] => [
  {
    name: `${name} fwd`,
    op: 'linear',
    attrs: {},
    shapes: [
      [n, ins],
      [outs, ins],
    ],
  },
  {
    name: `${name} fwd int`,
    op: 'linear',
    attrs: {},
    shapes: [
      [n, ins],
      [outs, ins],
    ],
    licence: licence(1),
  },
  {
    name: `${name} dx`,
    op: 'matmul',
    attrs: {},
    shapes: [
      [n, outs],
      [outs, ins],
    ],
  },
  {
    name: `${name} dw`,
    op: 'linearWeightGrad',
    attrs: {},
    shapes: [
      [n, ins],
      [n, outs],
    ],
  },
]
const same = (groups = 1, stride = 1): Attrs => ({
  stride: [stride, stride],
  padding: [
    [1, 1],
    [1, 1],
  ],
  dilation: [1, 1],
  groups,
})

const calls: readonly Call[] = [
  ...[1, 32, 128].flatMap((n) => [
    ...convs(`W5 b${n} conv 1-16`, [n, 1, 28, 28], [16, 1, 3, 3], same()),
    ...convs(`W5 b${n} conv 16-32`, [n, 16, 14, 14], [32, 16, 3, 3], same()),
    ...linears(`W5 b${n} linear 1568-128`, n, 1568, 128),
    ...linears(`W5 b${n} linear 128-10`, n, 128, 10),
  ]),
  ...convs('W4 64-64', [8, 64, 28, 28], [64, 64, 3, 3], same()),
  ...convs('W4 3-32', [32, 3, 32, 32], [32, 3, 3, 3], same()),
  ...convs('X depthwise 64', [8, 64, 28, 28], [64, 1, 3, 3], same(64)),
  ...convs('X depthwise stride 2', [8, 64, 28, 28], [64, 1, 3, 3], same(64, 2)),
  ...convs('X depthwise 5x5', [8, 64, 14, 14], [64, 1, 5, 5], same(64)),
  ...convs('X depthwise 7', [8, 64, 7, 7], [64, 1, 3, 3], same(64)),
  ...convs('X depthwise 4', [32, 128, 4, 4], [128, 1, 3, 3], same(128)),
  ...convs('X depthwise 2', [32, 128, 2, 2], [128, 1, 3, 3], same(128)),
  ...convs('X depthwise 1', [32, 128, 1, 1], [128, 1, 3, 3], same(128)),
  ...convs('X depthwise 112', [1, 32, 112, 112], [32, 1, 3, 3], same(32)),
  ...convs('X stride 2 32-64', [8, 32, 28, 28], [64, 32, 3, 3], same(1, 2)),
]

const clock = (body: () => void, budget: number): { readonly best: number; readonly median: number } => {
  const taken: number[] = []
  const until = performance.now() + budget
  do {
    const began = performance.now()
    body()
    taken.push(performance.now() - began)
  } while (performance.now() < until || taken.length < 5)
  taken.sort((a, b) => a - b)
  return { best: taken[0], median: taken[taken.length >> 1] }
}

/** Best time of a stage, put together from pieces of about 0.2 ms, which a busy machine leaves undisturbed now and then. */
const pieced = (stage: RunnableStage): number => {
  const whole = clock(() => stage.run(0, stage.units), 40).best
  const pieces = Math.min(stage.units, Math.max(1, Math.round(whole / 0.2)))
  const cuts = Array.from({ length: pieces + 1 }, (_, i) => Math.floor((i * stage.units) / pieces))
  const sum = cuts
    .slice(1)
    .reduce((t, end, i) => t + clock(() => stage.run(cuts[i], end), Math.max(3, 150 / pieces)).best, 0)
  return Math.min(whole, sum)
}

const measure = (call: Call): string => {
  const shape = shapeOf(call.op, call.attrs, call.shapes)
  const kernel = productKernel({ op: call.op, attrs: call.attrs, shapes: call.shapes, shape }, call.licence ?? null)
  if (kernel === null) return `${call.name}: none`
  const scales = call.licence === undefined ? [] : [1, call.licence.weightScales]
  const made = instantiate(kernel, [...call.shapes.map(sizeOf), ...scales], [sizeOf(shape)])
  made.args.forEach((a, i) =>
    a.set(
      a.map((_, j) =>
        i > 1 ? 0.01 : Math.round(((j * 7919 + 13 * i) % 251) - 125) * (call.licence === undefined ? 0.0137 : 0.01),
      ),
    ),
  )
  clock(() => made.run(), 300)
  const whole = clock(() => made.run(), 250)
  const times = made.stages.map(pieced)
  const parts = made.stages.map((stage, i) => `${stage.label} ${times[i].toFixed(3)} (${stage.units})`)
  const sum = times.reduce((a, b) => a + b, 0)
  const rate = kernel.flops / Math.min(sum, whole.best) / 1e6
  return [
    call.name.padEnd(28),
    sum.toFixed(4).padStart(9),
    whole.best.toFixed(4).padStart(9),
    whole.median.toFixed(4).padStart(9),
    rate.toFixed(1).padStart(7),
    `${(made.size / 1024).toFixed(1)}K ${made.assembly.toFixed(1)}ms`.padStart(13),
    ` ${kernel.name}: ${parts.join(', ')}${made.fellBack() ? ' FELL BACK' : ''}`,
  ].join(' ')
}

const pattern = new RegExp(process.argv[2] ?? '.')
console.log(
  `${process.version}  layer, ms as sum of stages, best ms, median ms, GFLOP/s, module, stages (best ms, units)`,
)
for (const call of calls) if (pattern.test(call.name)) console.log(measure(call))
