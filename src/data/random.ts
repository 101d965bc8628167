/**
 * torch's CPU generator as an immutable value. A draw is an fp-ts `State` action: it takes a generator and returns what it
 * drew and the generator to go on with; the one it was given stays as it was. Same seed and same draws, same numbers as torch
 * (`rand`, `randint`, `randperm`, `bernoulli` bit for bit; the others but for the last bits).
 * Every function throws a `QuantFailure` that names it, the value and the accepted range, when an argument is outside.
 *
 * Source: M. Matsumoto and T. Nishimura, "Mersenne Twister" (1998); torch 2.13's CPU distributions (test/conformance/SEMANTICS.md, 14).
 */
import type { Either } from 'fp-ts/lib/Either.js'
import { left, right } from 'fp-ts/lib/Either.js'
import type { State } from 'fp-ts/lib/State.js'
import { failure, type QuantErrors } from './error.js'
import { demandArguments, flag, isShape, record, required, shapeField, showGiven, type Field } from './fields.js'
import { cos, log, log1p, sin } from './math.js'
import type { Shape } from './shape.js'
import { bytesOf, MOST_BYTES, showBytes, sizeOf } from './shape.js'
import type { Tensor } from './tensor.js'
import { allocate, tensor } from './tensor.js'

/**
 * A state of the generator. Opaque: make one with `manualSeed` or `generatorFromJSON`, never change it.
 * `words` are the 624 words of mt19937, `index` (0 … 624) says how many of them are used up, `kept` is the second number of a
 * Box-Muller pair, waiting for the next small normal draw.
 */
export type Generator = { readonly words: ArrayLike<number>; readonly index: number; readonly kept: number | null }

/** A generator as JSON: a plain copy of its state. */
export type GeneratorJSON = {
  readonly algorithm: 'mt19937'
  readonly words: readonly number[]
  readonly index: number
  readonly kept: number | null
}

// ---------------------------------------------------------------- mt19937

const WORDS = 624
const MIDDLE = 397
const TWO_32 = 4294967296

/** One word of the next state from the words at i, i+1 and i+397. */
const mix = (word: number, next: number, far: number): number => {
  const joined = (word & 0x80000000) | (next & 0x7fffffff)
  return far ^ (joined >>> 1) ^ (next & 1 ? 0x9908b0df : 0)
}

/** The next 624 words. */
const twist = (words: ArrayLike<number>): Uint32Array => {
  const out = new Uint32Array(WORDS)
  for (let i = 0; i < WORDS - MIDDLE; i++) out[i] = mix(words[i], words[i + 1], words[i + MIDDLE])
  for (let i = WORDS - MIDDLE; i < WORDS - 1; i++) out[i] = mix(words[i], words[i + 1], out[i + MIDDLE - WORDS])
  out[WORDS - 1] = mix(words[WORDS - 1], out[0], out[MIDDLE - 1])
  return out
}

/** Spreads the bits of a word of the state. */
const temper = (word: number): number => {
  let y = word
  y ^= y >>> 11
  y ^= (y << 7) & 0x9d2c5680
  y ^= (y << 15) & 0xefc60000
  return (y ^ (y >>> 18)) >>> 0
}

/** A position in the stream that one draw moves along; it never leaves that draw, and never writes into `words`. */
type Cursor = { words: ArrayLike<number>; index: number; kept: number | null }

/** The next 32-bit number. */
const next32 = (cursor: Cursor): number => {
  if (cursor.index >= WORDS) {
    cursor.words = twist(cursor.words)
    cursor.index = 0
  }
  return temper(cursor.words[cursor.index++])
}

/** The next float in [0, 1): 24 bits. */
const nextFloat = (cursor: Cursor): number => (next32(cursor) & 0xffffff) * 5.9604644775390625e-8

/** The next double in [0, 1): the low 53 bits of two numbers, the first being the high half. */
const nextDouble = (cursor: Cursor): number => {
  const high = next32(cursor) & 0x1fffff
  return (high * TWO_32 + next32(cursor)) * 1.1102230246251565e-16
}

/** The action which lets `draw` move along the stream from where the generator stands. */
const drawing =
  <A>(draw: (cursor: Cursor) => A): State<Generator, A> =>
  (generator) => {
    demandGenerator(generator)
    const cursor: Cursor = { words: generator.words, index: generator.index, kept: generator.kept }
    const value = draw(cursor)
    return [value, { words: cursor.words, index: cursor.index, kept: cursor.kept }]
  }

