/** Samples that a quantization looks at: checked before any long work, cut into batches. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { isShape, showGiven } from '../data/fields.js'
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import { at, leaves, mapTree } from '../data/tree.js'
import { tensorInput, type InputDecl } from '../graph/trace.js'
import type { DataOf, InputsOf } from '../nn/program/program.js'

/** Tensors whose first axis counts the samples, in the structure of the inputs; or any iterable of batches of them. */
export type Samples<I> = DataOf<I> | Iterable<DataOf<I>>

/** How many of them are looked at, and how many at once. */
export type Cut = {
  /** At most so many batches (default: all). */
  readonly batches?: number
  /** Samples in a batch, where tensors are cut up (default 64). */
  readonly batchSize?: number
}

/** Batches one after the other; one that is wrong is the last. */
export type Feed<I> = {
  /** How many there are, where that is known. */
  readonly total: number | null
  readonly each: () => Iterable<E.Either<QuantErrors, DataOf<I>>>
}

const isDecl = (x: unknown): x is InputDecl => typeof x === 'object' && x !== null && 'input' in x && 'shape' in x

const dataError = (path: string, message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input: path === '' ? 'data' : path,
  path: '',
  message,
  fix,
})

const finiteEnd = (data: Float32Array): number => {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i
  return -1
}

const named = (path: string): string => (path === '' ? 'data' : `data ${path}`)

/** What is wrong with one tensor where an input was declared. */
const tensorProblems = (asker: string, path: string, decl: InputDecl, given: unknown): QuantErrors => {
  if (!isShape(decl.shape))
    return [
      dataError(
        path,
        `${asker}: ${path === '' ? 'the input' : `input ${path}`} of this quantized network was declared by ${showGiven(decl.shape)}, which is no shape`,
        'give what quantize returned, as it came',
      ),
    ]
  const wanted = ['n', ...decl.shape.slice(1)].join(',')
  if (decl.input === 'quant')
    return [
      dataError(
        path,
        `${asker} takes float samples, and the input ${path} was declared as a quant tensor`,
        'declare it with tensorInput and quantize the network from there',
      ),
    ]
  if (!isTensor(given))
    return [
      dataError(
        path,
        `${asker} takes ${named(path)} as a tensor [${wanted}], and was given ${showGiven(given)}`,
        'give a tensor whose first axis counts the samples, in the structure of the inputs',
      ),
    ]
  const fits = given.shape.length === decl.shape.length && sameShape(given.shape.slice(1), decl.shape.slice(1))
  if (!fits || given.shape[0] === 0 || sizeOf(given.shape) !== given.data.length)
    return [
      dataError(
        path,
        `${asker} takes ${named(path)} as a tensor [${wanted}], and was given one of ${showShape(given.shape)}`,
        given.shape.length === decl.shape.length - 1
          ? 'put an axis of samples in front: [1, …]'
          : 'cut or reshape the samples to the shape that quantize was told',
      ),
    ]
  const bad = finiteEnd(given.data)
  return bad < 0
    ? []
    : [
        dataError(
          path,
          `${asker}: sample ${Math.floor(bad / Math.max(1, sizeOf(given.shape.slice(1))))} of ${named(path)} holds ${given.data[bad]}, of which no statistic can be taken`,
          'leave samples with NaN or infinities out',
        ),
      ]
}

/** All that is wrong with a batch, or with all samples at once. */
export const samplesProblems = (asker: string, inputs: unknown, given: unknown): QuantErrors => {
  const declared = leaves(isDecl, inputs)
  const wrong = declared.flatMap(({ leaf, path }) => tensorProblems(asker, path, leaf, at(given, path)))
  if (wrong.length > 0) return wrong
  const counts = declared.map(({ path }) => (at(given, path) as Tensor).shape[0])
  return counts.every((n) => n === counts[0])
    ? []
    : [
        dataError(
          '',
          `${asker} was given ${counts.join(', ')} samples for its ${counts.length} inputs`,
          'give as many samples for each input',
        ),
      ]
}

/** What is wrong with batches that are there already: looked at before the first of them is run. */
const listProblems = (asker: string, inputs: unknown, given: readonly unknown[]): QuantErrors => {
  for (const [k, batch] of given.entries()) {
    const wrong = samplesProblems(asker, inputs, batch)
    if (wrong.length > 0) return wrong.map((e) => ({ ...e, message: `batch ${k + 1}: ${e.message}` }))
  }
  return []
}

const isBatches = (x: unknown): x is Iterable<unknown> =>
  typeof x === 'object' && x !== null && Symbol.iterator in x && !ArrayBuffer.isView(x)

const rows = (t: Tensor, from: number, to: number): Tensor => {
  const row = sizeOf(t.shape.slice(1))
  return { shape: [to - from, ...t.shape.slice(1)], data: t.data.subarray(from * row, to * row) }
}

/** The batches of samples, or what is wrong with them. */
export const feedOf = <I>(
  asker: string,
  inputs: InputsOf<I>,
  data: Samples<I>,
  { batches, batchSize = 64 }: Cut,
): E.Either<QuantErrors, Feed<I>> => {
  const given: unknown = data
  if (isBatches(given)) {
    const total = Array.isArray(given) ? Math.min(given.length, batches ?? Infinity) : null
    if (total === 0)
      return E.left([dataError('', `${asker} was given no batches`, 'give at least one batch of samples')])
    const list = Array.isArray(given) ? listProblems(asker, inputs, given.slice(0, batches)) : []
    if (list.length > 0) return E.left(list)
    return E.right({
      total,
      *each() {
        let n = 0
        for (const batch of given) {
          if (n++ === batches) return
          // Those of a list were looked at.
          const wrong = Array.isArray(given) ? [] : samplesProblems(asker, inputs, batch)
          yield wrong.length > 0 ? E.left(wrong) : E.right(batch as DataOf<I>)
          if (wrong.length > 0) return
        }
      },
    })
  }
  const wrong = samplesProblems(asker, inputs, data)
  if (wrong.length > 0) return E.left(wrong)
  const n = leaves(isTensor, data)[0].leaf.shape[0]
  const total = Math.min(Math.ceil(n / batchSize), batches ?? Infinity)
  return E.right({
    total,
    *each() {
      for (let k = 0; k < total; k++) {
        const cut = mapTree(isTensor, data, (t) => rows(t, k * batchSize, Math.min(n, (k + 1) * batchSize)))
        yield E.right(cut as DataOf<I>)
      }
    },
  })
}

/** The inputs declared for the shapes of a batch. */
export const declaredFor = <I>(inputs: InputsOf<I>, batch: DataOf<I>): InputsOf<I> =>
  mapTree(isDecl, inputs, (decl, path) => {
    const { shape } = at(batch, path) as Tensor
    return decl.input === 'tensor' ? { ...decl, shape } : tensorInput(shape)
  }) as InputsOf<I>

/** The shapes of a batch: batches with equal keys fit the same program. */
export const keyOf = (batch: unknown): string =>
  leaves(isTensor, batch)
    .map(({ path, leaf }) => `${path}:${leaf.shape.join()}`)
    .join(';')

/** The number of samples in a batch. */
export const countOf = (batch: unknown): number => leaves(isTensor, batch)[0]?.leaf.shape[0] ?? 0
