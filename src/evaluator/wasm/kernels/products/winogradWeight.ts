/**
 * The gradient of a 3×3 convolution to its weight by the transpose of Winograd's F(2×2, 3×3): inputs and cotangents of all
 * tiles are transformed, multiplied and summed over tiles; the 16 sums are transformed back once. Units own fixed rows of
 * tiles and sums of their own, which are added in order at the end.
 */
import { stridesOf } from '../../../../data/shape.js'
import type { Code } from '../../asm/encode.js'
import { control, i32, i32x4, memory, v128 } from '../../asm/instructions.js'
import { forLoop, type Body, type Local, type ModuleBuilder, type Units } from '../../asm/module.js'
import type { Places, Stage } from '../../kernel.js'
import { advance, indexed, least, range, times, transpose4 } from './code.js'
import type { Correlation } from './geometry.js'
import { argument, result, type Layout, type Place } from './layout.js'
import { sumStage } from './pack.js'
import { planeBytes } from './planes.js'
import type { Product } from './product.js'
import { productCode } from './sweep.js'
import { newWatch } from './exact.js'
import { eachRow, isTileable, type Block, type Tiling } from './winogradTiles.js'
import { cotangentTiles, filterGradients, floatSums, forFours, inputTiles, newWork } from './winogradTransforms.js'
import {
  FILTER_NS,
  PRODUCTS_PER_NS,
  WINOGRAD_COLUMNS,
  WINOGRAD_LEAST,
  WINOGRAD_OVERHEAD,
  WINOGRAD_WEIGHT,
  WINOGRAD_WEIGHT_HAND,
  WINOGRAD_WEIGHT_SUMS,
} from '../../machine.js'

/** Does the transform apply, is there enough to multiply, and are the sums of a few units no burden? */
export const suitsWinogradWeight = (c: Correlation): boolean =>
  isTileable(c) &&
  c.from >= WINOGRAD_LEAST.channels &&
  c.to >= WINOGRAD_LEAST.channels &&
  c.from * c.to >= WINOGRAD_LEAST.pairs &&
  c.from * c.to <= WINOGRAD_WEIGHT.mostPairs &&
  c.batch * c.positions[0] * c.positions[1] >= WINOGRAD_WEIGHT.leastPositions

const tilingOf = (c: Correlation): Tiling => {
  const [high, wide] = c.positions.map((n) => Math.ceil(n / 2))
  const all = c.batch * high
  const most = Math.max(
    WINOGRAD_WEIGHT.leastUnits,
    Math.min(WINOGRAD_WEIGHT.mostUnits, Math.floor(WINOGRAD_WEIGHT_SUMS / (64 * c.from * c.to))),
  )
  const perUnit = Math.ceil(all / most)
  const rows = Math.min(
    perUnit,
    Math.max(Math.ceil(WINOGRAD_COLUMNS / wide), Math.floor(WINOGRAD_WEIGHT_HAND / (64 * (c.from + c.to) * wide))),
  )
  const blocks = Math.ceil(perUnit / rows)
  const even = Math.ceil(perUnit / blocks)
  return { high, wide, rows: even, blocks, units: Math.ceil(all / (even * blocks)) }
}

/** Memory of a unit: transformed inputs [16, tiles, channels], cotangents [16, channels, tiles], and a corner for transposing. */
type Hand = {
  readonly inputs: Local
  readonly cotangents: Local
  readonly corner: Local
  readonly columns: number
  readonly pitch: number
}

