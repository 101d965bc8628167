/**
 * What computes one element of each op, as C: this exporter's own table, with an entry for every op of integer programs. The text stands inside loops over the
 * result's coordinates and leaves the element in `a`.
 */
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Node } from '../../graph/graph.js'
import { broadcastPlace, indented, loop, nest, placeIn, plus, sumOf, term, type Lines } from './code.js'

/** What an op's text is made of. */
export type Writing = {
  readonly node: Node
  readonly shapes: readonly Shape[]
  /** Coordinates of the element. */
  readonly at: readonly string[]
  /** Element of an operand at a place. */
  readonly read: (operand: number, place: string) => string
  /** A table of places, for moves that no formula says; returns its name. */
  readonly table: (numbers: ArrayLike<number>) => string
}

/** Lines that leave an element in `a`. */
export type Head = (w: Writing) => Lines

/** An attribute that is a list of numbers. */
export const list = (w: Writing, name: string): readonly number[] => {
  const a = w.node.attrs[name]
  return Array.isArray(a) ? a.map(Number) : []
}
const pairs = (w: Writing, name: string): readonly (readonly number[])[] => {
  const a = w.node.attrs[name]
  return Array.isArray(a) ? a.map((p) => (Array.isArray(p) ? p.map(Number) : [])) : []
}
const number = (w: Writing, name: string): number => Number(w.node.attrs[name])

/** `x - zero` as a number of 32 bits. */
const centred = (x: string, zero: number): string => (zero === 0 ? x : `(${plus(x, -zero)})`)

const SUM = 'int32_t a = 0;'

/** One spatial axis of a window: its loop, where it starts, and whether it can leave the input. */
type Axis = {
  readonly k: number
  readonly n: number
  readonly first: string
  readonly dilation: number
  readonly inside: boolean
}

/** Loops over a window; inside, `p0`, `p1`, … are the coordinates of the input, and only those inside the input come so far. */
const windowLoops = (axes: readonly Axis[], body: Lines): Lines =>
  axes.reduceRight<Lines>((inner, { k, n, first, dilation, inside }, d) => {
    const p = sumOf([first === '0' ? null : first, k === 1 ? null : term(`k${d}`, dilation)])
    const guarded = inside ? inner : [`if (p${d} >= 0 && p${d} < ${n}) {`, ...indented(inner), '}']
    // Of an axis of one element the coordinate is 0, and nobody reads it.
    return loop(`k${d}`, k, inside && n === 1 ? inner : [`const int32_t p${d} = ${p};`, ...guarded])
  }, body)

/** `i * stride - padding`. */
const startOf = (i: string, stride: number, padding: number): string => plus(term(i, stride) ?? '0', -padding)

const kernelPlace = (channels: string, kernel: readonly number[]): string => {
  const taps = sizeOf(kernel)
  return sumOf([
    term(channels, taps),
    ...kernel.map((k, d) => (k === 1 ? null : term(`k${d}`, sizeOf(kernel.slice(d + 1))))),
  ])
}

/** The group of an output channel. */
const groupOf = (o: string, per: number, groups: number): string => {
  if (groups === 1) return '0'
  return per === 1 ? o : `${o} / ${per}`
}

/** The channel within its group. */
const ownOf = (o: string, outs: number, group: string): string => {
  if (outs === 1) return '0'
  return group === '0' ? o : `${o} % ${outs}`
}

const conv: Head = (w) => {
  const [x, weight] = w.shapes
  const groups = number(w, 'groups')
  const [stride, dilation, padding] = [list(w, 'stride'), list(w, 'dilation'), pairs(w, 'padding')]
  const [per, channels] = [weight[0] / groups, weight[1]]
  const kernel = weight.slice(2)
  const [n, o, ...spatial] = w.at
  const c = channels === 1 ? '0' : 'c'
  const source = sumOf([term(groupOf(o, per, groups), channels), c === '0' ? null : c])
  const axes = kernel.map((k, d): Axis => {
    const last = (w.node.shape[d + 2] - 1) * stride[d] - padding[d][0] + (k - 1) * dilation[d]
    return {
      k,
      n: x[d + 2],
      first: startOf(spatial[d], stride[d], padding[d][0]),
      dilation: dilation[d],
      inside: padding[d][0] <= 0 && last < x[d + 2],
    }
  })
  const place = placeIn(x, [n, source, ...kernel.map((_, d) => `p${d}`)])
  const tap = kernelPlace(sumOf([term(o, channels), c === '0' ? null : c]), kernel)
  const add = `a += (int32_t)${w.read(1, tap)} * ${centred(w.read(0, place), number(w, 'zero'))};`
  return [SUM, ...loop('c', channels, windowLoops(axes, [add]))]
}

