/** Batched evaluation: the same numbers as one by one, in the order of asking, and an end in every case. */
import assert from 'node:assert/strict'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { get } from './support.js'

const test = suite('nn: evaluate')

const net = q.chain({
  input: q.QuantIdentity({ returnQuantTensor: true, collectStatsSteps: 2 }),
  fc: q.QuantLinear({ inFeatures: 3, outFeatures: 5 }),
  act: q.QuantReLU({ returnQuantTensor: true, collectStatsSteps: 2 }),
})
const { params, state } = get(q.init(net, 4))
const n = 11
const [x] = q.uniform(-2, 2, [n, 3])(q.manualSeed(2))
const labels: q.Tensor = { shape: [n], data: Float32Array.from({ length: n }, (_, i) => i) }
const programFor = (size: number) => q.trace(net, q.tensorInput([size, 3]), { mode: 'eval' })
const input = (b: { readonly tensors: { readonly x: q.Tensor } }): q.Tensor => b.tensors.x
const batched = (batchSize: number) => q.batches({ x, labels }, { batchSize })

type Walked<O, B> = {
  readonly events: readonly q.EvaluateEvent<O, B>[]
  readonly end: E.Either<q.QuantErrors, q.EvaluateEnd>
}
const walk = async <O, B>(
  told: AsyncGenerator<q.EvaluateEvent<O, B>, E.Either<q.QuantErrors, q.EvaluateEnd>, void>,
  onEvent: (e: q.EvaluateEvent<O, B>) => void = () => undefined,
): Promise<Walked<O, B>> => {
  const events: q.EvaluateEvent<O, B>[] = []
  for (;;) {
    const next = await told.next()
    if (next.done === true) return { events, end: next.value }
    events.push(next.value)
    onEvent(next.value)
  }
}

/** A backend that counts what is prepared, run and freed. */
const counting = (inner: q.Backend) => {
  const counts = { prepared: 0, executed: 0, freed: 0 }
  const backend: q.Backend = {
    name: inner.name,
    prepare: (program) =>
      E.map((e: q.Executable): q.Executable => {
        counts.prepared++
        return {
          ...e,
          resident: (commits) =>
            E.map((s: q.ResidentStorage): q.ResidentStorage => ({
              ...s,
              execute: () => {
                counts.executed++
                return s.execute()
              },
            }))(e.resident(commits)),
          dispose: () => {
            counts.freed++
            e.dispose()
          },
        }
      })(inner.prepare(program)),
  }
  return { backend, counts }
}

for (const [name, backend] of [
  ['reference', q.reference],
  ['wasm', q.wasm],
] as const) {
  test(`${name}: batches of 4 of 11, the ragged one with its own plan, give what single runs give`, async () => {
    const { events, end } = await walk(
      q.evaluate(programFor, batched(4), { params, state, inputs: input, backend, total: n }),
    )
    assert.deepEqual(get(end), { batches: 3, samples: n, plans: 2, complete: true })
    assert.deepEqual(
      events.map((e) => [e.batch, e.size, e.done, e.total]),
      [
        [1, 4, 4, n],
        [2, 4, 8, n],
        [3, 3, 11, n],
      ],
    )
    const single = get(q.compile(get(programFor(1)), backend))
    const one = (i: number) =>
      q.valueOf(
        get(single.run({ params, state, inputs: { shape: [1, 3], data: x.data.slice(i * 3, i * 3 + 3) } })).outputs,
      ).data
    assert.deepEqual(
      events.flatMap((e) => [...q.valueOf(e.outputs).data]),
      Array.from({ length: n }, (_, i) => [...one(i)]).flat(),
    )
    assert.deepEqual(
      events.map((e) => [...e.given.tensors.labels.data]),
      [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10],
      ],
    )
  })

  test(`${name}: outputs are copies that stay, or views that move on if asked`, async () => {
    const same = [x, { shape: x.shape, data: x.data.map((v) => v * 2) }]
    const copies = await walk(q.evaluate(programFor, same, { params, state, inputs: (b) => b, backend }))
    const seen: number[][] = []
    const views = await walk(
      q.evaluate(programFor, same, { params, state, inputs: (b) => b, backend, views: true }),
      (e) => seen.push([...q.valueOf(e.outputs).data]),
    )
    assert.deepEqual(
      copies.events.map((e) => [...q.valueOf(e.outputs).data]),
      seen,
    )
    assert.notDeepEqual(seen[0], seen[1])
    assert.equal(new Set(copies.events.map((e) => q.valueOf(e.outputs).data.buffer)).size, 2)
    if (name === 'wasm') assert.deepEqual([...q.valueOf(views.events[0].outputs).data], seen[1])
  })
}

test('an async iterable serves as well as an array; each shape is traced once', async () => {
  const sizes: number[] = []
  async function* some() {
    for (const k of [2, 3, 2, 3, 2]) {
      await Promise.resolve()
      yield { shape: [k, 3], data: x.data.slice(0, 3 * k) }
    }
  }
  const { backend, counts } = counting(q.wasm)
  const { events, end } = await walk(
    q.evaluate(
      (size) => {
        sizes.push(size)
        return programFor(size)
      },
      some(),
      { params, state, inputs: (b) => b, backend },
    ),
  )
  assert.deepEqual([sizes, events.map((e) => e.size), events[0].total], [[2, 3], [2, 3, 2, 3, 2], null])
  assert.deepEqual(get(end), { batches: 5, samples: 12, plans: 2, complete: true })
  assert.deepEqual(counts, { prepared: 2, executed: 5, freed: 2 })
})

