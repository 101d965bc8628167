/**
 * Attributes of ops: what they are, and schemas of them. A schema is a record of fields, one per attribute; the type of
 * the attributes derives from it (`AttrsOf`), and whoever makes a node, from a trace or from a file, is checked by it.
 * What ties attributes to each other or to shapes stays in the op's own shape rule.
 */
import { nearestName, showGiven, type Field } from '../data/fields.js'

/** A static attribute of a node: JSON, so that a program can be stored. */
export type Attr = number | string | boolean | null | readonly Attr[]
/** The static attributes of a node. */
export type Attrs = { readonly [key: string]: Attr }
/** The attributes of an op that has none. */
export type NoAttrs = { readonly [key: string]: never }

/** What one attribute may hold. The guard `holds` is the type: whatever it lets through is an `A`. */
export type AttrField<A extends Attr = Attr> = Omit<Field, 'holds'> & { readonly holds: (x: unknown) => x is A }
/** A field that a call may leave out. */
export type OptionalField<A extends Attr = Attr> = AttrField<A> & { readonly optional: true }
/** The fields of attributes, by name. */
export type AttrSchema<A = Attrs> = { readonly [K in keyof A]-?: AttrField<Extract<A[K], Attr>> }

type Held<F> = F extends AttrField<infer A> ? A : never
/** The attributes that a schema describes. */
export type AttrsOf<S> = {
  readonly [K in keyof S as S[K] extends OptionalField ? never : K]: Held<S[K]>
} & {
  readonly [K in keyof S as S[K] extends OptionalField ? K : never]?: Held<S[K]>
}

const DEEPEST = 64
const isJson = (x: unknown, depth = 0): boolean => {
  if (x === null || typeof x === 'number' || typeof x === 'string' || typeof x === 'boolean') return true
  if (!Array.isArray(x) || depth >= DEEPEST) return false
  for (let i = 0; i < x.length; i++) if (!isJson(x[i], depth + 1)) return false
  return true
}
/** What an attribute of an op without a schema is checked by. */
const anyAttr: AttrField = {
  says: 'JSON: a number, a text, true, false, null, or a list of such',
  like: '1',
  holds: (x): x is Attr => isJson(x),
}

const isRecord = (x: unknown): boolean => typeof x === 'object' && x !== null && !Array.isArray(x)

/** What is wrong with attributes, and how to mend it. */
export type AttrProblem = { readonly message: string; readonly fix: string; readonly name?: string }

const unknownName = (name: string, known: readonly string[]): AttrProblem => {
  const near = nearestName(name, known)
  const others = known.length === 0 ? ': it has no attributes' : `; known: ${known.join(', ')}`
  return {
    name,
    message: `it has no attribute ${JSON.stringify(name)}`,
    fix: near === undefined ? `leave it out${others}` : `did you mean ${near}?`,
  }
}

const wrongValue = (name: string, field: AttrField, given: unknown): AttrProblem =>
  given === undefined
    ? { name, message: `it needs ${name}: ${field.says}`, fix: `give ${name}, for instance ${name}: ${field.like}` }
    : {
        name,
        message: `${name} is ${showGiven(given)}; it must be ${field.says}`,
        fix: `give ${name}: ${field.like}, for instance`,
      }

const mayBeMissing = (field: AttrField): boolean => 'optional' in field

/** The first thing that is wrong with attributes, by their schema; null where they are right. */
export const attrsProblem = (attrs: Attrs, schema: AttrSchema): AttrProblem | null => {
  if (!isRecord(attrs))
    return { message: `its attributes are ${showGiven(attrs)}, which is no record`, fix: 'give { name: value, … }' }
  let found = 0
  for (const name in schema) {
    const given: unknown = attrs[name]
    if (given === undefined && mayBeMissing(schema[name]) && !Object.hasOwn(attrs, name)) continue
    if (!schema[name].holds(given)) return wrongValue(name, schema[name], given)
    found++
  }
  let given = 0
  for (const _ in attrs) given++
  if (given === found) return null
  const names = Object.keys(attrs)
  const known = Object.keys(schema)
  return unknownName(names.find((n) => !Object.hasOwn(schema, n)) ?? names[0], known)
}

/** The first thing that is wrong with attributes of an op without a schema: one of `needed` is missing, or one is no JSON. */
export const jsonProblem = (attrs: Attrs, needed: readonly string[]): AttrProblem | null => {
  if (!isRecord(attrs))
    return { message: `its attributes are ${showGiven(attrs)}, which is no record`, fix: 'give { name: value, … }' }
  const missing = needed.find((n) => !Object.hasOwn(attrs, n))
  if (missing !== undefined) return wrongValue(missing, anyAttr, undefined)
  const odd = Object.keys(attrs).find((n) => !isJson(attrs[n]))
  return odd === undefined ? null : wrongValue(odd, anyAttr, attrs[odd] ?? null)
}

/** A value as text: the same for the same value only (words say their length, so that no word is taken for a list). */
const attrText = (a: Attr): string => {
  if (typeof a === 'number') return Object.is(a, -0) ? '-0' : `${a}`
  if (typeof a === 'string') return `${a.length}"${a}`
  if (Array.isArray(a)) {
    let text = '['
    for (const x of a) text += `${attrText(x)},`
    return text
  }
  return `${a}`
}

/** Attributes as a key: the same for the same attributes only. */
export const attrsKey = (attrs: Attrs): string => {
  let key = ''
  for (const name in attrs) key += `${name}=${attrText(attrs[name])};`
  return key
}
