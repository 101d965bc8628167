/**
 * What stands between an integer and the next quantizer: element-wise float ops and constants, which together are one function of that integer. It is
 * never rewritten: it is *evaluated*, by the ops' own rules in their float32 order, at as many integers as somebody asks for. So whatever these ops
 * are (a batch norm, a ReLU, a tanh, the quantizer itself), what is built from the answers is what the float program computes.
 */
import { roundHalfEven } from '../../data/math.js'
import { broadcastStrides, sameShape, sizeOf, stridesOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Attrs, Op } from '../../graph/op.js'
import { isRefusal } from '../../graph/op.js'
import { broadcasting, walk } from '../../ops/support/elementwise.js'

/** A grid: `value = (integer - zeroPoint) * scale`; both broadcast to the value. The zero point may be a fraction. */
export type Grid = { readonly scale: Tensor; readonly zeroPoint: Tensor }

/** An element-wise float expression of one integer. */
export type Expr =
  | { readonly tag: 'root' }
  | { readonly tag: 'fixed'; readonly tensor: Tensor }
  | { readonly tag: 'op'; readonly op: Op; readonly attrs: Attrs; readonly args: readonly Expr[] }

export const root: Expr = { tag: 'root' }

/** The tensor with axes of size 1 wherever all its numbers along that axis are equal. */
export const compressed = (t: Tensor): Tensor => {
  let { shape, data } = t
  for (let d = 0; d < shape.length; d++) {
    if (shape[d] <= 1) continue
    const small = shape.map((n, i) => (i === d ? 1 : n))
    const kept = new Float32Array(sizeOf(small))
    const [inner, n] = [sizeOf(shape.slice(d + 1)), shape[d]]
    let alike = true
    for (let i = 0; i < kept.length && alike; i++) {
      const from = Math.floor(i / inner) * inner * n + (i % inner)
      kept[i] = data[from]
      for (let k = 1; k < n && alike; k++) alike = Object.is(data[from + k * inner], data[from])
    }
    if (alike) [shape, data] = [small, kept]
  }
  return { shape, data }
}

/** A tensor filled into a larger shape. */
export const filled = (t: Tensor, shape: Shape): Tensor => {
  if (sameShape(t.shape, shape)) return t
  const data = new Float32Array(sizeOf(shape))
  walk(shape, [broadcastStrides(t.shape, shape)], (i, [k]) => {
    data[i] = t.data[k]
  })
  return { shape, data }
}

/** All tensors that an expression reads. */
const fixedIn = (e: Expr, found = new Set<Tensor>(), seen = new Set<Expr>()): ReadonlySet<Tensor> => {
  if (seen.has(e)) return found
  seen.add(e)
  if (e.tag === 'fixed') found.add(e.tensor)
  if (e.tag === 'op') for (const a of e.args) fixedIn(a, found, seen)
  return found
}

const replaced = (e: Expr, f: (t: Tensor) => Tensor, done: Map<Expr, Expr>): Expr => {
  if (e.tag === 'root') return e
  if (e.tag === 'fixed') return { tag: 'fixed', tensor: f(e.tensor) }
  return { ...e, args: e.args.map((a) => mapFixed(a, f, done)) }
}

/** An expression with each of its tensors replaced. */
export const mapFixed = (e: Expr, f: (t: Tensor) => Tensor, done = new Map<Expr, Expr>()): Expr => {
  const known = done.get(e)
  if (known !== undefined) return known
  const made = replaced(e, f, done)
  done.set(e, made)
  return made
}

/** A shape with 1 in front, up to a rank. */
export const padded = (shape: Shape, rank: number): Shape => [
  ...new Array<number>(rank - shape.length).fill(1),
  ...shape,
]

/** Along which axes the function differs from element to element: its own size there, 1 elsewhere. */
export const classesOf = (shape: Shape, grids: readonly Grid[], exprs: readonly Expr[]): Shape => {
  const tensors = [...grids.flatMap((g) => [g.scale, g.zeroPoint]), ...exprs.flatMap((e) => [...fixedIn(e)])]
  const shapes = tensors.map((t) => padded(compressed(t).shape, shape.length))
  return shape.map((n, d) => (shapes.some((s) => s[d] > 1) ? n : 1))
}

/** The integers `points[c * count + k]`, for class c of a shape of classes, as a tensor, and back. */
type Layout = { readonly shape: Shape; readonly place: Int32Array; readonly rounds: number }

/** An axis along which nothing differs takes the points; where there is none they are evaluated one after the other. */
const layoutOf = (classes: Shape, count: number): Layout => {
  const free = classes.findIndex((n) => n === 1)
  const total = sizeOf(classes)
  if (free < 0) return { shape: classes, place: Int32Array.from({ length: total }, (_, c) => c), rounds: count }
  const shape = classes.map((n, d) => (d === free ? count : n))
  const [strides, own] = [stridesOf(shape), stridesOf(classes)]
  const place = new Int32Array(total * count)
  for (let c = 0; c < total; c++) {
    const base = classes.reduce((sum, n, d) => sum + (d === free ? 0 : (Math.floor(c / own[d]) % n) * strides[d]), 0)
    for (let k = 0; k < count; k++) place[c * count + k] = base + k * strides[free]
  }
  return { shape, place, rounds: 1 }
}

