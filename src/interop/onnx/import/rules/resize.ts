/** Resize and Upsample: along each axis a mixture of elements, by the rule of ONNX; where it is torch's too, the primitive. */
import { showShape, sizeOf, type Shape } from '../../../../data/shape.js'
import type { Value } from '../../../../graph/op.js'
import type { Importing, ImportRule } from '../entry.js'
import { axisAmong } from '../sizes.js'
import { numbersAs, outOf, typed } from '../values.js'

/** How one axis of `length` elements becomes one of `size`. */
type Axis = {
  readonly length: number
  readonly size: number
  readonly scale: number
  readonly roi: readonly [number, number]
}
type How = {
  readonly mode: string
  readonly transform: string
  readonly nearest: string
  readonly cubic: number
  readonly exclude: boolean
  readonly antialias: boolean
  readonly outside: number
}

/**
 * The place in the input that element i of the result stands for. Where corners are aligned, the width is the one before it is rounded down, as
 * in ONNX' own reference (onnxruntime takes the rounded one).
 */
const place = (i: number, { length, size, scale, roi }: Axis, transform: string, x: Importing): number => {
  const width = length * scale
  switch (transform) {
    case 'half_pixel':
      return (i + 0.5) / scale - 0.5
    case 'half_pixel_symmetric': {
      const fit = size / (length * scale)
      return (length / 2) * (1 - fit) + (i + 0.5) / scale - 0.5
    }
    case 'pytorch_half_pixel':
      return size > 1 ? (i + 0.5) / scale - 0.5 : 0
    case 'align_corners':
      return width > 1 ? (i * (length - 1)) / (width - 1) : 0
    case 'asymmetric':
      return i / scale
    case 'tf_half_pixel_for_nn':
      return (i + 0.5) / scale
    case 'tf_crop_and_resize':
      return width > 1
        ? roi[0] * (length - 1) + (i * (roi[1] - roi[0]) * (length - 1)) / (width - 1)
        : 0.5 * (roi[0] + roi[1]) * (length - 1)
    default:
      return x.refuse(`there is no coordinate_transformation_mode ${transform}`, 'use half_pixel')
  }
}

