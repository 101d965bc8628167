/**
 * What is computed while a model is read, because all its operands are known: sizes above all, and constants made of constants. Each takes
 * numbers and gives numbers, or null where it leaves them to the trace.
 */
import { roundHalfEven } from '../../../data/math.js'
import {
  broadcastShapes,
  broadcastStrides,
  MOST_ELEMENTS,
  showShape,
  sizeOf,
  stridesOf,
  type Shape,
} from '../../../data/shape.js'
import { walk } from '../../../ops/support/elementwise.js'
import type { Importing } from './entry.js'
import { castTo, DataType, int64s, isFloat, listOf, roomFor, type Host } from './host.js'
import {
  concatAxis,
  expandShape,
  reducedAxes,
  resolveReshape,
  sliceSpecs,
  splitSizes,
  squeezed,
  unsqueezed,
} from './sizes.js'

/** Folds one operator. */
export type Fold = (x: Importing, hosts: readonly Host[]) => readonly Host[] | null

/** Most numbers that are made of constants; more would be no sizes, and would be traced. */
const MOST = 2 ** 24

const made = (x: Importing, type: DataType, shape: Shape): Host => {
  if (!(sizeOf(shape) <= Math.min(MOST, MOST_ELEMENTS)))
    return x.refuse(`it would make ${showShape(shape)} constants`, 'compute with smaller constants')
  return { type, shape, data: roomFor(type, sizeOf(shape)) }
}

const isInteger = (t: DataType): boolean => !isFloat(t) && t !== DataType.BOOL

/** Element by element over two operands. */
const binary =
  (f: (a: number, b: number, integers: boolean) => number, result?: DataType): Fold =>
  (x, [a, b]) => {
    const shape = broadcastShapes(a.shape, b.shape)
    if (shape === null) return x.refuse(`${showShape(a.shape)} and ${showShape(b.shape)} do not broadcast`, FIX)
    const out = made(x, result ?? a.type, shape)
    const integers = isInteger(a.type)
    walk(shape, [broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape)], (i, [j, k]) => {
      out.data[i] = f(a.data[j], b.data[k], integers)
    })
    return [out]
  }

const FIX = 'make the shapes agree'

/** Element by element; small tensors only: a weight stays a weight. */
const unary =
  (f: (a: number) => number, result?: DataType): Fold =>
  (x, [a]) => {
    if (a.data.length > 4096) return null
    const out = made(x, result ?? a.type, a.shape)
    for (let i = 0; i < out.data.length; i++) out.data[i] = f(a.data[i])
    return [out]
  }

const B = DataType.BOOL
const bit = (holds: boolean): number => (holds ? 1 : 0)

/** Elements picked by a rule of places. */
const picked = (x: Importing, a: Host, shape: Shape, strides: readonly number[], start = 0): Host => {
  const out = made(x, a.type, shape)
  walk(shape, [strides], (i, [j]) => {
    out.data[i] = a.data[start + j]
  })
  return out
}

const reshaped = (a: Host, shape: Shape): readonly Host[] => [{ ...a, shape }]

const concat: Fold = (x, hosts) => {
  const axis = concatAxis(x, hosts[0].shape.length)
  const total = hosts.reduce((n, h) => n + h.shape[axis], 0)
  const [first] = hosts
  if (
    !hosts.every(
      (h) => h.shape.length === first.shape.length && h.shape.every((n, i) => i === axis || n === first.shape[i]),
    )
  )
    return x.refuse(`${hosts.map((h) => showShape(h.shape)).join(', ')} cannot be joined along axis ${axis}`, FIX)
  const out = made(
    x,
    first.type,
    first.shape.map((n, i) => (i === axis ? total : n)),
  )
  const rows = sizeOf(out.shape.slice(0, axis))
  const width = sizeOf(out.shape.slice(axis))
  let offset = 0
  for (const h of hosts) {
    const n = sizeOf(h.shape.slice(axis))
    for (let r = 0; r < rows; r++) out.data.set(h.data.subarray(r * n, (r + 1) * n), r * width + offset)
    offset += n
  }
  return [out]
}

