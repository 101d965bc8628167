/**
 * Fields of attributes: the vocabulary of schemas. Each is a guard, from which the attribute's type derives, and the words
 * in which a refusal says what it must be.
 */
import * as fields from '../data/fields.js'
import type { Field } from '../data/fields.js'
import type { Attr, AttrField, OptionalField } from './attributes.js'

/** A field of options as a field of attributes; `A` is what it lets through. */
const typed = <A extends Attr>({ says, like, holds }: Field): AttrField<A> => ({
  says,
  like,
  holds: holds as (x: unknown) => x is A,
})

/** A whole number above 0. */
export const count: AttrField<number> = typed(fields.count)
/** A whole number, 0 or above: an axis, an index. */
export const whole: AttrField<number> = typed(fields.whole)
/** Any whole number. */
export const integer: AttrField<number> = typed({
  says: 'a whole number',
  like: '0',
  holds: Number.isSafeInteger,
})
/** A finite number. */
export const finite: AttrField<number> = typed(fields.finite)
/** A finite number above 0. */
export const positive: AttrField<number> = typed(fields.positive)
/** A number from 0 to 1. */
export const fraction: AttrField<number> = typed(fields.fraction)
/** `true` or `false`. */
export const flag: AttrField<boolean> = typed(fields.flag)
/** A text. */
export const text: AttrField<string> = typed(fields.text)
/** A whole number from `least` to `most`. */
export const between = (least: number, most: number): AttrField<number> =>
  typed({
    says: `a whole number from ${least} to ${most}`,
    like: String(most),
    holds: (x) => typeof x === 'number' && Number.isInteger(x) && x >= least && x <= most,
  })
/** One of the given words. */
export const word = <const W extends readonly string[]>(...words: W): AttrField<W[number]> =>
  typed(fields.oneOf(...words))
/** What the field says, or null. */
export const orNull = <A extends Attr>(field: AttrField<A>): AttrField<A | null> => typed(fields.orNull(field))
/** A field that a call may leave out. */
export const optional = <A extends Attr>(field: AttrField<A>): OptionalField<A> => ({ ...field, optional: true })

/** A list without holes, of any length, of what the field says. */
export const list = <A extends Attr>(field: AttrField<A>): AttrField<readonly A[]> =>
  typed({
    says: `a list, each entry ${field.says}`,
    like: `[${field.like}]`,
    holds: (x) => {
      if (!Array.isArray(x)) return false
      for (let i = 0; i < x.length; i++) if (!field.holds(x[i])) return false
      return true
    },
  })
/** A list of two. */
export const pair = <A extends Attr>(field: AttrField<A>): AttrField<readonly [A, A]> =>
  typed({
    says: `a pair, each entry ${field.says}`,
    like: `[${field.like}, ${field.like}]`,
    holds: (x) => Array.isArray(x) && x.length === 2 && field.holds(x[0]) && field.holds(x[1]),
  })
/** A shape: sizes of axes, outermost first. */
export const shape: AttrField<readonly number[]> = list(whole)
