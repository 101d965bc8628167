/**
 * The forward convolution and the gradient to the input as products, in one of two orientations. `along`: vectors hold
 * neighbouring positions of a row, the weight is read number by number. `across`: vectors hold channels of the result,
 * for which the weight is packed; positions are read number by number, so that stride and shape of the planes don't matter.
 */
import { sizeOf, stridesOf } from '../../../../data/shape.js'
import { i32 } from '../../asm/instructions.js'
import type { Kernel, Stage } from '../../kernel.js'
import { correlationFlops, positionOffsets, tapOffsets, type Correlation } from './geometry.js'
import { argument, newLayout, result, type Layout, type Place } from './layout.js'
import { narrowStep, panelBytes, panelStage, permuteStage } from './pack.js'
import { isIdentity, planeBytes, planeStage } from './planes.js'
import { splitLevels } from './split.js'
import { productStage } from './sweep.js'

/** A kernel from its stages and its layout. */
export const kernelOf = (name: string, layout: Layout, stages: readonly Stage[], flops: number, bytes: number): Kernel => ({
  name, scratch: layout.scratchBytes(), constants: layout.constants(), stages, flops, bytes,
})

/** Operands of a correlation as the product reads them: planes and how far apart they are, and sizes in elements. */
type Parts = { readonly planes: Place; readonly plane: number; readonly positions: number; readonly taps: number; readonly terms: number }

const vectorsOf = (n: number): number => Math.ceil(n / 4)
/** Share of the lanes and registers that tiles of so many rows by columns use. */
const use = (rows: number, columns: number): number => {
  const full = Math.floor(columns / 16)
  const rest = vectorsOf(columns % 16)
  const narrow = [0, 1.25, 2.1, 3, 4][rest]
  return (rows * columns) / ((rows < 2 ? 1.4 : rows + 0.3 * (rows % 2)) * (16 * full + 4 * narrow))
}

/** Which orientation keeps the vectors fuller? */
export const goesAlong = (c: Correlation): boolean => {
  const last = c.positions.length - 1
  if (c.stride[last] !== 1 && c.positions[last] > 1) return false
  return use(c.to, c.positions[last]) >= 0.97 * use(sizeOf(c.positions), c.to)
}

/** Offsets of all terms (channel, tap) in bytes. */
const termTable = (c: Correlation, plane: number): readonly number[] => {
  const taps = tapOffsets(c.placement.target, c.kernel, c.dilation)
  return Array.from({ length: c.from }, (_, i) => taps.map((t) => i * plane + 4 * t)).flat()
}

/** The weight as [G*to, from, taps]: itself, or turned round in scratch. */
const straightWeight = (c: Correlation, layout: Layout, weight: Place, terms: number, taps: number): { readonly place: Place; readonly stages: readonly Stage[] } => {
  if (!c.flipped) return { place: weight, stages: [] }
  const place = layout.scratch(c.groups * c.to * terms * 4)
  const reversed: Place = (at) => weight(at) + (taps - 1) * 4
  return {
    place,
    stages: [permuteStage('turn weight', reversed, place, [
      { count: c.groups, source: c.from * c.to * taps * 4, target: c.to * terms * 4 },
      { count: c.to, source: taps * 4, target: terms * 4 },
      { count: c.from, source: c.to * taps * 4, target: taps * 4 },
      { count: taps, source: -4, target: 4 },
    ])],
  }
}

const alongStages = (c: Correlation, layout: Layout, weight: Place, p: Parts): Stage => {
  const last = c.positions.length - 1
  const outer = c.positions.slice(0, last)
  const extents = stridesOf(c.placement.target)
  const steps = stridesOf(c.positions)
  const panels = Math.ceil(c.positions[last] / 16)
  const counts = [c.batch, c.groups, ...outer, panels, c.to]
  const blocks = splitLevels(counts, (p.terms * Math.min(16, c.positions[last])) / 25, 12)
  return productStage({
    label: 'product', mac: 'f32',
    axes: [
      { count: c.batch, block: blocks[0], a: 0, b: c.groups * c.from * p.plane, c: c.groups * c.to * p.positions * 4 },
      { count: c.groups, block: blocks[1], a: c.to * p.terms * 4, b: c.from * p.plane, c: c.to * p.positions * 4 },
      ...outer.map((count, d) => ({ count, block: blocks[2 + d], a: 0, b: c.stride[d] * extents[d] * 4, c: steps[d] * 4 })),
    ],
    rows: { count: c.to, block: blocks[blocks.length - 1], at: { step: p.terms * 4 } },
    columns: { count: c.positions[last], block: blocks[blocks.length - 2], panel: 64 },
    terms: p.terms,
    a: { base: weight, k: { step: 4 } },
    b: { base: p.planes, k: { table: layout.table(termTable(c, p.plane)) } },
    c: { base: result, row: p.positions * 4, column: 4 },
  })
}

