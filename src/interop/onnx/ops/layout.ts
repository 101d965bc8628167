/** Ops that move elements: reshapes, transpositions, joins, slices, pads, resizing. */
import type { Node } from '../../../graph/graph.js'
import {
  int64s,
  numbers,
  operand,
  pairs,
  scalarOf,
  unsupported,
  type Exporting,
  type Rule,
  type Unsupported,
} from '../rule.js'
import { int, ints, text, type Name } from '../writer.js'

/** A shape as Reshape wants it: 0 keeps the first axis where the batch is open. */
const shapeFor = (x: Exporting, from: Node, to: readonly number[]): readonly number[] =>
  x.openBatch && from.shape[0] === to[0] ? to.map((n, i) => (i === 0 ? 0 : n)) : to

/** torch.reshape. */
export const reshape: Rule = (x, node) =>
  x.emit(node, 'Reshape', [operand(x, node, 0), int64s(x, shapeFor(x, x.node(node.inputs[0]), node.shape), 'shape')])

/** torch.permute. */
export const permute: Rule = (x, node) =>
  x.emit(node, 'Transpose', [operand(x, node, 0)], { perm: ints(numbers(node, 'dims')) })

/** torch.cat. */
export const concat: Rule = (x, node) =>
  x.emit(
    node,
    'Concat',
    node.inputs.map((id) => x.name(id)),
    { axis: int(Number(node.attrs.dim)) },
  )

/** A part of one axis. */
export const slice: Rule = (x, node) => {
  const [dim, start, end] = ['dim', 'start', 'end'].map((k) => Number(node.attrs[k]))
  return x.emit(node, 'Slice', [
    operand(x, node, 0),
    int64s(x, [start], 'start'),
    int64s(x, [end], 'end'),
    int64s(x, [dim], 'axis'),
  ])
}

/** Repeats elements along axes of size 1. */
export const broadcastTo: Rule = (x, node) =>
  x.emit(node, 'Expand', [operand(x, node, 0), int64s(x, node.shape, 'shape')])

const PAD_MODES: { readonly [mode: string]: string } = { constant: 'constant', reflect: 'reflect', replicate: 'edge' }

/** `circular`: the end of an axis in front of it, its beginning behind it. */
const circular = (x: Exporting, node: Node, pads: readonly (readonly number[])[]): Name => {
  const shape = x.shape(node.inputs[0])
  return pads.reduce(
    (v: Name, [before, after], axis) => {
      const part = (start: number, end: number): Name =>
        x.emit(node, 'Slice', [v, int64s(x, [start], 'start'), int64s(x, [end], 'end'), int64s(x, [axis], 'axis')])
      const n = shape[axis]
      const parts = [...(before > 0 ? [part(n - before, n)] : []), v, ...(after > 0 ? [part(0, after)] : [])]
      return parts.length === 1 ? v : x.emit(node, 'Concat', parts, { axis: int(axis) })
    },
    operand(x, node, 0),
  )
}

/** F.pad. Attributes: `pad`, before and after each axis, `mode`, `value`. */
export const pad: Rule = (x, node) => {
  const all = pairs(node, 'pad')
  if (node.attrs.mode === 'circular') return circular(x, node, all)
  const mode = PAD_MODES[String(node.attrs.mode)]
  if (mode === undefined) return unsupported(`ONNX has no padding mode ${String(node.attrs.mode)}`, 'pad with zeros')
  const amounts = [...all.map(([b]) => b), ...all.map(([, a]) => a)]
  return x.emit(
    node,
    'Pad',
    [
      operand(x, node, 0),
      int64s(x, amounts, 'pads'),
      mode === 'constant' ? scalarOf(x, Number(node.attrs.value), 'value') : '',
    ],
    { mode: text(mode) },
  )
}

