/** Batches of data in a deterministic order, resumable in the middle of an epoch. */
import { failure, type QuantError } from '../../data/error.js'
import {
  argumentProblems,
  count,
  demand,
  demandArguments,
  fieldProblems,
  flag,
  numbers,
  required,
  showGiven,
  whole,
  type Field,
  type Fields,
  record,
} from '../../data/fields.js'
import { manualSeed, randperm } from '../../data/random.js'
import { showShape, sizeOf } from '../../data/shape.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { leaves } from '../../data/tree.js'
import { inputError, positionField, tensorField } from './options.js'

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

/** Is it a number of one of `n` samples? */
const isPlace = (i: unknown, n: number): boolean => typeof i === 'number' && Number.isInteger(i) && i >= 0 && i < n

const ofSamples: Field = {
  ...tensorField,
  says: `${tensorField.says}, with an axis of samples`,
  holds: (x) => tensorField.holds(x) && isTensor(x) && x.shape.length > 0,
}

/** The samples `indices` of a tensor: numbers along its first axis. Throws a `QuantFailure` for others. */
export const gather = (t: Tensor, indices: ArrayLike<number>): Tensor => {
  demandArguments('gather', { t, indices }, { t: required(ofSamples), indices: required(numbers) })
  const step = sizeOf(t.shape.slice(1))
  const data = new Float32Array(indices.length * step)
  for (let i = 0; i < indices.length; i++) {
    if (!isPlace(indices[i], t.shape[0]))
      throw failure([
        inputError(
          'indices',
          `gather was asked for sample ${indices[i]} of ${t.shape[0]}`,
          `give whole numbers from 0 to ${t.shape[0] - 1}`,
        ),
      ])
    data.set(t.data.subarray(indices[i] * step, (indices[i] + 1) * step), i * step)
  }
  return { shape: [indices.length, ...t.shape.slice(1)], data }
}

/** Samples of which all have the tensors of the first, of the same shapes; or a throw. */
const demandAlike = (all: readonly unknown[]): void => {
  const [first] = all
  const shapesOf = (sample: unknown): string =>
    leaves(isTensor, sample)
      .map((l) => `${l.path} ${tensorField.holds(l.leaf) ? showShape(l.leaf.shape) : 'of no shape'}`)
      .toSorted()
      .join(', ')
  const wanted = shapesOf(first)
  const odd = all.findIndex((sample) => wanted === '' || wanted.includes('of no shape') || shapesOf(sample) !== wanted)
  if (all.length === 0) throw failure([inputError('samples', 'collect was given no samples', 'give at least one')])
  if (odd >= 0)
    throw failure([
      inputError(
        'samples',
        `collect was given ${shapesOf(all[odd]) || showGiven(all[odd])} as sample ${odd}, where the first has ${wanted || 'no tensors'}`,
        'give records of tensors, of the same names and shapes',
      ),
    ])
}

const sampleField: Field = {
  ...record,
  says: 'a record of tensors',
  holds: (x) => record.holds(x) && Object.values(Object(x)).every(tensorField.holds),
}

/** Stacks any iterable of samples into one tensor per name; for data that does not come as tensors. Throws where samples differ in names or shapes. */
export const collect = <K extends string>(
  samples: Iterable<{ readonly [name in K]: Tensor }>,
): { readonly [name in K]: Tensor } => {
  const iterable = { says: 'an iterable of samples', like: '[{ x, target }]', holds: isIterable }
  demandArguments('collect', { samples }, { samples: required(iterable) })
  const all = [...samples]
  demandAlike(all)
  all.forEach((sample) => demandArguments('collect', { sample }, { sample: required(sampleField) }))
  const [first] = all
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

const isIterable = (x: unknown): boolean => typeof x === 'object' && x !== null && Symbol.iterator in x

/** Number of samples of a data set. */
export const countOf = (data: Samples): number => {
  const problems = dataProblems('countOf', data)
  if (problems.length > 0) throw failure(problems)
  return Math.min(...Object.values(data).map((t) => t.shape[0]))
}

const LOADER_FIELDS: Fields<LoaderOptions> = {
  batchSize: required({ ...count, like: '32' }),
  seed: { says: 'a whole number', like: '1', holds: Number.isSafeInteger },
  dropLast: flag,
}

/** What is wrong with data: no tensors, or not as many samples of each. */
const dataProblems = (asker: string, data: unknown): readonly QuantError[] => {
  const given: readonly (readonly [string, unknown])[] =
    typeof data === 'object' && data !== null ? Object.entries(data) : []
  const tensors = given.flatMap(([name, t]) => (isTensor(t) && ofSamples.holds(t) ? [{ name, t }] : []))
  if (tensors.length === 0 || tensors.length < given.length)
    return [
      inputError(
        'data',
        `${asker} walks a record of tensors, and ${given.length === 0 ? `was given ${showGiven(data)}` : `${given.find(([, t]) => !ofSamples.holds(t))?.[0] ?? ''} is none`}`,
        'give { x: images, target: labels }: tensors whose first axis counts the samples',
      ),
    ]
  if (new Set(tensors.map(({ t }) => t.shape[0])).size === 1) return []
  const counts = tensors.map(({ name, t }) => `${t.shape[0]} of ${name}`)
  return [inputError('data', `${asker}: there are ${counts.join(', ')}`, 'give as many samples of each')]
}

/** What is wrong with data and how they are to be walked. */
export const loaderProblems = (asker: string, data: unknown, o: unknown): readonly QuantError[] => [
  ...fieldProblems(`${asker}'s loader`, o, LOADER_FIELDS),
  ...dataProblems(asker, data),
]

/** Batches of one epoch. */
export const batchesPerEpoch = (n: number, o: LoaderOptions): number => {
  demand([
    ...argumentProblems('batchesPerEpoch', { n }, { n: required(whole) }),
    ...fieldProblems('batchesPerEpoch', o, LOADER_FIELDS),
  ])
  return o.dropLast === true ? Math.floor(n / o.batchSize) : Math.ceil(n / o.batchSize)
}

/** The order of an epoch: torch's randperm of a seed made of the loader's and the epoch's number. */
export const epochOrder = (n: number, epoch: number, seed: number | undefined): Float32Array => {
  demandArguments(
    'epochOrder',
    { n, epoch, seed },
    { n: required(whole), epoch: required(whole), seed: LOADER_FIELDS.seed },
  )
  return seed === undefined
    ? Float32Array.from({ length: n }, (_, i) => i)
    : randperm(n)(manualSeed(seed * 1_000_003 + epoch))[0].data
}

/** The batches of one epoch from a position on; the same options and position give the same batches. Throws where data or options are wrong. */
export function* batches<D extends Samples>(
  data: D,
  o: LoaderOptions,
  from: Position = { epoch: 0, batch: 0 },
): Generator<Batch<D>, void, void> {
  demand([...loaderProblems('batches', data, o), ...argumentProblems('batches', { from }, { from: positionField })])
  const n = countOf(data)
  const order = epochOrder(n, from.epoch, o.seed)
  const count = batchesPerEpoch(n, o)
  for (let b = from.batch; b < count; b++) {
    const indices = order.subarray(b * o.batchSize, Math.min(n, (b + 1) * o.batchSize))
    const tensors = Object.fromEntries(Object.entries(data).map(([name, t]) => [name, gather(t, indices)])) as D
    yield { tensors, position: { epoch: from.epoch, batch: b + 1 }, size: indices.length, indices }
  }
}
