/** Comparisons and choices on values: what they compute, their gradients, plain numbers as operands. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('nn: comparisons')

const numbers = fc.constantFrom(-2.5, -1, -0, 0, 0.5, 1, 3, NaN, Infinity, -Infinity)

const computed = (f: (x: { readonly a: q.Value; readonly b: q.Value }) => q.Value, a: number, b: number): number => {
  const layer = q.model({}, (_l, _p, _s, x: { readonly a: q.Value; readonly b: q.Value }) => [f(x), {}])
  const program = q.orThrow(q.trace(layer, { a: q.tensorInput([1]), b: q.tensorInput([1]) }, { mode: 'eval' }))
  const inputs = { a: q.tensorOf([1], [a]), b: q.tensorOf([1], [b]) }
  const { outputs } = q.orThrow(q.run(program, { params: {}, state: {}, inputs }))
  return q.valueOf(outputs).data[0]
}

const means: { readonly [name: string]: readonly [typeof q.less, (a: number, b: number) => number] } = {
  less: [q.less, (a, b) => Number(a < b)],
  lessEqual: [q.lessEqual, (a, b) => Number(a <= b)],
  equal: [q.equal, (a, b) => Number(a === b)],
  maximum: [q.maximum, (a, b) => Math.max(a, b)],
  minimum: [q.minimum, (a, b) => Math.min(a, b)],
}

for (const [name, [f, meant]] of Object.entries(means))
  test(`${name} of two values, and of a value and a number`, () =>
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const right = meant(a, b)
        assert.ok(
          Object.is(
            computed((x) => f(x.a, x.b), a, b),
            right,
          ),
        )
        assert.ok(
          Object.is(
            computed((x) => f(x.a, b), a, b),
            right,
          ),
        )
        assert.ok(
          Object.is(
            computed((x) => f(a, x.b), a, b),
            right,
          ),
        )
      }),
      { numRuns: 30 },
    ))

test('select chooses, and the gradient goes where the value came from', () => {
  const clip = q.functionLayer('clip', (x) => q.select(q.less(x, 0), q.mul(x, 0.1), q.minimum(q.floor(x), 2)))
  const net = q.chain({ clip, sum: q.functionLayer('sum', (x) => q.sum(x)) })
  const traced = q.orThrow(q.trace(net, q.tensorInput([4]), { mode: 'eval' }))
  const program = q.orThrow(q.grad(traced, { inputs: true }))
  const ran = q.orThrow(q.run(program, { ...q.orThrow(q.init(net, 0)), inputs: q.tensorOf([4], [-2, -0.5, 1.7, 9]) }))
  assert.ok(Math.abs(q.valueOf(ran.outputs).data[0] - (-0.2 - 0.05 + 1 + 2)) < 1e-6)
  assert.equal(
    Array.from((ran.grads?.inputs as q.Tensor | undefined)?.data ?? [], (g) => Math.round(g * 10)),
    [1, 1, 0, 0],
  )
})

test('signs and roundings, and what is no value is said', () => {
  const of = (f: (x: q.Value) => q.Value, x: number): number => computed(({ a }) => f(a), x, 0)
  assert.equal([of(q.floor, -1.5), of(q.ceil, -1.5), of(q.sign, -1.5), of(q.sign, 0)], [-2, -1, -1, 0])
  const wrong = q.trace(
    q.functionLayer('f', (x) => q.less(x, q.tensorOf([1], [1]) as never)),
    q.tensorInput([1]),
    { mode: 'eval' },
  )
  assert.ok(E.isLeft(wrong) && /less takes a traced value or a number/.test(wrong.left[0].message))
})

test.run()
