/** Pieces of stored programs as JSON holds them; `readers.ts` reads them. */
import type { Attr, Attrs } from './attributes.js'

/** JSON has no NaN, infinities or -0: these stand as `{ "$": "NaN" }`, which no attribute can be. */
export const encodeNumber = (n: number): unknown =>
  Number.isFinite(n) && !Object.is(n, -0) ? n : { $: Object.is(n, -0) ? '-0' : String(n) }
const encodeAttr = (a: Attr): unknown => {
  if (typeof a === 'number') return encodeNumber(a)
  return Array.isArray(a) ? a.map((x: Attr) => encodeAttr(x)) : a
}

/** The attributes of a node. */
export const encodeAttrs = (attrs: Attrs): { readonly [name: string]: unknown } =>
  Object.fromEntries(Object.entries(attrs).map(([name, a]) => [name, encodeAttr(a)]))