/** The action which draws a tensor, one number after the other. */
const filling = (shape: Shape, next: (cursor: Cursor) => number): State<Generator, Tensor> =>
  drawing((cursor) => {
    const data = allocate('random', shape)
    for (let i = 0; i < data.length; i++) data[i] = next(cursor)
    return tensor(shape, data)
  })

// ---------------------------------------------------------------- arguments

const demand = (holds: boolean, fn: string, name: string, value: unknown, accepted: string): void => {
  if (!holds)
    throw failure([
      {
        tag: 'InputError',
        input: name,
        path: '',
        message: `${fn}: ${name} is ${showGiven(value)}, but must be ${accepted}`,
        fix: `give ${name} in that range`,
      },
    ])
}

const isSize = (n: unknown): n is number => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0

const isSeed = (x: unknown): x is number | bigint =>
  typeof x === 'bigint' ? x >= -(2n ** 63n) && x < 2n ** 64n : Number.isSafeInteger(x)

const generatorField: Field = {
  says: 'a generator, as manualSeed makes one',
  like: 'manualSeed(0)',
  holds: (x) =>
    typeof x === 'object' &&
    x !== null &&
    'words' in x &&
    ((Array.isArray(x.words) && x.words.every(isWord)) || x.words instanceof Uint32Array) &&
    x.words.length === WORDS &&
    'index' in x &&
    isSize(x.index) &&
    'kept' in x,
}

const demandGenerator = (generator: unknown): void => {
  if (!generatorField.holds(generator))
    demandArguments('a draw', { generator }, { generator: required(generatorField) })
}

const demandShape = (fn: string, shape: Shape): void => {
  demand(isShape(shape), fn, 'shape', shape, 'a list of integers >= 0')
  demand(
    bytesOf(shape) <= MOST_BYTES,
    fn,
    'shape',
    shape,
    `of at most ${showBytes(MOST_BYTES)}, not ${showBytes(bytesOf(shape))}`,
  )
}

const demandProbability = (fn: string, p: number): void =>
  demand(typeof p === 'number' && p >= 0 && p <= 1, fn, 'p', p, 'in 0 … 1')

const demandRecord = (fn: string, options: object): void =>
  demandArguments(fn, { options }, { options: required(record) })

/** A finite number as float32, still finite. */
const demandFloat = (fn: string, name: string, value: number): void =>
  demand(typeof value === 'number' && Number.isFinite(Math.fround(value)), fn, name, value, 'a finite float32 number')

// ---------------------------------------------------------------- seed and storage

/**
 * The generator that `torch.manual_seed(seed)` sets. Accepted: integers in -2^63 … 2^64-1 (as `number`, within ±(2^53-1)).
 * Only the low 32 bits count, as in torch. Source: Knuth's initialisation, as in mt19937's reference code.
 */
export const manualSeed = (seed: number | bigint): Generator => {
  const accepted = 'an integer in -2^63 … 2^64-1 (a bigint beyond 2^53-1)'
  demand(isSeed(seed), 'manualSeed', 'seed', seed, accepted)
  const words = new Uint32Array(WORDS)
  words[0] = Number(BigInt.asUintN(32, BigInt(seed)))
  for (let i = 1; i < WORDS; i++) words[i] = Math.imul(1812433253, words[i - 1] ^ (words[i - 1] >>> 30)) + i
  return { words, index: WORDS, kept: null }
}

/** The whole state as a value that `JSON.stringify` writes without loss. */
export const generatorToJSON = (generator: Generator): GeneratorJSON => {
  demandGenerator(generator)
  return { algorithm: 'mt19937', words: Array.from(generator.words), index: generator.index, kept: generator.kept }
}

const isWord = (x: unknown): x is number => typeof x === 'number' && Number.isInteger(x) && x >= 0 && x < TWO_32

const isWords = (x: unknown): x is readonly number[] => Array.isArray(x) && x.length === WORDS && x.every(isWord)

const isRecord = (x: unknown): x is Readonly<Record<string, unknown>> => typeof x === 'object' && x !== null

const unreadable = (where: string, message: string): Either<QuantErrors, never> =>
  left([
    {
      tag: 'ParseError',
      where,
      path: '',
      message: `generator: ${message}`,
      fix: 'give what generatorToJSON wrote, after JSON.parse',
    },
  ])

