/**
 * The transforms of Winograd's minimal filtering F(2×2, 3×3), four tiles (or filters) at a time in the lanes of vectors.
 * Filters are scaled by 2 along each axis, so that integers stay integers; the result is 4 times the correlation.
 * Source: Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, arXiv 1509.09308, section 4.1.
 */
import type { Code } from '../../asm/encode.js'
import { control, f32x4, i16x8, i32, i32x4, v128 } from '../../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../../asm/module.js'
import { pick, range } from './code.js'

/** Addition and subtraction in one of the kinds of numbers. */
export type Sums = {
  readonly add: (a: Code<'v128'>, b: Code<'v128'>) => Code<'v128'>
  readonly sub: (a: Code<'v128'>, b: Code<'v128'>) => Code<'v128'>
}
/** Sums of float32, of pairs of 16-bit integers, of 32-bit integers. */
export const floatSums: Sums = f32x4
export const pairSums: Sums = i16x8
export const wordSums: Sums = i32x4

/** Bᵀ: which two of four numbers make each of the four, and whether by a difference. */
const INPUT: readonly (readonly [number, number, 'add' | 'sub'])[] = [
  [0, 2, 'sub'],
  [1, 2, 'add'],
  [2, 1, 'sub'],
  [1, 3, 'sub'],
]

/** Where the transforms of four tiles stand, and the bytes from one to the next. */
export type Strided = { readonly at: Code<'i32'>; readonly step: number }

/** What `inputRow` and its like work with. */
export type Work = { readonly v: readonly Local<'v128'>[] }
/** Locals for all transforms of one function. */
export const newWork = (scope: Scope): Work => ({ v: range(20).map(() => scope.local('v128')) })

/**
 * Four neighbouring tiles of one plane: its rows are `source.step` bytes apart, the tiles' 4×4 inputs start at `source.at`
 * every two columns. Transform (i, j) goes to `target.at + (4i + j) * target.step`.
 */
export const inputTiles = (s: Sums, { v }: Work, source: Strided, target: Strided): Code =>
  INPUT.map(([p, q, how], i) => {
    // Columns 0 … 3, 4 … 7, 2 … 5 and 6 … 9 of the rows' sums, from which even and odd columns of all tiles are picked.
    const sums = [0, 16, 8, 24].map((at, k) =>
      v[k].set(s[how](v128.load(source.at, p * source.step + at), v128.load(source.at, q * source.step + at))),
    )
    const columns = [0, 0, 2, 2].map((k, j) =>
      v[4 + j].set(pick(v[k].get, v[k + 1].get, j % 2 === 0 ? [0, 2, 4, 6] : [1, 3, 5, 7])),
    )
    return [
      sums,
      columns,
      INPUT.map(([a, b, what], j) =>
        v128.store(target.at, s[what](v[4 + a].get, v[4 + b].get), (4 * i + j) * target.step),
      ),
    ]
  })

/** Four 3×3 filters whose taps are read by `tap`: (i, j) goes to `store(4i + j, …)`. */
export const filters = (
  s: Sums,
  { v }: Work,
  tap: (t: number) => Code<'v128'>,
  store: (k: number, value: Code<'v128'>) => Code,
): Code => {
  const line = (g: readonly Local<'v128'>[], out: readonly Local<'v128'>[], help: Local<'v128'>): Code => [
    help.set(s.add(g[0].get, g[2].get)),
    out[0].set(s.add(g[0].get, g[0].get)),
    out[1].set(s.add(help.get, g[1].get)),
    out[2].set(s.sub(help.get, g[1].get)),
    out[3].set(s.add(g[2].get, g[2].get)),
  ]
  const [g, out, help] = [v.slice(0, 3), v.slice(3, 15), v[19]]
  return [
    // Down the three columns: row i of the halfway result is out[i], out[4 + i], out[8 + i].
    range(3).map((j) => [range(3).map((i) => g[i].set(tap(3 * i + j))), line(g, out.slice(4 * j, 4 * j + 4), help)]),
    range(4).map((i) => [
      line([out[i], out[4 + i], out[8 + i]], v.slice(15, 19), help),
      range(4).map((j) => store(4 * i + j, v[15 + j].get)),
    ]),
  ]
}

/**
 * Four neighbouring tiles of one plane of products: (i, j) is read at `source.at + (4i + j) * source.step`. `put(r, left, right)` is
 * given the halves of eight numbers in row r (0 or 1) of the result, and the locals that hold all of them.
 */
