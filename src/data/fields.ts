/**
 * Options as schemas: which names a record of options may have, and what each may hold. Whoever takes options from a user
 * checks them with `fieldProblems`; names that nobody knows are answered with the nearest one that is known.
 */
import { left, right, type Either } from 'fp-ts/lib/Either.js'
import { failure, isFailure, type QuantError, type QuantErrors } from './error.js'
import { nearestName } from './nearest.js'
import { showGiven } from './showGiven.js'

export { nearestName } from './nearest.js'
export { isEither, showGiven } from './showGiven.js'

/** What one field may hold. `says` completes the sentence "it must be …", and `like` is an example that holds. */
export type Field<T = unknown> = {
  readonly says: string
  readonly like: string
  readonly holds: (x: unknown) => boolean
  /** Must the field be given? */
  readonly required?: boolean
  /** For the compiler only: what it lets through. */
  readonly type?: T
}
/** A field that must be given. */
export type Needed<T = unknown> = Field<T> & { readonly required: true }
/** A field that holds this where it is not given. */
export type Defaulted<T = unknown> = Field<T> & { readonly fallback: T }

/** What a field lets through. */
export type Held<F> = F extends { readonly type?: infer T } ? T : never
/** The record of options that a schema describes: its fields as properties, those that must be given and those that need not. */
export type OptionsOf<S> = {
  readonly [K in keyof S as S[K] extends Needed ? K : never]: Held<S[K]>
} & {
  readonly [K in keyof S as S[K] extends Needed ? never : K]?: Held<S[K]>
}
/** The same after defaults have been filled in. */
export type Resolved<S> = {
  readonly [K in keyof S]: S[K] extends Needed | Defaulted ? Held<S[K]> : Held<S[K]> | undefined
}

/** The fields of a record of options, by name. */
export type Fields<Options = { readonly [name: string]: unknown }> = { readonly [K in keyof Options]-?: Field }

const isNumber = (x: unknown): x is number => typeof x === 'number' && Number.isFinite(x)
const isWhole = (x: unknown): x is number => Number.isSafeInteger(x)

/** Is it a record, not a list, a map, a date, a promise, …? */
const isRecord = (x: unknown): x is { readonly [name: string]: unknown } => {
  if (typeof x !== 'object' || x === null) return false
  // Most are plain, and then no text is made.
  if (Object.getPrototypeOf(x) === Object.prototype) return true
  return /^\[object (Object|Module)\]$/.test(Object.prototype.toString.call(x))
}

/** The same field, which must be given. */
export const required = <T>(field: Field<T>): Needed<T> => ({ ...field, required: true })
/** The same field, with what it holds where it is not given. */
export const byDefault = <T>(field: Field<T>, fallback: NoInfer<T>): Defaulted<T> => ({ ...field, fallback })
/** The same field, or null. */
export const orNull = <T>(field: Field<T>): Field<T | null> => ({
  says: `${field.says}, or null`,
  like: field.like,
  holds: (x) => x === null || field.holds(x),
})
/** One of several kinds of fields. */
export const either = <F extends readonly Field[]>(...fields: F): Field<Held<F[number]>> => ({
  says: fields.map((f) => f.says).join(', or '),
  like: fields[0].like,
  holds: (x) => fields.some((f) => f.holds(x)),
})

