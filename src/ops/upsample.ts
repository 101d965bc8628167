/** Resizing over the trailing spatial axes (F.interpolate): by the nearest element, or linearly; and their gradients. */
import type { Carried } from '../data/quant.js'
import { quantOf } from '../data/quant.js'
import { showShape, sizeOf, type Shape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import type { Attrs, Kit, Op, Refusal, Value } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import { channelAxes, claim, keep } from './support/metadata.js'

/** Target size per spatial axis, and the factor that was asked for (null: given by the sizes). */
export type ResizeAttrs = Attrs & { readonly size: readonly number[]; readonly scales: readonly (number | null)[] }
/** Linear resizing may align the corners of both images. */
export type LinearAttrs = ResizeAttrs & { readonly alignCorners: boolean }

/** One target element as a weighted sum of source elements of its axis. */
type Taps = { readonly index: Int32Array; readonly weight: Float64Array; readonly perTarget: number }

const ratio = (from: number, to: number, scale: number | null): number => Math.fround(scale === null ? from / to : 1 / scale)

const nearestTaps = (offset: number) => (from: number, to: number, scale: number | null): Taps => {
  const r = ratio(from, to, scale)
  const index = Int32Array.from({ length: to }, (_, i) => Math.min(Math.floor(Math.fround((i + offset) * r)), from - 1))
  return { index, weight: new Float64Array(to).fill(1), perTarget: 1 }
}

const linearTaps = (alignCorners: boolean) => (from: number, to: number, scale: number | null): Taps => {
  const r = alignCorners ? Math.fround(to > 1 ? (from - 1) / (to - 1) : 0) : ratio(from, to, scale)
  const index = new Int32Array(2 * to)
  const weight = new Float64Array(2 * to)
  for (let i = 0; i < to; i++) {
    const at = alignCorners ? Math.fround(i * r) : Math.max(0, Math.fround(Math.fround(r * (i + 0.5)) - 0.5))
    const low = Math.min(Math.floor(at), from - 1)
    const share = Math.fround(at - low)
    index.set([low, Math.min(low + 1, from - 1)], 2 * i)
    weight.set([Math.fround(1 - share), share], 2 * i)
  }
  return { index, weight, perTarget: 2 }
}

type MakeTaps = (attrs: LinearAttrs) => (from: number, to: number, scale: number | null) => Taps

/** Visits every pair of a target and a source element with its weight, plane by plane. */
const pairs = (source: Shape, attrs: LinearAttrs, make: MakeTaps, visit: (target: number, source: number, weight: number) => void): void => {
  const n = attrs.size.length
  const from = source.slice(-n)
  const taps = attrs.size.map((to, i) => make(attrs)(from[i], to, attrs.scales[i]))
  const [small, large] = [sizeOf(from), sizeOf(attrs.size)]
  const planes = sizeOf(source.slice(0, -n))
  const combos = taps.reduce((p, t) => p * t.perTarget, 1)
  for (let t = 0; t < large; t++) {
    for (let c = 0; c < combos; c++) {
      let [rest, combo, at, stride, weight] = [t, c, 0, 1, 1]
      for (let d = n - 1; d >= 0; d--) {
        const { index, weight: w, perTarget } = taps[d]
        const k = (rest % attrs.size[d]) * perTarget + (combo % perTarget)
        rest = Math.floor(rest / attrs.size[d])
        combo = Math.floor(combo / perTarget)
        at += index[k] * stride
        stride *= from[d]
        weight *= w[k]
      }
      for (let p = 0; p < planes; p++) visit(p * large + t, p * small + at, weight)
    }
  }
}

const resized = ([x]: readonly Shape[], { size }: ResizeAttrs): Shape | Refusal =>
  x.length > size.length && size.every((n) => Number.isInteger(n) && n > 0) && sizeOf(x) > 0 ? [...x.slice(0, -size.length), ...size] : refuse(`${showShape(x)} can't be resized to ${showShape(size)}`, 'give one positive size per spatial axis of [N, C, …]')

const nearestCarry = (args: readonly Value[], { size }: ResizeAttrs, kit: Kit): Carried => {
  const q = quantOf(args[0].carried)
  const rank = args[0].shape.length
  return q !== null && channelAxes(q, rank, kit).some((d) => d >= rank - size.length) ? claim(args, q, 'the scale varies along a resized axis') : keep(args)
}

const example = (alignCorners: boolean) => ({ args: [{ shape: [1, 2, 2, 3], quant: { bits: 4, signed: true } as const }], attrs: { size: [4, 6], scales: [2, 2], alignCorners } })

const forward = (name: string, doc: string, make: MakeTaps, carry: Op<LinearAttrs>['carry']): Op<LinearAttrs> => ({
  name, doc, shape: resized, carry,
  vjp: ({ g, args: [x], attrs, kit }) => [kit.emit(`${name}Grad`, [g], { ...attrs, inputShape: x.shape })],
  evaluate: ([x], attrs, out) => {
    const sums = new Float64Array(out.data.length)
    pairs(x.shape, attrs, make, (t, s, w) => { sums[t] += w === 0 ? 0 : w * x.data[s] })
    out.data.set(sums)
    return null
  },
  examples: [example(false), example(true)],
  smooth: true,
})

type GradAttrs = LinearAttrs & { readonly inputShape: Shape }

const backward = (name: string, make: MakeTaps): Op<GradAttrs> => ({
  name: `${name}Grad`,
  doc: `Gradient of ${name}: each source element collects what it gave.`,
  shape: (_shapes, { inputShape }) => inputShape,
  carry: strips('a gradient is on no grid'),
  vjp: ({ g, attrs: { size, scales, alignCorners }, kit }) => [kit.emit(name, [g], { size, scales, alignCorners })],
  evaluate: ([g]: readonly Tensor[], attrs, out) => {
    const sums = new Float64Array(out.data.length)
    pairs(out.shape, attrs, make, (t, s, w) => { sums[s] += w * g.data[t] })
    out.data.set(sums)
    return null
  },
  examples: [{ args: [{ shape: [1, 2, 4, 6] }], attrs: { size: [4, 6], scales: [2, 2], alignCorners: false, inputShape: [1, 2, 2, 3] } }],
  smooth: true,
})

const NEAREST: MakeTaps = () => nearestTaps(0)
const EXACT: MakeTaps = () => nearestTaps(0.5)
const LINEAR: MakeTaps = ({ alignCorners }) => linearTaps(alignCorners)

/** By the nearest element (F.interpolate, `nearest`). Keeps metadata. */
export const upsampleNearest = forward('upsampleNearest', 'Resizing by the nearest element (F.interpolate, nearest).', NEAREST, nearestCarry)
/** By the nearest element, counted from the middles (F.interpolate, `nearest-exact`). */
export const upsampleNearestExact = forward('upsampleNearestExact', 'Resizing by the nearest element from the middles (F.interpolate, nearest-exact).', EXACT, strips('Brevitas keeps metadata for nearest only; nearest-exact gets the bare value'))
/** Linearly along each spatial axis (F.interpolate, `linear`, `bilinear`, `trilinear`). */
export const upsampleLinear = forward('upsampleLinear', 'Linear, bilinear or trilinear resizing (F.interpolate).', LINEAR, strips('the mean of 0 and s is s/2, which is off the grid'))
/** Gradients of the resizings. */
export const upsampleNearestGrad = backward('upsampleNearest', NEAREST)
export const upsampleNearestExactGrad = backward('upsampleNearestExact', EXACT)
export const upsampleLinearGrad = backward('upsampleLinear', LINEAR)