const acrossStages = (c: Correlation, layout: Layout, weight: Place, p: Parts): readonly Stage[] => {
  const size = panelBytes(p.terms, c.to)
  const packed = layout.scratch(c.groups * size)
  const counts = [c.batch, c.groups, Math.ceil(c.to / 16), p.positions]
  const blocks = splitLevels(counts, (p.terms * Math.min(16, c.to)) / 25, 12)
  return [
    panelStage({
      label: 'pack weight', source: weight, target: packed, columns: c.to, columnStep: p.terms * 4, terms: p.terms, panelTerms: p.terms,
      outer: [{ count: c.groups, source: c.to * p.terms * 4, target: size }],
    }),
    productStage({
      label: 'product', mac: 'f32',
      axes: [
        { count: c.batch, block: blocks[0], a: c.groups * c.from * p.plane, b: 0, c: c.groups * c.to * p.positions * 4 },
        { count: c.groups, block: blocks[1], a: c.from * p.plane, b: size, c: c.to * p.positions * 4 },
      ],
      rows: { count: p.positions, block: blocks[3], at: { table: layout.table(positionOffsets(c).map((o) => 4 * o)) } },
      columns: { count: c.to, block: blocks[2], panel: 64 * p.terms },
      terms: p.terms,
      a: { base: p.planes, k: { table: layout.table(termTable(c, p.plane)) } },
      b: { base: packed, k: { step: 64 }, narrow: narrowStep(c.to) },
      c: { base: result, row: 4, column: p.positions * 4 },
    }),
  ]
}

/** The planes in their places: the operand itself where nothing moves, else a copy. */
const placedPlanes = (c: Correlation, layout: Layout, along: boolean): { readonly place: Place; readonly plane: number; readonly stages: readonly Stage[] } => {
  const last = c.positions.length - 1
  const source = sizeOf(c.placement.source) * 4
  // Vectors along a row of the result may read past its end where the row isn't whole vectors.
  if (isIdentity(c.placement) && (!along || c.positions[last] % 4 === 0)) return { place: argument(0), plane: source, stages: [] }
  const plane = planeBytes(c.placement.target)
  const planes = c.batch * c.groups * c.from
  const place = layout.scratch(planes * plane)
  const stage = planeStage(layout, { label: 'place planes', planes, source: argument(0), sourceOf: (unit) => i32.mul(unit.get, i32.const(source)), target: place, placement: c.placement })
  return { place, plane, stages: [stage] }
}

/** A correlation of operand 0 with weight 1, in float32. */
export const correlationKernel = (name: string, c: Correlation): Kernel => {
  const layout = newLayout()
  const along = goesAlong(c)
  const taps = sizeOf(c.kernel)
  const terms = c.from * taps
  const positions = sizeOf(c.positions)
  const placed = placedPlanes(c, layout, along)
  const weight = straightWeight(c, layout, argument(1), terms, taps)
  const parts = { planes: placed.place, plane: placed.plane, positions, taps, terms }
  const product = along ? [alongStages(c, layout, weight.place, parts)] : acrossStages(c, layout, weight.place, parts)
  const bytes = 4 * (c.batch * c.groups * (c.from * sizeOf(c.placement.source) + c.to * positions) + c.groups * c.to * terms)
  return kernelOf(`${name} f32 ${along ? 'along' : 'across'}`, layout, [...placed.stages, ...weight.stages, ...product], correlationFlops(c), bytes)
}
