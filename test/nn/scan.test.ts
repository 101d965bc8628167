/** Recurrent cells of one's own: `scan` on trees of values, the state of layers going round, and what is said when it is called wrongly. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import type { Value } from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('scan of values')

const cell = q.model(
  {
    input: q.QuantLinear({ inFeatures: 3, outFeatures: 4 }),
    hidden: q.QuantLinear({ inFeatures: 4, outFeatures: 4, bias: false }),
    act: q.QuantTanh({ returnQuantTensor: true, collectStatsSteps: 5 }),
  },
  (layers, params, state, x: Value) => {
    const [given, input] = layers.input(params.input, state.input, x)
    const start = { h: q.mul(q.mean(given, 0), 0), act: state.act, hidden: state.hidden }
    const step = (c: typeof start, p: Value) => {
      const [back, hidden] = layers.hidden(params.hidden, c.hidden, c.h)
      const [h, act] = layers.act(params.act, c.act, q.add(p, back))
      return [{ h, act, hidden }, h] as const
    }
    const [last, ys] = q.scan(step, start, given)
    return [
      { ys, h: last.h },
      { input, hidden: last.hidden, act: last.act },
    ]
  },
)

test('a quantizer inside collects once per step, and its state comes out', () => {
  const { params, state } = q.orThrow(q.init(cell, 0))
  const program = q.orThrow(q.trace(cell, q.tensorInput([4, 2, 3]), { mode: 'train' }))
  const x = q.randn([4, 2, 3])(q.manualSeed(1))[0]
  const out = q.orThrow(q.run(program, { params, state, inputs: x }))
  const counter = q.orThrow(E.right(out.state.act.actQuant.scale)) as unknown as { readonly counter: q.Tensor }
  assert.is(counter.counter.data[0], 4)
  assert.equal(q.valueOf(out.outputs.h).data, q.valueOf(out.outputs.ys).data.slice(3 * 8))
  assert.ok(q.isQuantTensor(out.outputs.ys))
})

test('state that does not come out of the loop is a forgotten state', () => {
  const forgets = q.model({ act: q.QuantReLU({ collectStatsSteps: 5 }) }, (layers, params, state, x: Value) => {
    const start = { act: state.act }
    const step = (c: typeof start, p: Value) => {
      const [y, act] = layers.act(params.act, c.act, p)
      return [{ act }, y] as const
    }
    const [, ys] = q.scan(step, start, x)
    return [ys, { act: state.act as never }]
  })
  const traced = q.trace(forgets, q.tensorInput([4, 2]), { mode: 'train' })
  assert.ok(E.isLeft(traced))
  if (E.isLeft(traced)) assert.is(traced.left[0].tag, 'StateError')
})

const traced = (f: (io: { readonly x: Value; readonly h: Value }) => unknown) =>
  q.trace(
    q.functionLayer('loop', (io: { readonly x: Value; readonly h: Value }) => f(io) as Value),
    { x: q.tensorInput([5, 2]), h: q.tensorInput([2]) },
    { mode: 'eval' },
  )
const wrongly = q.scan as (...args: readonly unknown[]) => readonly Value[]
const step = (h: Value, x: Value) => [q.add(h, x), h] as const

/** A wrong call, the tag of its error, and what it says. */
const WRONG: readonly (readonly [string, (io: { readonly x: Value; readonly h: Value }) => unknown, string, RegExp])[] =
  [
    ['no body', ({ x, h }) => wrongly(undefined, h, x), 'ConfigError', /scan needs body/],
    ['a body that is none', ({ x, h }) => wrongly(3, h, x), 'ConfigError', /scan was given body: 3/],
    ['a number as carry', ({ x }) => wrongly(step, 0, x), 'InputError', /the carry is 0, and no traced value/],
    [
      'a number deep in a carry',
      ({ x, h }) => wrongly(step, { a: h, b: [1] }, x),
      'InputError',
      /the carry at b\.0 is 1, and no traced value/,
    ],
    [
      'numbers as a sequence',
      ({ h }) => wrongly(step, h, q.zeros([5, 2])),
      'InputError',
      /the sequences is .*no traced/,
    ],
    ['nothing at all', () => wrongly(step, {}, {}, { length: 2 }), 'InputError', /neither a carry nor a sequence/],
    ['no sequence and no length', ({ h }) => wrongly(step, h, {}), 'InputError', /no sequence to count the steps by/],
    [
      'a number as a sequence',
      ({ x, h }) => wrongly(step, h, q.sum(x)),
      'InputError',
      /single number, which has no steps/,
    ],
    [
      'sequences of different lengths',
      ({ x, h }) => wrongly((c: Value, s: { a: Value }) => [c, s.a], h, { a: x, b: h }),
      'InputError',
      /differ in length: a \[5,2\], b \[2\]/,
    ],
    ['another length', ({ x, h }) => q.scan(step, h, x, { length: 4 }), 'InputError', /have 5 steps, but length is 4/],
    ['a misspelt option', ({ x, h }) => wrongly(step, h, x, { revers: true }), 'ConfigError', /no option "revers"/],
    ['a checkpoint of 0', ({ x, h }) => q.scan(step, h, x, { checkpoint: 0 }), 'ConfigError', /given checkpoint: 0/],
    ['no pair', ({ x, h }) => wrongly((c: Value) => c, h, x), 'InputError', /must return a pair/],
    [
      'a result that is no value',
      ({ x, h }) => wrongly((c: Value) => [c, 1], h, x),
      'InputError',
      /result of a step is 1/,
    ],
    [
      'another tree',
      ({ x, h }) => wrongly((c: { a: Value }) => [{ b: c.a }, c.a], { a: h }, x),
      'InputError',
      /the carry consists of a, but the body hands back b/,
    ],
    [
      'a carry of another shape',
      ({ x, h }) => q.scan(({ a }: { a: Value }, s: Value) => [{ a: q.cat([a, s], 0) }, a], { a: h }, x),
      'ShapeError',
      /carry a has shape \[2\], but the body hands it back as \[4\]/,
    ],
    [
      'a value that left the body by another door',
      ({ x, h }) => {
        let leak = h
        q.scan((c: Value, s: Value) => [(leak = q.add(c, s)), c], h, x)
        return q.tanh(leak)
      },
      'InputError',
      /value of another trace/,
    ],
  ]

