/** Accumulated gradients, averages of weights, and batches that are made elsewhere. */
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { isTensor } from '../../src/data/tensor.js'
import { leaves } from '../../src/data/tree.js'
import { suite } from '../support/suite.js'
import { close, errorsOf, get, same, sameBits, says } from './support.js'

const test = suite('nn: accumulation, averages, any batches')

// No statistics of a batch: its quantizers are constant, so that the mean over batches is the mean over all their samples.
const net = q.chain({
  input: q.QuantIdentity({ scalingImplType: 'CONST', minVal: -2, maxVal: 2, returnQuantTensor: true }),
  fc1: q.QuantLinear({ inFeatures: 2, outFeatures: 5, returnQuantTensor: true }),
  act: q.QuantReLU({ scalingImplType: 'PARAMETER', maxVal: 4, returnQuantTensor: true }),
  fc2: q.QuantLinear({ inFeatures: 5, outFeatures: 3 }),
})
const task = q.withLoss(net, q.crossEntropy)
const start = get(q.init(task, 1))
const programOf = (size: number) =>
  q.grad(get(q.trace(task, { x: q.tensorInput([size, 2]), target: q.tensorInput([size]) }, { mode: 'train' })), {
    output: 'loss',
  })
const dataOf = (n: number) => ({
  x: q.randn([n, 2])(q.manualSeed(n))[0],
  target: q.tensorOf(
    [n],
    Array.from({ length: n }, (_, i) => (7 * i) % 3),
  ),
})
type Data = ReturnType<typeof dataOf>
type State = q.TrainState<typeof start.params, typeof start.state>
const optimizers: Readonly<Record<string, q.Optimizer>> = {
  sgd: q.sgd({ lr: 0.1, momentum: 0.9, dampening: 0.2 }),
  adam: q.adam({ lr: 0.01 }),
  adamW: q.withEma({ decay: 0.9 })(q.adamW({ lr: 0.01 })),
}
const part = (data: Data, from: number, to: number): Data => {
  const at = Array.from({ length: to - from }, (_, i) => from + i)
  return { x: q.gather(data.x, at), target: q.gather(data.target, at) }
}

/** Every number of two trees at most `tolerance` apart. */
const near = (a: object, b: object, tolerance = 2e-5): void => {
  const [left, right] = [leaves(isTensor, a), leaves(isTensor, b)]
  same(
    left.map((l) => l.path),
    right.map((l) => l.path),
  )
  left.forEach((l, i) => l.leaf.data.forEach((x, k) => close(x, right[i].leaf.data[k], tolerance)))
}

const play = async (given: object, begin: State, stopAfter = Infinity) => {
  const stop = new AbortController()
  const walk = q.train(
    {
      program: programOf,
      data: dataOf(8),
      epochs: 2,
      optimizer: optimizers.adam,
      inputs: (batch: Data) => batch,
      measure: (out: { readonly loss: q.Output }) => ({ loss: q.valueOf(out.loss).data[0] }),
      signal: stop.signal,
      ...given,
    },
    begin,
  )
  const events: Omit<q.TrainEvent<typeof start.params, typeof start.state>, 'training'>[] = []
  for (;;) {
    const next = await walk.next()
    if (next.done === true) return { events, result: next.value }
    const { training: _, ...told } = next.value
    events.push(told)
    if (events.filter((e) => e.tag === 'step').length >= stopAfter) stop.abort()
  }
}

for (const [name, optimizer] of Object.entries(optimizers))
  for (const backend of [q.reference, q.wasm])
    test(`steps on k batches are one step on all their samples: ${name}, ${backend.name}`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 2, max: 4 }), fc.integer({ min: 1, max: 4 }), (k, size) => {
          const data = dataOf(2 * k * size)
          const begin = q.startTraining(start, optimizer)
          const small = get(q.trainer(get(programOf(size)), optimizer, begin, backend, { accumulate: k }))
          const large = get(q.trainer(get(programOf(k * size)), optimizer, begin, backend))
          for (let update = 0; update < 2; update++) {
            for (let b = 0; b < k; b++) {
              const from = (update * k + b) * size
              const before = small.training()
              const { updated } = get(small.step(part(data, from, from + size)))
              same(updated, b === k - 1)
              if (!updated) same(small.training().params, before.params)
            }
            get(large.step(part(data, update * k * size, (update + 1) * k * size)))
          }
          const [a, b] = [small.training(), large.training()]
          near(a.params, b.params)
          near(a.state, b.state)
          near(a.optim.slots, b.optim.slots)
          same([a.step, a.optim.step], [2, 2])
          small.dispose()
          large.dispose()
        }),
        { numRuns: 3 },
      )
    })

