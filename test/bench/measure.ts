/** How one function is timed. Both sides of every comparison are timed by these rules (bench.py repeats them). */
import { performance } from 'node:perf_hooks'

/** How long is measured, in seconds. */
export type Budget = {
  /** Running before the first sample: V8 and its WebAssembly optimise meanwhile. */
  readonly warm: number
  readonly sample: number
  /** A single call that takes longer ends the case. */
  readonly limit: number
}

/** Times of one call, in milliseconds. */
export type Times = { readonly best: number; readonly median: number; readonly samples: number }

/** A single call took longer than is allowed. */
export class TooSlow extends Error {}

/** Least length of a sample, in milliseconds: quick functions are called several times in one. */
const LEAST_SAMPLE = 0.5
/** A call longer than this needs no warm-up: its first call is its first sample. */
const LONG = 1000
const LEAST_SAMPLES = 5

export const medianOf = (list: readonly number[]): number => {
  const sorted = list.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  return sorted.length === 0 ? NaN : sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

const timesOf = (samples: readonly number[]): Times => ({
  best: Math.min(...samples),
  median: medianOf(samples),
  samples: samples.length,
})

/** Times a function that may give a promise. Throws `TooSlow`. */
export const measure = async (body: () => unknown, budget: Budget): Promise<Times> => {
  const call = async (): Promise<number> => {
    const began = performance.now()
    const going = body()
    if (going instanceof Promise) await going
    return performance.now() - began
  }
  const first = await call()
  if (first > budget.limit * 1000) throw new TooSlow(`a single call takes ${(first / 1000).toFixed(1)} s`)
  if (first > LONG) {
    const more = first * 2 < budget.sample * 4000 ? [await call()] : []
    return timesOf([first, ...more])
  }
  const warmUntil = performance.now() + budget.warm * 1000
  let once = await call()
  while (performance.now() < warmUntil) once = Math.min(once, await call())
  const inner = Math.max(1, Math.ceil(LEAST_SAMPLE / Math.max(once, 1e-4)))
  const samples: number[] = []
  const until = performance.now() + budget.sample * 1000
  while (samples.length < LEAST_SAMPLES || performance.now() < until) {
    const began = performance.now()
    for (let i = 0; i < inner; i++) {
      const going = body()
      if (going instanceof Promise) await going
    }
    samples.push((performance.now() - began) / inner)
  }
  return timesOf(samples)
}
