/** What draws accept: each throws a `QuantFailure` that names the function, the value and the accepted range. */
import { failure } from '../error.js'
import { demandArguments, isShape, record, required, showGiven } from '../fields.js'
import { bytesOf, MOST_BYTES, showBytes, type Shape } from '../shape.js'

/** Throws, naming function and argument, unless it holds. */
export const demand = (holds: boolean, fn: string, name: string, value: unknown, accepted: string): void => {
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

/** Is it a number of things? */
export const isSize = (n: unknown): n is number => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0

/** A shape that fits into memory. */
export const demandShape = (fn: string, shape: Shape): void => {
  demand(isShape(shape), fn, 'shape', shape, 'a list of integers >= 0')
  demand(
    bytesOf(shape) <= MOST_BYTES,
    fn,
    'shape',
    shape,
    `of at most ${showBytes(MOST_BYTES)}, not ${showBytes(bytesOf(shape))}`,
  )
}

/** A probability. */
export const demandProbability = (fn: string, p: number): void =>
  demand(typeof p === 'number' && p >= 0 && p <= 1, fn, 'p', p, 'in 0 … 1')

/** Options. */
export const demandRecord = (fn: string, options: object): void =>
  demandArguments(fn, { options }, { options: required(record) })

/** A finite number as float32, still finite. */
export const demandFloat = (fn: string, name: string, value: number): void =>
  demand(typeof value === 'number' && Number.isFinite(Math.fround(value)), fn, name, value, 'a finite float32 number')
