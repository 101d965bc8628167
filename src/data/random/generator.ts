/** torch's generator, mt19937, as a value: its state, the numbers that it gives, and actions that draw with them. */
import type { Either } from 'fp-ts/lib/Either.js'
import { left, right } from 'fp-ts/lib/Either.js'
import type { State } from 'fp-ts/lib/State.js'
import type { QuantErrors } from '../error.js'
import { demandArguments, required, type Field } from '../fields.js'
import type { Shape } from '../shape.js'
import { allocate, tensor, type Tensor } from '../tensor.js'
import { demand, isSize } from './arguments.js'

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
export type Cursor = { words: ArrayLike<number>; index: number; kept: number | null }

/** The next 32-bit number. */
export const next32 = (cursor: Cursor): number => {
  if (cursor.index >= WORDS) {
    cursor.words = twist(cursor.words)
    cursor.index = 0
  }
  return temper(cursor.words[cursor.index++])
}

/** The next float in [0, 1): 24 bits. */
export const nextFloat = (cursor: Cursor): number => (next32(cursor) & 0xffffff) * 5.9604644775390625e-8

/** The next double in [0, 1): the low 53 bits of two numbers, the first being the high half. */
export const nextDouble = (cursor: Cursor): number => {
  const high = next32(cursor) & 0x1fffff
  return (high * TWO_32 + next32(cursor)) * 1.1102230246251565e-16
}

const isWord = (x: unknown): x is number => typeof x === 'number' && Number.isInteger(x) && x >= 0 && x < TWO_32

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

/** The action which lets `draw` move along the stream from where the generator stands. */
export const drawing =
  <A>(draw: (cursor: Cursor) => A): State<Generator, A> =>
  (generator) => {
    demandGenerator(generator)
    const cursor: Cursor = { words: generator.words, index: generator.index, kept: generator.kept }
    const value = draw(cursor)
    return [value, { words: cursor.words, index: cursor.index, kept: cursor.kept }]
  }

/** The action which draws a tensor, one number after the other. */
export const filling = (shape: Shape, next: (cursor: Cursor) => number): State<Generator, Tensor> =>
  drawing((cursor) => {
    const data = allocate('random', shape)
    for (let i = 0; i < data.length; i++) data[i] = next(cursor)
    return tensor(shape, data)
  })

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