const slice: Fold = (x, [a]) => {
  const strides = [...stridesOf(a.shape)]
  const shape = [...a.shape]
  let start = 0
  for (const s of sliceSpecs(x, a.shape)) {
    start += s.start * strides[s.axis]
    strides[s.axis] *= s.step
    shape[s.axis] = s.count
  }
  return [picked(x, a, shape, strides, sizeOf(shape) === 0 ? 0 : start)]
}

const gather: Fold = (x, [a, indices]) => {
  const given = x.number('axis', 0)
  const axis = given < 0 ? given + a.shape.length : given
  const n = a.shape[axis]
  const at = listOf(indices).map((i) => (i < 0 ? i + n : i))
  if (n === undefined || !at.every((i) => Number.isInteger(i) && i >= 0 && i < n))
    return x.refuse(`an index is not among the ${n ?? 0} of axis ${given}`, 'give indices within the axis')
  const [rows, inner] = [sizeOf(a.shape.slice(0, axis)), sizeOf(a.shape.slice(axis + 1))]
  const out = made(x, a.type, [...a.shape.slice(0, axis), ...indices.shape, ...a.shape.slice(axis + 1)])
  for (let r = 0, to = 0; r < rows; r++)
    for (const i of at) {
      out.data.set(a.data.subarray((r * n + i) * inner, (r * n + i + 1) * inner), to)
      to += inner
    }
  return [out]
}

const transpose: Fold = (x, [a]) => {
  const perm = x.list('perm') ?? a.shape.map((_, i) => a.shape.length - 1 - i)
  if (perm.length !== a.shape.length || ![...perm].sort((p, q) => p - q).every((d, i) => d === i))
    return x.refuse(`${perm.join()} is no order of ${a.shape.length} axes`, 'name each axis once')
  const own = stridesOf(a.shape)
  return [
    picked(
      x,
      a,
      perm.map((d) => a.shape[d]),
      perm.map((d) => own[d]),
    ),
  ]
}

const cast = (x: Importing, a: Host, type: DataType): readonly Host[] => {
  if (type === a.type) return [a]
  const out = made(x, type, a.shape)
  const f = castTo(type)
  for (let i = 0; i < out.data.length; i++) out.data[i] = f(a.data[i])
  return [out]
}

const range: Fold = (x, [from, to, by]) => {
  const [a, b, s] = [from, to, by].map((h) => h.data[0])
  const n = Math.max(0, Math.ceil((b - a) / s))
  if (!Number.isFinite(n)) return x.refuse('its range has no end', 'give a step that is not 0')
  const out = made(x, from.type, [n])
  for (let i = 0; i < n; i++) out.data[i] = a + i * s
  return [out]
}

const where: Fold = (x, [c, a, b]) => {
  const ab = broadcastShapes(a.shape, b.shape)
  const shape = ab === null ? null : broadcastShapes(c.shape, ab)
  if (shape === null) return x.refuse('its shapes do not broadcast', FIX)
  const out = made(x, a.type, shape)
  walk(
    shape,
    [c, a, b].map((h) => broadcastStrides(h.shape, shape)),
    (i, [p, q, r]) => {
      out.data[i] = c.data[p] !== 0 ? a.data[q] : b.data[r]
    },
  )
  return [out]
}

const expand = (x: Importing, a: Host, shape: Shape): readonly Host[] => [
  picked(x, a, shape, broadcastStrides(a.shape, shape)),
]

const tile: Fold = (x, [a, repeats]) => {
  const by = listOf(repeats)
  const out = made(
    x,
    a.type,
    a.shape.map((n, i) => n * (by[i] ?? 1)),
  )
  const own = stridesOf(a.shape)
  const to = stridesOf(out.shape)
  for (let i = 0; i < out.data.length; i++) {
    let from = 0
    for (let d = 0; d < own.length; d++) from += ((Math.floor(i / to[d]) % out.shape[d]) % a.shape[d]) * own[d]
    out.data[i] = a.data[from]
  }
  return [out]
}

