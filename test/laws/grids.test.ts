/** Metadata of minifloats, groups and learned widths: sound for every op, and kept where it can be. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import type { Op } from '../../src/graph/op.js'
import { primitiveOps } from '../../src/ops/index.js'
import { carriedOn, carrySoundOn, GRIDS, operandsArb } from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('laws: grids')

/** Ops of which some operand can't be just any number. */
const picky = (op: Op): boolean => op.guards === true || op.finds !== undefined || /Grad|Index|At$/.test(op.name)

test('what carries minifloats or groups lies on its grid', () => {
  for (const op of primitiveOps.filter((o) => !picky(o)))
    for (const e of op.examples.filter(
      (x) => x.args.length > 0 && x.args[0].shape.length > 0 && x.args[0].fixed !== true,
    ))
      for (const grid of GRIDS) {
        if (carriedOn(op, e, grid).tag !== 'carries') continue
        fc.assert(
          fc.property(operandsArb(e), (xs) => {
            const wrong = carrySoundOn(op, e, xs, grid)
            if (wrong !== null) throw new Error(wrong)
          }),
          { numRuns: 8 },
        )
      }
})

const tagOf = (name: keyof typeof q.ops, attrs: q.Attrs, shape: q.Shape, grid: (typeof GRIDS)[number]): string =>
  carriedOn(q.ops[name], { args: [{ shape }], attrs }, grid).tag

test('it is kept where elements stay what they are, and lost with a reason elsewhere', () => {
  const pool = { kernel: [2, 2], stride: [2, 2], padding: [0, 0], dilation: [1, 1], ceilMode: false }
  const image = [1, 2, 4, 4]
  for (const name of ['relu', 'identity', 'detach', 'floatNeg', 'floatAbs'] as const)
    assert.is(tagOf(name, {}, image, 'minifloats'), 'carries', name)
  assert.is(tagOf('maxPool', pool, image, 'minifloats per channel'), 'carries')
  assert.is(tagOf('maxPool', pool, image, 'groups'), 'stripped')
  assert.is(tagOf('permute', { dims: [1, 0] }, [4, 6], 'groups of minifloats'), 'carries')
  assert.is(tagOf('reshape', { shape: [2, 2, 6] }, [4, 6], 'groups'), 'carries')
  assert.is(tagOf('reshape', { shape: [24] }, [4, 6], 'groups'), 'carries')
  assert.is(tagOf('reshape', { shape: [6, 4] }, [4, 6], 'groups'), 'carries')
  assert.is(tagOf('reshape', { shape: [8, 3] }, [4, 6], 'groups'), 'stripped')
  assert.is(tagOf('reshape', { shape: [20] }, [4, 5], 'groups'), 'stripped')
  assert.is(tagOf('relu6', {}, image, 'minifloats'), 'claimed')
  assert.is(tagOf('sigmoid', {}, image, 'minifloats'), 'stripped')
})

test('a transposition moves the axis of groups, a flatten that tears them says so', () => {
  const moved = carriedOn(q.ops.permute, { args: [{ shape: [4, 6] }], attrs: { dims: [1, 0] } }, 'groups')
  assert.ok(moved.tag === 'carries')
  assert.equal(moved.quant.group, { size: 2, dim: 0 })
  const torn = carriedOn(q.ops.reshape, { args: [{ shape: [4, 5] }], attrs: { shape: [20] } }, 'groups')
  assert.ok(torn.tag === 'stripped')
  assert.match(torn.why, /tears the groups of 2 along axis 1/)
})

test('a quant input with a zero point may be as many steps from 0 as its range is wide', () => {
  const input = q.quantInput([2], { bits: 4, signed: true, zeroPoint: 'integer' })
  const program = q.orThrow(
    q.trace(
      q.functionLayer('same', (x: q.Value) => x),
      input as never,
      { mode: 'eval' },
    ),
  )
  const { carried } = program.graph.nodes[program.outputs[0].node]
  assert.ok(carried.tag === 'carries' && 'slack' in carried.quant && carried.quant.slack === 15 * 2 ** -24)
})

test.run()
