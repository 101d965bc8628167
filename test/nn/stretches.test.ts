/** narrow and chunk: what torch.narrow and torch.chunk take and give. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import type { Value } from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('stretches of an axis')

type Made = Value | readonly Value[]
const netOf = (f: (x: Value) => Made) => q.model({}, (_l, _p, _s, x: Value) => [f(x), {}] as never)
const given = (shape: q.Shape): q.Tensor =>
  q.tensorOf(
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i),
  )
const ran = (shape: q.Shape, f: (x: Value) => Made): readonly q.Tensor[] => {
  const program = q.orThrow(q.trace(netOf(f), q.tensorInput(shape), { mode: 'eval' }))
  const { outputs } = q.orThrow(q.run(program, { params: {}, state: {}, inputs: given(shape) } as never))
  return [outputs].flat() as unknown as readonly q.Tensor[]
}
const said = (shape: q.Shape, f: (x: Value) => Made): string => {
  const traced = q.trace(netOf(f), q.tensorInput(shape), { mode: 'eval' })
  return E.isLeft(traced) ? q.explainAll(traced.left) : 'accepted'
}

test('narrow takes a stretch, and counts a negative start from the end', () => {
  const [a] = ran([2, 4], (x) => q.narrow(x, 1, 1, 2))
  assert.equal(
    [a.shape, [...a.data]],
    [
      [2, 2],
      [1, 2, 5, 6],
    ],
  )
  const [last] = ran([3, 2], (x) => q.reshape(q.narrow(x, -2, -1, 1), [2]))
  assert.equal([...last.data], [4, 5])
  assert.equal(ran([3], (x) => q.narrow(x, 0, 3, 0))[0].shape, [0])
})

test('chunks have one size, but for the last, and there may be fewer, as in torch', () => {
  const sizes = (n: number, chunks: number): readonly number[] =>
    ran([n], (x) => q.chunk(x, chunks)).map((t) => t.data.length)
  assert.equal(sizes(7, 3), [3, 3, 1])
  assert.equal(sizes(4, 3), [2, 2])
  assert.equal(sizes(2, 5), [1, 1])
  assert.equal(sizes(6, 1), [6])
})

test('chunks joined again are the whole, and gradients go back to their places', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 0, max: 1 }),
      (n, chunks, dim) => {
        const shape = dim === 0 ? [n, 2] : [2, n]
        const join = (x: Value): Value => q.cat(q.chunk(x, chunks, dim), dim)
        assert.equal([...ran(shape, join)[0].data], [...given(shape).data])
        const program = q.orThrow(q.trace(netOf(join), q.tensorInput(shape), { mode: 'train' }))
        const back = q.orThrow(q.vjp(program, { inputs: true }))
        const inputs = { inputs: given(shape), cotangent: given(shape) }
        const { grads } = q.orThrow(q.run(back, { params: {}, state: {}, inputs } as never))
        assert.equal([...(grads.inputs as unknown as q.Tensor).data], [...given(shape).data])
      },
    ),
  )
})

test('what is no stretch, and no number of parts, is refused', () => {
  assert.match(
    said([4], (x) => q.narrow(x, 0, 3, 2)),
    /2 from 3 on is no stretch of axis 0 of \[4\]/,
  )
  assert.match(
    said([4], (x) => q.narrow(x, 0, -5, 2)),
    /no stretch/,
  )
  assert.match(
    said([4], (x) => q.narrow(x, 1, 0, 1)),
    /there is no axis 1 among 1/,
  )
  assert.match(
    said([4], (x) => q.narrow(x, 0, 0.5, 1)),
    /whole number/,
  )
  assert.match(
    said([4], (x) => q.chunk(x, 0)),
    /a whole number above 0/,
  )
  assert.match(
    said([4], (x) => q.chunk(x, 2, 3)),
    /there is no axis 3 among 1/,
  )
})

test.run()
