/** Laws over the integer primitives: what they say of themselves, exact arithmetic, and honesty in float32. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { isRefusal } from '../../src/graph/op.js'
import { integerPrimitives, integerOps } from '../../src/integer/index.js'
import { sizeOf } from '../../src/data/shape.js'
import { primitiveOps } from '../../src/ops/index.js'
import { operandsArb } from '../../src/testing/index.js'
import { valueOf } from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('integer: records')

test('every integer op says what it is, can be sampled, and has a name of its own', () => {
  const names = [...primitiveOps, ...integerPrimitives].map((op) => op.name)
  assert.is(new Set(names).size, names.length)
  for (const op of integerPrimitives) {
    assert.ok(op.doc.length > 20, op.name)
    assert.ok(op.examples.length > 0, op.name)
    assert.is(integerOps[op.name], op)
    assert.ok('none' in op.vjp && op.vjp.none.includes('integer'), op.name)
    for (const e of op.examples)
      assert.not.ok(
        isRefusal(
          op.shape(
            e.args.map((a) => a.shape),
            e.attrs,
          ),
        ),
        op.name,
      )
  }
})

test('in float32 an integer op computes the same, as long as float32 holds it', () => {
  for (const op of integerPrimitives)
    for (const e of op.examples) {
      const shape = op.shape(
        e.args.map((a) => a.shape),
        e.attrs,
      )
      if (isRefusal(shape)) throw new Error(shape.refuse)
      fc.assert(
        fc.property(operandsArb(e), (given) => {
          const args = given.map((g) => {
            const t = valueOf(g)
            return { shape: t.shape, data: t.data.map((v) => Math.round(v * 4)) }
          })
          const float = { shape, data: new Float32Array(sizeOf(shape)) }
          const whole = { shape, data: new Int32Array(sizeOf(shape)) }
          assert.is(op.evaluate(args, e.attrs, float), null)
          op.integers(
            args.map((a) => ({ shape: a.shape, data: Int32Array.from(a.data) })),
            e.attrs,
            whole,
          )
          assert.equal(
            [...float.data].map((v) => v + 0),
            [...whole.data],
          )
        }),
        { numRuns: 10 },
      )
    }
})

test('beyond 2^24 it refuses instead of rounding', () => {
  const bias = integerOps['integerBias']
  const out = { shape: [1], data: new Float32Array(1) }
  const attrs = { lo: 0, hi: 2 ** 30 }
  const t = (v: number) => ({ shape: [1], data: Float32Array.of(v) })
  assert.match(bias.evaluate([t(2 ** 25), t(1)], attrs, out) ?? '', /33554432.*2\^24.*runInteger/)
  assert.match(bias.evaluate([t(2 ** 23), t(2 ** 23)], attrs, out) ?? '', /2\^24/)
  assert.match(bias.evaluate([t(0.5), t(1)], attrs, out) ?? '', /0\.5/)
  assert.is(bias.evaluate([t(2 ** 23), t(5)], attrs, out), null)
})

test('element-wise ops keep to their element: another element of an operand changes nothing here', () => {
  for (const op of [...primitiveOps, ...integerPrimitives].filter((o) => o.elementwise === true))
    for (const e of op.examples) {
      const shape = op.shape(
        e.args.map((a) => a.shape),
        e.attrs,
      )
      if (isRefusal(shape) || shape.length === 0 || sizeOf(shape) < 2) continue
      fc.assert(
        fc.property(operandsArb(e), operandsArb(e), (given, others) => {
          const [xs, ys] = [given, others].map((l) => l.map((g) => valueOf(g)))
          const integers = integerPrimitives.some((o) => o === op)
          const [a, b] = [xs, ys].map((l) =>
            l.map((t) => ({ shape: t.shape, data: integers ? t.data.map((v) => Math.round(v * 4)) : t.data })),
          )
          // Only the last element of full operands is another one: the first of the result must stay.
          const mixed = a.map((t, i) => {
            if (t.data.length < sizeOf(shape)) return t
            const data = t.data.slice()
            data[data.length - 1] = b[i].data[data.length - 1]
            return { shape: t.shape, data }
          })
          const [p, q] = [a, mixed].map((args) => {
            const out = { shape, data: new Float32Array(sizeOf(shape)) }
            return op.evaluate(args, e.attrs, out) === null ? out.data[0] : null
          })
          assert.ok(Object.is(p, q), op.name)
        }),
        { numRuns: 5 },
      )
    }
})

test.run()
