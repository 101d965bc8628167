/** What ops say of themselves beyond their rules is true of their numbers: signs, and channels that can be scaled. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import type { Example, Op } from '../../src/graph/op.js'
import { isQuantTensor, orThrow, run, type Output, type Tensor } from '../../src/index.js'
import { primitiveOps } from '../../src/ops/index.js'
import { operandsArb, programOf } from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('laws: traits')
const RUNS = 20

const plain = (x: Output): Tensor => (isQuantTensor(x) ? x.value : x)
const outcome = (op: Op, e: Example, args: readonly Tensor[]): Float32Array =>
  plain(orThrow(run(programOf(op, e, false), { params: {}, state: {}, inputs: args })).outputs as Output).data

const values = (op: Op, i: number, e: Example): boolean => i < (op.flow ?? e.args.length) && e.args[i].fixed !== true

test('a sign that is promised holds, and one that is kept is kept', () => {
  let promised = 0
  for (const op of primitiveOps)
    for (const e of op.examples) {
      const says = op.layout === undefined ? (op.sign?.(e.attrs) ?? null) : 'kept'
      if (says === null) continue
      promised++
      fc.assert(
        fc.property(operandsArb(e), (xs) => {
          const args = xs.map((x, i) => {
            const t = plain(x)
            return says === 'kept' && values(op, i, e) ? { ...t, data: t.data.map(Math.abs) } : t
          })
          const y = outcome(op, e, args)
          if (y.some((n) => n < 0)) throw new Error(`${op.name} gave a negative number`)
        }),
        { numRuns: RUNS },
      )
    }
  assert.ok(promised > 20)
})

const channels = (t: Tensor): number => t.shape[1] ?? 0

/** A tensor with each channel of axis 1 multiplied. Powers of two: no rounding but that of sums. */
const scaled = (t: Tensor, factor: readonly number[]): Tensor => {
  const inner = t.shape.slice(2).reduce((a, b) => a * b, 1)
  return { ...t, data: t.data.map((x, i) => x * factor[Math.floor(i / inner) % factor.length]) }
}

test('channels of homogeneous ops can be scaled before as well as behind', () => {
  let tried = 0
  for (const op of primitiveOps) {
    if (op.homogeneous !== true) continue
    for (const e of op.examples) {
      const whole = e.args.every(
        (a, i) => !values(op, i, e) || (a.shape.length > 1 && a.shape[1] === e.args[0].shape[1]),
      )
      if (!whole) continue
      const factors = fc.array(fc.constantFrom(0.25, 0.5, 1, 2, 8), { minLength: 8, maxLength: 8 })
      fc.assert(
        fc.property(operandsArb(e), factors, (xs, all) => {
          const args = xs.map(plain)
          const factor = all.slice(0, Math.max(1, channels(args[0])))
          const before = outcome(
            op,
            e,
            args.map((t, i) => (values(op, i, e) ? scaled(t, factor) : t)),
          )
          const program = programOf(op, e, false)
          const { shape } = program.graph.nodes[program.outputs[0].node]
          const behind = scaled({ shape, data: outcome(op, e, args) }, factor).data
          before.forEach((y, i) => assert.ok(Math.abs(y - behind[i]) <= 1e-5 * (1 + Math.abs(y)), op.name))
        }),
        { numRuns: RUNS },
      )
      tried++
    }
  }
  assert.ok(tried > 8)
})

test.run()
