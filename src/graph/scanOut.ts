/** What a loop gives: the node of a body that was traced, its last carries and its stacks, with the metadata that the steps gave them. */
import type { Carried, Quant } from '../data/quant.js'
import { carries, claimed, quantOf } from '../data/quant.js'
import type { Shape } from '../data/shape.js'
import type { Builder } from './building.js'
import type { ScanSpec, Scanned, Value } from './op.js'

/** What of a quant tensor is known without numbers. */
export type Grid = Pick<Quant, 'bits' | 'signed' | 'training' | 'zero' | 'lo' | 'hi' | 'slack'> & {
  readonly claim: { readonly why: string; readonly exact: boolean } | null
}

/** The grid of a quant tensor, or null. */
export const gridOf = (c: Carried): Grid | null => {
  const q = quantOf(c)
  if (q === null || (c.tag !== 'carries' && c.tag !== 'claimed')) return null
  const { bits, signed, training, zero, lo, hi, slack } = q
  const claim = c.tag === 'claimed' ? { why: c.why, exact: c.exact === true } : null
  return { bits, signed, training, zero, lo, hi, slack, claim }
}

/** Metadata of that grid, by the nodes of its scale and zero point. */
export const onGrid = ({ claim, ...grid }: Grid, parts: Pick<Quant, 'scale' | 'zeroPoint' | 'bitWidth'>): Carried => {
  const quant = { ...grid, ...parts }
  if (claim === null) return carries(quant)
  return claim.exact ? { tag: 'claimed', quant, why: claim.why, exact: true } : claimed(quant, claim.why)
}

/** How one carry goes round: shared by all steps, plain, or as a quant tensor (whose scale and zero point are shared, or go round too). */
export type Way =
  | { readonly kind: 'shared' }
  | { readonly kind: 'plain' }
  | { readonly kind: 'quant'; readonly grid: Grid; readonly fixed: boolean }

const OF_CARRIES = 'a carry that not every step hands back on one grid is plain'

/** The value alone. */
export const plainOf = (v: Value, why = OF_CARRIES): Value =>
  quantOf(v.carried) === null ? v : v.kit.emit('dequantize', [v], { why })

/** Scale and zero point of a quant tensor. */
export const partsOf = (b: Builder, v: Value): readonly [Value, Value] => {
  const q = quantOf(v.carried)
  return q === null ? [v, v] : [b.value(q.scale), b.value(q.zeroPoint)]
}

/** The leaves of the node's carries, in order, and the values that the body is given. */
export type Opened = {
  readonly inits: readonly Value[]
  readonly given: readonly Value[]
}

/** What a step hands back, leaf by leaf as `opened` has them. */
const handedBack = (child: Builder, carry: readonly Value[], ways: readonly Way[]): readonly Value[] =>
  carry.flatMap((v, i) => {
    const way = ways[i]
    if (way.kind === 'shared') return []
    if (way.kind === 'plain') return [plainOf(v)]
    return way.fixed ? [v] : [v, ...partsOf(child, v)]
  })

/** A body that was traced. */
export type Traced = {
  readonly child: Builder
  readonly opened: Opened
  readonly carry: readonly Value[]
  readonly ys: readonly Value[]
}

/** A loop in its graph. */
type At = { readonly b: Builder; readonly node: number; readonly spec: ScanSpec }

/** The stacked results: their metadata as torch.cat of the steps would have it. */
const stackedOf = (at: At, outs: readonly Out[]): readonly Value[] => {
  const { b, node, spec } = at
  return outs.map((o) => {
    const shape = [spec.length, ...o.shape]
    if (o.grid === null) return b.output(node, o.index, shape)
    const part = (p: Part): Value => partOf(at, p, o.grid?.training === true)
    const [scale, zeroPoint] = [part(o.scale), part(o.zeroPoint)]
    const several = spec.length > 1 && ('index' in o.scale || 'index' in o.zeroPoint)
    const grid = several ? { ...o.grid, claim: { why: SEVERAL, exact: false } } : o.grid
    const ids = { scale: scale.id, zeroPoint: zeroPoint.id, bitWidth: b.constant(grid.bits).id }
    return b.output(node, o.index, shape, onGrid(grid, ids))
  })
}

const SEVERAL =
  'each step has a scale of its own, and their stack has one: in training the mean of all, in evaluation the first'

/** Scale or zero point of a result: one of the graph around, or one per step. */
type Part = { readonly outside: Value } | { readonly index: number; readonly shape: Shape }
type Out = {
  readonly index: number
  readonly shape: Shape
  readonly grid: Grid | null
  readonly scale: Part
  readonly zeroPoint: Part
}