/** Inputs of four channels at a time, turned so that channels are next to each other. */
const transformInputs = (b: Block, hand: Hand, planes: Place): Code => {
  const { c, t, at, scope, work } = b
  const row = c.placement.target[1] * 4
  const plane = planeBytes(c.placement.target)
  const [base, source, target, k, p, q, r] = range(7).map(() => scope.local('i32'))
  const [rows, help] = [work.v.slice(0, 4), work.v.slice(4, 8)]
  const channel = hand.columns * hand.pitch
  // Four channels' transforms wait in the corner, then each of the 16 is turned.
  const four: Code = [
    r.set(hand.corner.get),
    times(scope, 4, [
      inputTiles(floatSums, work, { at: p.get, step: row }, { at: r.get, step: 64 }),
      advance(p, plane),
      advance(r, 16),
    ]),
    r.set(hand.corner.get),
    times(scope, 16, [
      rows.map((v, l) => v.set(v128.load(r.get, 16 * l))),
      transpose4(rows, help),
      rows.map((v, l) => v128.store(q.get, v.get, l * hand.pitch)),
      advance(r, 64),
      advance(q, channel),
    ]),
  ]
  return eachRow(b, (image, y, inBlock) => [
    base.set(i32.add(indexed(i32.const(planes(at)), image, c.from * plane), i32.mul(y, i32.const(2 * row)))),
    forFours(scope, c.from, (first) => [
      k.set(first),
      target.set(i32.add(indexed(hand.inputs.get, inBlock, t.wide * hand.pitch), i32.mul(k.get, i32.const(4)))),
      source.set(indexed(base.get, k.get, plane)),
      forFours(scope, t.wide, (x) => [
        p.set(indexed(source.get, x, 8)),
        q.set(indexed(target.get, x, hand.pitch)),
        four,
      ]),
    ]),
  ])
}

const transformCotangents = (b: Block, hand: Hand): Code => {
  const { c, t, at, scope, work } = b
  const [high, wide] = c.positions
  const [source, target, k, next, p, q] = range(6).map(() => scope.local('i32'))
  const mask = scope.local('v128')
  const odd = high % 2 === 1
  return eachRow(b, (image, y, inBlock) => [
    source.set(
      i32.add(indexed(i32.const(argument(1)(at)), image, c.to * high * wide * 4), i32.mul(y, i32.const(2 * wide * 4))),
    ),
    target.set(indexed(hand.cotangents.get, inBlock, t.wide * 4)),
    // Below an odd last row there are zeros: the row itself is read again and masked.
    odd
      ? [
          next.set(i32.lt_u(y, i32.const(Math.floor(high / 2)))),
          mask.set(i32x4.splat(i32.sub(i32.const(0), next.get))),
          next.set(i32.mul(next.get, i32.const(wide * 4))),
        ]
      : next.set(i32.const(wide * 4)),
    forLoop(k, i32.const(0), i32.const(c.to), 1, [
      forFours(scope, t.wide, (x) => [
        p.set(indexed(source.get, x, 8)),
        q.set(indexed(target.get, x, 4)),
        cotangentTiles(
          work,
          { first: p.get, second: i32.add(p.get, next.get), mask: odd ? mask.get : null },
          { at: q.get, step: c.to * hand.columns * 4 },
        ),
      ]),
      advance(source, high * wide * 4),
      advance(target, hand.columns * 4),
    ]),
  ])
}

/** How the work and its memory are laid out. */
type Plan = {
  readonly c: Correlation
  readonly t: Tiling
  readonly planes: Place
  /** Memory of the units, and the sums of each, in bytes. */
  readonly room: Place
  readonly slot: number
  readonly partial: Place
  readonly sums: number
  readonly columns: number
  readonly pitch: number
  readonly inputBytes: number
  readonly cotangentBytes: number
}

const planOf = (c: Correlation, layout: Layout, planes: Place): Plan => {
  const t = tilingOf(c)
  const columns = t.rows * t.wide
  const pitch = Math.ceil(c.from / 4) * 16
  const sums = 16 * c.to * pitch
  const [inputBytes, cotangentBytes] = [16 * columns * pitch, 16 * columns * c.to * 4]
  const slot = Math.ceil((inputBytes + cotangentBytes + 1024) / 64) * 64
  const room = layout.scratch(t.units * slot)
  const partial = layout.scratch(t.units * sums)
  return { c, t, planes, room, slot, partial, sums, columns, pitch, inputBytes, cotangentBytes }
}

/** The 16 products of a block, added to the sums of its unit. */
const productOf = ({ c, columns, pitch, room, partial }: Plan, terms: number): Product => ({
  label: '',
  mac: 'f32',
  axes: [{ count: 16, block: 16, a: c.to * columns * 4, b: columns * pitch, c: c.to * pitch }],
  rows: { count: c.to, block: c.to, at: { step: columns * 4 } },
  columns: { count: c.from, block: 1, panel: 64 },
  terms,
  a: { base: room, k: { step: 4 } },
  b: { base: room, k: { step: pitch } },
  c: { base: partial, row: pitch, column: 4, adds: true },
})

