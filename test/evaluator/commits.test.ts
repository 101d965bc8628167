/** What becomes the input of the next step: read on the way, read by another phase only, or shown as an output. */
import assert from 'node:assert/strict'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { get, programOfBody } from './support/programs.js'

const test = suite('wasm: commits')

const shapes = { x: q.tensorInput([4, 3]), target: q.tensorInput([4]) }
const batch = (seed: number) => ({ x: q.randn([4, 3])(q.manualSeed(seed))[0], target: q.tensorOf([4], [0, 1, 1, 0]) })

/** Losses and what was learned in six steps. */
const trained = <P, S>(net: q.Layer<P, S>, optimizer: q.Optimizer, backend: q.Backend) => {
  const task = q.withLoss(net, q.crossEntropy)
  const program = get(q.grad(get(q.trace(task, shapes, { mode: 'train' })), { output: 'loss' }))
  const t = get(q.trainer(program, optimizer, q.startTraining(get(q.init(task, 1)), optimizer), backend))
  const losses = [1, 2, 3, 4, 5, 6].map((seed) => q.valueOf(get(t.step(batch(seed))).outputs.loss).data[0])
  const { params, state } = t.training()
  t.dispose()
  return [
    ...losses,
    ...[params, state].flatMap((tree) => JSON.stringify(tree).match(/-?\d+\.?\d*(e-?\d+)?/g) ?? []).map(Number),
  ]
}

const assertClose = <P, S>(net: q.Layer<P, S>, optimizer: q.Optimizer): void => {
  const [a, b] = [q.reference, q.wasm].map((backend) => trained(net, optimizer, backend))
  assert.equal(a.length, b.length)
  a.forEach((x, i) =>
    assert.ok(Math.abs(x - b[i]) <= 1e-4 * (1 + Math.abs(x)), `number ${i} is ${b[i]}, the reference gives ${x}`),
  )
}

const frozen = (kind: 'param' | 'state') =>
  q.sgd({ lr: 0.1, momentum: 0.9, mask: (leaf) => ({ frozen: leaf.kind === kind }) })

test('scales that a mask freezes are taken from the statistics at the switch, and read in the same step', () => {
  const net = q.chain({
    a: q.QuantIdentity({ collectStatsSteps: 2 }),
    fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2 }),
    b: q.QuantIdentity({ collectStatsSteps: 3 }),
  })
  assertClose(net, frozen('state'))
  assertClose(net, frozen('param'))
})

test('a clamped weight of two levels that a mask freezes is read and kept', () => {
  assertClose(
    q.QuantLinear({ inFeatures: 3, outFeatures: 2, weightQuant: q.SignedBinaryWeightPerTensorConst }),
    frozen('state'),
  )
})

test('a threshold that is computed once is learned from then on', () => {
  const net = q.QuantLinear({ inFeatures: 3, outFeatures: 2, weightScalingImplType: 'PARAMETER_FROM_STATS' })
  assertClose(net, q.sgd({ lr: 0.1 }))
  assertClose(net, frozen('state'))
})

test('outputs that are committed inputs show the values of the run; inputs may change places', () => {
  const program = programOfBody([[2], [2], [2]], ([a, b, c], kit) => [
    a,
    b,
    kit.emit('add', [c, a]),
    kit.emit('mul', [c, c]),
  ])
  for (const backend of [q.reference, q.wasm]) {
    const executable = get(backend.prepare(program))
    const s = get(
      executable.resident([
        { output: 0, input: 1 },
        { output: 1, input: 0 },
        { output: 2, input: 2 },
      ]),
    )
    ;[
      [1, 2],
      [3, 4],
      [5, 6],
    ].forEach((x, i) => s.write(i, q.tensorOf([2], x)))
    const told: number[][][] = []
    for (let k = 0; k < 3; k++) {
      get(s.execute())
      told.push([0, 1, 2, 3].map((i) => [...s.output(i).data]))
    }
    assert.deepEqual(
      told,
      [
        [
          [1, 2],
          [3, 4],
          [6, 8],
          [25, 36],
        ],
        [
          [3, 4],
          [1, 2],
          [9, 12],
          [36, 64],
        ],
        [
          [1, 2],
          [3, 4],
          [10, 14],
          [81, 144],
        ],
      ],
      backend.name,
    )
    executable.dispose()
  }
})

test('a state that is a view of a residence is read anew by each run', () => {
  const net = q.BatchNorm1d({ numFeatures: 3 })
  const [train, evaluated] = (['train', 'eval'] as const).map((mode) =>
    get(q.compile(get(q.trace(net, q.tensorInput([4, 3]), { mode })), q.wasm)),
  )
  const { params, state } = get(q.init(net, 0))
  const inputs = batch(1).x
  const resident = get(train.resident({ params, state, inputs }))
  for (const seed of [1, 2, 3]) {
    q.valueOf(resident.inputs()).data.set(batch(seed).x.data)
    get(resident.execute())
    const view = resident.results().state
    assert.deepEqual(
      get(evaluated.run({ params, state: view, inputs })),
      get(evaluated.run({ params, state: structuredClone(view), inputs })),
    )
  }
  train.dispose()
  const ended = resident.execute()
  assert.equal(E.isLeft(ended) && ended.left[0].tag, 'BackendError')
  evaluated.dispose()
})

test('a training state or batch whose numbers are not as many as its shape says is a typed error, and changes nothing', () => {
  const net = q.QuantLinear({ inFeatures: 3, outFeatures: 2 })
  const task = q.withLoss(net, q.crossEntropy)
  const program = get(q.grad(get(q.trace(task, shapes, { mode: 'train' })), { output: 'loss' }))
  const optimizer = q.sgd({ lr: 0.1, momentum: 0.5 })
  const start = q.startTraining(get(q.init(task, 1)), optimizer)
  for (const backend of [q.reference, q.wasm]) {
    const t = get(q.trainer(program, optimizer, start, backend))
    get(t.step(batch(1)))
    const before = t.training()
    const tags = [
      t.load({ ...before, params: { ...before.params, weight: q.zeros([2, 2]) } }),
      t.load({ ...before, params: { ...before.params, bias: { shape: [2], data: new Float32Array(9) } } }),
      t.load({
        ...before,
        optim: { step: 1, slots: { ...before.optim.slots, 'momentum:param.weight': q.zeros([7]) } },
      }),
      t.step({ ...batch(2), x: { shape: [4, 3], data: new Float32Array(5) } }),
      t.step({ ...batch(2), x: { shape: [4, 3], data: new Float32Array(13) } }),
    ].map((r) => E.isLeft(r) && r.left[0].tag)
    assert.deepEqual(tags, Array(5).fill('InputError'), backend.name)
    assert.deepEqual(t.training(), before)
    t.dispose()
    assert.deepEqual(t.training(), before, 'after dispose')
  }
})

test.run()