test('batches of different sizes count by their samples, and the end of an epoch updates', async () => {
  const [data, optimizer] = [dataOf(11), optimizers.adam]
  const begin = q.startTraining(start, optimizer)
  // 4 + 4, then 3 alone: two updates an epoch.
  for (const transform of [{}, { transform: <A>(g: A): A => g }]) {
    const { events, result } = await play(
      { data, loader: { batchSize: 4 }, epochs: 1, accumulate: 2, ...transform },
      begin,
    )
    const large = await play({ data, loader: { batchSize: 8 }, epochs: 1 }, begin)
    near(get(result).params, get(large.result).params)
    same(
      events.map((e) => [e.tag, e.step, e.updated]),
      [
        ['step', 0, false],
        ['step', 1, true],
        ['step', 2, true],
        ['epoch', 2, true],
      ],
    )
    // 4, 4 and 3 samples as one.
    const three = await play({ data, loader: { batchSize: 4 }, epochs: 1, accumulate: 3, ...transform }, begin)
    const whole = await play({ data, loader: { batchSize: 11 }, epochs: 1 }, begin)
    near(get(three.result).params, get(whole.result).params)
  }
})

test('stopped between the batches of an update and gone on: the same bits, also through a checkpoint', async () => {
  const optimizer = optimizers.adamW
  const given = { data: dataOf(22), loader: { batchSize: 4, seed: 3 }, accumulate: 4, optimizer, epochs: 2 }
  const begin = q.startTraining(start, optimizer)
  for (const transform of [{}, { transform: <A>(g: A): A => g }]) {
    const whole = get((await play({ ...given, ...transform }, begin)).result)
    same(
      Object.keys(whole.optim.slots).some((k) => k.startsWith('accumulated') || k.startsWith('pending')),
      false,
    )
    for (const k of [1, 2, 5, 6, 9]) {
      const cut = get((await play({ ...given, ...transform }, begin, k)).result)
      const read = get(q.parseCheckpoint(begin)(q.checkpointToBytes(cut)))
      const rest = get((await play({ ...given, ...transform }, read)).result)
      same(rest.params, whole.params)
      same(rest.optim, whole.optim)
    }
  }
})

test('waiting gradients and a training that does not accumulate: an error, nothing lost in silence', async () => {
  const begin = q.startTraining(start, optimizers.adam)
  const cut = get((await play({ loader: { batchSize: 4 }, accumulate: 2 }, begin, 1)).result)
  const [e] = errorsOf(q.trainer(get(programOf(4)), optimizers.adam, cut, q.wasm))
  says(e.message, /gradients of 1 batches that wait/)
  errorsOf((await play({ loader: { batchSize: 4 } }, cut)).result)
  errorsOf((await play({ loader: { batchSize: 4 }, transform: <A>(g: A): A => g }, cut)).result)
})

test('a batch that is passed over joins no update', async () => {
  const data = dataOf(16)
  data.x.data[2 * 5] = NaN
  const begin = q.startTraining(start, optimizers.sgd)
  const given = { loader: { batchSize: 4 }, epochs: 1, accumulate: 2, nonFinite: 'skip', optimizer: optimizers.sgd }
  const { events, result } = await play({ data, ...given }, begin)
  same(
    events.map((e) => [e.step, e.updated, e.skipped]),
    [
      [0, false, 0],
      [0, false, 1],
      [1, true, 1],
      [2, true, 1],
      [2, true, 1],
    ],
  )
  same(Number.isNaN(get(result).params.fc1.weight?.data[0]), false)
})

test('meanGrads is the gradient of all samples', () => {
  const data = dataOf(7)
  const gradsOf = (d: Data) => get(q.run(get(programOf(d.target.shape[0])), { ...start, inputs: d })).grads
  const mean = q.meanGrads([gradsOf(part(data, 0, 4)), gradsOf(part(data, 4, 7))], [4, 3])
  near({ p: mean.params, s: mean.state }, { p: gradsOf(data).params, s: gradsOf(data).state }, 1e-6)
})

// Averages

test('averages follow by e += (p - e)(1 - decay), from the leaf on; training is not changed by a bit', () => {
  const [plain, optimizer] = [q.adam({ lr: 0.01 }), q.withEma({ decay: 0.8 })(q.adam({ lr: 0.01 }))]
  const batch = dataOf(4)
  for (const backend of [q.reference, q.wasm]) {
    const begin = q.startTraining(start, optimizer)
    const t = get(q.trainer(get(programOf(4)), optimizer, begin, backend))
    const other = get(q.trainer(get(programOf(4)), plain, q.startTraining(start, plain), backend))
    same(get(q.averaged(begin)).params, start.params)
    let expected = leaves(isTensor, start.params).map((l) => Float64Array.from(l.leaf.data))
    for (let k = 0; k < 5; k++) {
      get(t.step(batch))
      get(other.step(batch))
      const now = leaves(isTensor, t.training().params)
      expected = expected.map((e, i) => e.map((x, j) => x + (now[i].leaf.data[j] - x) * 0.2))
    }
    const training = t.training()
    leaves(isTensor, training.params).forEach((l, i) =>
      sameBits(l.leaf, leaves(isTensor, other.training().params)[i].leaf),
    )
    const read = get(q.averaged(get(q.parseCheckpoint(begin)(q.checkpointToBytes(training)))))
    leaves(isTensor, read.params).forEach((l, i) => l.leaf.data.forEach((x, j) => close(x, expected[i][j], 1e-6)))
    errorsOf(q.averaged(other.training()))
    t.dispose()
    other.dispose()
  }
})

