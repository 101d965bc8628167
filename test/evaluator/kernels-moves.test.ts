/** Kernels that move elements, pad, resize and scatter, against the reference, to the bit. */
import fc from 'fast-check'
import { sizeOf, type Shape } from '../../src/data/shape.js'
import { moveKernel } from '../../src/evaluator/wasm/kernels/moves.js'
import { scatterToFirstKernel } from '../../src/evaluator/wasm/kernels/scatter.js'
import { isRefusal, type Attrs } from '../../src/graph/op.js'
import { ops } from '../../src/ops/index.js'
import { suite } from '../support/suite.js'
import { checkArgs, checkOp, kinds, numbers, seeds, type Kind } from './support/kernels.js'

const test = suite('kernels of moves')

const shapes = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(1, 8, 17, 33)), {
  minLength: 1,
  maxLength: 4,
})

/** Runs the op where its shape rule takes it and something comes out, and its gradient, if it has one of this form. */
const check = (op: string, args: readonly Shape[], attrs: Attrs, kind: Kind, seed: number): void => {
  const shape = ops[op].shape(args, attrs)
  if (isRefusal(shape) || sizeOf(shape) === 0) return
  checkOp(moveKernel, op, args, attrs, kind, seed)
  if (`${op}Grad` in ops) checkOp(moveKernel, `${op}Grad`, [shape], { ...attrs, inputShape: args[0] }, kind, seed)
}

test('permutations, slices, broadcasting and reshaping', () => {
  fc.assert(
    fc.property(shapes, fc.nat(), fc.nat(), kinds, seeds, (shape, a, b, kind, seed) => {
      const dims = shape.map((_, d) => d).sort((p, q) => ((p * 7 + a) % 5) - ((q * 7 + a) % 5) || p - q)
      check('permute', [shape], { dims }, kind, seed)
      const dim = a % shape.length
      const start = b % shape[dim]
      check('slice', [shape], { dim, start, end: start + 1 + (a % (shape[dim] - start)) }, kind, seed)
      const small = shape.map((n, d) => ((b >> d) & 1 ? 1 : n)).slice(a % (shape.length + 1))
      check('broadcastTo', [small], { shape }, kind, seed)
      check('reshape', [shape], { shape: [sizeOf(shape)] }, kind, seed)
    }),
    { numRuns: 150 },
  )
})

test('concatenation', () => {
  fc.assert(
    fc.property(
      shapes,
      fc.nat(),
      fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 5 }),
      kinds,
      seeds,
      (shape, d, sizes, kind, seed) => {
        const dim = d % shape.length
        check(
          'concat',
          sizes.map((n) => shape.map((m, i) => (i === dim ? n : m))),
          { dim },
          kind,
          seed,
        )
      },
    ),
    { numRuns: 100 },
  )
})

test('large ones, cut in parts', () => {
  check('permute', [[300, 200]], { dims: [1, 0] }, 'plain', 1)
  check('permute', [[2, 3, 70, 90]], { dims: [0, 2, 3, 1] }, 'wild', 2)
  check('broadcastTo', [[1]], { shape: [30011] }, 'plain', 3)
  check('broadcastTo', [[1, 3, 1]], { shape: [2, 3, 20001] }, 'plain', 3)
  check('reshape', [[100003]], { shape: [100003, 1] }, 'plain', 3)
  check('concat', [[50001], [3], [20000]], { dim: 0 }, 'plain', 3)
  check(
    'pad',
    [[3, 200, 100]],
    {
      pad: [
        [0, 0],
        [1, 1],
        [1, 1],
      ],
      mode: 'constant',
      value: 0.1,
    },
    'plain',
    4,
  )
})

test('shuffles', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 3, maxLength: 4 }),
      fc.integer({ min: 1, max: 3 }),
      kinds,
      seeds,
      (shape, factor, kind, seed) => {
        const [c, h, w] = shape.slice(-3)
        check('pixelShuffle', [[...shape.slice(0, -3), c * factor * factor, h, w]], { factor }, kind, seed)
        check('pixelUnshuffle', [[...shape.slice(0, -3), c, h * factor, w * factor]], { factor }, kind, seed)
      },
    ),
    { numRuns: 80 },
  )
})

test('padding and its gradient', () => {
  const pads = fc.array(fc.tuple(fc.integer({ min: -2, max: 4 }), fc.integer({ min: -2, max: 4 })), {
    minLength: 4,
    maxLength: 4,
  })
  fc.assert(
    fc.property(
      shapes,
      pads,
      fc.constantFrom('constant', 'reflect', 'replicate', 'circular'),
      fc.constantFrom(0, -0, 1.5, 0.1),
      fc.nat(),
      kinds,
      seeds,
      (shape, all, mode, value, mask, kind, seed) => {
        const pad = shape.map((_, d) =>
          (mask >> d) & 1 ? [0, 0] : mode === 'constant' ? all[d] : all[d].map(Math.abs),
        )
        check('pad', [shape], { pad, mode, value }, kind, seed)
      },
    ),
    { numRuns: 200 },
  )
})

test('resizing and its gradient', () => {
  const axis = fc.record({
    n: fc.integer({ min: 1, max: 6 }),
    m: fc.integer({ min: 1, max: 9 }),
    scale: fc.constantFrom(null, null, 2, 0.5, 1.5),
  })
  fc.assert(
    fc.property(
      fc.array(axis, { minLength: 1, maxLength: 3 }),
      fc.constantFrom([2], [40], [2, 3]),
      fc.boolean(),
      kinds,
      seeds,
      (axes, lead, alignCorners, kind, seed) => {
        const x = [...lead, ...axes.map((a) => a.n)]
        const attrs = { size: axes.map((a) => a.m), scales: axes.map((a) => a.scale) }
        for (const op of ['upsampleNearest', 'upsampleNearestExact']) check(op, [x], attrs, kind, seed)
        check('upsampleLinear', [x], { ...attrs, alignCorners }, kind, seed)
      },
    ),
    { numRuns: 100 },
  )
})

test('the gradient of the k-th value', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom(20000)),
      fc.nat(),
      fc.boolean(),
      kinds,
      seeds,
      (rows, n, k, absent, kind, seed) => {
        const x = numbers(rows * n, seed, kind)
        // Also a value that is in no row.
        const chosen = Float32Array.from({ length: rows }, (_, r) => (absent && r === 0 ? 77.125 : x[r * n + (k % n)]))
        const spec = { op: 'scatterToFirst', attrs: {}, shapes: [[rows], [rows, n], [rows]], shape: [rows, n] }
        checkArgs(scatterToFirstKernel, spec, [numbers(rows, seed + 1, kind), x, chosen])
      },
    ),
    { numRuns: 60 },
  )
})

test.run()