test('other axes than the first make other plans too', async () => {
  const pooled = q.chain({ pool: q.MaxPool2d({ kernelSize: 2 }), act: q.ReLU() })
  const empty = get(q.init(pooled, 1))
  const images = [4, 6, 4].map((side) => q.full([2, 1, side, side], side))
  const { events, end } = await walk(
    q.evaluate((_, image) => q.trace(pooled, q.tensorInput(image.shape), { mode: 'eval' }), images, {
      ...empty,
      inputs: (b) => b,
    }),
  )
  assert.deepEqual(
    events.map((e) => q.valueOf(e.outputs).shape),
    [
      [2, 1, 2, 2],
      [2, 1, 3, 3],
      [2, 1, 2, 2],
    ],
  )
  assert.equal(get(end).plans, 2)
})

test('so many plans are kept: the one that was used longest ago is freed, and made anew when it is wanted', async () => {
  const shapes = [1, 2, 1, 3, 1, 2, 3, 3]
  const some = shapes.map((size) => ({ shape: [size, 3], data: x.data.slice(0, 3 * size) }))
  const told = async (plans?: number) => {
    const { backend, counts } = counting(q.wasm)
    const limit = plans === undefined ? {} : { plans }
    const { events, end } = await walk(
      q.evaluate(programFor, some, { params, state, inputs: (b: q.Tensor) => b, backend, ...limit }),
    )
    return { counts, made: get(end).plans, outputs: events.map((e) => [...q.valueOf(e.outputs).data]) }
  }
  const all = await told()
  assert.deepEqual([all.made, all.counts.freed], [3, 3])
  // 1, 2; 1 again, so that 3 drives out 2; 2 drives out 3, which drives out 1.
  const two = await told(2)
  assert.deepEqual([two.made, two.counts.prepared, two.counts.freed], [5, 5, 5])
  assert.deepEqual(two.outputs, all.outputs)
  const one = await told(1)
  assert.deepEqual([one.made, one.outputs], [7, all.outputs])
  const wrong = await walk(q.evaluate(programFor, some, { params, state, inputs: (b: q.Tensor) => b, plans: 0 }))
  assert.match(E.isLeft(wrong.end) ? q.explainAll(wrong.end.left) : '', /plans/)
})

test('no batches: nothing is traced, and the end says so', async () => {
  const { backend, counts } = counting(q.reference)
  const { events, end } = await walk(q.evaluate(programFor, [], { params, state, inputs: (b: q.Tensor) => b, backend }))
  assert.deepEqual([events, get(end), counts.prepared], [[], { batches: 0, samples: 0, plans: 0, complete: true }, 0])
})

test('an abort ends it before the next batch, with what was done', async () => {
  const stop = new AbortController()
  const { backend, counts } = counting(q.wasm)
  const { events, end } = await walk(
    q.evaluate(programFor, batched(2), { params, state, inputs: input, backend, signal: stop.signal }),
    (e) => {
      if (e.batch === 2) stop.abort()
    },
  )
  assert.equal(events.length, 2)
  assert.deepEqual(get(end), { batches: 2, samples: 4, plans: 1, complete: false })
  assert.deepEqual(counts, { prepared: 1, executed: 2, freed: 1 })
  const before = await walk(
    q.evaluate(programFor, batched(2), { params, state, inputs: input, signal: AbortSignal.abort() }),
  )
  assert.deepEqual(get(before.end), { batches: 0, samples: 0, plans: 0, complete: false })
})

test('a timer may abort it: the event loop has its turn between batches', async () => {
  const stop = new AbortController()
  function* endless() {
    for (;;) yield x
  }
  setTimeout(() => stop.abort(), 20)
  const { end } = await walk(
    q.evaluate(programFor, endless(), { params, state, inputs: (b) => b, backend: q.wasm, signal: stop.signal }),
  )
  assert.equal(get(end).complete, false)
})

test('a caller who leaves early frees the plans and closes the source', async () => {
  let closed = false
  function* source() {
    try {
      for (;;) yield x
    } finally {
      closed = true
    }
  }
  const { backend, counts } = counting(q.wasm)
  for await (const e of q.evaluate(programFor, source(), { params, state, inputs: (b) => b, backend }))
    if (e.batch === 3) break
  assert.deepEqual([closed, counts], [true, { prepared: 1, executed: 3, freed: 1 }])
})

test('errors end it as values: of the trace, of the inputs; what was told before stays', async () => {
  const wide = { shape: [2, 4], data: new Float32Array(8) }
  const traced = await walk(
    q.evaluate((size, b) => q.trace(net, q.tensorInput([size, b.shape[1]]), { mode: 'eval' }), [x, wide], {
      params,
      state,
      inputs: (b) => b,
    }),
  )
  assert.deepEqual(
    [traced.events.length, E.isLeft(traced.end) && traced.end.left.map((e) => [e.tag, e.path])],
    [1, [['ShapeError', 'fc']]],
  )
  const bound = await walk(q.evaluate(programFor, [wide], { params, state, inputs: (b) => b }))
  assert.deepEqual([bound.events, E.isLeft(bound.end) && bound.end.left.map((e) => e.tag)], [[], ['InputError']])
})

test.run()
