/** Pools and their gradients against the reference, to the bit. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Shape } from '../../src/data/shape.js'
import { isRefusal, type Attrs } from '../../src/graph/op.js'
import { poolKernel } from '../../src/evaluator/wasm/kernels/pools.js'
import { suite } from '../support/suite.js'
import { checkOp, kinds, seeds, type Kind } from './support/kernels.js'
import { ops } from '../../src/ops/index.js'

const test = suite('kernels of pools')

const axis = fc.record({
  size: fc.integer({ min: 1, max: 9 }),
  kernel: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 3 }),
  padding: fc.integer({ min: 0, max: 1 }),
  dilation: fc.integer({ min: 1, max: 2 }),
  out: fc.integer({ min: 1, max: 4 }),
})
const leads = fc.constantFrom([2], [1, 2], [2, 3], [40, 2])

/** A pool and its gradient, where the pool's windows fit. */
const both = (name: string, x: Shape, attrs: Attrs, needsX: boolean, kind: Kind, seed: number): void => {
  const y = ops[name].shape([x], attrs)
  if (isRefusal(y)) return
  checkOp(poolKernel, name, [x], attrs, kind, seed)
  if (needsX) checkOp(poolKernel, `${name}Grad`, [y, x], attrs, kind, seed)
  else checkOp(poolKernel, `${name}Grad`, [y], { ...attrs, inputShape: x }, kind, seed)
}

test('sliding windows of any kind', () => {
  fc.assert(
    fc.property(
      fc.array(axis, { minLength: 1, maxLength: 3 }),
      leads,
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom(null, 3),
      kinds,
      seeds,
      (axes, lead, ceilMode, countIncludePad, divisorOverride, kind, seed) => {
        const x = [...lead, ...axes.map((a) => a.size)]
        const common = {
          kernel: axes.map((a) => a.kernel),
          stride: axes.map((a) => a.stride),
          padding: axes.map((a) => a.padding),
          ceilMode,
        }
        both('maxPool', x, { ...common, dilation: axes.map((a) => a.dilation) }, true, kind, seed)
        both('avgPool', x, { ...common, countIncludePad, divisorOverride }, false, kind, seed)
      },
    ),
    { numRuns: 120 },
  )
})

test('adaptive windows', () => {
  fc.assert(
    fc.property(fc.array(axis, { minLength: 1, maxLength: 3 }), leads, kinds, seeds, (axes, lead, kind, seed) => {
      const x = [...lead, ...axes.map((a) => a.size)]
      const outputSize = axes.map((a) => a.out)
      both('adaptiveMaxPool', x, { outputSize }, true, kind, seed)
      both('adaptiveAvgPool', x, { outputSize }, false, kind, seed)
    }),
    { numRuns: 80 },
  )
})

test('two by two: the fast kernel, for even and odd sizes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 11 }),
      fc.integer({ min: 8, max: 90 }),
      fc.integer({ min: 1, max: 5 }),
      kinds,
      seeds,
      (h, w, c, kind, seed) => {
        const attrs = { kernel: [2, 2], stride: [2, 2], padding: [0, 0], dilation: [1, 1], ceilMode: false }
        const x = [2, c, h, w]
        const y = ops.maxPool.shape([x], attrs)
        if (isRefusal(y)) return assert.fail(y.refuse)
        assert.equal(poolKernel({ op: 'maxPool', attrs, shapes: [x], shape: y })?.name, 'maxPool 2x2')
        both('maxPool', x, attrs, true, kind, seed)
      },
    ),
    { numRuns: 120 },
  )
})

test.run()