const convTranspose: Head = (w) => {
  const [x, weight] = w.shapes
  const groups = number(w, 'groups')
  const [stride, dilation, padding] = [list(w, 'stride'), list(w, 'dilation'), list(w, 'padding')]
  const [per, outs] = [weight[0] / groups, weight[1]]
  const kernel = weight.slice(2)
  const [n, o, ...spatial] = w.at
  const group = groupOf(o, outs, groups)
  const channel = sumOf([group === '0' ? null : term(group, per), per === 1 ? null : 'c'])
  const own = ownOf(o, outs, group)
  const place = placeIn(x, [n, channel, ...kernel.map((_, d) => `p${d}`)])
  const row = sumOf([term(channel, outs), own === '0' ? null : own])
  const add = `a += (int32_t)${w.read(1, kernelPlace(row, kernel))} * ${centred(w.read(0, place), number(w, 'zero'))};`
  const loops = kernel.reduceRight<Lines>(
    (inner, k, d) => {
      const t = `${plus(spatial[d], padding[d])}${k === 1 ? '' : ` - ${term(`k${d}`, dilation[d])}`}`
      return loop(`k${d}`, k, [
        `const int32_t t${d} = ${t};`,
        `if (t${d} >= 0 && t${d} % ${stride[d]} == 0 && t${d} / ${stride[d]} < ${x[d + 2]}) {`,
        ...indented(x[d + 2] === 1 ? inner : [`const int32_t p${d} = t${d} / ${stride[d]};`, ...inner]),
        '}',
      ])
    },
    [add],
  )
  return [SUM, ...loop('c', per, loops)]
}

const linear: Head = (w) => {
  const [x, weight] = w.shapes
  const ins = weight[1]
  const j = ins === 1 ? '0' : 'j'
  const add = `a += (int32_t)${w.read(1, placeIn(weight, [w.at[w.at.length - 1], j]))} * ${centred(w.read(0, placeIn(x, [...w.at.slice(0, -1), j])), number(w, 'zero'))};`
  return [SUM, ...loop('j', ins, [add])]
}

const matmul: Head = (w) => {
  const [a, b] = w.shapes
  const count = a[a.length - 1]
  const k = count === 1 ? '0' : 'k'
  const [rows, columns] = [a.length > 1, b.length > 1]
  const batch = w.at.slice(0, w.at.length - Number(rows) - Number(columns))
  const row = rows ? w.at[batch.length] : ''
  const column = columns ? w.at[w.at.length - 1] : ''
  const left = rows ? [...batch.slice(batch.length - a.length + 2), row, k] : [k]
  const right = columns ? [...batch.slice(batch.length - b.length + 2), k, column] : [k]
  const add = `a += (int32_t)${centred(w.read(0, placeIn(a, left)), number(w, 'zeroA'))} * ${centred(w.read(1, placeIn(b, right)), number(w, 'zeroB'))};`
  return [SUM, ...loop('k', count, [add])]
}

const mul: Head = (w) => [
  `int32_t a = (int32_t)${centred(w.read(0, broadcastPlace(w.shapes[0], w.at)), number(w, 'zeroA'))} * ${centred(w.read(1, broadcastPlace(w.shapes[1], w.at)), number(w, 'zeroB'))};`,
]