export const outputTiles = (
  s: Sums,
  { v }: Work,
  source: Strided,
  finish: (value: Code<'v128'>) => Code<'v128'>,
  put: (r: number, left: Code<'v128'>, right: Code<'v128'>, both: readonly Local<'v128'>[]) => Code,
): Code => {
  const m = (i: number): Code<'v128'> => v[i].get
  const halves = range(4).map((j) => [
    range(4).map((i) => v[i].set(v128.load(source.at, (4 * i + j) * source.step))),
    v[16].set(s.add(m(1), m(2))),
    v[17].set(s.sub(m(1), m(2))),
    v[4 + j].set(s.add(m(0), v[16].get)),
    v[8 + j].set(s.sub(v[17].get, m(3))),
  ])
  const row = (r: number): Code => {
    const h = v.slice(4 + 4 * r, 8 + 4 * r).map((l) => l.get)
    return [
      v[12].set(finish(s.add(s.add(h[0], h[1]), h[2]))),
      v[13].set(finish(s.sub(s.sub(h[1], h[2]), h[3]))),
      put(r, pick(v[12].get, v[13].get, [0, 4, 1, 5]), pick(v[12].get, v[13].get, [2, 6, 3, 7]), v.slice(12, 14)),
    ]
  }
  return [halves, row(0), row(1)]
}

/**
 * Four neighbouring 2×2 tiles of a cotangent, as the gradient of the filter needs them (A dY Aᵀ): rows at `first` and
 * `second` (ANDed with `mask`); (i, j) goes to `target.at + (4i + j) * target.step`.
 */
export const cotangentTiles = (
  { v }: Work,
  rows: { readonly first: Code<'i32'>; readonly second: Code<'i32'>; readonly mask: Code<'v128'> | null },
  target: Strided,
): Code => {
  const [a, b] = [v[0], v[1]]
  const spread = (row: number, address: Code<'i32'>, keep: Code<'v128'> | null): Code => {
    const load = (at: number): Code<'v128'> =>
      keep === null ? v128.load(address, at) : v128.and(v128.load(address, at), keep)
    return [
      a.set(load(0)),
      b.set(load(16)),
      v[4 + row].set(pick(a.get, b.get, [0, 2, 4, 6])),
      v[7 + row].set(f32x4.neg(pick(a.get, b.get, [1, 3, 5, 7]))),
      // Columns of a row: d0, d0 + d1, d0 - d1, -d1.
      v[10 + row].set(f32x4.sub(v[4 + row].get, v[7 + row].get)),
      v[13 + row].set(f32x4.add(v[4 + row].get, v[7 + row].get)),
    ]
  }
  const columns = [4, 10, 13, 7]
  return [
    spread(0, rows.first, null),
    spread(1, rows.second, rows.mask),
    columns.map((k, j) => {
      const [p, q] = [v[k].get, v[k + 1].get]
      return [p, f32x4.add(p, q), f32x4.sub(p, q), f32x4.neg(q)].map((value, i) =>
        v128.store(target.at, value, (4 * i + j) * target.step),
      )
    }),
  ]
}

/** The gradients of four filters from their 16 products, given by `product`: tap t goes to `put(t, …)`. */
export const filterGradients = (
  { v }: Work,
  product: (k: number) => Code<'v128'>,
  put: (t: number, value: Code<'v128'>) => Code,
): Code => {
  const half = f32x4.const(0.5)
  // Gᵀ: m0 + h, (m1 - m2) / 2, m3 + h, where h = (m1 + m2) / 2.
  const line = (m: readonly Local<'v128'>[], out: readonly Local<'v128'>[], help: Local<'v128'>): Code => [
    help.set(f32x4.mul(half, f32x4.add(m[1].get, m[2].get))),
    out[0].set(f32x4.add(m[0].get, help.get)),
    out[1].set(f32x4.mul(half, f32x4.sub(m[1].get, m[2].get))),
    out[2].set(f32x4.add(m[3].get, help.get)),
  ]
  return [
    range(4).map((j) => [
      range(4).map((i) => v[i].set(product(4 * i + j))),
      line(v.slice(0, 4), v.slice(4 + 3 * j, 7 + 3 * j), v[16]),
    ]),
    range(3).map((i) => [
      line(
        range(4).map((j) => v[4 + 3 * j + i]),
        v.slice(17, 20),
        v[16],
      ),
      range(3).map((j) => put(3 * i + j, v[17 + j].get)),
    ]),
  ]
}

/** Calls `body` with the first of each four things that together cover `count` (at least 4); the last four may overlap those before. */
export const forFours = ({ local }: Scope, count: number, body: (first: Code<'i32'>) => Code): Code => {
  const [i, first] = [local('i32'), local('i32')]
  const last = i32.const(count - 4)
  return forLoop(
    i,
    i32.const(0),
    i32.const(count),
    4,
    count % 4 === 0 ? body(i.get) : [first.set(control.select(i.get, last, i32.lt_u(i.get, last))), body(first.get)],
  )
}
