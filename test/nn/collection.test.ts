/** Collecting or learned stands in the state: whatever the options of the networks that it passes through, it means the same. */
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { errorsOf, get, same, says } from './support.js'

const test = suite('nn: collection')

type Part = { readonly counter: q.Tensor; readonly buffer: q.Tensor; readonly value: q.Tensor }
type Parts = { readonly scale: Part; readonly zeroPoint?: Part }
type Net = ReturnType<typeof q.QuantIdentity>
type State = q.StateOf<Net>

const channels = {
  scalingPerOutputChannel: true,
  scalingStatsPermuteDims: [1, 0],
  perChannelBroadcastableShape: [1, 3],
}
/** Every kind of quantizer that collects, and what its restriction makes of a running average. */
const KINDS: readonly (readonly [name: string, options: q.QuantIdentityOptions, log: boolean])[] = [
  ['float', {}, false],
  ['fixed point', { actQuant: q.Int8ActPerTensorFixedPoint }, true],
  ['logarithmic', { restrictScalingType: 'LOG_FP' }, true],
  ['unsigned', { actQuant: q.Uint8ActPerTensorFloat }, false],
  ['shifted', { actQuant: q.ShiftedUint8ActPerTensorFloat }, false],
  ['shifted fixed point', { actQuant: q.ShiftedUint8ActPerTensorFixedPoint }, true],
  ['per channel', channels, false],
  ['fixed point per channel', { actQuant: q.Int8ActPerTensorFixedPoint, ...channels }, true],
  ['shifted per channel', { actQuant: q.ShiftedUint8ActPerTensorFloat, ...channels }, false],
  ['searched', { actQuant: q.Int8ActPerTensorFloatMSE }, false],
  ['plain mean', { scalingStatsMomentum: null, zeroPointStatsMomentum: null }, false],
]

const shape = [4, 3] as const
const batch = (seed: number): q.Tensor => q.uniform(-3, 4, shape)(q.manualSeed(seed))[0]
const layerOf = (options: q.QuantIdentityOptions, collectStatsSteps: number): Net =>
  q.QuantIdentity({ ...options, collectStatsSteps, returnQuantTensor: true })
const traced = (options: q.QuantIdentityOptions, steps: number, mode: 'train' | 'eval') =>
  get(q.trace(layerOf(options, steps), q.tensorInput(shape), { mode }))
const fresh = (options: q.QuantIdentityOptions): State => get(q.init(layerOf(options, 30), 0)).state
const partsOf = (state: State): Parts => (state as unknown as { readonly actQuant: Parts }).actQuant

/** Calls of one network, one after the other, from seed `from` on. */
type Route = (options: q.QuantIdentityOptions, steps: number, state: State, from: number, calls: number) => State

const onReference: Route = (options, steps, state, from, calls) => {
  const program = traced(options, steps, 'train')
  for (let k = 0; k < calls; k++) state = get(q.run(program, { params: {}, state, inputs: batch(from + k) })).state
  return state
}
const compiled: Route = (options, steps, state, from, calls) => {
  const program = get(q.compile(traced(options, steps, 'train'), q.wasm))
  for (let k = 0; k < calls; k++) state = get(program.run({ params: {}, state, inputs: batch(from + k) })).state
  program.dispose()
  return state
}
const training: Route = (options, steps, state, from, calls) => {
  const net = layerOf(options, steps)
  const loss = q.withLoss(net, q.mseLoss)
  const inputs = { x: q.tensorInput(shape), target: q.tensorInput(shape) }
  const program = get(q.grad(get(q.trace(loss, inputs, { mode: 'train' })), { output: 'loss' }))
  // A rate of 0: what is compared is what collecting does.
  const optimizer = q.sgd({ lr: 1, mask: () => ({ frozen: true }) })
  const trainer = get(q.trainer(program, optimizer, q.startTraining({ params: {}, state }, optimizer), q.wasm))
  for (let k = 0; k < calls; k++) get(trainer.step({ x: batch(from + k), target: batch(0) }))
  trainer.dispose()
  return trainer.training().state
}
const ROUTES = { reference: onReference, compiled, training }

/** State by way of a checkpoint that a network of other steps reads. */
const throughCheckpoint = (options: q.QuantIdentityOptions, steps: number, state: State): State => {
  const optimizer = q.sgd({ lr: 1 })
  const like = q.startTraining(get(q.init(layerOf(options, steps), 0)), optimizer)
  return get(q.parseCheckpoint(like)(q.checkpointToBytes({ ...like, state }))).state
}