test('averages may start late, and Adam goes on with its count', () => {
  const [plain, optimizer] = [q.adam({ lr: 0.01 }), q.withEma({ decay: 0.5 })(q.adam({ lr: 0.01 }))]
  const batch = dataOf(4)
  const first = get(q.trainer(get(programOf(4)), plain, q.startTraining(start, plain), q.wasm))
  for (let k = 0; k < 3; k++) get(first.step(batch))
  const before = first.training()
  const t = get(q.trainer(get(programOf(4)), optimizer, before, q.wasm))
  get(t.step(batch))
  get(first.step(batch))
  const after = t.training()
  same(after.params, first.training().params)
  same(after.optim.slots['step:param.fc2.weight'].data[0], 4)
  const [w0, w1] = [before, after].map((s) => leaves(isTensor, s.params).find((l) => l.path === 'fc2.weight'))
  const read = leaves(isTensor, get(q.averaged(after)).params).find((l) => l.path === 'fc2.weight')
  read?.leaf.data.forEach((x, i) => close(x, ((w0?.leaf.data[i] ?? NaN) + (w1?.leaf.data[i] ?? NaN)) / 2, 1e-6))
})

// Batches made elsewhere

const all = dataOf(10)
const list = (): readonly Data[] => [part(all, 0, 4), part(all, 4, 8), part(all, 8, 10)]
const later = async function* (): AsyncGenerator<Data> {
  for (const b of list()) {
    await new Promise((done) => setTimeout(done, 1))
    yield b
  }
}
const SOURCES: readonly (readonly [string, () => unknown, number])[] = [
  ['an array', () => list(), 3],
  ['a set', () => new Set(list()), 0],
  ['a function that gives arrays', () => () => list(), 0],
  ['a function that gives generators', () => () => list().values(), 0],
  ['a function that gives async generators', () => () => later(), 0],
  ['an async iterable', () => ({ [Symbol.asyncIterator]: () => later() }), 0],
]
for (const [name, source, batches] of SOURCES)
  test(`${name} of batches trains as tensors and a loader do`, async () => {
    const begin = q.startTraining(start, optimizers.adam)
    for (const more of [{}, { accumulate: 2 }, { transform: <A>(g: A): A => g }]) {
      const cut = await play({ data: all, loader: { batchSize: 4 }, ...more }, begin)
      const given = await play({ data: source(), ...more }, begin)
      same(get(given.result), get(cut.result))
      same(
        given.events,
        cut.events.map((e) => ({ ...e, batches })),
      )
      // From the middle of an epoch on.
      const stopped = get((await play({ data: source(), ...more }, begin, 4)).result)
      same(get((await play({ data: source(), ...more }, stopped)).result), get(cut.result))
    }
  })

test('a function is asked for each epoch, from the one that training stands in', async () => {
  const asked: number[] = []
  const data = (epoch: number): readonly Data[] => {
    asked.push(epoch)
    return list()
  }
  await play({ data, epochs: 3 }, { ...q.startTraining(start, optimizers.adam), position: { epoch: 1, batch: 1 } })
  same(asked, [1, 2])
})

test('a generator that is used up, a batch without tensors, a source that throws', async () => {
  const begin = q.startTraining(start, optimizers.adam)
  const used = errorsOf((await play({ data: list().values() }, begin)).result)
  says(q.explainAll(used), /gave no batch in epoch 1: a generator can be walked only once/)
  says(q.explainAll(errorsOf((await play({ data: [{}] }, begin)).result)), /holds no tensor/)
  says(q.explainAll(errorsOf((await play({ data: [7] }, begin)).result)), /record of tensors|no tensor/)
  let closed = false
  const broken = function* (): Generator<Data> {
    try {
      yield list()[0]
      throw new Error('the disk is gone')
    } finally {
      closed = true
    }
  }
  let said = ''
  await play({ data: broken }, begin).catch((e: unknown) => {
    said = String(e)
  })
  says(said, /the disk is gone/)
  same(closed, true)
})

test('a source is closed when training is left early', async () => {
  let closed = false
  const source = async function* (): AsyncGenerator<Data> {
    try {
      yield* list()
    } finally {
      closed = true
    }
  }
  await play({ data: source }, q.startTraining(start, optimizers.adam), 1)
  same(closed, true)
})

test('a batch whose numbers are not finite is named by its row, where indices are not known', async () => {
  const [a, b] = list()
  b.x.data[3] = NaN
  const { result } = await play({ data: [a, b] }, q.startTraining(start, optimizers.adam))
  says(errorsOf(result)[0].message, /step 2 \(epoch 0, batch 2\): .*row 1 of x of this batch holds NaN/)
})

test.run()