/** A generator from what `generatorToJSON` gave (after `JSON.parse`), or what is wrong with it. */
export const generatorFromJSON = (json: unknown): Either<QuantErrors, Generator> => {
  if (!isRecord(json)) return unreadable('', 'must be an object')
  const { algorithm, words, index, kept } = json
  if (algorithm !== 'mt19937') return unreadable('algorithm', 'algorithm must be "mt19937"')
  if (!isWords(words)) return unreadable('words', `words must be ${WORDS} integers in 0 … 2^32-1`)
  if (!isWord(index) || index > WORDS) return unreadable('index', `index must be an integer in 0 … ${WORDS}`)
  if (kept !== null && !(typeof kept === 'number' && Number.isFinite(kept)))
    return unreadable('kept', 'kept must be null or a finite number')
  return right({ words: Uint32Array.from(words), index, kept })
}

// ---------------------------------------------------------------- uniform numbers

/** `torch.rand`: uniform numbers in [0, 1), multiples of 2^-24. */
export const rand = (shape: Shape): State<Generator, Tensor> => {
  demandShape('rand', shape)
  return filling(shape, nextFloat)
}

/** a + (b - a) x for every x that `rand` draws, in float32, with one rounding at the end as torch's fused kernel does. */
const scaled = (a: number, b: number, shape: Shape): State<Generator, Tensor> => {
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

// ---------------------------------------------------------------- normal numbers

const BLOCK = 16
const TWO_PI = 6.283185307179586
const TWO_PI_F32 = 6.2831854820251465

/** The next standard normal number of a small draw: Box-Muller in double, of whose two results the second is kept. */
const nextNormal = (cursor: Cursor): number => {
  const kept = cursor.kept
  cursor.kept = null
  if (kept !== null) return kept
  const theta = TWO_PI * nextDouble(cursor)
  const radius = Math.sqrt(-2 * log1p(-nextDouble(cursor)))
  cursor.kept = radius * sin(theta)
  return radius * cos(theta)
}

/** Turns 16 uniform numbers into normal ones in place, in float32 steps as torch does: those at j and j+8 are a pair. */
const normalBlock = (data: Float32Array, start: number, mean: number, std: number): void => {
  for (let j = start; j < start + BLOCK / 2; j++) {
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(log(1 - data[j])))))
    const theta = Math.fround(TWO_PI_F32 * data[j + BLOCK / 2])
    data[j] = Math.fround(radius * Math.fround(cos(theta))) * std + mean
    data[j + BLOCK / 2] = Math.fround(radius * Math.fround(sin(theta))) * std + mean
  }
}

/** A normal draw of 16 numbers or more; a size that is no multiple of 16 has its last 16 drawn anew. */
const manyNormals = (data: Float32Array, mean: number, std: number, cursor: Cursor): void => {
  const rest = data.length % BLOCK
  for (let i = 0; i < data.length; i++) data[i] = nextFloat(cursor)
  for (let i = 0; i < data.length - rest; i += BLOCK) normalBlock(data, i, mean, std)
  if (rest === 0) return
  for (let i = data.length - BLOCK; i < data.length; i++) data[i] = nextFloat(cursor)
  normalBlock(data, data.length - BLOCK, mean, std)
}

const normals = (mean: number, std: number, shape: Shape): State<Generator, Tensor> =>
  sizeOf(shape) < BLOCK
    ? filling(shape, (cursor) => nextNormal(cursor) * std + mean)
    : drawing((cursor) => {
        const data = allocate('random', shape)
        manyNormals(data, Math.fround(mean), Math.fround(std), cursor)
        return tensor(shape, data)
      })

/** `torch.randn`: standard normal numbers. Below 16 elements in pairs, whose second number may wait in the generator for the next small draw. */
export const randn = (shape: Shape): State<Generator, Tensor> => {
  demandShape('randn', shape)
  return normals(0, 1, shape)
}

/** `normal_(mean, std)`: as `randn`, times std plus mean. Accepted: float32 numbers, std >= 0. */
export const normal = (mean: number, std: number, shape: Shape): State<Generator, Tensor> => {
  demandShape('normal', shape)
  demandFloat('normal', 'mean', mean)
  demandFloat('normal', 'std', std)
  demand(std >= 0, 'normal', 'std', std, 'at least 0')
  return normals(mean, std, shape)
}

// ---------------------------------------------------------------- initial weights

type Fans = { readonly fanIn: number; readonly fanOut: number }

/** Inputs and outputs per element of a weight: its second and its first size, times the kernel's area. */
const fansOf = (fn: string, shape: Shape): Fans => {
  demandShape(fn, shape)
  demand(shape.length >= 2, fn, 'shape', shape, 'of two axes or more')
  const area = sizeOf(shape.slice(2))
  return { fanIn: shape[1] * area, fanOut: shape[0] * area }
}

