/** Times of single kernels on one thread, in this process: `npx tsx test/bench/kernels-other.ts [name]`. Not part of `npm run bench`. */
import type { Shape } from '../../src/data/shape.js'
import { sizeOf } from '../../src/data/shape.js'
import type { Kernel, KernelSpec } from '../../src/evaluator/wasm/kernel.js'
import { byteAverageKernel } from '../../src/evaluator/wasm/kernels/byteAverages.js'
import { extremeKernel } from '../../src/evaluator/wasm/kernels/extreme.js'
import { poolKernel } from '../../src/evaluator/wasm/kernels/pools.js'
import { softmaxKernel } from '../../src/evaluator/wasm/kernels/softmax.js'
import { sumKernel } from '../../src/evaluator/wasm/kernels/sums.js'
import { moveKernel } from '../../src/evaluator/wasm/kernels/moves.js'
import { scatterToFirstKernel } from '../../src/evaluator/wasm/kernels/scatter.js'
import { kthKernel } from '../../src/evaluator/wasm/kernels/selection.js'
import { isRefusal, type Attrs } from '../../src/graph/op.js'
import { ops } from '../../src/ops/index.js'
import { loadKernel, numbers } from '../evaluator/support/kernels.js'

type Numbers = Parameters<typeof numbers>[2]
type Case = {
  readonly name: string
  readonly kernel: () => Kernel | null
  readonly args: readonly Shape[]
  readonly outs: readonly number[]
  readonly numbers?: Numbers
}

const percentile = (q: number, n: number): number => Math.floor((q / 100) * n + 0.5)

const kth = (shape: Shape, q: number, abs: boolean, kind: Numbers = 'plain', outs = 2): Case => {
  const n = shape[shape.length - 1]
  const k = Math.max(1, percentile(q, n))
  const out = shape.slice(0, -1)
  return {
    name: `kthValue ${abs ? '|x| ' : ''}${shape.join('x')} ${q}% ${kind} ${outs}`,
    args: [shape],
    outs: Array.from({ length: outs }, () => sizeOf(out)),
    numbers: kind,
    kernel: () => kthKernel({ op: 'kthValue', attrs: { k }, shapes: [shape], shape: out }, { abs }),
  }
}

const most = (op: string, shape: Shape, abs: boolean): Case => {
  const out = op === 'maxAll' ? [] : shape.slice(0, -1)
  return {
    name: `${op} ${abs ? '|x| ' : ''}${shape.join('x')}`,
    args: [shape],
    outs: [sizeOf(out)],
    kernel: () => extremeKernel({ op, attrs: {}, shapes: [shape], shape: out }, { abs }),
  }
}

/** A kernel of an op of the registry. */
const ofOp = (
  make: (spec: KernelSpec) => Kernel | null,
  op: string,
  shapes: readonly Shape[],
  attrs: Attrs,
  kind: Numbers = 'plain',
): Case => {
  const shape = ops[op].shape(shapes, attrs)
  if (isRefusal(shape)) throw new Error(shape.refuse)
  return {
    name: `${op} ${shapes.map((s) => s.join('x')).join(' ')}`,
    args: shapes,
    outs: [sizeOf(shape)],
    numbers: kind,
    kernel: () => make({ op, attrs, shapes, shape }),
  }
}

const half = { kernel: [2, 2], stride: [2, 2], padding: [0, 0], dilation: [1, 1], ceilMode: false }
const three = { ...half, kernel: [3, 3], padding: [1, 1] }
const average = {
  kernel: [2, 2],
  stride: [2, 2],
  padding: [0, 0],
  ceilMode: false,
  countIncludePad: true,
  divisorOverride: null,
}

