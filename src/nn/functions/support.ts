/** What the functions of values share; not public. */
import { failure, type QuantError } from '../../data/error.js'
import { argumentProblems, showGiven, type Field } from '../../data/fields.js'
import type { BarePrimitive, Kit, Value } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'

/** A value, or a number that is lifted to a constant. */
export type Operand = Value | number

const wrongValue = (asker: string, x: unknown, more = ''): QuantError => {
  const tensor = typeof x === 'object' && x !== null && 'data' in x
  return {
    tag: 'InputError',
    input: asker,
    path: '',
    message: `${asker} takes a traced value${more}, and was given ${showGiven(x)}`,
    fix: tensor
      ? 'numbers are given when a program runs: declare an input (tensorInput) and call this inside the function that trace is given'
      : 'call it inside a forward, with values that trace handed to it: functionLayer(name, (x) => …), for instance',
  }
}

/** Throws where something is no traced value; `trace` gives what is thrown as its errors. */
export const demandValue = (asker: string, x: unknown): void => {
  if (!isValue(x)) throw failure([wrongValue(asker, x)])
}

/** Something that a caller asks for, and not a kit or the options of a layer without any, which are handed over with a value. */
const isWish = (x: unknown): boolean =>
  typeof x === 'object' && x !== null
    ? Array.isArray(x) || (!('emit' in x) && Object.keys(x).length > 0)
    : typeof x === 'number' || typeof x === 'string' || typeof x === 'boolean'

/**
 * Throws where a call has more arguments than the function takes: an axis for `max`, a rounding mode for `div`, a reduction for a loss, as torch has them,
 * would be passed over in silence. The index and the list that `map` and `reduce` hand over are no such wish.
 */
export const demandNoMore = (asker: string, more: readonly unknown[]): void => {
  if (more.length === 0 || !isWish(more[0]) || (typeof more[0] === 'number' && Array.isArray(more[1]))) return
  throw failure([
    {
      tag: 'InputError',
      input: asker,
      path: '',
      message: `${asker} was given ${showGiven(more[0])}, which is one argument more than it takes`,
      fix: 'leave it out: what it asks for has to be composed of other functions',
    },
  ])
}

/** The values of a list, or a throw where it is none or holds something else. */
export const demandValues = (asker: string, xs: unknown): readonly Value[] => {
  if (!Array.isArray(xs))
    throw failure([
      {
        ...wrongValue(asker, xs, ' in a list'),
        ...(isValue(xs) ? { fix: `put it in a list: [x], or [x, y]` } : {}),
      },
    ])
  const list: readonly unknown[] = xs
  list.forEach((x) => demandValue(asker, x))
  return list.filter(isValue)
}

/** The same, with at least one value. */
export const demandSome = (asker: string, xs: unknown): readonly [Value, ...Value[]] => {
  const [first, ...rest] = demandValues(asker, xs)
  if (first === undefined) throw failure([wrongValue(asker, xs, ', at least one, in a list')])
  return [first, ...rest]
}

/** The kit of the first value among operands, of which at least one must be a value and the rest numbers. */
export const kitOf = (asker: string, operands: readonly unknown[]): Kit => {
  const odd = operands.findIndex((x) => typeof x !== 'number' && !isValue(x))
  const value = operands.find(isValue)
  if (value === undefined || odd >= 0)
    throw failure([wrongValue(asker, operands[Math.max(0, odd)], ' or a number, at least one of them a value')])
  return value.kit
}

/** What follows a value in a call, checked: null if it is right, else the invalid value of a recorded error. */
export const refused = (
  asker: string,
  x: Value,
  given: { readonly [name: string]: unknown },
  fields: { readonly [name: string]: Field },
  fixOf: (e: QuantError) => string = (e) => e.fix,
): Value | null => {
  demandValue(asker, x)
  const path = x.kit.path()
  return argumentProblems(asker, given, fields).reduce<Value | null>(
    (_, e) => x.kit.failWith({ ...e, path, fix: fixOf(e) }),
    null,
  )
}

/** A whole number: an axis, negative ones from the back. */
export const axisField: Field = {
  says: 'a whole number, negative from the back',
  like: '1',
  holds: Number.isSafeInteger,
}
/** One axis, or a list of them. */
export const axesField: Field = {
  says: 'an axis, or a list of axes',
  like: '[0, 1]',
  holds: (x) => (Array.isArray(x) ? x : [x]).every(Number.isSafeInteger),
}
/** A number, infinite ones too, but no NaN. */
export const numberField: Field<number> = {
  says: 'a number',
  like: '1',
  holds: (x) => typeof x === 'number' && !Number.isNaN(x),
}

/** A number as a constant; a value as it is. */
export const lift = (kit: Kit, x: Operand): Value => (typeof x === 'number' ? kit.constant(x) : x)

/** A function that applies a unary primitive; `name` is the function's own where it differs. */
export const applying =
  (op: BarePrimitive, name: string = op): ((x: Value) => Value) =>
  (x: Value, ...more: readonly unknown[]): Value => {
    demandValue(name, x)
    demandNoMore(name, more)
    return x.kit.emit(op, [x])
  }

/** Fails where an axis is not one of `rank`; null where it is. */
export const badAxis = (name: string, x: Value, d: number, rank: number): Value | null =>
  Number.isInteger(d) && d >= -rank && d < rank
    ? null
    : x.kit.fail({
        op: name,
        refuse: `there is no axis ${showGiven(d)} among ${rank}`,
        fix: `name an axis from ${-rank} to ${rank - 1}`,
      })

/** An axis counted from the front; negative ones count from the back. */
export const axis = (x: Value, d: number): number => (d < 0 ? d + x.shape.length : d)
