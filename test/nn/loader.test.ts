/** The data loader: order by seed, resuming in mid-epoch, ragged and dropped batches. */
import * as q from '../../src/index.js'
import { same, says } from './support.js'
import { suite } from '../support/suite.js'

const test = suite('nn: loader')

const n = 11
const data = {
  x: q.tensorOf(
    [n, 2],
    Array.from({ length: 2 * n }, (_, i) => i),
  ),
  target: q.tensorOf(
    [n],
    Array.from({ length: n }, (_, i) => i),
  ),
}
const options = { batchSize: 4, seed: 5 }
const targets = (o: q.LoaderOptions, from?: q.Position): readonly (readonly number[])[] =>
  [...q.batches(data, o, from)].map((b) => [...b.tensors.target.data])

test('without a seed the order is that of the data, the last batch ragged', () => {
  same(targets({ batchSize: 4 }), [
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [8, 9, 10],
  ])
  same(
    [...q.batches(data, { batchSize: 4 })].map((b) => [b.size, b.tensors.x.shape, b.position]),
    [
      [4, [4, 2], { epoch: 0, batch: 1 }],
      [4, [4, 2], { epoch: 0, batch: 2 }],
      [3, [3, 2], { epoch: 0, batch: 3 }],
    ],
  )
})

test('dropLast leaves the ragged batch out', () => {
  same(targets({ batchSize: 4, dropLast: true }), [
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ])
  same(
    [
      q.batchesPerEpoch(n, { batchSize: 4 }),
      q.batchesPerEpoch(n, { batchSize: 4, dropLast: true }),
      q.batchesPerEpoch(12, { batchSize: 4 }),
    ],
    [3, 2, 3],
  )
})

test('the order depends on seed and epoch alone', () => {
  same(targets(options), targets({ ...options }))
  const [first, second, other] = [
    targets(options),
    targets(options, { epoch: 1, batch: 0 }),
    targets({ ...options, seed: 6 }),
  ].map((b) => b.flat().join())
  same(new Set([first, second, other, Array.from({ length: n }, (_, i) => i).join()]).size, 4)
})

test('every sample once per epoch, with its own target', () => {
  for (const epoch of [0, 1, 2, 3]) {
    const all = [...q.batches(data, options, { epoch, batch: 0 })]
    same(
      all.flatMap((b) => [...b.tensors.target.data]).toSorted((a, b) => a - b),
      [...data.target.data],
    )
    for (const { tensors } of all)
      tensors.target.data.forEach((t, i) =>
        same([tensors.x.data[2 * i], tensors.x.data[2 * i + 1]], [2 * t, 2 * t + 1]),
      )
  }
})

test('from a position in mid-epoch on the same batches follow', () => {
  const whole = [...q.batches(data, options, { epoch: 2, batch: 0 })]
  for (const [k, b] of whole.entries())
    same(
      targets(options, b.position),
      whole.slice(k + 1).map((c) => [...c.tensors.target.data]),
    )
})

test('batches share no storage with the data', () => {
  const [first] = q.batches(data, { batchSize: 4 })
  if (first !== undefined) first.tensors.target.data[0] = 99
  same(data.target.data[0], 0)
})

test('collect stacks any iterable of samples', () => {
  const samples = function* () {
    for (const k of [1, 2, 3]) yield { x: q.tensorOf([2], [k, -k]), target: q.scalar(k) }
  }
  const stacked = q.collect(samples())
  same(
    [stacked.x.shape, [...stacked.x.data], stacked.target.shape, [...stacked.target.data]],
    [[3, 2], [1, -1, 2, -2, 3, -3], [3], [1, 2, 3]],
  )
})

/** What the first batch throws, as text. */
const refusal = (given: q.Samples, o: q.LoaderOptions): string => {
  try {
    q.batches(given, o).next()
    return ''
  } catch (e) {
    return String(e)
  }
}

test('what can not be walked is refused at once', () => {
  for (const batchSize of [0, -1, 1.5, NaN]) says(refusal(data, { batchSize }), /batchSize/)
  says(refusal({ x: q.zeros([3, 2]), target: q.zeros([4]) }, { batchSize: 1 }), /3 of x.*4 of target/)
})

test.run()