/** What Brevitas holds: how many calls were collected or that the value is learned, the running average, the value. */
type Held = { readonly calls: number; readonly buffer: readonly number[]; readonly value: readonly number[] }

/** One training call as Brevitas' code has it (ParameterFromRuntimeStatsScaling), the switch-over due as soon as `steps` calls were collected. */
const brevitas = (h: Held, steps: number, stat: readonly number[], momentum: number | null, take: Take): Held => {
  if (h.calls === Infinity) return h
  if (h.calls >= steps) return { ...h, calls: Infinity, value: h.value.map((v, i) => take(v, h.buffer[i])) }
  const n = h.calls
  const [keep, share] =
    momentum === null ? [Math.fround(n / (n + 1)), null] : [Math.fround(1 - momentum), Math.fround(momentum)]
  const next = (b: number, s: number): number =>
    n === 0
      ? s
      : Math.fround(Math.fround(b * keep) + (share === null ? Math.fround(s / (n + 1)) : Math.fround(share * s)))
  return { ...h, calls: n + 1, buffer: h.buffer.map((b, i) => next(b, stat[i])) }
}
type Take = (value: number, buffer: number) => number

const list = (t: q.Tensor): readonly number[] => [...t.data]
const held = (p: Part): Held => ({
  calls: p.counter.data[0] === q.LEARNED ? Infinity : p.counter.data[0],
  buffer: list(p.buffer),
  value: list(p.value),
})

const counts = fc.integer({ min: 1, max: 6 })
const cases = fc.record({
  kind: fc.constantFrom(...KINDS),
  route: fc.constantFrom(...(Object.keys(ROUTES) as (keyof typeof ROUTES)[])),
  n: counts,
  m: counts,
  k: fc.integer({ min: 0, max: 8 }),
  j: fc.integer({ min: 0, max: 4 }),
  stored: fc.boolean(),
})

test('k calls under N steps, then j under M, on every route: what Brevitas would hold', () => {
  fc.assert(
    fc.property(cases, ({ kind: [, options, log], route, n, m, k, j, stored }) => {
      const momentum = options.scalingStatsMomentum === null ? null : 0.1
      // The statistic of a batch is the running average after one call from a fresh state.
      const stats = Array.from({ length: k + j }, (_, i) => partsOf(onReference(options, 30, fresh(options), i, 1)))
      const logOf = (x: number): number => Math.fround(Math.log2(x))
      const takes = {
        scale: log ? (v: number, b: number) => Math.fround(v * logOf(b)) : (v: number, b: number) => v * b,
        zeroPoint: (v: number, b: number) => v + b,
      }
      let state = ROUTES[route](options, n, fresh(options), 0, k)
      if (stored) state = throughCheckpoint(options, m, state)
      state = ROUTES[route](options, m, state, k, j)
      for (const part of ['scale', 'zeroPoint'] as const) {
        const [first, found] = [partsOf(fresh(options))[part], partsOf(state)[part]]
        if (first === undefined || found === undefined) continue
        let expected = held(first)
        for (let i = 0; i < k + j; i++)
          expected = brevitas(
            expected,
            i < k ? n : m,
            list(stats[i][part]?.buffer ?? first.buffer),
            momentum,
            takes[part],
          )
        const now = held(found)
        assert.is(now.calls, expected.calls)
        assert.equal(now.buffer, expected.buffer)
        now.value.forEach((v, i) =>
          assert.ok(Math.abs(v - expected.value[i]) <= 2e-6, `${v} is not ${expected.value[i]}`),
        )
      }
    }),
    { numRuns: 80 },
  )
})

/** The threshold that an eval trace with these steps uses. */
const scaleIn = (options: q.QuantIdentityOptions, steps: number, state: State, backend: q.Backend) => {
  const program = get(q.compile(traced(options, steps, 'eval'), backend))
  const ran = get(program.run({ params: {}, state, inputs: batch(0) }))
  program.dispose()
  const out = ran.outputs as q.QuantTensor
  return { scale: list(out.scale), zeroPoint: list(out.zeroPoint), warnings: ran.warnings.length }
}

test('eval reads the same scale and zero point whatever collectStatsSteps it was traced with', () => {
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), counts, counts, fc.integer({ min: 0, max: 8 }), ([, options], n, m, k) => {
      const state = onReference(options, n, fresh(options), 0, k)
      for (const backend of [q.reference, q.wasm])
        assert.equal(scaleIn(options, m, state, backend), scaleIn(options, n, state, backend))
    }),
    { numRuns: 40 },
  )
})

