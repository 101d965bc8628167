/** Forward convolution on pairs of 16-bit integers: pairs of channels, or of taps where there is one channel. */
import { sizeOf, stridesOf } from '../../../../data/shape.js'
import type { Code } from '../../asm/encode.js'
import { i32, v128 } from '../../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../../asm/module.js'
import type { ByteOperand, IntegerLicence, Kernel, Stage } from '../../kernel.js'
import { correlationBytes, correlationStages, directKernel as floatKernel, kernelOf, termOffsets } from './correlate.js'
import { onIntegers } from './fallback.js'
import { correlationFlops, gridOffsets, tapOffsets, type Correlation } from './geometry.js'
import {
  bound,
  bytePairReader,
  channelPairs,
  newQuantizer,
  newScales,
  paired,
  pairReader,
  tapPairs,
  weightStage,
  type Scales,
  type WordRule,
} from './integers.js'
import { argument, newLayout, type Layout, type Place } from './layout.js'
import { integerMac, integerName, perWord } from './operands.js'
import { goesAlong } from './orientation.js'
import { planeBytes, planeStage } from './planes.js'
import { channelQuads, quadPlanes, tapQuads } from './quads.js'
import { winogradStage } from './winograd.js'
import { filterStage, filterWords, fitsWinograd } from './winogradFilters.js'
import { forTiles, suitsWinograd } from './winogradTiles.js'
import { PAIRED_TAPS } from '../../machine.js'

/** Are the integers of x bytes? */
type Bytes = ByteOperand | null

/** Joins each word of a plane with the one `distance` bytes further on. */
const joinNeighbours = (scope: Scope, start: Code<'i32'>, bytes: number, distance: number): Code => {
  const p = scope.local('i32')
  const end = scope.local('i32')
  return [
    end.set(i32.add(start, i32.const(bytes))),
    forLoop(p, start, end.get, 16, v128.store(p.get, paired(v128.load(p.get), v128.load(p.get, distance)))),
  ]
}

/** What planes of words hold: integers up to `most`, of pairs of channels or (`distance` > 0) of a number and the one so many elements further on. */
type WordPlanes = { readonly most: number; readonly target: Place; readonly distance: number; readonly bytes: Bytes }

const wordPlanes = (
  c: Correlation,
  layout: Layout,
  s: Scales,
  { most, target, distance, bytes }: WordPlanes,
): Stage => {
  const perGroup = Math.ceil(c.from / 2)
  const size = bytes === null ? 4 : 1
  const source = sizeOf(c.placement.source) * size
  const plane = planeBytes(c.placement.target)
  const sourceOf = (unit: Local): Code<'i32'> =>
    c.from % 2 === 0
      ? i32.mul(unit.get, i32.const(2 * source))
      : i32.mul(
          i32.add(
            i32.mul(i32.div_u(unit.get, i32.const(perGroup)), i32.const(c.from)),
            i32.mul(i32.rem_u(unit.get, i32.const(perGroup)), i32.const(2)),
          ),
          i32.const(source),
        )
  return planeStage(layout, {
    label: 'planes to i16',
    planes: c.batch * c.groups * perGroup,
    source: argument(0),
    sourceOf,
    target,
    placement: c.placement,
    size,
    reader: (scope, unit, at) => {
      const q = bytes === null ? newQuantizer(scope, most, i32.const(s.flag(at)), s.declared) : null
      const second = scope.local('i32')
      // An odd last channel is its own partner; its weight is 0 there.
      const partner: Code<'i32'> =
        c.from % 2 === 0
          ? i32.const(source)
          : i32.mul(i32.ne(i32.rem_u(unit.get, i32.const(perGroup)), i32.const(perGroup - 1)), i32.const(source))
      const other = distance > 0 ? null : (p: Local): Code<'i32'> => i32.add(p.get, second.get)
      return {
        before: [q?.begin(i32.const(s.x(at))) ?? [], second.set(partner)],
        reader: q === null ? bytePairReader(bytes?.signed === true, other) : pairReader(q, other),
        after: [
          q?.end ?? [],
          distance === 0
            ? []
            : joinNeighbours(
                scope,
                i32.add(i32.const(target(at)), i32.mul(unit.get, i32.const(plane))),
                plane,
                4 * distance,
              ),
        ],
      }
    },
  })
}