const valueAt = (e: Expr, rootValue: Tensor, done: Map<Expr, Tensor>): Tensor => {
  if (e.tag === 'root') return rootValue
  if (e.tag === 'fixed') return e.tensor
  const known = done.get(e)
  if (known !== undefined) return known
  const args = e.args.map((a) => valueAt(a, rootValue, done))
  const shape = broadcasting(args.map((a) => a.shape))
  if (isRefusal(shape)) throw new Error(`internal: ${e.op.name}: ${shape.refuse}`)
  const out: Tensor = { shape, data: new Float32Array(sizeOf(shape)) }
  // Quantizers are written for scales that are no larger than what they quantize; here one may stand for many.
  const failure = e.op.evaluate(args.with(0, filled(args[0], shape)), e.attrs, out)
  if (failure !== null) throw new Error(`internal: ${e.op.name}: ${failure}`)
  done.set(e, out)
  return out
}

/** The float32 value of integers on a grid. */
const dequantized = (q: Tensor, grid: Grid): Tensor => {
  const data = new Float32Array(q.data.length)
  walk(
    q.shape,
    [grid.scale, grid.zeroPoint].map((t) => broadcastStrides(t.shape, q.shape)),
    (i, [j, k]) => {
      data[i] = Math.fround(q.data[i] - grid.zeroPoint.data[k]) * grid.scale.data[j]
    },
  )
  return { shape: q.shape, data }
}

/** A chain: the grid of its integer, what is done, and along which axes that differs. */
export type Chain = { readonly grid: Grid; readonly expr: Expr; readonly classes: Shape }

/** Tensors as the classes see them: with the classes' rank, and no larger. */
const fitted = (chain: Chain): Chain => {
  const fit = (t: Tensor): Tensor => {
    const small = compressed(t)
    return { shape: padded(small.shape, chain.classes.length), data: small.data }
  }
  return {
    ...chain,
    grid: { scale: fit(chain.grid.scale), zeroPoint: fit(chain.grid.zeroPoint) },
    expr: mapFixed(chain.expr, fit),
  }
}

/** Values of the chain at `points[c * count + k]`, for each class c. */
export type Evaluate = (points: Float64Array, count: number) => Float32Array

/** The chain as a function of integers, by the float rules. */
export const evaluator = (given: Chain): Evaluate => {
  const chain = fitted(given)
  const total = sizeOf(chain.classes)
  return (points, count) => {
    const { shape, place, rounds } = layoutOf(chain.classes, count)
    const out = new Float32Array(total * count)
    const each = rounds === 1 ? count : 1
    for (let r = 0; r < rounds; r++) {
      const q: Tensor = { shape, data: new Float32Array(sizeOf(shape)) }
      for (let c = 0; c < total; c++)
        for (let k = 0; k < each; k++) q.data[place[c * each + k]] = points[c * count + r + k]
      const value = filled(valueAt(chain.expr, dequantized(q, chain.grid), new Map()), shape)
      for (let c = 0; c < total; c++)
        for (let k = 0; k < each; k++) out[c * count + r + k] = value.data[place[c * each + k]]
    }
    return out
  }
}

/** How far from its grid a value may be, in steps, to count as on it: Brevitas' own limit. */
const ON_GRID = 0.2

/** Integers of the chain on a grid that it ends on; `off` is told of the largest distance from that grid that was met. */
export const integerEvaluator = (
  chain: Chain,
  target: Grid,
): { readonly at: (points: Float64Array, count: number) => Float64Array; readonly offGrid: () => boolean } => {
  const evaluate = evaluator(chain)
  const [scales, zeros] = [target.scale, target.zeroPoint].map((t) => {
    const small = compressed(t)
    return filled({ shape: padded(small.shape, chain.classes.length), data: small.data }, chain.classes).data
  })
  let off = false
  return {
    at: (points, count) => {
      const values = evaluate(points, count)
      const out = new Float64Array(values.length)
      for (let i = 0; i < out.length; i++) {
        const c = Math.floor(i / count)
        const p = Math.fround(Math.fround(values[i] / scales[c]) + zeros[c])
        out[i] = roundHalfEven(p)
        if (!(Math.abs(p - out[i]) < ON_GRID)) off = true
      }
      return out
    },
    offGrid: () => off,
  }
}

/** The product of two scales, element by element, rounded to float32. */
export const broadcastOfScales = (a: Tensor, b: Tensor): Tensor => {
  const [p, q] = [compressed(a), compressed(b)]
  const shape = broadcasting([p.shape, q.shape])
  if (isRefusal(shape)) throw new Error(`internal: scales: ${shape.refuse}`)
  const [x, y] = [filled(p, shape).data, filled(q, shape).data]
  return { shape, data: x.map((v, i) => v * y[i]) }
}

/** `numbers / divisors` in double, both broadcast to one shape; null where they don't broadcast. */
export const broadcastQuotient = (
  a: Tensor,
  b: Tensor,
): {
  readonly shape: Shape
  readonly quotient: Float64Array
  readonly numbers: Float32Array
  readonly divisors: Float32Array
} | null => {
  const [p, q] = [compressed(a), compressed(b)]
  const shape = broadcasting([p.shape, q.shape])
  if (isRefusal(shape)) return null
  const [numbers, divisors] = [filled(p, shape).data, filled(q, shape).data]
  return { shape, quotient: Float64Array.from(numbers, (v, i) => v / divisors[i]), numbers, divisors }
}
