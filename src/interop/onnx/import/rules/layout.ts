/** Operators that move elements: reshapes, joins, slices, pads, blocks, lookups. */
import { sameShape, showShape, sizeOf, type Shape } from '../../../../data/shape.js'
import type { Value } from '../../../../graph/op.js'
import type { PadMode } from '../../../../ops/support/padding.js'
import type { Importing, ImportRule } from '../entry.js'
import {
  axisAmong,
  concatAxis,
  expandShape,
  resolveReshape,
  sliceSpecs,
  splitSizes,
  squeezed,
  unsqueezed,
} from '../sizes.js'
import { agreeing, numbersAs, typed } from '../values.js'

/** The same elements in another shape; metadata stays. */
const to = (v: Value, shape: Shape): Value => (sameShape(v.shape, shape) ? v : v.kit.emit('reshape', [v], { shape }))

const reshaping =
  (shape: (x: Importing, from: Shape) => Shape): ImportRule =>
  (x) => {
    const v = x.value(0)
    return typed(to(v, shape(x, v.shape)), x.type(0))
  }

/** Reshape. */
export const reshape = reshaping(resolveReshape)
/** Squeeze. */
export const squeeze = reshaping(squeezed)
/** Unsqueeze. */
export const unsqueeze = reshaping(unsqueezed)
/** Flatten: two axes, the first of all before `axis`. */
export const flatten = reshaping((x, from) => {
  const given = x.number('axis', 1)
  const axis = given < 0 ? given + from.length : given
  return [sizeOf(from.slice(0, axis)), sizeOf(from.slice(axis))]
})

/** Transpose. */
export const transpose: ImportRule = (x) => {
  const v = x.value(0, 'weight')
  const dims = x.list('perm') ?? v.shape.map((_, i) => v.shape.length - 1 - i)
  const y = x.kit.emit('permute', [v], { dims })
  if (dims.join() === '1,0') x.noteTranspose(y, v)
  return typed(y, x.type(0))
}

/** Concat; quant tensors on one grid stay on it. */
export const concat: ImportRule = (x) => {
  const all = agreeing(x.node.inputs.map((_, i) => x.value(i)))
  const dim = concatAxis(x, all[0].shape.length)
  return typed(all.length === 1 ? all[0] : x.kit.emit('concat', all, { dim }), x.type(0))
}

const part = (v: Value, dim: number, start: number, end: number): Value =>
  start === 0 && end === v.shape[dim] ? v : v.kit.emit('slice', [v], { dim, start, end })

/** Most stretches of which a selection along an axis is put together. */
const MOST_RUNS = 4096

/** Elements of an axis in any order: stretches of neighbours, joined. */
const taken = (x: Importing, v: Value, dim: number, indices: readonly number[]): Value => {
  const runs: (readonly [number, number])[] = []
  for (const i of indices) {
    const last = runs[runs.length - 1]
    if (last !== undefined && last[1] === i) runs[runs.length - 1] = [last[0], i + 1]
    else runs.push([i, i + 1])
  }
  if (runs.length > MOST_RUNS)
    return x.refuse(`it takes ${runs.length} stretches of an axis`, 'take neighbouring elements together')
  const parts = runs.map(([a, b]) => part(v, dim, a, b))
  if (parts.length === 0) return part(v, dim, 0, 0)
  return parts.length === 1 ? parts[0] : x.kit.emit('concat', parts, { dim })
}

/** Every `step`-th element of an axis that is cut to whole steps: the first of each group of `step`. */
const strided = (v: Value, axis: number, start: number, step: number, count: number): Value => {
  const { kit } = v
  const end = start + count * step
  const short = Math.max(0, end - v.shape[axis])
  const filled =
    short === 0
      ? v
      : kit.emit('pad', [v], { pad: v.shape.map((_, i) => [0, i === axis ? short : 0]), mode: 'constant', value: 0 })
  const cut = part(filled, axis, start, end)
  const [front, back] = [v.shape.slice(0, axis), v.shape.slice(axis + 1)]
  const groups = to(cut, [...front, count, step, ...back])
  return to(part(groups, axis + 1, 0, 1), [...front, count, ...back])
}