const N = 1605632
const cases: readonly Case[] = [
  kth([N], 99.999, true),
  kth([N], 99.999, true, 'plain', 1),
  kth([N], 99.999, false),
  kth([N], 99.999, true, 'relu'),
  kth([N], 99.999, true, 'ties'),
  kth([N], 0.001, false),
  kth([N], 0.001, false, 'relu'),
  kth([N], 99.9, true),
  kth([N], 99, true),
  kth([N], 50, false),
  kth([N], 50, false, 'wild'),
  kth([N], 99.999, true, 'wild'),
  kth([N], 99.999, true, 'zeros'),
  kth([N], 0.001, true, 'zeros'),
  kth([64, 25088], 99.999, true),
  kth([64, 25088], 99.9, false),
  kth([12845056], 99.999, true),
  kth([50], 99.999, true),
  kth([1000], 99.9, true),
  most('maxAll', [N], true),
  most('maxAll', [N], false),
  most('maxAll', [8 * N], false),
  most('maxLast', [64, 25088], true),
  most('maxLast', [16000, 100], false),
  ofOp(poolKernel, 'maxPool', [[128, 16, 28, 28]], half, 'relu'),
  ofOp(
    poolKernel,
    'maxPoolGrad',
    [
      [128, 16, 14, 14],
      [128, 16, 28, 28],
    ],
    half,
    'relu',
  ),
  ofOp(poolKernel, 'maxPool', [[128, 32, 14, 14]], half, 'relu'),
  ofOp(
    poolKernel,
    'maxPoolGrad',
    [
      [128, 32, 7, 7],
      [128, 32, 14, 14],
    ],
    half,
    'relu',
  ),
  ofOp(poolKernel, 'maxPool', [[32, 16, 28, 28]], three),
  ofOp(
    poolKernel,
    'maxPoolGrad',
    [
      [32, 16, 14, 14],
      [32, 16, 28, 28],
    ],
    three,
  ),
  ofOp(poolKernel, 'avgPool', [[32, 16, 28, 28]], average),
  {
    ...ofOp((spec) => byteAverageKernel(spec, false), 'avgPool', [[32, 16, 28, 28]], average),
    name: 'avgPool bytes 32x16x28x28',
    args: [[32, 16, 28, 28], [1]],
  },
  ofOp(poolKernel, 'avgPoolGrad', [[32, 16, 14, 14]], { ...average, inputShape: [32, 16, 28, 28] }),
  ofOp(poolKernel, 'adaptiveAvgPool', [[32, 64, 8, 8]], { outputSize: [1, 1] }),
  ofOp(softmaxKernel, 'softmax', [[128, 10]], { dim: 1 }),
  ofOp(softmaxKernel, 'logSoftmax', [[128, 10]], { dim: 1 }),
  ofOp(sumKernel, 'sum', [[N]], { dims: [0], keepdim: false }),
  ofOp(sumKernel, 'mean', [[32, 64, 28, 28]], { dims: [0, 2, 3], keepdim: true }),
  ofOp(sumKernel, 'sumTo', [[128, 128]], { shape: [128] }),
  ofOp(sumKernel, 'sumTo', [[128, 10]], { shape: [10] }),
  ofOp(sumKernel, 'sumTo', [[1000, 1600]], { shape: [1600] }),
  ofOp(sumKernel, 'sumTo', [[100000, 10]], { shape: [10] }),
  ofOp(sumKernel, 'sumTo', [[128, 16, 28, 28]], { shape: [16, 1, 1] }),
  ofOp(sumKernel, 'sum', [[16000, 100]], { dims: [1], keepdim: false }),
  ofOp(moveKernel, 'reshape', [[N]], { shape: [1, N] }),
  ofOp(moveKernel, 'permute', [[1568, 128]], { dims: [1, 0] }),
  ofOp(moveKernel, 'permute', [[32, 64, 28, 28]], { dims: [0, 2, 3, 1] }),
  ofOp(moveKernel, 'permute', [[8, 64, 56, 56]], { dims: [1, 0, 2, 3] }),
  ofOp(moveKernel, 'broadcastTo', [[64, 1, 1]], { shape: [32, 64, 28, 28] }),
  ofOp(
    moveKernel,
    'concat',
    [
      [8, 64, 28, 28],
      [8, 64, 28, 28],
    ],
    { dim: 1 },
  ),
  ofOp(moveKernel, 'pad', [[32, 64, 28, 28]], {
    pad: [
      [0, 0],
      [0, 0],
      [1, 1],
      [1, 1],
    ],
    mode: 'constant',
    value: 0,
  }),
  ofOp(moveKernel, 'pixelShuffle', [[8, 64, 28, 28]], { factor: 2 }),
  ofOp(moveKernel, 'upsampleNearest', [[8, 64, 28, 28]], { size: [56, 56], scales: [2, 2] }),
  ofOp(moveKernel, 'upsampleNearestGrad', [[8, 64, 56, 56]], {
    size: [56, 56],
    scales: [2, 2],
    inputShape: [8, 64, 28, 28],
  }),
  ofOp(scatterToFirstKernel, 'scatterToFirst', [[], [N], []], {}),
]

const WARM_MS = 300

/** Best and median time of a run, in milliseconds; and the best of each stage. */
const time = ({ kernel: make, args, outs, numbers: kind = 'plain' }: Case): string => {
  const kernel = make()
  if (kernel === null) return 'no kernel'
  const loaded = loadKernel(
    kernel,
    args.map((s, i) => numbers(sizeOf(s), i + 1, kind)),
    outs,
  )
  const stages = loaded.stages
  const once = (): readonly number[] =>
    kernel.stages.map(({ units }, i) => {
      const start = performance.now()
      stages[i].run(0, units)
      return performance.now() - start
    })
  for (const end = performance.now() + WARM_MS; performance.now() < end;) once()
  const samples: (readonly number[])[] = []
  for (const end = performance.now() + 400; performance.now() < end || samples.length < 7;) samples.push(once())
  const totals = samples.map((s) => s.reduce((a, b) => a + b, 0)).sort((a, b) => a - b)
  const parts = kernel.stages.map(
    ({ label }, i) => `${label} ${samples.reduce((least, s) => Math.min(least, s[i]), Infinity).toFixed(4)}`,
  )
  return `best ${totals[0].toFixed(4)} median ${totals[totals.length >> 1].toFixed(4)} ms  ${(kernel.bytes / totals[0] / 1e6).toFixed(1)} GB/s  (${parts.join(', ')}; scratch ${(kernel.scratch / 1024).toFixed(0)} KiB)`
}

const wanted = process.argv[2] ?? ''
for (const c of cases) if (c.name.includes(wanted)) process.stdout.write(`${c.name.padEnd(48)} ${time(c)}\n`)
