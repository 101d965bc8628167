/**
 * The forward convolution and the gradient to the input as products, in one of two orientations. `along`: vectors hold
 * neighbouring positions of a row, the weight is read number by number. `across`: vectors hold channels of the result,
 * for which the weight is packed; positions are read number by number, so that stride and shape of the planes don't matter.
 */
import { sizeOf, stridesOf } from '../../../../data/shape.js'
import { i32 } from '../../asm/instructions.js'
import type { Kernel, Stage } from '../../kernel.js'
import { exactKernel, watchStage } from './exact.js'
import { withFallback } from './fallback.js'
import { correlationFlops, positionOffsets, tapOffsets, type Correlation } from './geometry.js'
import { argument, newLayout, result, type Layout, type Place } from './layout.js'
import { narrowStep, panelBytes, panelStage, permuteStage } from './pack.js'
import { goesAlong } from './orientation.js'
import { isIdentity, planeBytes, planeStage } from './planes.js'
import { macOf, type LinearOperands } from './operands.js'
import { splitLevels } from './split.js'
import { productStage } from './sweep.js'
import { together } from './together.js'
import { winogradStage } from './winograd.js'
import { filterStage, filterWords } from './winogradFilters.js'
import { forTiles, suitsWinograd } from './winogradTiles.js'
import { PRODUCTS_PER_NS, WIDEST_PANEL } from '../../machine.js'

/** The planes' stage and the product's as one, image by image, where the product is cut by images. */
const byImages = (batch: number, placed: readonly Stage[], product: readonly Stage[]): readonly Stage[] => {
  const last = product[product.length - 1]
  if (placed.length !== 1 || last.pieces === undefined || last.units === 1) return [...placed, ...product]
  const place = { stage: placed[0], units: (last.pieces * placed[0].units) / batch }
  return [...product.slice(0, -1), together([place], { stage: last, units: 1 })]
}

/** A kernel from its stages and its layout. */
export const kernelOf = (
  name: string,
  layout: Layout,
  stages: readonly Stage[],
  flops: number,
  bytes: number,
): Kernel => ({
  name,
  scratch: layout.scratchBytes(),
  constants: layout.constants(),
  stages,
  flops,
  bytes,
})

/**
 * Operands of a correlation as the product reads them: planes of 32-bit words, `plane` bytes apart, `perGroup` of them in a
 * group; the weight [G*to, terms] in words; and where the words of each term are from the position, in bytes.
 */
export type Operands = {
  readonly mac: LinearOperands['mac']
  readonly planes: Place
  readonly plane: number
  readonly perGroup: number
  readonly weight: Place
  readonly terms: readonly number[]
  /** Factors of the result, one per channel. */
  readonly scales?: Place
}

/** Offsets of all terms (plane of the group, tap) in bytes. */
export const termOffsets = (planes: number, plane: number, taps: readonly number[]): readonly number[] =>
  Array.from({ length: planes }, (_, i) => taps.map((t) => i * plane + 4 * t)).flat()

/** The weight as [G*to, from, taps]: itself, or turned round in scratch. */
const straightWeight = (
  c: Correlation,
  layout: Layout,
  weight: Place,
  terms: number,
  taps: number,
): { readonly place: Place; readonly stages: readonly Stage[] } => {
  if (!c.flipped) return { place: weight, stages: [] }
  const place = layout.scratch(c.groups * c.to * terms * 4)
  const reversed: Place = (at) => weight(at) + (taps - 1) * 4
  return {
    place,
    stages: [
      permuteStage('turn weight', reversed, place, [
        { count: c.groups, source: c.from * c.to * taps * 4, target: c.to * terms * 4 },
        { count: c.to, source: taps * 4, target: terms * 4 },
        { count: c.from, source: c.to * taps * 4, target: taps * 4 },
        { count: taps, source: -4, target: 4 },
      ]),
    ],
  }
}