/** A finite number above 0. */
export const positive: Field<number> = { says: 'a number above 0', like: '0.1', holds: (x) => isNumber(x) && x > 0 }
/** A finite number, 0 or above. */
export const nonNegative: Field<number> = { says: 'a number from 0 on', like: '0', holds: (x) => isNumber(x) && x >= 0 }
/** Any finite number. */
export const finite: Field<number> = { says: 'a finite number', like: '1', holds: isNumber }
/** A number from 0 to 1, both included. */
export const fraction: Field<number> = {
  says: 'a number from 0 to 1',
  like: '0.9',
  holds: (x) => isNumber(x) && x >= 0 && x <= 1,
}
/** A number from 0 on and below 1. */
export const below1: Field<number> = {
  says: 'a number from 0 to below 1',
  like: '0.9',
  holds: (x) => isNumber(x) && x >= 0 && x < 1,
}
/** A whole number above 0. */
export const count: Field<number> = { says: 'a whole number above 0', like: '1', holds: (x) => isWhole(x) && x > 0 }
/** A whole number, 0 or above. */
export const whole: Field<number> = { says: 'a whole number from 0 on', like: '0', holds: (x) => isWhole(x) && x >= 0 }
/** `true` or `false`. */
export const flag: Field<boolean> = { says: 'true or false', like: 'true', holds: (x) => typeof x === 'boolean' }
/** A text. */
export const text: Field<string> = { says: 'a text', like: "'name'", holds: (x) => typeof x === 'string' }
/** A function. */
export const func: Field = { says: 'a function', like: '(x) => x', holds: (x) => typeof x === 'function' }
/** A record. */
export const record: Field = {
  says: 'a record',
  like: '{}',
  holds: (x) => typeof x === 'object' && x !== null && !Array.isArray(x),
}
/** One of the given words. */
export const oneOf = <const W extends string | number | boolean | null>(...words: readonly W[]): Field<W> => ({
  says: `one of ${words.map((w) => JSON.stringify(w)).join(', ')}`,
  like: JSON.stringify(words[0]),
  holds: (x) => words.some((w) => w === x),
})
/** A list of anything. */
export const list: Field = { says: 'a list', like: '[]', holds: Array.isArray }
const isLength = (n: unknown): boolean => isWhole(n) && n >= 0
/** Is it a list of whole numbers from 0 on? */
export const isShape = (x: unknown): x is readonly number[] => Array.isArray(x) && x.every(isLength)
/** A shape. */
export const shapeField: Field<readonly number[]> = {
  says: 'a list of whole numbers from 0 on',
  like: '[2, 4]',
  holds: isShape,
}
/** A list, each entry of which is as the field says. */
export const listOf = <T>(one: Field<T>): Field<readonly T[]> => ({
  says: `a list, each entry ${one.says}`,
  like: `[${one.like}]`,
  holds: (x) => Array.isArray(x) && Array.from<unknown>(x).every((e) => one.holds(e)),
})
/** A record with these fields, and any others; `what` it is, in a few words. */
export const shaped = (what: string, fields: { readonly [name: string]: Field }): Field => ({
  says: what,
  like: '{}',
  holds: (x) => {
    if (!record.holds(x)) return false
    const given: { readonly [name: string]: unknown } = Object(x)
    return Object.keys(fields).every((name) =>
      given[name] === undefined ? fields[name].required !== true : fields[name].holds(given[name]),
    )
  },
})
/** Every field of a record must be there. */
export const allOf = <K extends string>(fields: { readonly [name in K]: Field }): { readonly [name in K]: Field } =>
  Object.fromEntries(Object.entries<Field>(fields).map(([name, f]) => [name, required(f)])) as {
    readonly [name in K]: Field
  }
/** Any number, NaN and infinities too. */
export const anyNumber: Field<number> = { says: 'a number', like: '0', holds: (x) => typeof x === 'number' }
/** One whole number above 0, or a list of them: what pools and convolutions take per axis. */
export const counts: Field<number | readonly number[]> = {
  says: 'a whole number above 0, or a list of them',
  like: '2',
  holds: (x) => (Array.isArray(x) ? x : [x]).every((n) => isWhole(n) && n > 0),
}
const isTyped = (x: unknown): boolean =>
  ArrayBuffer.isView(x) && 'length' in x && !(x instanceof BigInt64Array) && !(x instanceof BigUint64Array)
/** Is it a list of numbers, or a typed array of them? Written as a loop: lists of samples pass here. */
export const isNumbers = (x: unknown): x is ArrayLike<number> => {
  if (!Array.isArray(x)) return isTyped(x)
  for (let i = 0; i < x.length; i++) if (typeof x[i] !== 'number') return false
  return true
}
/** A list or typed array of numbers. */
export const numbers: Field = { says: 'a list or typed array of numbers', like: '[1, 2]', holds: isNumbers }
/** What ends a walk: whatever has `aborted`, as an AbortSignal has. */
export const signalField: Field = {
  says: 'an AbortSignal',
  like: 'controller.signal',
  holds: (x) => typeof x === 'object' && x !== null && 'aborted' in x && typeof x.aborted === 'boolean',
}
/** Anything at all: checked elsewhere. */
export const anything: Field = { says: 'anything', like: '{}', holds: () => true }

const configError = (option: string, message: string, fix: string): QuantError => ({
  tag: 'ConfigError',
  option,
  path: '',
  message,
  fix,
})

const NAMES_SHOWN = 16
const leaveOut = (names: readonly string[]): string =>
  names.length === 0
    ? 'leave it out: there are no options'
    : `leave it out; known: ${names.slice(0, NAMES_SHOWN).join(', ')}${names.length > NAMES_SHOWN ? ', …' : ''}`