const reduced =
  (f: (sum: number, v: number) => number, start: number): Fold =>
  (x, [a]) => {
    const { axes, keep } = reducedAxes(x, a.shape.length)
    if (a.data.length > 65536) return null
    const kept = a.shape.map((n, i) => (axes.includes(i) ? 1 : n))
    const out = made(x, a.type, keep ? kept : a.shape.filter((_, i) => !axes.includes(i)))
    out.data.fill(start)
    walk(a.shape, [broadcastStrides(kept, a.shape)], (i, [j]) => {
      out.data[j] = f(out.data[j], a.data[i])
    })
    return [out]
  }

const split: Fold = (x, [a]) => {
  const { axis, sizes } = splitSizes(x, a.shape)
  const own = stridesOf(a.shape)
  let at = 0
  return sizes.map((n) => {
    const part = picked(
      x,
      a,
      a.shape.map((m, i) => (i === axis ? n : m)),
      own,
      at * own[axis],
    )
    at += n
    return part
  })
}

const mod = (a: number, b: number): number => a - b * Math.floor(a / b)
const divided = (a: number, b: number, integers: boolean): number => (integers ? Math.trunc(a / b) : a / b)

/** By operator. */
export const folds: { readonly [op: string]: Fold | undefined } = {
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary(divided),
  Mod: binary((a, b) => mod(a, b)),
  Pow: binary((a, b) => a ** b),
  Max: (x, hosts) => (hosts.length === 2 ? binary((a, b) => Math.max(a, b))(x, hosts) : null),
  Min: (x, hosts) => (hosts.length === 2 ? binary((a, b) => Math.min(a, b))(x, hosts) : null),
  Equal: binary((a, b) => bit(a === b), B),
  Less: binary((a, b) => bit(a < b), B),
  LessOrEqual: binary((a, b) => bit(a <= b), B),
  Greater: binary((a, b) => bit(a > b), B),
  GreaterOrEqual: binary((a, b) => bit(a >= b), B),
  And: binary((a, b) => bit(a !== 0 && b !== 0), B),
  Or: binary((a, b) => bit(a !== 0 || b !== 0), B),
  Xor: binary((a, b) => bit((a !== 0) !== (b !== 0)), B),
  Not: unary((a) => bit(a === 0), B),
  Neg: unary((a) => -a),
  Abs: unary(Math.abs),
  Sqrt: unary(Math.sqrt),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Round: unary(roundHalfEven),
  Sign: unary(Math.sign),
  Reciprocal: unary((a) => 1 / a),
  Concat: concat,
  Slice: slice,
  Gather: gather,
  Transpose: transpose,
  Split: split,
  Range: range,
  Where: where,
  Tile: tile,
  Reshape: (x, [a]) => reshaped(a, resolveReshape(x, a.shape)),
  Squeeze: (x, [a]) => reshaped(a, squeezed(x, a.shape)),
  Unsqueeze: (x, [a]) => reshaped(a, unsqueezed(x, a.shape)),
  Identity: (_x, [a]) => [a],
  Cast: (x, [a]) => cast(x, a, x.number('to', DataType.FLOAT)),
  CastLike: (x, [a, b]) => cast(x, a, b.type),
  Expand: (x, [a]) => expand(x, a, expandShape(x, a.shape)),
  Shape: (x, [a]) => [shapeOf(x, a.shape)],
  Size: (_x, [a]) => [int64s([sizeOf(a.shape)], [])],
  ReduceSum: reduced((s, v) => s + v, 0),
  ReduceProd: reduced((s, v) => s * v, 1),
  ReduceMax: reduced(Math.max, -Infinity),
  ReduceMin: reduced(Math.min, Infinity),
}

/** The sizes that Shape gives, from `start` to `end`. */
export const shapeOf = (x: Importing, shape: Shape): Host => {
  const end = x.has_('end') ? x.number('end', 0) : undefined
  return int64s(shape.slice(x.number('start', 0), end))
}
