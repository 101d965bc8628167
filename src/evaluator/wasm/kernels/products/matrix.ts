/** Matrix products: linear, its gradient to the weight, matmul. */
import { type Shape, broadcastShapes, broadcastStrides, sizeOf } from '../../../../data/shape.js'
import type { Kernel, KernelSpec, Stage } from '../../kernel.js'
import { kernelOf } from './correlate.js'
import { dotStage } from './dots.js'
import { argument, newLayout, result, type Layout, type Place } from './layout.js'
import { copyStage, narrowStep, panelBytes, panelStage } from './pack.js'
import { macOf, type LinearOperands } from './operands.js'
import { splitLevels } from './split.js'
import type { Axis, Product } from './product.js'
import { productStage } from './sweep.js'
import { FEW_DOTS, PRODUCTS_PER_NS } from '../../machine.js'

/** The sizes of `out [rows, columns] = Σ_k`. */
type Sizes = { readonly rows: number; readonly columns: number; readonly terms: number }

const bytesOf = ({ rows, columns, terms }: Sizes): number => 4 * (rows * columns + rows * terms + columns * terms)
const flopsOf = ({ rows, columns, terms }: Sizes): number => 2 * rows * columns * terms

/** A product whose right operand lies as [k][columns] and is read where it is. */
const directProduct = (
  s: Sizes,
  axes: readonly Omit<Axis, 'block'>[],
  a: Product['a'],
  rowStep: number,
  b: Place,
): Product => {
  const panels = Math.ceil(s.columns / 16)
  const blocks = splitLevels(
    [...axes.map((x) => x.count), panels, s.rows],
    (s.terms * Math.min(16, s.columns)) / PRODUCTS_PER_NS,
    12,
  )
  return {
    label: 'product',
    mac: 'f32',
    axes: axes.map((x, i) => ({ ...x, block: blocks[i] })),
    rows: { count: s.rows, block: blocks[axes.length + 1], at: { step: rowStep } },
    columns: { count: s.columns, block: blocks[axes.length], panel: 64 },
    terms: s.terms,
    a,
    b: { base: b, k: { step: s.columns * 4 } },
    c: { base: result, row: s.columns * 4, column: 4 },
  }
}

/** x [rows, terms] times the transpose of w [columns, terms]: the smaller of the two is packed. */
export const linearStages = (layout: Layout, { rows, columns, terms }: Sizes, o: LinearOperands): readonly Stage[] => {
  const packsInput = rows < columns
  const width = packsInput ? rows : columns
  const height = packsInput ? columns : rows
  const packed = layout.scratch(panelBytes(terms, width))
  const blocks = splitLevels([Math.ceil(width / 16), height], (terms * Math.min(16, width)) / PRODUCTS_PER_NS, 12)
  return [
    panelStage({
      label: packsInput ? 'pack input' : 'pack weight',
      source: packsInput ? o.x : o.w,
      target: packed,
      columns: width,
      columnStep: terms * 4,
      terms,
      panelTerms: terms,
      outer: [],
    }),
    productStage({
      label: 'product',
      mac: macOf(o.mac, packsInput ? 'b' : 'a'),
      axes: [],
      rows: { count: height, block: blocks[1], at: { step: terms * 4 } },
      columns: { count: width, block: blocks[0], panel: 64 * terms },
      terms,
      a: { base: packsInput ? o.w : o.x, k: { step: 4 } },
      b: { base: packed, k: { step: 64 }, narrow: narrowStep(width) },
      c: packsInput ? { base: result, row: 4, column: columns * 4 } : { base: result, row: columns * 4, column: 4 },
      ...(o.scales === undefined
        ? {}
        : { scale: { base: o.scales, along: packsInput ? ('rows' as const) : ('columns' as const) } }),
    }),
  ]
}

/** Are there so few rows that the weight is better read as it lies? */
export const isFew = ({ rows, terms }: { readonly rows: number; readonly terms: number }): boolean =>
  rows <= FEW_DOTS.rows && terms >= FEW_DOTS.terms

/** linear in float32. */
export const linearKernel = ({ shapes: [x, w] }: KernelSpec): Kernel => {
  const layout = newLayout()
  const s: Sizes = { rows: sizeOf(x.slice(0, -1)), columns: w[0], terms: w[1] }
  if (isFew(s))
    return kernelOf(
      'linear f32 dots',
      layout,
      [dotStage({ x: argument(0), w: argument(1), out: result, ...s })],
      flopsOf(s),
      bytesOf(s),
    )
  return kernelOf(
    'linear f32',
    layout,
    linearStages(layout, s, { mac: 'f32', x: argument(0), w: argument(1) }),
    flopsOf(s),
    bytesOf(s),
  )
}

/** Where the right operand of a direct product may be read: as it lies, or in a copy with room after it. */
const readable = (
  s: Sizes,
  layout: Layout,
  operand: number,
  bytes: number,
): { readonly place: Place; readonly stages: readonly Stage[] } => {
  if (s.columns % 4 === 0) return { place: argument(operand), stages: [] }
  const place = layout.scratch(bytes)
  return { place, stages: [copyStage('copy operand', argument(operand), place, bytes)] }
}

/** The sum of outer products of g [.., O] (operand 1) and x [.., I] (operand 0). */
export const linearWeightGradKernel = ({ shapes: [x, g], shape }: KernelSpec): Kernel => {
  const layout = newLayout()
  const [rows, columns] = shape
  const s: Sizes = { rows, columns, terms: sizeOf(g.slice(0, -1)) }
  const right = readable(s, layout, 0, sizeOf(x) * 4)
  const product = productStage(directProduct(s, [], { base: argument(1), k: { step: rows * 4 } }, 4, right.place))
  return kernelOf('linearWeightGrad f32', layout, [...right.stages, product], flopsOf(s), bytesOf(s))
}

/** Matrices with broadcast batch axes; a vector is one row on the left, one column on the right. */
export const matmulKernel = ({ shapes: [p, q] }: KernelSpec): Kernel => {
  const layout = newLayout()
  const left: Shape = p.length === 1 ? [1, p[0]] : p
  const right: Shape = q.length === 1 ? [q[0], 1] : q
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2)) ?? []
  const s: Sizes = { rows: left[left.length - 2], columns: right[right.length - 1], terms: left[left.length - 1] }
  const [a, b] = [broadcastStrides(left.slice(0, -2), batch), broadcastStrides(right.slice(0, -2), batch)]
  const axes = batch.map((count, d) => ({
    count,
    a: a[d] * s.rows * s.terms * 4,
    b: b[d] * s.columns * s.terms * 4,
    c: sizeOf(batch.slice(d + 1)) * s.rows * s.columns * 4,
  }))
  // A matrix times one column: the column is the only row of x, the matrices' rows are those of w.
  if (s.columns === 1 && s.terms >= 8 && right.length === 2) {
    const rows = sizeOf(batch) * s.rows
    return kernelOf(
      'matmul f32 dots',
      layout,
      [dotStage({ x: argument(1), w: argument(0), out: result, rows: 1, columns: rows, terms: s.terms })],
      sizeOf(batch) * flopsOf(s),
      sizeOf(batch) * bytesOf(s),
    )
  }
  const operand = readable(s, layout, 1, sizeOf(q) * 4)
  const product = productStage(
    directProduct(s, axes, { base: argument(0), k: { step: 4 } }, s.terms * 4, operand.place),
  )
  const count = sizeOf(batch)
  return kernelOf('matmul f32', layout, [...operand.stages, product], count * flopsOf(s), count * bytesOf(s))
}
