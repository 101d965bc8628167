/** What a network's results cost, against those of the float network or by a loss of the user's. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { valueOf, isQuantTensor, type Output } from '../data/quantTensor.js'
import { isTensor } from '../data/tensor.js'
import { leaves } from '../data/tree.js'
import type { DataOf, OutputsOf } from '../nn/program/program.js'
import type { Looking } from './looking.js'
import { overBatches, runnerOf, using, type Numbers, type Runner } from './runner.js'
import type { Trained } from './types.js'

/** What the results of a batch cost. */
export type Cost<I, O> = (results: OutputsOf<O>, batch: number, samples: DataOf<I>) => number

/** Mean losses over the batches. */
export type Judge<I, O> = {
  /** Of the float network with other parameters. */
  readonly params: (params: Numbers['params']) => E.Either<QuantErrors, number>
  /** Of another network with the same results. */
  readonly network: (trained: Trained<I, O>) => E.Either<QuantErrors, number>
}

/** Losses by bit width, those of more bits never larger. */
export type Losses = readonly { readonly bits: number; readonly loss: number }[]

/**
 * Losses that never grow with the number of bits: where more bits were measured to be worse, that was luck of those
 * samples.
 */
export const monotone = (losses: Losses): Losses => {
  let least = Infinity
  return [...losses]
    .sort((a, b) => a.bits - b.bits)
    .map(({ bits, loss }) => {
      least = Math.min(least, loss)
      return { bits, loss: least }
    })
}

const numbersIn = (results: unknown): readonly Float32Array[] =>
  leaves((x): x is Output => isTensor(x) || isQuantTensor(x as Output), results).map(({ leaf }) => valueOf(leaf).data)

/** Squared distance from what the float network gave, in parts of the variance of that. */
const distanceFrom = (wanted: readonly Float32Array[], got: readonly Float32Array[]): number => {
  let [off, all] = [0, 0]
  wanted.forEach((w, k) => {
    const mean = w.reduce((sum, x) => sum + x, 0) / Math.max(1, w.length)
    for (let i = 0; i < w.length; i++) {
      off += (got[k][i] - w[i]) ** 2
      all += (w[i] - mean) ** 2
    }
  })
  return all > 0 ? off / all : off
}

const noNumber = (loss: number): QuantError => ({
  tag: 'InputError',
  input: 'loss',
  path: '',
  message: `sensitivity: the loss of the samples is ${loss}, against which nothing can be compared`,
  fix: 'let loss return a finite number for each batch',
})

/** Judges networks by samples, beside the float one, which `runner` runs. */
export const judgeBy = <I, O>(
  float: Trained<I, O>,
  runner: Runner<I, O>,
  { inputs, feed, backend }: Looking<I>,
  loss: Cost<I, O> | undefined,
): E.Either<QuantErrors, Judge<I, O>> => {
  const run = (by: Runner<I, O>, numbers: Numbers, cost: Cost<I, O>): E.Either<QuantErrors, number> => {
    let [sum, k] = [0, 0]
    const done = overBatches(by, numbers, feed, (results, batch) => {
      sum += cost(results, k++, batch)
    })
    if (E.isLeft(done)) return done
    return Number.isFinite(sum) ? E.right(sum / Math.max(1, k)) : E.left([noNumber(sum)])
  }
  const by = (cost: Cost<I, O>): Judge<I, O> => ({
    params: (params) => run(runner, { params, state: float.state }, cost),
    network: (other) => using(runnerOf(other.net, inputs, { mode: 'eval', backend }), (its) => run(its, other, cost)),
  })
  if (loss !== undefined) return E.right(by(loss))
  const wanted: (readonly Float32Array[])[] = []
  const first = run(runner, float, (results) => {
    wanted.push(numbersIn(results).map((x) => x.slice()))
    return 0
  })
  return E.map(() => by((results, k) => distanceFrom(wanted[k], numbersIn(results))))(first)
}
