/**
 * The gradient of a convolution to its weight: rows are taps, columns output channels, and k runs over positions of all
 * images, in chunks that are summed one after the other, so that the result doesn't depend on who computed which chunk.
 */
import { sizeOf } from '../../../../data/shape.js'
import type { Kernel } from '../../kernel.js'
import { correlationBytes, kernelOf, placedPlanes } from './correlate.js'
import { suitsDepthwise } from './depthwise/strips.js'
import { depthwiseWeight } from './depthwise/weights.js'
import { withFallback } from './fallback.js'
import {
  correlationFlops,
  forwardOf,
  positionOffsets,
  tapOffsets,
  type Correlation,
  type Geometry,
} from './geometry.js'
import { argument, newLayout, result } from './layout.js'
import { narrowStep, panelBytes, panelStage, sumStage } from './pack.js'
import { splitLevels } from './split.js'
import { productStage } from './sweep.js'
import { forTiles } from './winogradTiles.js'
import { suitsWinogradWeight, winogradWeightStages } from './winogradWeight.js'
import { DEPTHWISE, GRADIENT_POSITIONS, PRODUCTS_PER_NS } from '../../machine.js'

/** Entries of the chunk table: offset of the first image, first k of the packed cotangent, range of the position table. */
const chunksOf = (
  batch: number,
  positions: number,
  image: number,
): { readonly entries: readonly number[]; readonly images: number } => {
  if (positions > GRADIENT_POSITIONS) {
    const parts = Math.ceil(positions / GRADIENT_POSITIONS)
    const size = Math.ceil(positions / parts)
    const entries = Array.from({ length: batch * parts }, (_, i) => [
      Math.floor(i / parts),
      (i % parts) * size,
    ]).flatMap(([n, first]) => [n * image, n * positions + first, 4 * first, 4 * Math.min(positions, first + size)])
    return { entries, images: 1 }
  }
  const images = Math.min(batch, Math.floor(GRADIENT_POSITIONS / positions))
  const count = Math.ceil(batch / images)
  const entries = Array.from({ length: count }, (_, i) => i * images).flatMap((n) => [
    n * image,
    n * positions,
    0,
    4 * positions * Math.min(images, batch - n),
  ])
  return { entries, images }
}

/** The gradient of conv to its weight from x (operand 0) and the cotangent (operand 1). */
export const weightGradKernel = (g: Geometry): Kernel => {
  const c = forwardOf(g)
  if (suitsDepthwise(c, DEPTHWISE.taps)) return depthwiseWeight(c)
  return suitsWinogradWeight(c) ? winogradKernel(g, forTiles(c)) : directKernel(g)
}

const winogradKernel = (g: Geometry, c: Correlation): Kernel => {
  const layout = newLayout()
  const placed = placedPlanes(c, layout, true)
  const stages = [...placed.stages, ...winogradWeightStages(c, layout, placed.place)]
  const kernel = kernelOf('convWeightGrad f32 winograd', layout, stages, correlationFlops(c), correlationBytes(c))
  // What is placed has margins, as the op's own rule has: without a transform nothing meets that doesn't meet there.
  return withFallback(kernel, stages.length - 1, directKernel(g))
}

const directKernel = (g: Geometry): Kernel => {
  const layout = newLayout()
  const c = forwardOf(g)
  const positions = sizeOf(c.positions)
  const taps = tapOffsets(c.placement.target, c.kernel, c.dilation)
  const placed = placedPlanes(c, layout, false)
  const { plane } = placed
  const terms = g.batch * positions
  const size = panelBytes(terms, g.outPer)
  const packed = layout.scratch(g.groups * size)
  const pack = panelStage({
    label: 'pack cotangent',
    source: argument(1),
    target: packed,
    columns: g.outPer,
    columnStep: positions * 4,
    terms: positions,
    panelTerms: terms,
    outer: [
      { count: g.groups, source: g.outPer * positions * 4, target: size },
      { count: g.batch, source: g.groups * g.outPer * positions * 4, targetTerms: positions },
    ],
  })
  const image = g.groups * g.inPer * plane
  const { entries, images } = chunksOf(g.batch, positions, image)
  const count = entries.length / 4
  const row = g.inPer * taps.length
  const weights = g.groups * g.outPer * row
  const step = Math.ceil(weights / 16) * 64
  const partial = count === 1 ? result : layout.scratch(count * step)
  const offsets = positionOffsets(c)
  const table = layout.table(Array.from({ length: images }, (_, n) => offsets.map((o) => n * image + 4 * o)).flat())
  const meanTerms = terms / count
  const blocks = splitLevels(
    [g.groups, count, Math.ceil(g.outPer / 16), row],
    (meanTerms * Math.min(16, g.outPer)) / PRODUCTS_PER_NS,
    12,
  )
  const product = productStage({
    label: 'product',
    mac: 'f32',
    axes: [{ count: g.groups, block: blocks[0], a: g.inPer * plane, b: size, c: g.outPer * row * 4 }],
    chunks: { count, table: layout.table(entries), c: count === 1 ? 0 : step },
    rows: {
      count: row,
      block: blocks[3],
      at: { table: layout.table(Array.from({ length: g.inPer }, (_, i) => taps.map((t) => i * plane + 4 * t)).flat()) },
    },
    columns: { count: g.outPer, block: blocks[2], panel: 64 * terms },
    terms: null,
    meanTerms,
    a: { base: placed.place, k: { table } },
    b: { base: packed, k: { step: 64 }, narrow: narrowStep(g.outPer) },
    c: { base: partial, row: 4, column: row * 4 },
  })
  const sum = count === 1 ? [] : [sumStage('sum chunks', { place: partial, step, parts: count }, result, weights)]
  const bytes =
    4 * (g.batch * g.groups * g.inPer * sizeOf(g.input) + g.batch * g.groups * g.outPer * positions + weights)
  return kernelOf('convWeightGrad f32', layout, [...placed.stages, pack, product, ...sum], correlationFlops(c), bytes)
}