/** One slice of what was stacked. */
const sliceOf = ({ b, node, spec }: At, p: { readonly index: number; readonly shape: Shape }, t: number): Value => {
  const all = b.output(node, p.index, [spec.length, ...p.shape])
  return b.emit('reshape', [b.emit('slice', [all], { dim: 0, start: t, end: t + 1 })], { shape: p.shape })
}

const firstStep = (spec: ScanSpec): number => (spec.reverse === true ? spec.length - 1 : 0)
const lastStep = (spec: ScanSpec): number => (spec.reverse === true ? 0 : spec.length - 1)

const partOf = (at: At, p: Part, training: boolean): Value => {
  const { b, node, spec } = at
  if ('outside' in p) return p.outside
  if (!training || spec.length === 1) return sliceOf(at, p, firstStep(spec))
  const all = b.output(node, p.index, [spec.length, ...p.shape])
  return b.emit('div', [b.emit('sum', [all], { dims: [0], keepdim: false }), b.constant(spec.length)])
}

/** Emits the loop of a body that was traced. */
export const emitted = (b: Builder, spec: ScanSpec, ways: readonly Way[], t: Traced): Scanned => {
  const { child } = t
  const back = handedBack(child, t.carry, ways)
  const stacked: Value[] = []
  const stack = (v: Value): number => back.length + stacked.push(v) - 1
  const part = (v: Value): Part => {
    const outside = child.outside(v.id)
    return outside === null ? { index: stack(v), shape: v.shape } : { outside }
  }
  const outOf = (v: Value, index: number): Out => {
    const grid = gridOf(v.carried)
    if (grid === null) return { index, shape: v.shape, grid, scale: { outside: v }, zeroPoint: { outside: v } }
    const [scale, zeroPoint] = partsOf(child, v)
    const zero: Part =
      grid.zero === 'zero' && zeroPoint.shape.length === 0 ? { outside: b.constant(0) } : part(zeroPoint)
    return { index, shape: v.shape, grid, scale: part(scale), zeroPoint: zero }
  }
  const outs = t.ys.map((y) => outOf(y, stack(y)))
  // A carry that is plain in the body may still be a quant tensor after the last step.
  const finals = t.carry.map((v, i) => (ways[i].kind === 'plain' ? outOf(v, -1) : null))
  // Captures come last, and finishing may not add any: they are the operands behind carries and xs.
  const graph = child.finish([...back, ...stacked])
  const attrs = { carries: back.length, xs: spec.xs.length, length: spec.length, reverse: spec.reverse === true }
  const operands = [...t.opened.inits, ...spec.xs, ...child.captured()]
  const order = operandOrder(graph.inputs, t.opened.inits.length + spec.xs.length, graph)
  const node = b.appendLoop(operands, attrs, { ...graph, inputs: order }).id
  const at: At = { b, node, spec }
  return { carry: carriesOut(at, ways, finals), ys: stackedOf(at, outs) }
}

/** Inputs of a body in the order of the operands: carries and slices first, captures behind, whenever they were made. */
const operandOrder = (
  inputs: readonly number[],
  own: number,
  graph: { readonly nodes: readonly { readonly attrs: { readonly [k: string]: unknown } }[] },
): readonly number[] => {
  const isCapture = (id: number): boolean => String(graph.nodes[id].attrs.name).startsWith('outer')
  const first = inputs.filter((id) => !isCapture(id))
  return first.length === own ? [...first, ...inputs.filter(isCapture)] : inputs
}

/** A carry after the last step, with the metadata that this step gave it. */
const finalOf = (at: At, index: number, out: Out | null, shape: Shape): Value => {
  const { b, node, spec } = at
  if (out === null || out.grid === null) return b.output(node, index, shape)
  const [scale, zeroPoint] = [out.scale, out.zeroPoint].map((p) =>
    'outside' in p ? p.outside : sliceOf(at, p, lastStep(spec)),
  )
  const ids = { scale: scale.id, zeroPoint: zeroPoint.id, bitWidth: b.constant(out.grid.bits).id }
  return b.output(node, index, shape, onGrid(out.grid, ids))
}

/** The carries after the last step. */
const carriesOut = (at: At, ways: readonly Way[], finals: readonly (Out | null)[]): readonly Value[] => {
  const { b, node, spec } = at
  let next = 0
  return spec.carry.map((v, i) => {
    const way = ways[i]
    if (way.kind === 'shared') return v
    const index = next++
    if (way.kind === 'plain') return finalOf(at, index, finals[i] ?? null, v.shape)
    const [s, z] = partsOf(b, v)
    const [scale, zeroPoint] = way.fixed ? [s, z] : [b.output(node, next++, s.shape), b.output(node, next++, z.shape)]
    const ids = { scale: scale.id, zeroPoint: zeroPoint.id, bitWidth: b.constant(way.grid.bits).id }
    return b.output(node, index, v.shape, onGrid(way.grid, ids))
  })
}
