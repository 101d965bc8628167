/** What the tests of layers, models and training share. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'

/** The right side, or the errors as an exception. */
export const get = q.orThrow

/** The errors; an exception where there are none. */
export const errorsOf = (e: E.Either<q.QuantErrors, unknown>): q.QuantErrors => {
  if (E.isRight(e)) throw new Error('an error was expected')
  return e.left
}

/** Deep equality. */
export const same = (a: unknown, b: unknown): void => assert.equal(a, b)

/** Two numbers at most `tolerance` apart, relative to their size where they are large. */
export const close = (a: number, b: number, tolerance: number): void =>
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b)), `${a} is not ${b}`)

/** Equality of every bit, the sign of zero included. */
export const sameBits = (a: q.Tensor, b: q.Tensor): void => {
  assert.equal(a.shape, b.shape)
  assert.ok(
    a.data.every((x, i) => Object.is(x, b.data[i])),
    `[${a.data}] and [${b.data}] differ`,
  )
}

/** A match somewhere in a text. */
export const says = (text: string, pattern: RegExp): void => assert.match(text, pattern)