/** `[…, C·r², H, W]` to `[…, C, H·r, W·r]` (F.pixel_shuffle): ONNX' DepthToSpace in its mode CRD, which wants four axes. */
export const pixelShuffle: Rule = (x, node) => {
  const v = operand(x, node, 0)
  const attributes = { blocksize: int(Number(node.attrs.factor)), mode: text('CRD') }
  const shape = x.shape(node.inputs[0])
  if (shape.length === 4) return x.emit(node, 'DepthToSpace', [v], attributes)
  const given = x.emit(node, 'Reshape', [v, int64s(x, [-1, ...shape.slice(-3)], 'shape')])
  const moved = x.emit(node, 'DepthToSpace', [given], attributes)
  return x.emit(node, 'Reshape', [moved, int64s(x, [-1, ...node.shape.slice(1)], 'shape')])
}

/** The inverse (F.pixel_unshuffle): SpaceToDepth orders blocks before channels, so axes are moved by hand. */
export const pixelUnshuffle: Rule = (x, node) => {
  const r = Number(node.attrs.factor)
  const shape = x.shape(node.inputs[0])
  const [h, w] = shape.slice(-2)
  const lead = shape.slice(0, -2)
  const n = lead.length
  const cut = x.emit(node, 'Reshape', [
    operand(x, node, 0),
    int64s(x, shapeFor(x, x.node(node.inputs[0]), [...lead, h / r, r, w / r, r]), 'shape'),
  ])
  const perm = [...lead.keys(), n + 1, n + 3, n, n + 2]
  const moved = x.emit(node, 'Transpose', [cut], { perm: ints(perm) })
  return x.emit(node, 'Reshape', [moved, int64s(x, shapeFor(x, x.node(node.inputs[0]), node.shape), 'shape')])
}

const MIXED = unsupported(
  'it resizes some axes by factors that are not the quotients of their sizes, and others to a size',
  'give factors for all axes, or sizes for all',
)

const resized = (x: Exporting, node: Node, mode: string, transform: string, nearest?: string): Name | Unsupported => {
  const from = x.shape(node.inputs[0])
  const factors = Array.isArray(node.attrs.scales) ? node.attrs.scales : []
  const given = factors.every((f) => typeof f === 'number')
  const attributes = {
    mode: text(mode),
    coordinate_transformation_mode: text(transform),
    ...(nearest === undefined ? {} : { nearest_mode: text(nearest) }),
  }
  // Factors that were given decide where elements come from; sizes alone would give their quotient.
  if (given) {
    const lead = Array.from({ length: from.length - factors.length }, () => 1)
    const data = Float32Array.from([...lead, ...factors.map(Number)])
    const scales = x.w.floats({ shape: [from.length], data }, 'scales')
    return x.emit(node, 'Resize', [operand(x, node, 0), '', scales], attributes)
  }
  const [sizes, wanted] = [from, node.shape].map((s) => s.slice(-factors.length))
  if (factors.some((f, i) => typeof f === 'number' && f !== wanted[i] / sizes[i])) return MIXED
  return x.emit(node, 'Resize', [operand(x, node, 0), '', '', int64s(x, node.shape, 'sizes')], attributes)
}

/** F.interpolate, mode `nearest`. */
export const upsampleNearest: Rule = (x, node) => resized(x, node, 'nearest', 'asymmetric', 'floor')
/** F.interpolate, mode `nearest-exact`. */
export const upsampleNearestExact: Rule = (x, node) => resized(x, node, 'nearest', 'half_pixel', 'round_prefer_ceil')
/** F.interpolate, modes `linear`, `bilinear`, `trilinear`. */
export const upsampleLinear: Rule = (x, node) =>
  resized(x, node, 'linear', node.attrs.alignCorners === true ? 'align_corners' : 'pytorch_half_pixel')

/** 0, 1, 2, … as an initializer. */
export const arange: Rule = (x, node) =>
  x.w.floats({ shape: node.shape, data: Float32Array.from({ length: node.shape[0] }, (_, i) => i) }, 'arange')