for (const [name, call, tag, words] of WRONG)
  test(`refused: ${name}`, () => {
    const done = traced(call)
    assert.ok(E.isLeft(done))
    if (E.isRight(done)) return
    assert.is(done.left[0].tag, tag)
    assert.match(q.explainAll(done.left), words)
    assert.ok(done.left[0].fix.length > 0)
  })

test('outside of a trace it throws a failure that says so', () => {
  try {
    wrongly(step, 1, 2)
    assert.unreachable()
  } catch (e) {
    assert.ok(q.isFailure(e))
  }
})

test('a loop of 1,000 steps with checkpoints has the gradients of one without', () => {
  const start = { x: q.tensorInput([1000, 2]), h: q.tensorInput([2]) }
  const data = { x: q.randn([1000, 2])(q.manualSeed(2))[0], h: q.randn([2])(q.manualSeed(3))[0] }
  const [plain, kept] = [{}, { checkpoint: 32 }].map((o) => {
    const net = q.functionLayer('loop', (io: { readonly x: Value; readonly h: Value }) => {
      const [last] = q.scan((h: Value, x: Value) => [q.tanh(q.add(q.mul(h, 0.9), x)), {}], io.h, io.x, o)
      return { loss: q.sum(q.mul(last, last)) }
    })
    const program = q.orThrow(
      q.grad(q.orThrow(q.trace(net, start, { mode: 'train' })), { output: 'loss', inputs: true }),
    )
    const compiled = q.orThrow(q.compile(program))
    const out = q.orThrow(compiled.run({ params: {}, state: {}, inputs: data }))
    compiled.dispose()
    return out
  })
  assert.equal(kept, plain)
})

test.run()