const alongStages = (c: Correlation, layout: Layout, p: Operands): readonly Stage[] => {
  const last = c.positions.length - 1
  const outer = c.positions.slice(0, last)
  const extents = stridesOf(c.placement.target)
  const steps = stridesOf(c.positions)
  const positions = sizeOf(c.positions)
  const terms = p.terms.length
  // A single row of the product needs more columns to keep the arithmetic busy.
  const width =
    c.to === 1
      ? Math.min(WIDEST_PANEL, Math.ceil(c.positions[last] / Math.ceil(c.positions[last] / WIDEST_PANEL) / 4) * 4)
      : 16
  const panels = Math.ceil(c.positions[last] / width)
  const blocks = splitLevels(
    [c.batch, c.groups, ...outer, panels, c.to],
    (terms * Math.min(width, c.positions[last])) / PRODUCTS_PER_NS,
    12,
  )
  return [
    productStage({
      label: 'product',
      mac: macOf(p.mac, 'b'),
      piece: c.groups * c.to * positions,
      axes: [
        {
          count: c.batch,
          block: blocks[0],
          a: 0,
          b: c.groups * p.perGroup * p.plane,
          c: c.groups * c.to * positions * 4,
        },
        {
          count: c.groups,
          block: blocks[1],
          a: c.to * terms * 4,
          b: p.perGroup * p.plane,
          c: c.to * positions * 4,
          s: c.to * 4,
        },
        ...outer.map((count, d) => ({
          count,
          block: blocks[2 + d],
          a: 0,
          b: c.stride[d] * extents[d] * 4,
          c: steps[d] * 4,
        })),
      ],
      rows: { count: c.to, block: blocks[blocks.length - 1], at: { step: terms * 4 } },
      columns: { count: c.positions[last], block: blocks[blocks.length - 2], panel: 4 * width, width },
      terms,
      a: { base: p.weight, k: { step: 4 } },
      b: { base: p.planes, k: { table: layout.table(p.terms) } },
      c: { base: result, row: positions * 4, column: 4 },
      ...(p.scales === undefined ? {} : { scale: { base: p.scales, along: 'rows' } }),
    }),
  ]
}

const acrossStages = (c: Correlation, layout: Layout, p: Operands): readonly Stage[] => {
  const terms = p.terms.length
  const size = panelBytes(terms, c.to)
  const packed = layout.scratch(c.groups * size)
  const positions = sizeOf(c.positions)
  const blocks = splitLevels(
    [c.batch, c.groups, Math.ceil(c.to / 16), positions],
    (terms * Math.min(16, c.to)) / PRODUCTS_PER_NS,
    12,
  )
  return [
    panelStage({
      label: 'pack weight',
      source: p.weight,
      target: packed,
      columns: c.to,
      columnStep: terms * 4,
      terms,
      panelTerms: terms,
      outer: [{ count: c.groups, source: c.to * terms * 4, target: size }],
    }),
    productStage({
      label: 'product',
      mac: macOf(p.mac, 'a'),
      piece: c.groups * c.to * positions,
      axes: [
        {
          count: c.batch,
          block: blocks[0],
          a: c.groups * p.perGroup * p.plane,
          b: 0,
          c: c.groups * c.to * positions * 4,
        },
        { count: c.groups, block: blocks[1], a: p.perGroup * p.plane, b: size, c: c.to * positions * 4, s: c.to * 4 },
      ],
      rows: { count: positions, block: blocks[3], at: { table: layout.table(positionOffsets(c).map((o) => 4 * o)) } },
      columns: { count: c.to, block: blocks[2], panel: 64 * terms },
      terms,
      a: { base: p.planes, k: { table: layout.table(p.terms) } },
      b: { base: packed, k: { step: 64 }, narrow: narrowStep(c.to) },
      c: { base: result, row: 4, column: positions * 4 },
      ...(p.scales === undefined ? {} : { scale: { base: p.scales, along: 'columns' } }),
    }),
  ]
}

/** The stages of the product itself. */
export const correlationStages = (
  c: Correlation,
  layout: Layout,
  along: boolean,
  operands: Operands,
): readonly Stage[] => (along ? alongStages(c, layout, operands) : acrossStages(c, layout, operands))

/** Bytes that a correlation must move. */
export const correlationBytes = (c: Correlation): number =>
  4 *
  (c.batch * c.groups * (c.from * sizeOf(c.placement.source) + c.to * sizeOf(c.positions)) +
    c.groups * c.to * c.from * sizeOf(c.kernel))

