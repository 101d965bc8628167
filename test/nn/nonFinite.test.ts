/** Training stops at the first loss or gradient that isn't finite, and says where; or passes it over; or goes on as asked. */
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { errorsOf, get, same, says } from './support.js'

const test = suite('nn: training on what is not finite')

/** A learned quantizer would clip an infinity, and the loss were finite: so it collects as long as is trained. */
const net = q.chain({
  input: q.QuantIdentity({ collectStatsSteps: 50, returnQuantTensor: true }),
  fc: q.QuantLinear({ inFeatures: 2, outFeatures: 3 }),
  bn: q.BatchNorm1d({ numFeatures: 3 }),
})
const task = q.withLoss(net, q.crossEntropy)
const start = get(q.init(task, 1))
const traced = (size: number) =>
  get(q.trace(task, { x: q.tensorInput([size, 2]), target: q.tensorInput([size]) }, { mode: 'train' }))
const programOf = (size: number) => q.grad(traced(size), { output: 'loss' })
const BAD = 13
const n = 24
const dataWith = (bad: number) => {
  const x = q.randn([n, 2])(q.manualSeed(4))[0]
  x.data[2 * BAD + 1] = bad
  return {
    x,
    target: q.tensorOf(
      [n],
      Array.from({ length: n }, (_, i) => i % 3),
    ),
  }
}
type Data = ReturnType<typeof dataWith>
const optimizer = q.adam({ lr: 0.01 })
const begin = q.startTraining(start, optimizer)
type Event = q.TrainEvent<typeof start.params, typeof start.state>

/** All events with copies of their states, and how it ended. */
const play = async (given: object = {}, bad = NaN, backend: q.Backend = q.wasm) => {
  const walk = q.train(
    {
      program: programOf,
      data: dataWith(bad),
      loader: { batchSize: 4 },
      epochs: 1,
      optimizer,
      backend,
      inputs: (batch: Data) => batch,
      measure: (out: { readonly loss: q.Output }) => ({ loss: q.valueOf(out.loss).data[0] }),
      ...given,
    },
    begin,
  )
  const events: Event[] = []
  for (;;) {
    const next = await walk.next()
    if (next.done === true) return { events, end: next.value }
    events.push({ ...next.value, training: next.value.training })
  }
}
const noNaN = (t: q.TrainState<unknown, unknown>): boolean =>
  !JSON.stringify([t.params, t.state, t.optim]).includes('null')

for (const backend of [q.reference, q.wasm])
  for (const bad of [NaN, Infinity])
    for (const transform of [{}, { transform: <A>(g: A): A => g }])
      test(`${bad} in sample ${BAD} stops at its batch (${backend.name}, ${Object.keys(transform).join() || 'compiled'})`, async () => {
        const { events, end } = await play(transform, bad, backend)
        const [e] = errorsOf(end)
        same(e.tag, 'NonFinite')
        says(e.message, /^step 4 \(epoch 0, batch 4, samples 12, 13, 14, 15\): /)
        says(e.message, new RegExp(`sample ${BAD} of x holds ${bad}`))
        says(e.fix, /nonFinite: 'skip'/)
        same(
          events.map((v) => v.step),
          [1, 2, 3],
        )
        // The state of the last event is still the one before the batch.
        same(noNaN(events[2].training), true)
        same(events[2].training.position, { epoch: 0, batch: 3 })
      })

test('skipped: everything as before that batch, and counted; the rest trains as without it', async () => {
  const all = dataWith(NaN)
  const others = Array.from({ length: n }, (_, i) => i).filter((i) => i < 12 || i > 15)
  const rest = { x: q.gather(all.x, others), target: q.gather(all.target, others) }
  for (const backend of [q.reference, q.wasm])
    for (const transform of [{}, { transform: <A>(g: A): A => g }]) {
      const { events, end } = await play({ nonFinite: 'skip', ...transform }, NaN, backend)
      const without = await play({ data: rest, ...transform }, NaN, backend)
      const [a, b] = [get(end), get(without.end)]
      same(a.params, b.params)
      same(a.state, b.state)
      same(a.optim, b.optim)
      same([a.step, b.step, a.position], [5, 5, { epoch: 1, batch: 0 }])
      same(
        events.map((v) => [v.tag, v.step, v.skipped, v.updated, v.errors.length, Number.isNaN(v.loss)]),
        [
          ['step', 1, 0, true, 0, false],
          ['step', 2, 0, true, 0, false],
          ['step', 3, 0, true, 0, false],
          ['step', 3, 1, false, 1, true],
          ['step', 4, 1, true, 0, false],
          ['step', 5, 1, true, 0, false],
          ['epoch', 5, 1, true, 0, false],
        ],
      )
      same(events[3].training.position, { epoch: 0, batch: 4 })
      same(events[3].training.params, events[2].training.params)
    }
})