/** Slice. */
export const slice: ImportRule = (x) => {
  const v = x.plain(0)
  const y = sliceSpecs(x, v.shape).reduce((u, { axis, start, step, count }) => {
    if (count === 0) return part(u, axis, 0, 0)
    if (step === 1) return part(u, axis, start, start + count)
    if (step > 1) return strided(u, axis, start, step, count)
    return taken(
      x,
      u,
      axis,
      Array.from({ length: count }, (_, i) => start + i * step),
    )
  }, v)
  return typed(y, x.type(0))
}

/** Split. */
export const split: ImportRule = (x) => {
  const v = x.plain(0)
  const { axis, sizes } = splitSizes(x, v.shape)
  let at = 0
  return sizes.map((n) => {
    const p = part(v, axis, at, at + n)
    at += n
    return typed(p, x.type(0))
  })
}

/** Gather by known indices: a selection. By computed ones: rows of a table, as an embedding takes them. */
export const gather: ImportRule = (x) => {
  const v = x.plain(0, 'weight')
  const axis = axisAmong(x, x.number('axis', 0), v.shape.length)
  const n = v.shape[axis]
  const [front, back] = [v.shape.slice(0, axis), v.shape.slice(axis + 1)]
  const known = x.known(1)
  if (known !== null) {
    const indices = Array.from(known.data, (i) => (i < 0 ? i + n : i))
    if (!indices.every((i) => Number.isInteger(i) && i >= 0 && i < n))
      return x.refuse(`an index is not among the ${n} of axis ${axis}`, 'give indices within the axis')
    return typed(to(taken(x, v, axis, indices), [...front, ...known.shape, ...back]), x.type(0))
  }
  const at = x.plain(1)
  const wrapped = x.kit.emit('select', [
    x.kit.emit('less', [at, x.kit.constant(0)]),
    x.kit.emit('add', [at, x.kit.constant(n)]),
    at,
  ])
  const first = x.kit.emit('permute', [v], { dims: [axis, ...v.shape.map((_, i) => i).filter((i) => i !== axis)] })
  const table = to(first, [n, sizeOf(front) * sizeOf(back)])
  const picked = x.kit.emit('gatherRows', [table, wrapped], { paddingIdx: null, scaleGradByFreq: false })
  const open = to(picked, [...at.shape, ...front, ...back])
  const r = at.shape.length
  const dims = [
    ...front.map((_, i) => r + i),
    ...at.shape.map((_, i) => i),
    ...back.map((_, i) => r + front.length + i),
  ]
  return typed(x.kit.emit('permute', [open], { dims }), x.type(0))
}

type Pair = readonly [before: number, after: number]

const MODES: { readonly [mode: string]: PadMode | undefined } = {
  constant: 'constant',
  reflect: 'reflect',
  edge: 'replicate',
  wrap: 'circular',
}

/** Pad; a mode other than constant cuts first where its pads are negative. */
export const pad: ImportRule = (x) => {
  const v = x.value(0)
  const rank = v.shape.length
  const given = x.setting('pads', 1) ?? x.setting('paddings', 1) ?? x.refuse('it names no pads', 'give some')
  const axes = x.has(3) ? x.numbers(3, 'axes').map((a) => axisAmong(x, a, rank)) : v.shape.map((_, i) => i)
  if (given.length !== 2 * axes.length)
    return x.refuse(`${given.length} pads do not fit ${axes.length} axes`, 'give two numbers per axis')
  const mode =
    MODES[x.text('mode', 'constant')] ?? x.refuse('its mode is not known', 'use constant, reflect, edge or wrap')
  const old = x.number('value', 0)
  const value = x.has(2) ? x.numbers(2, 'value')[0] : old
  const pads = v.shape.map((_, i): Pair => {
    const k = axes.indexOf(i)
    return k < 0 ? [0, 0] : [given[k], given[k + axes.length]]
  })
  const largest = value > 0 ? 3.4028234663852886e38 : -3.4028234663852886e38
  const fill = Number.isFinite(value) ? value : largest
  const cut = pads.map(([b, a]): Pair => [Math.min(0, b), Math.min(0, a)])
  const trimmed =
    mode === 'constant' || cut.flat().every((n) => n === 0)
      ? v
      : x.kit.emit('pad', [v], { pad: cut, mode: 'constant', value: 0 })
  const rest = mode === 'constant' ? pads : pads.map(([b, a]): Pair => [Math.max(0, b), Math.max(0, a)])
  return typed(x.kit.emit('pad', [trimmed], { pad: rest, mode, value: fill }), x.type(0))
}