test('the situations that were reported: learned stays 4, half collected becomes 4', () => {
  const x = q.tensorOf([4], [-1, 0.5, 2, 4])
  for (const actQuant of [q.Int8ActPerTensorFloat, q.Int8ActPerTensorFixedPoint]) {
    const layer = (collectStatsSteps: number) =>
      q.QuantIdentity({ actQuant, collectStatsSteps, returnQuantTensor: true })
    const program = (n: number, mode: 'train' | 'eval') => get(q.trace(layer(n), q.tensorInput([4]), { mode }))
    const trained = (n: number, state: State, k: number): State => {
      for (let i = 0; i < k; i++) state = get(q.run(program(n, 'train'), { params: {}, state, inputs: x })).state
      return state
    }
    const threshold = (n: number, state: State): number =>
      128 * (get(q.run(program(n, 'eval'), { params: {}, state, inputs: x })).outputs as q.QuantTensor).scale.data[0]
    const first = get(q.init(layer(3), 0)).state
    const learned = trained(3, first, 5)
    same([threshold(10, learned), threshold(10, trained(10, learned, 20))], [4, 4])
    const half = trained(10, first, 6)
    same([threshold(3, half), threshold(3, trained(3, half, 1)), threshold(3, trained(3, half, 20))], [4, 4, 4])
  }
})

test('a truncation collects its shift in the same way', () => {
  const layer = (collectStatsSteps: number) =>
    q.chain({
      i: q.QuantIdentity({ scalingImplType: 'CONST', minVal: -4, maxVal: 4, returnQuantTensor: true }),
      p: q.TruncAvgPool2d({ kernelSize: 2, truncQuant: q.ShiftRoundSaturateTo8bit, collectStatsSteps }),
    })
  const inputs = q.uniform(-4, 4, [1, 1, 4, 4])(q.manualSeed(1))[0]
  const program = (n: number, mode: 'train' | 'eval') => get(q.trace(layer(n), q.tensorInput([1, 1, 4, 4]), { mode }))
  const { params, state: first } = get(q.init(layer(2), 0))
  let state = first
  for (let k = 0; k < 3; k++) state = get(q.run(program(2, 'train'), { params, state, inputs })).state
  const [a, b] = [2, 9].map((n) => get(q.run(program(n, 'eval'), { params, state, inputs })))
  same(a.outputs, b.outputs)
  same([a.warnings.length, b.warnings.length], [0, 0])
})

test('finishCollection: what one more call would have made of a collection that was to end here, bit for bit', () => {
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), counts, ([, options], k) => {
      const collected = onReference(options, 30, fresh(options), 0, k)
      const finished = get(q.finishCollection(layerOf(options, 30))(collected))
      assert.equal(finished, onReference(options, k, onReference(options, k, fresh(options), 0, k), k, 1))
      assert.equal(get(q.finishCollection(layerOf(options, 30))(finished)), finished)
      assert.is(scaleIn(options, 30, finished, q.wasm).warnings, 0)
      assert.equal(scaleIn(options, 30, finished, q.wasm), scaleIn(options, 30, finished, q.reference))
    }),
    { numRuns: 40 },
  )
})

test('finishCollection names each quantizer that has collected nothing, and leaves of another network', () => {
  const net = q.chain({
    a: q.QuantIdentity(),
    r: q.residual(q.QuantReLU({ actQuant: q.ShiftedUint8ActPerTensorFloat })),
  })
  const { state } = get(q.init(net, 0))
  const errors = errorsOf(q.finishCollection(net)(state))
  same(
    errors.map((e) => e.path),
    ['a.actQuant.scale', 'r.body.actQuant.scale', 'r.body.actQuant.zeroPoint'],
  )
  says(errors[0].message, /collected nothing/)
  const other = get(q.init(q.chain({ a: q.QuantReLU() }), 0)).state as never
  says(q.explainAll(errorsOf(q.finishCollection(net)(other))), /r\.body\.actQuant\.scale\.counter is missing/)
})

