/** Pools, padding and resizing over the spatial axes. */
import {
  count,
  fieldProblems,
  finite,
  flag,
  oneOf,
  required,
  whole,
  type Field,
  type OptionsOf,
} from '../../data/fields.js'
import { showShape } from '../../data/shape.js'
import type { Value } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'
import { averageFields, poolFields, RESIZE_FIELDS, sizeFields } from './fields.js'
import { axesField, refused } from './support.js'

type PerAxis = number | readonly number[]
const spread = (n: PerAxis, count: number): readonly number[] =>
  typeof n === 'number' ? new Array<number>(count).fill(n) : [...n]
/** Spatial axes of [N, C, …], unless a function's name says how many. */
const spatial = (x: Value): number => (isValue(x) ? Math.max(0, x.shape.length - 2) : 0)

/** How a pool walks over its input. */
export interface PoolOptions extends OptionsOf<ReturnType<typeof poolFields>> {}
/** The same for averages. */
export interface AvgPoolOptions extends OptionsOf<ReturnType<typeof averageFields>> {}

const noSpace = (asker: string, x: Value): Value =>
  x.kit.fail({
    op: asker,
    refuse: `an input ${showShape(x.shape)} has no axes to walk over behind samples and channels`,
    fix: `give [N, C, L], [N, C, H, W] or [N, C, D, H, W]; of a single sample [C, H, W] say that 2 axes are meant: ${asker}(x, …, 2)`,
  })

/** The record of options, and how many axes it speaks of; null if both are right, else the invalid value of a recorded error. */
const badOptions = (
  asker: string,
  x: Value,
  o: unknown,
  n: number,
  fields: (axes: number) => { readonly [name: string]: Field },
): Value | null => {
  const wrong = refused(asker, x, { axes: n }, { axes: required(whole) })
  if (wrong !== null) return wrong
  const path = x.kit.path()
  return fieldProblems(asker, o, fields(n)).reduce<Value | null>((_, e) => x.kit.failWith({ ...e, path }), null)
}

/** The same of a pool, which needs an axis to walk over. */
const badPool: typeof badOptions = (asker, x, o, n, fields) =>
  n === 0 && isValue(x) && x.shape.length < 3 ? noSpace(asker, x) : badOptions(asker, x, o, n, fields)

/** Largest of each window, over 1 to 3 spatial axes (F.max_pool1d/2d/3d). Keeps metadata. */
export const maxPool = (x: Value, o: PoolOptions, n = spatial(x)): Value =>
  badPool('maxPool', x, o, n, poolFields) ??
  x.kit.emit('maxPool', [x], {
    kernel: spread(o.kernelSize, n),
    stride: spread(o.stride ?? o.kernelSize, n),
    padding: spread(o.padding ?? 0, n),
    dilation: spread(o.dilation ?? 1, n),
    ceilMode: o.ceilMode ?? false,
  })
const avgPoolAttrs = (o: AvgPoolOptions, n: number) => ({
  kernel: spread(o.kernelSize, n),
  stride: spread(o.stride ?? o.kernelSize, n),
  padding: spread(o.padding ?? 0, n),
  ceilMode: o.ceilMode ?? false,
  countIncludePad: o.countIncludePad ?? true,
  divisorOverride: o.divisorOverride ?? null,
})

/** Mean of each window (F.avg_pool1d/2d/3d). Over two spatial axes Brevitas keeps metadata: scale/k, more bits. */
export const avgPool = (x: Value, o: AvgPoolOptions, n = spatial(x)): Value =>
  badPool('avgPool', x, o, n, averageFields) ?? x.kit.emit('avgPool', [x], avgPoolAttrs(o, n))
/** Means of as many windows as asked for (F.adaptive_avg_pool1d/2d/3d). */
export const adaptiveAvgPool = (x: Value, outputSize: PerAxis, n = spatial(x)): Value =>
  badPool('adaptiveAvgPool', x, { outputSize }, n, sizeFields) ??
  x.kit.emit('adaptiveAvgPool', [x], { outputSize: spread(outputSize, n) })
/** The same with right metadata where Brevitas' is a quirk: uneven windows strip, and a zero point is multiplied too. */
export const adaptiveAvgPoolCorrect = (x: Value, outputSize: PerAxis, n = spatial(x)): Value =>
  badPool('adaptiveAvgPoolCorrect', x, { outputSize }, n, sizeFields) ??
  x.kit.emit('adaptiveAvgPool', [x], { outputSize: spread(outputSize, n), correct: true })
/** `avgPool` with right metadata where Brevitas' is off: the zero point is multiplied too, and uneven windows strip. */
export const avgPoolCorrect = (x: Value, o: AvgPoolOptions, n = spatial(x)): Value =>
  badPool('avgPoolCorrect', x, o, n, averageFields) ??
  x.kit.emit('avgPool', [x], { ...avgPoolAttrs(o, n), correct: true })