/** The planes in their places: the operand itself where nothing moves, else a copy. */
export const placedPlanes = (
  c: Correlation,
  layout: Layout,
  along: boolean,
): { readonly place: Place; readonly plane: number; readonly stages: readonly Stage[] } => {
  const last = c.positions.length - 1
  const source = sizeOf(c.placement.source) * 4
  // Vectors along a row of the result may read past its end where the row isn't whole vectors.
  if (isIdentity(c.placement) && (!along || c.positions[last] % 4 === 0))
    return { place: argument(0), plane: source, stages: [] }
  const plane = planeBytes(c.placement.target)
  const planes = c.batch * c.groups * c.from
  const place = layout.scratch(planes * plane)
  const stage = planeStage(layout, {
    label: 'place planes',
    planes,
    source: argument(0),
    sourceOf: (unit) => i32.mul(unit.get, i32.const(source)),
    target: place,
    placement: c.placement,
  })
  return { place, plane, stages: [stage] }
}

/** The forward convolution of operand 0 with weight 1, in float32. */
export const forwardKernel = (name: string, c: Correlation): Kernel =>
  suitsWinograd(c, c.from) ? winogradKernel(name, c) : directKernel(name, c)

/** The gradient to the input, or the transposed convolution, of operand 0 with weight 1, in float32. */
export const backwardKernel = (name: string, c: Correlation): Kernel => {
  if (suitsWinograd(c, c.from)) return winogradKernel(name, c)
  if (isIdentity(c.placement)) return directKernel(name, c)
  // Gaps and margins of the planes are multiplied by the weight, which must be finite for that.
  const d = directParts(c)
  const prepared = [watchStage(argument(1), c.groups * c.to * c.from * sizeOf(c.kernel)), ...d.turned]
  const kernel = directOf(name, c, d, [...prepared, ...byImages(c.batch, d.placed, d.product)])
  return withFallback(kernel, prepared.length - 1, exactKernel(name, c))
}

const winogradKernel = (name: string, whole: Correlation): Kernel => {
  const c = forTiles(whole)
  const layout = newLayout()
  const placed = placedPlanes(c, layout, true)
  const filters = layout.scratch(4 * filterWords(c.to, c.from))
  const taps = c.flipped ? { to: 36, word: 36 * c.to, tap: -4 } : { to: 36 * c.from, word: 36, tap: 4 }
  const stages = [
    ...placed.stages,
    filterStage('f32', c.to, c.from, { base: argument(1), ...taps }, filters),
    winogradStage(c, layout, { mac: 'f32', planes: placed.place, words: c.from, filters, scales: null }),
  ]
  const kernel = kernelOf(`${name} f32 winograd`, layout, stages, correlationFlops(c), correlationBytes(c))
  return withFallback(kernel, stages.length - 1, exactKernel(name, whole))
}

/** A direct kernel in parts: what places the planes, what turns the weight, and the product. */
type DirectParts = {
  readonly layout: Layout
  readonly along: boolean
  readonly placed: readonly Stage[]
  readonly turned: readonly Stage[]
  readonly product: readonly Stage[]
}

const directParts = (c: Correlation): DirectParts => {
  const layout = newLayout()
  const along = goesAlong(c)
  const taps = tapOffsets(c.placement.target, c.kernel, c.dilation)
  const placed = placedPlanes(c, layout, along)
  const weight = straightWeight(c, layout, argument(1), c.from * taps.length, taps.length)
  const product = correlationStages(c, layout, along, {
    mac: 'f32',
    planes: placed.place,
    plane: placed.plane,
    perGroup: c.from,
    weight: weight.place,
    terms: termOffsets(c.from, placed.plane, taps),
  })
  return { layout, along, placed: placed.stages, turned: weight.stages, product }
}

const directOf = (name: string, c: Correlation, { layout, along }: DirectParts, stages: readonly Stage[]): Kernel =>
  kernelOf(`${name} f32 ${along ? 'along' : 'across'}`, layout, stages, correlationFlops(c), correlationBytes(c))

/** A correlation without a transform: every product is one of two operands, or of one and padding. */
export const directKernel = (name: string, c: Correlation): Kernel => {
  const d = directParts(c)
  return directOf(name, c, d, [...d.turned, ...byImages(c.batch, d.placed, d.product)])
}