/** The forward convolution on integers; where they don't fit, the float kernel takes over, or, of bytes, the guard is raised. */
export const integerConvKernel = (name: string, c: Correlation, licence: IntegerLicence, bytes: Bytes): Kernel => {
  const words = Math.ceil(c.from / 2)
  // Four bytes at a time are more than what the transform saves.
  const suits =
    perWord(bytes) === 2 && suitsWinograd(c, words) && fitsWinograd(bound(licence.x), bound(licence.w), 2 * words)
  const float = bytes === null ? floatKernel(name, c) : null
  return suits ? winogradKernel(forTiles(c), licence, bytes, float) : directKernel(c, licence, bytes, float)
}

const winogradKernel = (c: Correlation, licence: IntegerLicence, bytes: Bytes, float: Kernel | null): Kernel => {
  const layout = newLayout()
  const words = Math.ceil(c.from / 2)
  const planes = layout.scratch(c.batch * words * planeBytes(c.placement.target))
  const scales = newScales(layout, licence, c.to, bytes !== null)
  const weight = layout.scratch(c.to * words * 36)
  const filters = layout.scratch(4 * filterWords(c.to, words))
  const stages = [
    wordPlanes(c, layout, scales, { most: bound(licence.x), target: planes, distance: 0, bytes }),
    weightStage(
      scales,
      { most: bound(licence.w), channels: c.to, numbers: c.from * 9, words: words * 9, target: weight, per: 2 },
      channelPairs(c.from, 9),
    ),
    filterStage('i16', c.to, words, { base: weight, to: words * 36, word: 36, tap: 4 }, filters),
    winogradStage(c, layout, { mac: 'i16', planes, words, filters, scales: scales.products }),
  ]
  return onIntegers(
    kernelOf(`conv ${integerName(bytes)} winograd`, layout, stages, correlationFlops(c), correlationBytes(c)),
    1,
    float,
  )
}

/** How the weight becomes words. */
const weightWords = (c: Correlation, per: 2 | 4, byTaps: boolean): WordRule => {
  const taps = sizeOf(c.kernel)
  const columns = c.kernel[c.kernel.length - 1]
  if (byTaps) return (per === 4 ? tapQuads : tapPairs)(taps / columns, columns)
  return (per === 4 ? channelQuads : channelPairs)(c.from, taps)
}

/** Where the words of a kernel's taps are from a position, in elements: each tap, or the first of each word of a row. */
const wordOffsets = (c: Correlation, per: 2 | 4, byTaps: boolean): readonly number[] => {
  if (!byTaps) return tapOffsets(c.placement.target, c.kernel, c.dilation)
  const last = c.kernel.length - 1
  const strides = stridesOf(c.placement.target)
  return gridOffsets(
    [...c.kernel.slice(0, last), Math.ceil(c.kernel[last] / per)],
    [...strides.slice(0, last).map((s, d) => s * c.dilation[d]), per * c.dilation[last]],
  )
}

const directKernel = (c: Correlation, licence: IntegerLicence, bytes: Bytes, float: Kernel | null): Kernel => {
  const layout = newLayout()
  const last = c.kernel.length - 1
  const taps = sizeOf(c.kernel)
  const byTaps =
    c.from === 1 && c.kernel[last] > 1 && taps <= PAIRED_TAPS.most && c.dilation[last] <= PAIRED_TAPS.farthest
  const along = goesAlong(c)
  const plane = planeBytes(c.placement.target)
  const per = perWord(bytes)
  const perGroup = Math.ceil(c.from / per)
  const planes = layout.scratch(c.batch * c.groups * perGroup * plane)
  const scales = newScales(layout, licence, c.groups * c.to, bytes !== null)
  const terms = termOffsets(perGroup, plane, wordOffsets(c, per, byTaps))
  const weight = layout.scratch(c.groups * c.to * terms.length * 4)
  const distance = byTaps ? c.dilation[last] : 0
  const stages = [
    per === 4
      ? quadPlanes(c, layout, planes, distance)
      : wordPlanes(c, layout, scales, { most: bound(licence.x), target: planes, distance, bytes }),
    weightStage(
      scales,
      {
        most: bound(licence.w),
        channels: c.groups * c.to,
        numbers: c.from * taps,
        words: terms.length,
        target: weight,
        per,
      },
      weightWords(c, per, byTaps),
    ),
    ...correlationStages(c, layout, along, {
      mac: integerMac(bytes),
      planes,
      plane,
      perGroup,
      weight,
      terms,
      scales: scales.products,
    }),
  ]
  return onIntegers(
    kernelOf(
      `conv ${integerName(bytes)} ${along ? 'along' : 'across'}`,
      layout,
      stages,
      correlationFlops(c),
      correlationBytes(c),
    ),
    1,
    float,
  )
}
