/** Where training gets its batches: tensors that a loader cuts up, or any iterable, sync or async, of batches made elsewhere. */
import type { QuantError } from '../../data/error.js'
import { fieldProblems, record, showGiven } from '../../data/fields.js'
import { isTensor } from '../../data/tensor.js'
import { leaves } from '../../data/tree.js'
import {
  batches,
  batchesPerEpoch,
  countOf,
  gather,
  loaderProblems,
  type Batch,
  type LoaderOptions,
  type Position,
  type Samples,
} from './loader.js'
import { inputError } from './options.js'

/**
 * Batches that are made elsewhere: any iterable or async iterable, walked once an epoch, or a function that gives one for
 * each epoch (a generator can be walked once only). To go on in the middle of an epoch with the same bits it must give the same batches again.
 */
export type BatchSource<D> = Iterable<D> | AsyncIterable<D> | ((epoch: number) => Iterable<D> | AsyncIterable<D>)

/** A batch on its way; `indices` is null where the numbers of its samples are not known. */
export type Fed<D extends Samples> = Omit<Batch<D>, 'indices'> & {
  readonly indices: ArrayLike<number> | null
  /** Batches with equal keys fit the same program. */
  readonly key: string
  /** Known to be the last of its epoch. */
  readonly last: boolean
}

/** The batches of an epoch from a position on. */
export type Feed<D extends Samples> = {
  /** Batches of an epoch, or null where nobody knows. */
  readonly total: number | null
  readonly epoch: (from: Position) => Iterable<Fed<D>> | AsyncIterable<Fed<D>>
  /** A batch of each size that an epoch has, the whole one first, where they are known: for what must fit before anything runs. */
  readonly samples: readonly Pick<Fed<D>, 'key' | 'size' | 'tensors'>[]
}

const isSource = <D>(x: D | BatchSource<D>): x is BatchSource<D> =>
  typeof x === 'function' ||
  (typeof x === 'object' && x !== null && (Symbol.iterator in x || Symbol.asyncIterator in x))

const sizeOfBatch = (batch: unknown): number => leaves(isTensor, batch)[0]?.leaf.shape[0] ?? 0
const keyOf = (batch: unknown): string =>
  leaves(isTensor, batch)
    .map((l) => `${l.path}:${l.leaf.shape.join()}`)
    .join(';')

/** What is wrong with the data of a training and how they are walked. */
export const feedProblems = (data: unknown, loader: unknown): readonly QuantError[] => {
  if (isSource<unknown>(data))
    return loader === undefined
      ? []
      : [
          inputError(
            'loader',
            'train was given batches, and a loader that would cut them up',
            'leave the loader out, or give tensors as data',
          ),
        ]
  const wrong = loaderProblems('train', data, loader)
  if (wrong.length > 0) return wrong
  const [n, o] = [countOf(data as Samples), loader as LoaderOptions]
  if (n === 0) return [inputError('data', 'train was given no samples', 'give at least one')]
  return batchesPerEpoch(n, o) > 0
    ? []
    : [
        inputError(
          'loader',
          `train was given ${n} samples, fewer than one batch of ${o.batchSize}, and dropLast leaves that out`,
          'give a smaller batchSize, or leave dropLast out',
        ),
      ]
}

const cut = <D extends Samples>(data: D, o: LoaderOptions): Feed<D> => {
  const n = countOf(data)
  const total = batchesPerEpoch(n, o)
  const sizes = new Set(
    [Math.min(n, o.batchSize), n - (total - 1) * o.batchSize].filter((k) => k > 0 && k <= o.batchSize),
  )
  const first = (k: number): D =>
    Object.fromEntries(
      Object.entries(data).map(([name, t]) => [
        name,
        gather(
          t,
          Array.from({ length: k }, (_, i) => i),
        ),
      ]),
    ) as D
  return {
    total,
    samples: [...sizes].map((size) => ({ key: String(size), size, tensors: first(size) })),
    *epoch(from) {
      for (const b of batches(data, o, from)) yield { ...b, key: String(b.size), last: b.position.batch === total }
    },
  }
}

/** Batches with a look ahead by one, so that the last is known for one. */
async function* fed<D extends Samples>(
  source: Iterable<D> | AsyncIterable<D>,
  from: Position,
  ahead: boolean,
): AsyncGenerator<Fed<D>, void, void> {
  let [waiting, batch]: [Fed<D> | null, number] = [null, 0]
  for await (const tensors of source) {
    // Those before the position were done before.
    if (++batch <= from.batch) continue
    const now: Fed<D> = {
      tensors,
      position: { epoch: from.epoch, batch },
      size: sizeOfBatch(tensors),
      indices: null,
      key: keyOf(tensors),
      last: false,
    }
    if (!ahead) yield now
    else {
      if (waiting !== null) yield waiting
      waiting = now
    }
  }
  if (waiting !== null) yield { ...waiting, last: true }
}

/** The batches of a training. `ahead`: the last of an epoch must be known as such, which asks an iterable for a batch ahead. */
export const feedOf = <D extends Samples>(
  data: D | BatchSource<D>,
  loader: LoaderOptions | undefined,
  ahead: boolean,
): Feed<D> => {
  if (!isSource(data)) return cut(data, loader ?? { batchSize: countOf(data) })
  return {
    total: Array.isArray(data) ? data.length : null,
    samples: [],
    epoch: (from) => fed(typeof data === 'function' ? data(from.epoch) : data, from, ahead),
  }
}

/** What is wrong with a batch that was made elsewhere. */
export const batchProblems = (batch: unknown): readonly QuantError[] => [
  ...fieldProblems('train', { batch }, { batch: { ...record, says: 'a record of tensors', like: '{ x, target }' } }),
  ...(leaves(isTensor, batch).length === 0
    ? [
        inputError(
          'data',
          `a batch holds no tensor: ${showGiven(batch)}`,
          'let the data give { x: images, target: labels }, tensors whose first axis counts the samples',
        ),
      ]
    : []),
]
