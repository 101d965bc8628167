/**
 * Pieces of stored programs, read without trust: each reader notes what is wrong, and where, and returns something
 * harmless, so that the first doubt ends a loop.
 */
import type { FloatFormat } from '../data/minifloat.js'
import type { Group } from '../data/quant.js'
import { MOST_ELEMENTS, showShape, sizeOf, type Shape } from '../data/shape.js'
import type { Tree } from '../data/tree.js'
import type { Attr, Attrs } from './attributes.js'

/** Deepest nesting of lists, of trees, and of phases. */
export const DEEPEST = 64
const LONGEST_SHAPE = 64
/** What may be known of a zero point. */
export const ZERO_POINTS = ['zero', 'integer', 'any'] as const

/** What is wrong with a text, as found. */
export type Doubts = { readonly where: string; readonly message: string }[]
/** A record of a stored text, not looked into yet. */
export type Raw = { readonly [key: string]: unknown }
/** Reads a piece of a stored text; `where` is its place. */
export type Read<A> = (x: unknown, where: string) => A

/** Readers that note what is wrong among `doubts`. */
export const readers = (doubts: Doubts) => {
  const doubt = (where: string, message: string): void => void doubts.push({ where, message })
  const record: Read<Raw> = (x, where) => {
    if (typeof x !== 'object' || x === null || Array.isArray(x)) return (doubt(where, 'a record was expected'), {})
    if (Object.hasOwn(x, '__proto__')) return (doubt(where, 'a key is named __proto__'), {})
    return { ...x }
  }
  const list =
    <A>(read: Read<A>): Read<readonly A[]> =>
    (x, where) => {
      if (!Array.isArray(x)) return (doubt(where, 'a list was expected'), [])
      const out: A[] = []
      for (let i = 0; i < x.length && doubts.length === 0; i++) out.push(read(x[i], `${where}[${i}]`))
      return out
    }
  const text: Read<string> = (x, where) => (typeof x === 'string' ? x : (doubt(where, 'a text was expected'), ''))
  const flag: Read<boolean> = (x, where) =>
    typeof x === 'boolean' ? x : (doubt(where, 'true or false was expected'), false)
  const whole: Read<number> = (x, where) =>
    typeof x === 'number' && Number.isSafeInteger(x) && x >= 0
      ? x
      : (doubt(where, 'a non-negative integer was expected'), 0)
  const oneOf =
    <A extends string>(words: readonly A[]): Read<A> =>
    (x, where) => {
      const found = words.find((w) => w === x)
      return found ?? (doubt(where, `one of ${words.join(', ')} was expected`), words[0])
    }
  const shape: Read<Shape> = (x, where) => {
    const s = list(whole)(x, where)
    const size = sizeOf(s)
    if (s.length > LONGEST_SHAPE) doubt(where, `a shape has at most ${LONGEST_SHAPE} axes`)
    else if (!(size <= MOST_ELEMENTS))
      doubt(where, `${showShape(s)} has ${size} elements, more than the ${MOST_ELEMENTS} that a tensor can have`)
    return s
  }
  const number: Read<number> = (x, where) => {
    if (typeof x === 'number') return x
    const word = oneOf(['NaN', 'Infinity', '-Infinity', '-0'])(record(x, where).$, where)
    return Number(word)
  }
  return { doubt, record, list, text, flag, whole, oneOf, shape, number }
}
/** All readers of pieces. */
export type Readers = ReturnType<typeof readers>

const attrReader =
  (r: Readers, depth = 0): Read<Attr> =>
  (x, where) => {
    if (x === null || typeof x === 'string' || typeof x === 'boolean') return x
    if (!Array.isArray(x)) return r.number(x, where)
    return depth > DEEPEST ? (r.doubt(where, 'nested too deeply'), null) : r.list(attrReader(r, depth + 1))(x, where)
  }

/** The attributes of a node, whatever they are. */
export const readAttrs = (r: Readers, x: unknown, where: string): Attrs => {
  if (x === undefined) return {}
  const attr = attrReader(r)
  return Object.fromEntries(Object.entries(r.record(x, where)).map(([k, v]) => [k, attr(v, `${where}.${k}`)]))
}

/** A tree of indices of which each must satisfy `fits`. */
export const treeReader =
  (r: Readers, fits: (index: number) => boolean, depth = 0): Read<Tree<number>> =>
  (x, where) => {
    if (typeof x === 'number')
      return fits(x)
        ? x
        : (r.doubt(where, 'the structure names an input or output that is not there, or one of another kind'), 0)
    if (depth > DEEPEST) return (r.doubt(where, 'nested too deeply'), 0)
    const inner = treeReader(r, fits, depth + 1)
    if (Array.isArray(x)) return r.list(inner)(x, where)
    return Object.fromEntries(Object.entries(r.record(x, where)).map(([k, v]) => [k, inner(v, `${where}.${k}`)]))
  }

/** The format of minifloats. */
export const readFormat = (r: Readers, x: unknown, where: string): FloatFormat => {
  const f = r.record(x, where)
  const codes = (key: string): readonly string[] | null =>
    f[key] === null ? null : r.list(r.text)(f[key], `${where}.${key}`)
  return {
    exponentBits: r.whole(f.exponentBits, `${where}.exponentBits`),
    mantissaBits: r.whole(f.mantissaBits, `${where}.mantissaBits`),
    bias: r.whole(f.bias, `${where}.bias`),
    saturating: r.flag(f.saturating, `${where}.saturating`),
    infValues: codes('infValues'),
    nanValues: codes('nanValues'),
  }
}

/** Size and axis of groups, where there are any. */
export const readGroup = (r: Readers, x: unknown, where: string): { readonly group?: Group } => {
  if (x === undefined) return {}
  const g = r.record(x, where)
  return { group: { size: r.whole(g.size, `${where}.size`), dim: Math.trunc(r.number(g.dim, `${where}.dim`)) } }
}