/** Expand. */
export const expand: ImportRule = (x) => {
  const v = x.plain(0)
  const shape = expandShape(x, v.shape)
  return typed(sameShape(shape, v.shape) ? v : x.kit.emit('broadcastTo', [v], { shape }), x.type(0))
}

/** Tile: a new axis in front of each, filled and joined with it. */
export const tile: ImportRule = (x) => {
  const v = x.plain(0)
  const by = x.numbers(1, 'repeats')
  if (by.length !== v.shape.length || !by.every((n) => Number.isInteger(n) && n >= 0))
    return x.refuse(`repeats ${by.join()} do not fit ${showShape(v.shape)}`, 'give one per axis')
  const open = v.shape.flatMap((n) => [1, n])
  const full = v.shape.flatMap((n, i) => [by[i], n])
  const filled = x.kit.emit('broadcastTo', [to(v, open)], { shape: full })
  return typed(
    to(
      filled,
      v.shape.map((n, i) => n * by[i]),
    ),
    x.type(0),
  )
}

/** DepthToSpace in both orders. */
export const depthToSpace: ImportRule = (x) => {
  const v = x.value(0)
  const r = x.number('blocksize', 1)
  if (x.text('mode', 'DCR') === 'CRD') return x.kit.emit('pixelShuffle', [v], { factor: r })
  const [n, c, h, w] = v.shape
  if (v.shape.length !== 4 || c % (r * r) !== 0)
    return x.refuse(`${showShape(v.shape)} can't be moved in blocks of ${r}`, 'give [N, C*r*r, H, W]')
  const k = c / (r * r)
  const apart = x.kit.emit('permute', [to(v, [n, r, r, k, h, w])], { dims: [0, 3, 4, 1, 5, 2] })
  return typed(to(apart, [n, k, h * r, w * r]), x.type(0))
}

/** SpaceToDepth. */
export const spaceToDepth: ImportRule = (x) => {
  const v = x.value(0)
  const r = x.number('blocksize', 1)
  const [n, c, h, w] = v.shape
  const mode = x.text('mode', 'DCR')
  if (v.shape.length !== 4 || h % r !== 0 || w % r !== 0)
    return x.refuse(`${showShape(v.shape)} can't be cut into blocks of ${r}`, 'give [N, C, H*r, W*r]')
  if (mode === 'CRD') return x.kit.emit('pixelUnshuffle', [v], { factor: r })
  const apart = x.kit.emit('permute', [to(v, [n, c, h / r, r, w / r, r])], { dims: [0, 3, 5, 1, 2, 4] })
  return typed(to(apart, [n, c * r * r, h / r, w / r]), x.type(0))
}

/** CumSum: a product with a triangle of ones. */
export const cumSum: ImportRule = (x) => {
  const v = x.plain(0)
  const axis = axisAmong(x, x.numbers(1, 'axis')[0], v.shape.length)
  const [open, back] = [x.number('exclusive', 0) !== 0, x.number('reverse', 0) !== 0]
  const n = v.shape[axis]
  const counts = (i: number, j: number): boolean => {
    if (back) return open ? i > j : i >= j
    return open ? i < j : i <= j
  }
  const data = Float32Array.from({ length: n * n }, (_, k) => (counts(Math.floor(k / n), k % n) ? 1 : 0))
  const triangle = numbersAs(x, 'triangle', [n, n], data)
  const dims = [...v.shape.map((_, i) => i).filter((i) => i !== axis), axis]
  const sums = x.kit.emit('matmul', [x.kit.emit('permute', [v], { dims }), triangle])
  return typed(x.kit.emit('permute', [sums], { dims: v.shape.map((_, i) => dims.indexOf(i)) }), x.type(0))
}
