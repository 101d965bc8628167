/** Resizing by repeating elements (F.interpolate, modes `nearest` and `nearest-exact`), and the gradients. */
import type { Carried } from '../data/quant.js'
import { gridOf } from '../data/quant.js'
import { showShape, sizeOf } from '../data/shape.js'
import { shape } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Example, Kit, Op, Value } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import { gatherPlanes, lookupOf, scatterPlanes } from './support/lookup.js'
import { channelAxes, claim, keep, losesGroups } from './support/metadata.js'
import { cotangentOf } from './support/padding.js'
import { type Nearest, nearestAxes, type ResizeAttrs, resizedShape, resizing } from './support/resizing.js'

const backwards = { ...resizing, inputShape: shape }
/** Attributes of the resizing, and the shape of its input. */
export type ResizeGradAttrs = AttrsOf<typeof backwards>

const carryNearest = (args: readonly Value[], { size }: ResizeAttrs, kit: Kit): Carried => {
  const [x] = args
  const q = gridOf(x.carried)
  if (q === null) return keep(args)
  const lost = losesGroups(args, 'resizing gives each of them another size')
  if (lost !== null) return lost
  const rank = x.shape.length
  const axis = channelAxes(q, rank, kit).find((d) => d >= rank - size.length || d < 0)
  return axis === undefined
    ? keep(args)
    : claim(
        args,
        q,
        `the scale ${showShape(kit.value(q.scale).shape)} varies along resized axis ${axis} of ${showShape(x.shape)} and no longer fits it`,
      )
}

/** The two modes differ in name, coordinates and metadata only. */
type Mode = {
  readonly name: 'upsampleNearest' | 'upsampleNearestExact'
  readonly mode: string
  readonly reads: Nearest
  readonly gradReads: Nearest
  readonly carry: Op<ResizeAttrs>['carry']
}

const examples: readonly Example<ResizeAttrs>[] = [
  {
    args: [{ shape: [1, 2, 2, 3], quant: { bits: 4, signed: true, zero: 'integer' } }],
    attrs: { size: [4, 6], scales: [2, 2] },
  },
  { args: [{ shape: [2, 1, 5] }], attrs: { size: [3], scales: [null] } },
  { args: [{ shape: [1, 1, 2, 1, 3] }], attrs: { size: [3, 2, 4], scales: [1.5, null, null] } },
]

const forward = ({ name, mode, reads, carry }: Mode): Op<ResizeAttrs> => ({
  name,
  sign: () => 'kept',
  homogeneous: true,
  doc: `The last axes resized by repeating or leaving out elements (torch.nn.functional.interpolate, mode '${mode}').`,
  operands: ['x'],
  attributes: resizing,
  shape: ([x], attrs) => resizedShape(name, x, attrs),
  carry,
  grids: 'all',
  vjp: ({ g, args: [x], attrs, kit }) => [kit.emit(`${name}Grad` as const, [g], { ...attrs, inputShape: x.shape })],
  evaluate: ([x], attrs, out) => {
    const plane = x.shape.slice(-attrs.size.length)
    gatherPlanes(x.data, sizeOf(plane), lookupOf(nearestAxes(x.shape, attrs, reads), plane), 0, out.data)
    return null
  },
  examples,
  smooth: true,
})

const gradient = ({ name, gradReads }: Mode): Op<ResizeGradAttrs> => ({
  name: `${name}Grad`,
  doc: `Gradient of ${name}: each cotangent is added to the element that was copied there.`,
  operands: ['g'],
  exact: 'sum',
  attributes: backwards,
  shape: ([g], attrs) =>
    cotangentOf(`${name}Grad`, g, attrs.inputShape, resizedShape(`${name}Grad`, attrs.inputShape, attrs)),
  carry: strips('a gradient is a plain number'),
  vjp: ({ g, attrs: { inputShape: _, ...attrs }, kit }) => [kit.emit(name, [g], attrs)],
  evaluate: ([g], attrs, out) => {
    const plane = attrs.inputShape.slice(-attrs.size.length)
    scatterPlanes(g.data, sizeOf(plane), lookupOf(nearestAxes(attrs.inputShape, attrs, gradReads), plane), out.data)
    return null
  },
  examples: [
    { args: [{ shape: [1, 2, 4, 6] }], attrs: { size: [4, 6], scales: [2, 2], inputShape: [1, 2, 2, 3] } },
    { args: [{ shape: [2, 1, 3] }], attrs: { size: [3], scales: [null], inputShape: [2, 1, 5] } },
  ],
  smooth: true,
})

const nearest: Mode = {
  name: 'upsampleNearest',
  mode: 'nearest',
  reads: 'nearest',
  gradReads: 'nearest',
  carry: carryNearest,
}
const exact: Mode = {
  name: 'upsampleNearestExact',
  mode: 'nearest-exact',
  reads: 'exact',
  gradReads: 'exactGrad',
  carry: strips('Brevitas keeps metadata in F.interpolate for mode nearest only; nearest-exact gives a plain tensor'),
}

/** Each element of the result is that of x at `floor(i * step)`. Keeps metadata. Gradient: `upsampleNearestGrad`. */
export const upsampleNearest: Op<ResizeAttrs> = forward(nearest)
/** Cotangent of x in `upsampleNearest(x)`. Linear: its gradient is `upsampleNearest`. */
export const upsampleNearestGrad: Op<ResizeGradAttrs> = gradient(nearest)
/** Each element of the result is that of x at `floor((i + 0.5) * step)`. Gradient: `upsampleNearestExactGrad`. */
export const upsampleNearestExact: Op<ResizeAttrs> = forward(exact)
/** Cotangent of x in `upsampleNearestExact(x)`. Linear: its gradient is `upsampleNearestExact`. */
export const upsampleNearestExactGrad: Op<ResizeGradAttrs> = gradient(exact)

declare module '../graph/op.js' {
  interface Primitives {
    upsampleNearest: ResizeAttrs
    upsampleNearestExact: ResizeAttrs
    upsampleNearestGrad: ResizeGradAttrs
    upsampleNearestExactGrad: ResizeGradAttrs
  }
}