/** The code of some units: each transforms, multiplies and sums its blocks. */
const unitsCode = (p: Plan, m: ModuleBuilder, at: Places, scope: Body<Units>): Code => {
  const { c, t, columns, pitch } = p
  const [from, to] = scope.params
  const [unit, block, first, end, inputs, cotangents, corner, own] = range(8).map(() => scope.local('i32'))
  const hand = { inputs, cotangents, corner, columns, pitch }
  const rows = { m, at, scope, c, t, work: newWork(scope), first: first.get, end: end.get }
  const total = c.batch * t.high
  // A last block may be short: its product is over fewer tiles.
  const short = (total % t.rows) * t.wide
  const multiply = (terms: number): Code =>
    productCode({ p: productOf(p, terms), m, at, scope }, { a: cotangents.get, b: inputs.get, c: own.get })
  const whole = multiply(columns)
  return [
    inputs.set(indexed(i32.const(p.room(at)), from.get, p.slot)),
    cotangents.set(i32.add(inputs.get, i32.const(p.inputBytes))),
    corner.set(i32.add(cotangents.get, i32.const(p.cotangentBytes))),
    forLoop(unit, from.get, to.get, 1, [
      own.set(indexed(i32.const(p.partial(at)), unit.get, p.sums)),
      memory.fill(own.get, i32.const(0), i32.const(p.sums)),
      forLoop(
        block,
        i32.mul(unit.get, i32.const(t.blocks)),
        i32.mul(i32.add(unit.get, i32.const(1)), i32.const(t.blocks)),
        1,
        [
          first.set(i32.mul(block.get, i32.const(t.rows))),
          end.set(i32.add(first.get, i32.const(t.rows))),
          end.set(least(end.get, total)),
          control.if(i32.lt_u(first.get, i32.const(total)), [
            transformInputs(rows, hand, p.planes),
            transformCotangents(rows, hand),
            short === 0
              ? whole
              : control.if(i32.eq(i32.sub(end.get, first.get), i32.const(t.rows)), whole, multiply(short)),
          ]),
        ],
      ),
    ]),
  ]
}

/** The stages from placed planes and the cotangent (operand 1) to the gradient. */
export const winogradWeightStages = (c: Correlation, layout: Layout, planes: Place): readonly Stage[] => {
  const p = planOf(c, layout, planes)
  const { t, partial, sums, columns } = p
  return [
    {
      label: `winograd ${t.rows}x${t.wide} tiles`,
      units: t.units,
      cost: ((t.blocks * columns * 16 * c.from * c.to) / PRODUCTS_PER_NS) * WINOGRAD_OVERHEAD,
      emit: (m, at) => m.func({ params: ['i32', 'i32'], body: (scope) => unitsCode(p, m, at, scope) }),
    },
    ...(t.units === 1
      ? []
      : [sumStage('sum units', { place: partial, step: sums, parts: t.units }, partial, sums / 4)]),
    finishStage(c, partial, p.pitch),
  ]
}

/** Transforms the sums back; a unit is an output channel. */
const finishStage = (c: Correlation, sums: Place, pitch: number): Stage => ({
  label: 'transform sums',
  units: c.to,
  cost: c.from * FILTER_NS,
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const work = newWork(scope)
        const [o, k, p, q] = range(4).map(() => scope.local('i32'))
        const watch = newWatch(scope, i32.const(at.flags))
        const [perOutput] = stridesOf([c.to, c.from, 9])
        const sum = (i: number): Code<'v128'> => v128.load(p.get, i * c.to * pitch)
        const four = (lanes: number): Code =>
          filterGradients(work, sum, (tap, value) => [
            work.v[0].set(value),
            watch.see(work.v[0].get),
            range(lanes).map((l) => v128.store32_lane(l, q.get, work.v[0].get, 36 * l + 4 * tap)),
          ])
        const all = forLoop(o, scope.params[0].get, scope.params[1].get, 1, [
          p.set(indexed(i32.const(sums(at)), o.get, pitch)),
          q.set(indexed(i32.const(result(at)), o.get, perOutput * 4)),
          forLoop(k, i32.const(0), i32.const(Math.floor(c.from / 4)), 1, [four(4), advance(p, 16), advance(q, 144)]),
          c.from % 4 === 0 ? [] : four(c.from % 4),
        ])
        return [all, watch.end]
      },
    }),
})