test('a state of another kind of quantizer is refused where it is used, naming both', () => {
  const state = onReference({}, 2, fresh({}), 0, 4)
  const fixed = { actQuant: q.Int8ActPerTensorFixedPoint }
  const run = q.run(traced(fixed, 2, 'eval'), { params: {}, state, inputs: batch(0) })
  const [error, ...rest] = errorsOf(run)
  same(rest, [])
  same([error.tag, error.path], ['InputError', 'actQuant.scale.value'])
  says(error.message, /was stored as a threshold, but here it is the log2 of a threshold, rounded up to a power of two/)
  const optimizer = q.sgd({ lr: 1 })
  const program = get(
    q.grad(
      get(
        q.trace(
          q.withLoss(layerOf(fixed, 2), q.mseLoss),
          { x: q.tensorInput(shape), target: q.tensorInput(shape) },
          { mode: 'train' },
        ),
      ),
      { output: 'loss' },
    ),
  )
  same(
    errorsOf(q.trainer(program, optimizer, q.startTraining({ params: {}, state }, optimizer), q.wasm))[0].tag,
    'InputError',
  )
})

test('kinds that change the stored number are told apart; those that do not are not', () => {
  const kinds: readonly (readonly [string, q.QuantIdentityOptions])[] = [
    ['float', {}],
    ['8 bits of 4', { bitWidth: 4 }],
    ['narrow', { narrowRange: true }],
    ['unsigned', { signed: false }],
    ['log', { restrictScalingType: 'LOG_FP' }],
    ['up', { actQuant: q.Int8ActPerTensorFixedPoint }],
    ['nearest', { restrictScalingType: 'POWER_OF_TWO' }],
  ]
  const group = (name: string): string => (['log', 'up', 'nearest'].includes(name) ? name : 'float')
  for (const [from, a] of kinds)
    for (const [to, b] of kinds) {
      const state = onReference(a, 1, fresh(a), 0, 2)
      const ran = q.run(traced(b, 1, 'eval'), { params: {}, state, inputs: batch(0) })
      assert.is(E.isRight(ran), group(from) === group(to), `${from} into ${to}`)
    }
})

test('a running average of another statistic is refused while it is read, and passed over once it is learned', () => {
  const other: q.QuantIdentityOptions = { scalingStatsOp: 'MAX' }
  const half = onReference({}, 9, fresh({}), 0, 3)
  const into = (state: State) => q.run(traced(other, 9, 'train'), { params: {}, state, inputs: batch(0) })
  says(errorsOf(into(half))[0].message, /buffer was stored as a running average of PERCENTILE, but here .* of MAX/)
  const learned = get(q.finishCollection(layerOf({}, 9))(half))
  same(partsOf(get(into(learned)).state).scale.value, partsOf(learned).scale.value)
})

test('a state without marks: what can be told apart is used, a learned value at a count is refused', () => {
  const bare = (state: State, counter?: number): State => {
    const { scale } = partsOf(state)
    const plain = ({ shape: s, data }: q.Tensor): q.Tensor => ({ shape: s, data })
    const parts = { buffer: plain(scale.buffer), value: plain(scale.value) }
    return {
      ...state,
      actQuant: { scale: { counter: counter === undefined ? plain(scale.counter) : q.scalar(counter), ...parts } },
    }
  }
  const use = (state: State) => q.run(traced({}, 9, 'eval'), { params: {}, state, inputs: batch(0) })
  const [half, learned] = [onReference({}, 9, fresh({}), 0, 3), onReference({}, 3, fresh({}), 0, 5)]
  for (const state of [fresh({}), half, learned]) same(get(use(bare(state))), get(use(state)))
  // As a version before this one had it: one more than its steps.
  const old = bare(learned, 4)
  says(errorsOf(use(old))[0].message, /does not say whether it was learned/)
  const load = (steps: number) =>
    get(q.loadPartial(layerOf({}, steps), get(q.init(layerOf({}, steps), 0)))({ params: {}, state: old }))
  same(load(3).state, learned)
  same(load(9).loaded, [])
})

test('a count that counts nothing is refused on every route', () => {
  const state = onReference({}, 9, fresh({}), 0, 3)
  const { scale } = partsOf(state)
  for (const bad of [NaN, -1, 0.5, Infinity, 1e10]) {
    const broken = { ...state, actQuant: { scale: { ...scale, counter: q.scalar(bad) } } } as State
    const args = { params: {}, state: broken, inputs: batch(0) }
    const program = traced({}, 9, 'train')
    const own = get(q.compile(program, q.wasm))
    for (const refused of [
      q.run(program, args),
      own.run(args),
      own.resident(args),
      q.finishCollection(layerOf({}, 9))(broken),
    ])
      says(errorsOf(refused)[0].message, /counter: it counts, and holds/)
    own.dispose()
  }
})

test.run()