/** Largest of as many windows as asked for (F.adaptive_max_pool1d/2d/3d). Keeps metadata. */
export const adaptiveMaxPool = (x: Value, outputSize: PerAxis, n = spatial(x)): Value =>
  badPool('adaptiveMaxPool', x, { outputSize }, n, sizeFields) ??
  x.kit.emit('adaptiveMaxPool', [x], { outputSize: spread(outputSize, n) })

/** How `pad` fills the new elements. */
export type PadMode = 'constant' | 'reflect' | 'replicate' | 'circular'
const PAD = {
  pads: required({
    ...axesField,
    says: 'a list of whole numbers',
    holds: (p: unknown) => Array.isArray(p) && axesField.holds(p),
  }),
  fill: finite,
  mode: oneOf('constant', 'reflect', 'replicate', 'circular'),
}
/** Pads the last axes; pairs `[before, after]` in one flat list, the last axis first, as torch has them (F.pad). Keeps metadata; a value that is off the grid makes it a claim. */
export const pad = (x: Value, pads: readonly number[], fill = 0, mode: PadMode = 'constant'): Value => {
  const bad = refused('pad', x, { pads, fill, mode }, PAD, (e) =>
    'option' in e && e.option === 'fill' && PAD.mode.holds(fill)
      ? `fill stands before the mode: pad(x, pads, 0, ${JSON.stringify(fill)})`
      : e.fix,
  )
  if (bad !== null) return bad
  if (pads.length % 2 !== 0 || pads.length / 2 > x.shape.length)
    return x.kit.fail({
      op: 'pad',
      refuse: `${pads.length} numbers are no pairs for the last axes of ${showShape(x.shape)}`,
      fix: 'give [before, after] of the last axis, then of the one before it, and so on',
    })
  const per = x.shape.map((_, i): readonly [number, number] => {
    const k = 2 * (x.shape.length - 1 - i)
    return k < pads.length ? [pads[k], pads[k + 1]] : [0, 0]
  })
  return x.kit.emit('pad', [x], { pad: per, mode, value: fill })
}

/** How an image is resized: to a size or by a factor. */
export interface ResizeOptions extends OptionsOf<typeof RESIZE_FIELDS> {}

const resized = (
  x: Value,
  o: ResizeOptions,
): { readonly size: readonly number[]; readonly scales: readonly (number | null)[] } => {
  const n = spatial(x)
  if (o.size !== undefined) return { size: spread(o.size, n), scales: new Array<null>(n).fill(null) }
  const scales = spread(o.scaleFactor ?? 1, n)
  return { size: scales.map((f, i) => Math.floor(x.shape[i + 2] * f)), scales }
}

const resizeFields = (more: { readonly [name: string]: Field }) => () => ({
  ...RESIZE_FIELDS,
  ...more,
})
/** Either a size or a factor says where to; of both one would be passed over. */
const badAim = (asker: string, x: Value, o: ResizeOptions): Value | null =>
  (o.size === undefined) === (o.scaleFactor === undefined)
    ? x.kit.fail({
        op: asker,
        tag: 'ConfigError',
        refuse: 'either size or scaleFactor must be given, not both',
        fix: 'give scaleFactor: 2, for instance',
      })
    : null
const resizing =
  (name: 'upsampleNearest' | 'upsampleNearestExact') =>
  (x: Value, o: ResizeOptions): Value =>
    badOptions(name, x, o, 0, resizeFields({})) ?? badAim(name, x, o) ?? x.kit.emit(name, [x], resized(x, o))
const [nearest, nearestExact] = [resizing('upsampleNearest'), resizing('upsampleNearestExact')]

/** Resizes by repeating the nearest element (F.interpolate, mode `nearest`). Keeps metadata. */
export const upsampleNearest = (x: Value, o: ResizeOptions): Value => nearest(x, o)
/** Resizes by the nearest element, rounding correctly (mode `nearest-exact`); strips. */
export const upsampleNearestExact = (x: Value, o: ResizeOptions): Value => nearestExact(x, o)
/** Resizes by linear, bilinear or trilinear interpolation, by rank; strips. */
export const upsampleLinear = (x: Value, o: ResizeOptions & { readonly alignCorners?: boolean }): Value =>
  badOptions('upsampleLinear', x, o, 0, resizeFields({ alignCorners: flag })) ??
  badAim('upsampleLinear', x, o) ??
  x.kit.emit('upsampleLinear', [x], { ...resized(x, o), alignCorners: o.alignCorners ?? false })

/** `[N, C*r², H, W]` to `[N, C, H*r, W*r]` (F.pixel_shuffle). Keeps metadata. */
export const pixelShuffle = (x: Value, factor: number): Value =>
  refused('pixelShuffle', x, { factor }, { factor: required(count) }) ?? x.kit.emit('pixelShuffle', [x], { factor })
/** `[N, C, H*r, W*r]` to `[N, C*r², H, W]` (F.pixel_unshuffle). Keeps metadata. */
export const pixelUnshuffle = (x: Value, factor: number): Value =>
  refused('pixelUnshuffle', x, { factor }, { factor: required(count) }) ?? x.kit.emit('pixelUnshuffle', [x], { factor })