/** Standard deviation that keeps the variance through a leaky ReLU of negative slope a. */
const kaimingStd = (a: number, fan: number): number => Math.sqrt(2 / (1 + a * a)) / Math.sqrt(fan)

/** Uniform numbers in ±bound; an empty tensor draws nothing, whatever its bound (a fan of 0 makes it infinite). */
const uniformWithin = (bound: number, shape: Shape): State<Generator, Tensor> => scaled(-bound, bound, shape)

/** `torch.nn.init.kaiming_uniform_(a)` (fan in, leaky ReLU of slope a, default 0): uniform in ±sqrt(6 / ((1 + a^2) fan_in)). Accepted: finite a, two axes or more. */
export const kaimingUniform =
  (options: { readonly a?: number } = {}) =>
  (shape: Shape): State<Generator, Tensor> => {
    demandRecord('kaimingUniform', options)
    const { a = 0 } = options
    demandFloat('kaimingUniform', 'a', a)
    return uniformWithin(Math.sqrt(3) * kaimingStd(a, fansOf('kaimingUniform', shape).fanIn), shape)
  }

/** `torch.nn.init.kaiming_normal_(a)` (fan in, leaky ReLU of slope a, default 0): normal, mean 0, std sqrt(2 / ((1 + a^2) fan_in)). Accepted: finite a, two axes or more. */
export const kaimingNormal =
  (options: { readonly a?: number } = {}) =>
  (shape: Shape): State<Generator, Tensor> => {
    demandRecord('kaimingNormal', options)
    const { a = 0 } = options
    demandFloat('kaimingNormal', 'a', a)
    return normals(0, kaimingStd(a, fansOf('kaimingNormal', shape).fanIn), shape)
  }

/** `torch.nn.init.xavier_uniform_(gain)` (gain 1 by default): uniform in ±gain sqrt(6 / (fan_in + fan_out)). Accepted: finite gain >= 0, two axes or more. */
export const xavierUniform =
  (options: { readonly gain?: number } = {}) =>
  (shape: Shape): State<Generator, Tensor> => {
    demandRecord('xavierUniform', options)
    const { gain = 1 } = options
    demandFloat('xavierUniform', 'gain', gain)
    demand(gain >= 0, 'xavierUniform', 'gain', gain, 'at least 0')
    const { fanIn, fanOut } = fansOf('xavierUniform', shape)
    return uniformWithin(Math.sqrt(3) * (gain * Math.sqrt(2 / (fanIn + fanOut))), shape)
  }

/**
 * What a layer with weights draws: `fanIn` is weightShape[1] times the kernel's area by default (for transposed convolutions
 * too), `biasSize` weightShape[0] (give the output channels for a transposed convolution).
 */
export type LayerInit = {
  readonly weightShape: Shape
  readonly fanIn?: number
  readonly bias: boolean
  readonly biasSize?: number
}

/** The weight of a layer, and its bias if it has one. */
export type LayerParameters = { readonly weight: Tensor; readonly bias: Tensor | null }

/** torch's `reset_parameters` of linear and convolution layers: the weight, then the bias, uniform in ±1/sqrt(fan_in). Accepted: two axes or more, fanIn > 0 unless the weight is empty. */
export const weightAndBias = (options: LayerInit): State<Generator, LayerParameters> => {
  demandRecord('weightAndBias', options)
  demandArguments('weightAndBias', options, { weightShape: required(shapeField), bias: required(flag) })
  const { weightShape, fanIn, bias, biasSize } = options
  const fan = fanIn ?? fansOf('weightAndBias', weightShape).fanIn
  const length = biasSize ?? weightShape[0]
  demandShape('weightAndBias', weightShape)
  demand(isSize(length), 'weightAndBias', 'biasSize', length, 'an integer >= 0')
  demand(
    (typeof fan === 'number' && fan > 0) || (fan === 0 && sizeOf(weightShape) === 0),
    'weightAndBias',
    'fanIn',
    fan,
    'positive',
  )
  const drawWeight = uniformWithin(Math.sqrt(3) * kaimingStd(Math.sqrt(5), fan), weightShape)
  const drawBias = uniformWithin(fan > 0 ? 1 / Math.sqrt(fan) : 0, [length])
  return (generator) => {
    const [weight, afterWeight] = drawWeight(generator)
    if (!bias) return [{ weight, bias: null }, afterWeight]
    const [drawn, afterBias] = drawBias(afterWeight)
    return [{ weight, bias: drawn }, afterBias]
  }
}