const fieldProblem = (asker: string, name: string, field: Field, given: unknown): QuantError | null => {
  if (given === undefined)
    return field.required === true
      ? configError(name, `${asker} needs ${name}: ${field.says}`, `give ${name}, for instance ${name}: ${field.like}`)
      : null
  if (field.holds(given)) return null
  return configError(
    name,
    `${asker} was given ${name}: ${showGiven(given)}; it must be ${field.says}`,
    `give ${name}: ${field.like}, for instance`,
  )
}

/** An option as a caller would write it first: those that are required, or else the first one. */
const shownOptions = (fields: { readonly [name: string]: Field }): string => {
  const names = Object.keys(fields)
  const needed = names.filter((n) => fields[n].required)
  const shown = needed.length > 0 ? needed : names.slice(0, 1)
  return `{ ${shown.map((n) => `${n}: ${fields[n].like}`).join(', ')} }`
}

const noRecord = (asker: string, given: unknown, fields: { readonly [name: string]: Field }): QuantError =>
  configError(
    'options',
    `${asker} takes a record of options, and was given ${showGiven(given)}`,
    Object.keys(fields).length === 0 ? `call it without: ${asker}()` : `write ${asker}(${shownOptions(fields)})`,
  )

const unknownOption = (asker: string, name: string, fields: { readonly [name: string]: Field }): QuantError => {
  const names = Object.keys(fields)
  const near = nearestName(name, names)
  return configError(
    name,
    `${asker} has no option ${JSON.stringify(name)}`,
    near === undefined ? leaveOut(names) : `did you mean ${near}?`,
  )
}

const addProblems = (
  problems: QuantError[],
  asker: string,
  given: { readonly [name: string]: unknown },
  fields: { readonly [name: string]: Field },
): void => {
  for (const name in fields) {
    const problem = fieldProblem(asker, name, fields[name], given[name])
    if (problem !== null) problems.push(problem)
  }
}

/**
 * All that is wrong with a record of options: it is no record, it has unknown names (with the nearest known one), a field is missing, or
 * holds what it may not. `asker` is the function that was called, as the user wrote it: `adam`. An undefined field counts as absent.
 */
export const fieldProblems = (
  asker: string,
  given: unknown,
  fields: { readonly [name: string]: Field },
): readonly QuantError[] => {
  if (!isRecord(given)) return [noRecord(asker, given, fields)]
  // Asked for every layer of every trace: where all is well, nothing is made.
  const problems: QuantError[] = []
  for (const name in given)
    if (Object.hasOwn(given, name) && !Object.hasOwn(fields, name)) problems.push(unknownOption(asker, name, fields))
  addProblems(problems, asker, given, fields)
  return problems
}

/** Options that are right, after the defaults of their schema have been filled in. */
export const resolvedBy = <S extends { readonly [name: string]: Field }>(
  given: { readonly [name: string]: unknown },
  fields: S,
): Resolved<S> =>
  Object.fromEntries(
    Object.entries<Field & { readonly fallback?: unknown }>(fields).map(([name, { fallback }]) => [
      name,
      given[name] === undefined ? fallback : given[name],
    ]),
  ) as Resolved<S>

/** Throws what is wrong, where a function returns no `Either`; nothing if nothing is. */
export const demand = (problems: readonly QuantError[]): void => {
  if (problems.length > 0) throw failure(problems)
}

/**
 * Throws where an argument is not what it must be. `given` are the arguments under their names: `demandArguments('full', { shape, value }, …)`.
 */
export const demandArguments = (
  asker: string,
  given: { readonly [name: string]: unknown },
  fields: { readonly [name: string]: Field },
): void => demand(argumentProblems(asker, given, fields))

/** The same as problems, for functions that return an `Either` or a layer. */
export const argumentProblems = (
  asker: string,
  given: { readonly [name: string]: unknown },
  fields: { readonly [name: string]: Field },
): readonly QuantError[] => {
  const problems: QuantError[] = []
  addProblems(problems, asker, given, fields)
  return problems
}

/** What `f` gives, or the errors of a `QuantFailure` that it throws; anything else that it throws goes through. */
export const attempt = <A>(f: () => A): Either<QuantErrors, A> => {
  try {
    return right(f())
  } catch (e) {
    if (!isFailure(e)) throw e
    return left(e.errors)
  }
}