const add: Head = (w) => {
  const [factors, zeros] = [list(w, 'factors'), list(w, 'zeros')]
  return w.shapes.map((s, i) => {
    const x = centred(w.read(i, broadcastPlace(s, w.at)), zeros[i])
    const scaled = Math.abs(factors[i]) === 1 ? x : `(int32_t)${x} * ${Math.abs(factors[i])}`
    return i === 0
      ? `int32_t a = ${factors[i] < 0 ? `-(int32_t)${x} * ${-factors[i]}` : scaled};`
      : `a ${factors[i] < 0 ? '-' : '+'}= ${scaled};`
  })
}

/** Windows of a pool over the trailing axes. */
const pooled = (w: Writing, dilation: readonly number[], body: (x: string) => Lines): Lines => {
  const [x] = w.shapes
  const [kernel, stride, padding] = [list(w, 'kernel'), list(w, 'stride'), list(w, 'padding')]
  const lead = x.length - kernel.length
  const axes = kernel.map((k, d): Axis => {
    const last = (w.node.shape[lead + d] - 1) * stride[d] - padding[d] + (k - 1) * dilation[d]
    return {
      k,
      n: x[lead + d],
      first: startOf(w.at[lead + d], stride[d], padding[d]),
      dilation: dilation[d],
      inside: padding[d] <= 0 && last < x[lead + d],
    }
  })
  const place = placeIn(x, [...w.at.slice(0, lead), ...kernel.map((_, d) => `p${d}`)])
  return windowLoops(axes, body(w.read(0, place)))
}

const sumPool: Head = (w) => [
  SUM,
  ...pooled(
    w,
    list(w, 'kernel').map(() => 1),
    (x) => [`a += ${centred(x, number(w, 'zero'))};`],
  ),
]

const larger = (x: string): Lines => [`if (${x} > a) a = ${x};`]

const maxPool: Head = (w) => [`int32_t a = INT32_MIN;`, ...pooled(w, list(w, 'dilation'), larger)]

const adaptiveMaxPool: Head = (w) => {
  const [x] = w.shapes
  const sizes = list(w, 'outputSize')
  const lead = x.length - sizes.length
  const place = placeIn(x, [...w.at.slice(0, lead), ...sizes.map((_, d) => (x[lead + d] === 1 ? '0' : `p${d}`))])
  const loops = sizes.reduceRight<Lines>(
    (inner, m, d) => {
      const [n, i] = [x[lead + d], w.at[lead + d]]
      if (n === 1) return inner
      const [from, to] =
        i === '0' ? ['0', String(Math.ceil(n / m))] : [`${i} * ${n} / ${m}`, `((${i} + 1) * ${n} + ${m - 1}) / ${m}`]
      return [`for (int32_t p${d} = ${from}; p${d} < ${to}; p${d}++) {`, ...indented(inner), '}']
    },
    larger(w.read(0, place)),
  )
  return [`int32_t a = INT32_MIN;`, ...loops]
}

const sum: Head = (w) => {
  const [x] = w.shapes
  const dims = list(w, 'dims')
  const kept = w.node.attrs.keepdim === true
  let next = 0
  const at = x.map((n, d) => {
    if (dims.includes(d)) {
      if (kept) next++
      return n === 1 ? '0' : `k${d}`
    }
    return w.at[next++]
  })
  const body = [`a += ${centred(w.read(0, placeIn(x, at)), number(w, 'zero'))};`]
  return [
    SUM,
    ...nest(
      dims.map((d) => ({ i: `k${d}`, n: x[d] })),
      body,
    ),
  ]
}

/** One element of the same place: what maps and biases stand on where nothing is fused in front. */
export const sameElement: Head = (w) => [`int32_t a = ${w.read(0, placeIn(w.shapes[0], w.at))};`]

/** By name. Moves stand in moves.ts, maps in tails.ts. */
export const heads: { readonly [op: string]: Head | undefined } = {
  integerConv: conv,
  integerConvTranspose: convTranspose,
  integerLinear: linear,
  integerMatmul: matmul,
  integerMul: mul,
  integerAdd: add,
  integerSumPool: sumPool,
  integerSum: sum,
  integerMaxPool: maxPool,
  integerAdaptiveMaxPool: adaptiveMaxPool,
  integerBias: sameElement,
  requantize: sameElement,
  thresholds: sameElement,
  lookup: sameElement,
}