const NEAREST: { readonly [mode: string]: ((p: number) => number) | undefined } = {
  round_prefer_floor: (p) => Math.ceil(p - 0.5),
  round_prefer_ceil: (p) => Math.floor(p + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
}

/** Keys' kernel. */
const cubic = (t: number, a: number): number => {
  const d = Math.abs(t)
  if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1
  return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0
}

const triangle = (t: number): number => Math.max(0, 1 - Math.abs(t))

/** The elements that one element of the result mixes, with their weights; null: it lies outside of the input. */
const mixture = (i: number, axis: Axis, how: How, x: Importing): ReadonlyMap<number, number> | null => {
  const { length } = axis
  const p = place(i, axis, how.transform, x)
  if (how.transform === 'tf_crop_and_resize' && (p < 0 || p > length - 1)) return null
  const inside = (k: number): number => Math.min(length - 1, Math.max(0, k))
  if (how.mode === 'nearest') {
    const round = NEAREST[how.nearest] ?? x.refuse(`there is no nearest_mode ${how.nearest}`, 'use round_prefer_floor')
    return new Map([[inside(round(p)), 1]])
  }
  const shrink = how.antialias ? Math.min(1, axis.scale) : 1
  const reach = (how.mode === 'linear' ? 1 : 2) / shrink
  const kernel = (t: number): number => (how.mode === 'linear' ? triangle(t * shrink) : cubic(t * shrink, how.cubic))
  const weights = new Map<number, number>()
  let total = 0
  for (let k = Math.ceil(p - reach); k <= Math.floor(p + reach); k++) {
    const w = kernel(k - p)
    if (w === 0 || (how.exclude && (k < 0 || k >= length))) continue
    weights.set(inside(k), (weights.get(inside(k)) ?? 0) + w)
    total += w
  }
  return new Map([...weights].map(([k, w]) => [k, w / total] as const))
}

type Rows = readonly (ReadonlyMap<number, number> | null)[]

/** Elements of an axis, by their indices. */
const picked = (x: Importing, v: Value, d: number, name: string, indices: readonly number[]): Value => {
  const { kit } = x
  const others = v.shape.map((_, i) => i).filter((i) => i !== d)
  const rest = others.map((i) => v.shape[i])
  const rows = kit.emit('permute', [v], { dims: [d, ...others] })
  const table = kit.emit('reshape', [rows], { shape: [v.shape[d], sizeOf(rest)] })
  const which = numbersAs(x, name, [indices.length], indices)
  const found = kit.emit('gatherRows', [table, which], { paddingIdx: null, scaleGradByFreq: false })
  const open = kit.emit('reshape', [found], { shape: [indices.length, ...rest] })
  return kit.emit('permute', [open], { dims: v.shape.map((_, i) => (i === d ? 0 : 1 + others.indexOf(i))) })
}

/** So many elements in a mixture are added one by one; of more a matrix does it. */
const FEW_TAPS = 4

/**
 * One axis mixed: what is not picked says nothing, even where it is no number. Mixtures of many elements are a matrix of
 * constants, in which it does.
 */
const mixed = (x: Importing, v: Value, d: number, rows: Rows): Value => {
  const taps = rows.map((row) => [...(row ?? new Map([[0, 0]]))])
  const most = Math.max(...taps.map((t) => t.length))
  if (most > FEW_TAPS) return byMatrix(x, v, d, rows)
  const shape = v.shape.map((_, i) => (i === d ? rows.length : 1))
  const terms = Array.from({ length: most }, (_, k): Value => {
    // A mixture of fewer elements takes its first one again, not at all.
    const [at, weights] = [taps.map((t) => (t[k] ?? t[0])[0]), taps.map((t) => t[k]?.[1] ?? 0)]
    const part = picked(x, v, d, `tap_${d}_${k}`, at)
    return weights.every((w) => w === 1)
      ? part
      : x.kit.emit('mul', [part, numbersAs(x, `weight_${d}_${k}`, shape, weights)])
  })
  return terms.reduce((sum, t) => x.kit.emit('add', [sum, t]))
}

const byMatrix = (x: Importing, v: Value, d: number, rows: Rows): Value => {
  const [size, length] = [rows.length, v.shape[d]]
  const data = new Float32Array(length * size)
  rows.forEach((row, i) => row?.forEach((w, k) => (data[k * size + i] = w)))
  const matrix = numbersAs(x, `mixture_${d}`, [length, size], data)
  const dims = [...v.shape.map((_, i) => i).filter((i) => i !== d), d]
  const y = x.kit.emit('matmul', [x.kit.emit('permute', [v], { dims }), matrix])
  return x.kit.emit('permute', [y], { dims: v.shape.map((_, i) => dims.indexOf(i)) })
}

/** Elements beyond the border hold a number of their own: 1 inside and 0 outside says which. */
const filled = (x: Importing, v: Value, d: number, rows: readonly (object | null)[], outside: number): Value => {
  if (rows.every((r) => r !== null)) return v
  const shape = v.shape.map((n, i) => (i === d ? n : 1))
  const inside = rows.map((r) => (r === null ? 0 : 1))
  return x.kit.emit('select', [numbersAs(x, `inside_${d}`, shape, inside), v, x.kit.constant(outside)])
}

/** How an image is resized by a primitive: the axes of its plane, and whether each size is a whole multiple. */
type Plane = { readonly how: How; readonly axes: readonly Axis[]; readonly whole: boolean }

const isHalf = ({ how, axes }: Plane): boolean =>
  how.transform === 'half_pixel' || (how.transform === 'pytorch_half_pixel' && axes.every((a) => a.size > 1))

const isNearest = ({ how }: Plane, transform: string, nearest: string): boolean =>
  how.mode === 'nearest' && how.transform === transform && how.nearest === nearest

const isLinear = ({ how }: Plane): boolean => how.mode === 'linear' && !how.antialias && !how.exclude

/** torch's own resizings: where one computes the same, and the one. */
const PRIMITIVES: readonly (readonly [
  same: (p: Plane) => boolean,
  made: (v: Value, attrs: { readonly size: readonly number[]; readonly scales: readonly (number | null)[] }) => Value,
])[] = [
  [
    (p) => isNearest(p, 'asymmetric', 'floor') || (p.whole && isNearest(p, 'half_pixel', 'round_prefer_floor')),
    (v, attrs) => v.kit.emit('upsampleNearest', [v], attrs),
  ],
  [
    (p) => isNearest(p, 'half_pixel', 'round_prefer_ceil'),
    (v, attrs) => v.kit.emit('upsampleNearestExact', [v], attrs),
  ],
  [
    (p) => isLinear(p) && p.how.transform === 'align_corners' && p.axes.every((a) => a.size === a.length * a.scale),
    (v, attrs) => v.kit.emit('upsampleLinear', [outOf(v)], { ...attrs, alignCorners: true }),
  ],
  [
    (p) => isLinear(p) && isHalf(p),
    (v, attrs) => v.kit.emit('upsampleLinear', [outOf(v)], { ...attrs, alignCorners: false }),
  ],
]

/** torch's own resizing, where it computes the same: whole planes, one rule, no cubic. */
const primitive = (v: Value, axes: readonly Axis[], how: How, given: boolean): Value | null => {
  const spatial = axes.slice(2)
  if (spatial.length === 0 || spatial.length > 3 || axes.slice(0, 2).some((a) => a.length !== a.size)) return null
  const whole = spatial.every((a) => a.size === a.length * a.scale && Number.isInteger(a.scale))
  const attrs = { size: spatial.map((a) => a.size), scales: spatial.map((a) => (given ? a.scale : null)) }
  const found = PRIMITIVES.find(([same]) => same({ how, axes: spatial, whole }))
  return found === undefined ? null : found[1](v, attrs)
}

/** The ratio that all axes share where the picture keeps its shape, or null. */
const commonRatio = (policy: string, ratios: readonly number[]): number | null => {
  if (policy === 'not_larger') return Math.min(...ratios)
  return policy === 'not_smaller' ? Math.max(...ratios) : null
}

/** Sizes and factors of all axes; some may be named, the others stay. */
const axesOf = (
  x: Importing,
  shape: Shape,
  scalesAt: number,
  sizesAt: number,
): { readonly axes: readonly Axis[]; readonly given: boolean } => {
  const rank = shape.length
  const named = x.list('axes')?.map((a) => axisAmong(x, a, rank)) ?? shape.map((_, i) => i)
  const filledIn = (i: number): readonly number[] => (x.has(i) ? x.numbers(i, 'scales or sizes') : [])
  const scales = x.list('scales') ?? filledIn(scalesAt)
  const sizes = filledIn(sizesAt)
  const policy = x.text('keep_aspect_ratio_policy', 'stretch')
  const roi = x.text('coordinate_transformation_mode', 'half_pixel') === 'tf_crop_and_resize' ? x.numbers(1, 'roi') : []
  const count = named.length
  if (scales.length !== count && sizes.length !== count)
    return x.refuse(`it names neither ${count} scales nor ${count} sizes for ${showShape(shape)}`, 'give one per axis')
  const ratios = named.map((a, k) => sizes[k] / shape[a])
  const common = commonRatio(policy, ratios)
  const axes = shape.map((length, a): Axis => {
    const k = named.indexOf(a)
    if (k < 0) return { length, size: length, scale: 1, roi: [0, 1] }
    const between: readonly [number, number] = [roi[k] ?? 0, roi[k + count] ?? 1]
    if (scales.length === count) return { length, size: Math.floor(length * scales[k]), scale: scales[k], roi: between }
    const size = common === null ? sizes[k] : Math.round(common * length)
    return { length, size, scale: common ?? size / length, roi: between }
  })
  return axes.every((a) => Number.isSafeInteger(a.size) && a.size > 0 && a.length > 0 && a.scale > 0)
    ? { axes, given: scales.length === count }
    : x.refuse(`${showShape(shape)} can't become ${showShape(axes.map((a) => a.size))}`, 'give sizes above 0')
}

const resized =
  (scalesAt: number, sizesAt: number, read: (x: Importing) => How): ImportRule =>
  (x) => {
    const v = x.value(0)
    const how = read(x)
    const { axes, given } = axesOf(x, v.shape, scalesAt, sizesAt)
    const known = primitive(v, axes, how, given)
    if (known !== null) return typed(known, x.type(0))
    const plain = outOf(v)
    const y = axes.reduce((u, axis, d) => {
      if (axis.size === axis.length && axis.scale === 1 && axis.roi[0] === 0 && axis.roi[1] === 1) return u
      const rows = Array.from({ length: axis.size }, (_, i) => mixture(i, axis, how, x))
      return filled(x, mixed(x, u, d, rows), d, rows, how.outside)
    }, plain)
    return typed(y, x.type(0))
  }

/** Resize, from version 10 on; before 11 it knew one rule of places. */
export const resize: ImportRule = (x) =>
  resized(x.opset < 11 ? 1 : 2, 3, (at) => ({
    mode: at.text('mode', 'nearest'),
    transform: at.text('coordinate_transformation_mode', at.opset < 11 ? 'asymmetric' : 'half_pixel'),
    nearest: at.text('nearest_mode', at.opset < 11 ? 'floor' : 'round_prefer_floor'),
    cubic: at.number('cubic_coeff_a', -0.75),
    exclude: at.number('exclude_outside', 0) !== 0,
    antialias: at.number('antialias', 0) !== 0,
    outside: at.number('extrapolation_value', 0),
  }))(x)

/** Upsample, which Resize replaced. */
export const upsample: ImportRule = resized(1, 2, (x) => ({
  mode: x.text('mode', 'nearest') === 'nearest' ? 'nearest' : 'linear',
  transform: 'asymmetric',
  nearest: 'floor',
  cubic: -0.75,
  exclude: false,
  antialias: false,
  outside: 0,
}))
