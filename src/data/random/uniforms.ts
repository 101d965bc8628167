/** Uniform numbers, integers, and what is drawn by comparing with them. */
import type { State } from 'fp-ts/lib/State.js'
import type { Shape } from '../shape.js'
import { tensor, type Tensor } from '../tensor.js'
import { demand, demandFloat, demandProbability, demandShape, isSize } from './arguments.js'
import { drawing, filling, next32, nextDouble, nextFloat, type Generator } from './generator.js'

/** `torch.rand`: uniform numbers in [0, 1), multiples of 2^-24. */
export const rand = (shape: Shape): State<Generator, Tensor> => {
  demandShape('rand', shape)
  return filling(shape, nextFloat)
}

/** a + (b - a) x for every x that `rand` draws, in float32, with one rounding at the end as torch's fused kernel does. */
export const scaled = (a: number, b: number, shape: Shape): State<Generator, Tensor> => {
  const from = Math.fround(a)
  const width = Math.fround(Math.fround(b) - from)
  return filling(shape, (cursor) => nextFloat(cursor) * width + from)
}

/** `uniform_(a, b)`: uniform numbers in [a, b) (b itself may come out by rounding). Accepted: float32 numbers, a <= b, b - a finite. */
export const uniform = (a: number, b: number, shape: Shape): State<Generator, Tensor> => {
  demandShape('uniform', shape)
  demandFloat('uniform', 'a', a)
  demandFloat('uniform', 'b', b)
  demand(a <= b, 'uniform', 'b', b, `at least a = ${a}`)
  demandFloat('uniform', 'b - a', b - a)
  return scaled(a, b, shape)
}

/** `torch.randint(low, high, shape)` as float32: integers in low … high-1, so those beyond ±2^24 are rounded. Accepted: safe integers, low < high. */
export const randint = (low: number, high: number, shape: Shape): State<Generator, Tensor> => {
  demandShape('randint', shape)
  demand(Number.isSafeInteger(low), 'randint', 'low', low, 'an integer within ±(2^53-1)')
  demand(
    Number.isSafeInteger(high) && high > low,
    'randint',
    'high',
    high,
    `an integer above low = ${low}, at most 2^53-1`,
  )
  const range = high - low
  if (range < 268435456) return filling(shape, (cursor) => (next32(cursor) % range) + low)
  const modulus = BigInt(high) - BigInt(low)
  return filling(shape, (cursor) => {
    const first = BigInt(next32(cursor)) << 32n
    return Number(((first | BigInt(next32(cursor))) % modulus) + BigInt(low))
  })
}

/** `torch.randperm(n)` as float32 of shape [n]: the integers 0 … n-1 in random order. Accepted: integers in 0 … 2^24. */
export const randperm = (n: number): State<Generator, Tensor> => {
  demand(isSize(n) && n <= 16777216, 'randperm', 'n', n, 'an integer in 0 … 2^24')
  return drawing((cursor) => {
    const data = Float32Array.from({ length: n }, (_, i) => i)
    for (let i = 0; i < n - 1; i++) {
      const j = i + (next32(cursor) % (n - i))
      const kept = data[i]
      data[i] = data[j]
      data[j] = kept
    }
    return tensor([n], data)
  })
}

/** `torch.bernoulli` of a tensor filled with p: 1 with probability p (as float32), else 0; one number each. Accepted: p in 0 … 1. */
export const bernoulli = (p: number, shape: Shape): State<Generator, Tensor> => {
  demandShape('bernoulli', shape)
  demandProbability('bernoulli', p)
  const limit = Math.fround(p)
  return filling(shape, (cursor) => (nextFloat(cursor) < limit ? 1 : 0))
}

/**
 * What dropout with probability p keeps: 1 with probability 1 - p, else 0, not rescaled; a 53-bit number each, as the in-place
 * `bernoulli_(1 - p)` draws. Nothing is drawn for p = 0 (all ones) and p = 1 (all zeros), as in torch. Accepted: p in 0 … 1.
 * (torch with MKL on Intel processors draws dropout from another generator, which this does not follow.)
 */
export const dropoutMask = (p: number, shape: Shape): State<Generator, Tensor> => {
  demandShape('dropoutMask', shape)
  demandProbability('dropoutMask', p)
  if (p === 0 || p === 1) return filling(shape, () => 1 - p)
  const limit = 1 - p
  return filling(shape, (cursor) => (nextDouble(cursor) < limit ? 1 : 0))
}
