/** Pieces of C text: lines with their depth, loops, sums of indices. */
import { stridesOf, type Shape } from '../../data/shape.js'

/** Lines of C, each indented by its depth. */
export type Lines = readonly string[]

/** Lines one level deeper. */
export const indented = (lines: Lines): Lines => lines.map((l) => (l === '' ? l : `    ${l}`))

/** `for (int32_t i = 0; i < n; i++) { body }`; the body alone where n is 1, i being 0. */
export const loop = (i: string, n: number | string, body: Lines): Lines =>
  n === 1 ? body : [`for (int32_t ${i} = 0; ${i} < ${n}; ${i}++) {`, ...indented(body), '}']

/** Loops over all axes, the last one innermost. */
export const nest = (axes: readonly { readonly i: string; readonly n: number }[], body: Lines): Lines =>
  axes.reduceRight<Lines>((inner, { i, n }) => loop(i, n, inner), body)

/** `i * factor`, as short as it can be said; null for nothing. */
export const term = (i: string, factor: number): string | null => {
  if (i === '0' || factor === 0) return null
  const atom = /^[\w.]+$/.test(i) ? i : `(${i})`
  return factor === 1 ? i : `${atom} * ${factor}`
}

/** A sum of terms; `0` of none. */
export const sumOf = (terms: readonly (string | null)[]): string => {
  const some = terms.filter((t) => t !== null)
  return some.length === 0 ? '0' : some.join(' + ')
}

/** The place of an element whose coordinates are these expressions; axes of size 1 stand for nothing. */
export const placeIn = (shape: Shape, at: readonly string[]): string => {
  const strides = stridesOf(shape)
  return sumOf(shape.map((n, d) => (n === 1 ? null : term(at[d], strides[d]))))
}

/** The place of the element that a tensor broadcasts to the coordinates of a larger one. */
export const broadcastPlace = (shape: Shape, at: readonly string[]): string =>
  placeIn(shape, at.slice(at.length - shape.length))

/** Names of loop variables for the axes of a shape; `0` where an axis has one entry. */
export const counters = (shape: Shape, prefix = 'i'): readonly string[] =>
  shape.map((n, d) => (n === 1 ? '0' : `${prefix}${d}`))

/** An expression and a number: `x - 3`, `x + 3`, `x`. */
export const plus = (x: string, n: number): string => {
  if (n === 0) return x
  if (x === '0') return String(n)
  return n > 0 ? `${x} + ${n}` : `${x} - ${-n}`
}
