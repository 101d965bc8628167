/** A debug run names the first node that makes a NaN, be its operands finite or infinite, wherever in the program it is. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('debugNonFinite')
const get = <A>(e: E.Either<q.QuantErrors, A>): A => q.orThrow(e)

const traced = (f: (x: q.Value) => q.Value, shape: q.Shape) =>
  get(q.trace(q.functionLayer<q.Value>('f', f), q.tensorInput(shape), { mode: 'train' }))
const none = { params: {}, state: {} }

/** The error of a debug run, or null. */
const found = (ran: E.Either<q.QuantErrors, unknown>): string | null =>
  E.isLeft(ran) ? `${ran.left[0].tag}: ${ran.left[0].message}` : null
const debug = { debugNonFinite: true }

const pairs = {
  'Inf / Inf': (x: q.Value) => q.div(x, x),
  'Inf - Inf': (x: q.Value) => q.sub(x, x),
  '0 * Inf': (x: q.Value) => q.mul(x, x.kit.constant(0)),
  'Inf - Inf in a mean': (x: q.Value) => q.mean(q.cat([x, q.neg(x)], 0)),
  'Inf - Inf in a matrix product': (x: q.Value) =>
    x.kit.emit('linear', [q.reshape(q.cat([x, q.neg(x)], 0), [1, 6]), x.kit.constant(1, [1, 6])]),
  'a softmax of an infinity': (x: q.Value) => q.softmax(x, 0),
}

for (const [name, f] of Object.entries(pairs))
  test(`a NaN made from infinities: ${name}`, () => {
    const program = traced(f, [3])
    const inputs = q.tensorOf([3], [1, Infinity, 2])
    for (const backend of [q.reference, q.wasm]) {
      const said = found(get(q.compile(program, backend)).run({ ...none, inputs } as never, debug))
      assert.match(said ?? 'nothing', /NonFinite: .* makes a NaN from operands that have none, but are infinite/)
    }
    assert.is(found(q.run(program, { ...none, inputs: q.tensorOf([3], [1, 3, 2]) } as never, debug)), null)
  })

test('the element is named', () => {
  const program = traced((x) => q.div(x, x), [3])
  assert.match(
    found(q.run(program, { ...none, inputs: q.tensorOf([3], [1, Infinity, 2]) } as never, debug)) ?? '',
    /element 1 of 3 is NaN/,
  )
})

test('infinities that stay infinities pass, and a constant may be one', () => {
  const program = traced((x) => q.softmax(q.add(x, x.kit.constant(-Infinity, [3])), 0), [3])
  const masked = traced((x) => q.softmax(q.add(x, 1), 0), [3])
  const inputs = q.tensorOf([3], [1, -Infinity, 2])
  assert.is(found(q.run(masked, { ...none, inputs } as never, debug)), null)
  assert.match(found(q.run(program, { ...none, inputs } as never, debug)) ?? '', /softmax/)
  const cut = traced((x) => q.clamp(q.neg(x), -1, 1), [3])
  assert.is(found(q.run(cut, { ...none, inputs } as never, debug)), null)
})

test('a NaN inside a phase, where the scale of a batch is infinite', () => {
  for (const layer of [q.QuantIdentity({ returnQuantTensor: true }), q.QuantReLU({ returnQuantTensor: true })]) {
    const program = get(q.trace(layer, q.tensorInput([3]), { mode: 'train' }))
    const { state } = get(q.init(layer, 0))
    const inputs = q.tensorOf([3], [1, Infinity, 2])
    assert.match(found(q.run(program, { params: {}, state, inputs }, debug)) ?? 'nothing', /NonFinite: .*NaN/)
    assert.is(found(q.run(program, { params: {}, state, inputs: q.tensorOf([3], [1, 5, 2]) }, debug)), null)
  }
})

test('a node of a branch of a phase is found in the branch', () => {
  const layer = q.functionLayer<q.Value>(
    'f',
    (x, kit) =>
      kit.phase({
        counter: kit.constant(0),
        limit: 1,
        warnSteps: null,
        args: [x],
        collect: ([a]) => [q.sub(a, a)],
        learned: ([a]) => [a],
      })[0],
  )
  const program = get(q.trace(layer, q.tensorInput([2]), { mode: 'train' }))
  assert.match(
    found(q.run(program, { ...none, inputs: q.tensorOf([2], [Infinity, 1]) } as never, debug)) ?? 'nothing',
    /= sub is the first node that makes a NaN/,
  )
})

test('a NaN that the backward program makes', () => {
  // The forward is finite or infinite, never NaN; its gradient is 0 * Inf.
  const program = get(
    q.vjp(
      traced((x) => q.mul(x, x), [2]),
      { inputs: true },
    ),
  )
  const args = (x: number) => ({ inputs: q.tensorOf([2], [x, 1]), cotangent: q.tensorOf([2], [0, 1]) })
  assert.match(
    found(q.run(program, { ...none, inputs: args(Infinity) } as never, debug)) ?? 'nothing',
    /NonFinite: .* makes a NaN from operands that have none/,
  )
  assert.is(found(q.run(program, { ...none, inputs: args(3) } as never, debug)), null)
})

test.run()