test('ignored: it goes on, with what came out', async () => {
  const { events, end } = await play({ nonFinite: 'ignore' })
  same(events.length, 7)
  same(noNaN(get(end)), false)
})

for (const backend of [q.reference, q.wasm]) {
  const batch = (bad: number) => ({
    x: q.tensorOf([4, 2], [1, 2, -1, bad, 0.5, 1, 2, -2]),
    target: q.tensorOf([4], [0, 1, 2, 0]),
  })
  test(`a trainer refuses such a step, names the leaf, and goes on from before it: ${backend.name}`, () => {
    const t = get(q.trainer(get(programOf(4)), optimizer, begin, backend))
    get(t.step(batch(0.25)))
    const before = t.training()
    for (const bad of [NaN, Infinity, -Infinity]) {
      const [e] = errorsOf(t.step(batch(bad)))
      same(e.tag, 'NonFinite')
      says(e.message, /^(the result loss|the gradient of \w+ \S+) is not finite$/)
      same(t.training(), before)
    }
    get(t.step(batch(0.25)))
    const after = t.training()
    t.load(before)
    get(t.step(batch(0.25)))
    same(t.training(), after)
    t.dispose()
    const free = get(q.trainer(get(programOf(4)), optimizer, begin, backend, { checkFinite: false }))
    get(free.step(batch(NaN)))
    same(noNaN(free.training()), false)
    free.dispose()
  })
}

/** A network whose gradient of one leaf overflows while its loss is finite. */
const steep = (): q.Layer<{ readonly a: q.Tensor; readonly b: q.Tensor }, q.None> => ({
  layer: 'steep',
  params: { a: q.constantLeaf([2], 1, true), b: q.constantLeaf([3], 1e-30, true) },
  state: {},
  problems: [],
  config: { name: 'steep', parts: [] },
  apply: (p, s, x, kit) => {
    const small = kit.emit('sum', [p.b], { dims: [0], keepdim: false })
    // (1e-30)^2 underflows to 0, but its slope 1/sqrt(0) does not.
    const root = kit.emit('sqrt', [kit.emit('mul', [small, small])])
    return [q.add(q.add(q.mean(p.a), root), q.mean(x)), s]
  },
})

test('the first leaf is named, where the loss is finite', () => {
  const made = get(q.init(steep(), 0))
  const program = get(q.grad(get(q.trace(steep(), q.tensorInput([2]), { mode: 'train' }))))
  for (const backend of [q.reference, q.wasm]) {
    const o = q.sgd({ lr: 0.1 })
    const t = get(q.trainer(program, o, q.startTraining(made, o), backend))
    const [e] = errorsOf(t.step(q.zeros([2])))
    same([e.tag, e.path, e.message], ['NonFinite', 'b', 'the gradient of param b is not finite'])
    same(t.training().params, made.params)
    t.dispose()
    // A frozen leaf is not updated, so its gradient is not asked.
    const held = q.sgd({ lr: 0.1, mask: ({ path }) => ({ frozen: path === 'b' }) })
    const other = get(q.trainer(program, held, q.startTraining(made, held), backend))
    get(other.step(q.zeros([2])))
    other.dispose()
  }
})

test('large but finite gradients pass', () => {
  const big: q.Layer<{ readonly w: q.Tensor }, q.None> = {
    layer: 'big',
    params: { w: q.constantLeaf([4], 1, true) },
    state: {},
    problems: [],
    config: { name: 'big', parts: [] },
    apply: (p, s, x) => [q.sum(q.mul(p.w, x)), s],
  }
  const made = get(q.init(big, 0))
  const program = get(q.grad(get(q.trace(big, q.tensorInput([4]), { mode: 'train' }))))
  const o = q.sgd({ lr: 0 })
  for (const backend of [q.reference, q.wasm]) {
    const t = get(q.trainer(program, o, q.startTraining(made, o), backend))
    get(t.step(q.tensorOf([4], [3e38, -3e38, 3e38, -3e38])))
    t.dispose()
  }
})

test('a schedule counts updates: a batch that is passed over takes none', async () => {
  const asked: number[] = []
  await play({ nonFinite: 'skip', schedule: (step: number) => (asked.push(step), 0.01) })
  same(asked, [0, 1, 2, 3, 3, 4])
})

test('other errors of a step end a training that passes over', async () => {
  const data = dataWith(1)
  data.target.data[9] = 7
  const { end } = await play({ data, nonFinite: 'skip' })
  const [e] = errorsOf(end)
  same(e.tag, 'CheckFailed')
  says(e.message, /^step 3 \(epoch 0, batch 3, samples 8, 9, 10, 11\): .*class 7 of row 1/)
})

test.run()
