/** Batches of data in a deterministic order, resumable in the middle of an epoch. */
import { failure, type QuantError } from '../../data/error.js'
import { count, fieldProblems, flag, required, showGiven, type Fields } from '../../data/fields.js'
import { manualSeed, randperm } from '../../data/random.js'
import { sizeOf } from '../../data/shape.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { inputError } from './options.js'

/** Where a loader stands: the epoch, and how many of its batches are done. Plain data. */
export type Position = { readonly epoch: number; readonly batch: number }

/** Tensors whose first axis counts the samples, by name. */
export type Samples = { readonly [name: string]: Tensor }
/** One batch: the same names, fewer samples; `indices` are their numbers in the data. */
export type Batch<D extends Samples> = {
  readonly tensors: D
  readonly position: Position
  readonly size: number
  readonly indices: ArrayLike<number>
}

/** How a loader walks: `batchSize` is a whole number above 0, `seed` a whole number. Without a seed the order is that of the data. */
export type LoaderOptions = { readonly batchSize: number; readonly seed?: number; readonly dropLast?: boolean }

/** The samples `indices` of a tensor. */
export const gather = (t: Tensor, indices: ArrayLike<number>): Tensor => {
  const step = sizeOf(t.shape.slice(1))
  const data = new Float32Array(indices.length * step)
  for (let i = 0; i < indices.length; i++)
    data.set(t.data.subarray(indices[i] * step, (indices[i] + 1) * step), i * step)
  return { shape: [indices.length, ...t.shape.slice(1)], data }
}

/** Stacks any iterable of samples into one tensor per name; for data that does not come as tensors. */
export const collect = <K extends string>(
  samples: Iterable<{ readonly [name in K]: Tensor }>,
): { readonly [name in K]: Tensor } => {
  const all = [...samples]
  const [first] = all
  if (first === undefined) throw failure([inputError('samples', 'collect was given no samples', 'give at least one')])
  const stack = (name: K): Tensor => {
    const { shape } = first[name]
    const n = sizeOf(shape)
    const data = new Float32Array(n * all.length)
    all.forEach((s, i) => data.set(s[name].data, i * n))
    return { shape: [all.length, ...shape], data }
  }
  return Object.fromEntries((Object.keys(first) as K[]).map((name) => [name, stack(name)])) as {
    readonly [name in K]: Tensor
  }
}

/** Number of samples of a data set. */
export const countOf = (data: Samples): number => Math.min(...Object.values(data).map((t) => t.shape[0] ?? 0))

const LOADER_FIELDS: Fields<LoaderOptions> = {
  batchSize: required({ ...count, like: '32' }),
  seed: { says: 'a whole number', like: '1', holds: Number.isSafeInteger },
  dropLast: flag,
}

/** What is wrong with data: no tensors, or not as many samples of each. */
const dataProblems = (asker: string, data: unknown): readonly QuantError[] => {
  const given: readonly (readonly [string, unknown])[] =
    typeof data === 'object' && data !== null ? Object.entries(data) : []
  const tensors = given.flatMap(([name, t]) => (isTensor(t) ? [{ name, t }] : []))
  if (tensors.length === 0 || tensors.length < given.length)
    return [
      inputError(
        'data',
        `${asker} walks a record of tensors, and ${given.length === 0 ? `was given ${showGiven(data)}` : `${given.find(([, t]) => !isTensor(t))?.[0] ?? ''} is none`}`,
        'give { x: images, target: labels }: tensors whose first axis counts the samples',
      ),
    ]
  if (new Set(tensors.map(({ t }) => t.shape[0] ?? 0)).size === 1) return []
  const counts = tensors.map(({ name, t }) => `${t.shape[0] ?? 0} of ${name}`)
  return [inputError('data', `${asker}: there are ${counts.join(', ')}`, 'give as many samples of each')]
}

/** What is wrong with data and how they are to be walked. */
export const loaderProblems = (asker: string, data: unknown, o: unknown): readonly QuantError[] => [
  ...fieldProblems(`${asker}'s loader`, o, LOADER_FIELDS),
  ...dataProblems(asker, data),
]

/** Batches of one epoch. */
export const batchesPerEpoch = (n: number, o: LoaderOptions): number =>
  o.dropLast === true ? Math.floor(n / o.batchSize) : Math.ceil(n / o.batchSize)

/** The order of an epoch: torch's randperm of a seed made of the loader's and the epoch's number. */
export const epochOrder = (n: number, epoch: number, seed: number | undefined): Float32Array =>
  seed === undefined
    ? Float32Array.from({ length: n }, (_, i) => i)
    : randperm(n)(manualSeed(seed * 1_000_003 + epoch))[0].data

/** The batches of one epoch from a position on; the same options and position give the same batches. Throws where data or options are wrong. */
export function* batches<D extends Samples>(
  data: D,
  o: LoaderOptions,
  from: Position = { epoch: 0, batch: 0 },
): Generator<Batch<D>, void, void> {
  const problems = loaderProblems('batches', data, o)
  if (problems.length > 0) throw failure(problems)
  const n = countOf(data)
  const order = epochOrder(n, from.epoch, o.seed)
  const count = batchesPerEpoch(n, o)
  for (let b = from.batch; b < count; b++) {
    const indices = order.subarray(b * o.batchSize, Math.min(n, (b + 1) * o.batchSize))
    const tensors = Object.fromEntries(Object.entries(data).map(([name, t]) => [name, gather(t, indices)])) as D
    yield { tensors, position: { epoch: from.epoch, batch: b + 1 }, size: indices.length, indices }
  }
}
