/**
 * 3×3 correlations of stride 1 by Winograd's F(2×2, 3×3): 16 products over channels for each 2×2 of the result, 2.25 times
 * fewer multiplications. A unit transforms some rows of tiles, multiplies and transforms back while all is in cache.
 * With pairs of 16-bit integers it is exact: inputs grow by at most 4, filters by 9, and sums may wrap, for the result fits.
 */
import type { Code } from '../../asm/encode.js'
import { control, f32x4, i32, v128 } from '../../asm/instructions.js'
import { forLoop, type Body, type Local, type ModuleBuilder, type Scope, type Units } from '../../asm/module.js'
import type { Behind, Places, Stage } from '../../kernel.js'
import { advance, indexed, range } from './code.js'
import { newWatch, type Watch } from './exact.js'
import type { Correlation } from './geometry.js'
import { result, type Layout, type Place } from './layout.js'
import { planeBytes } from './planes.js'
import { productCode, type Product } from './sweep.js'
import {
  filters,
  floatSums,
  forFours,
  inputTiles,
  newWork,
  outputTiles,
  pairSums,
  wordSums,
  type Work,
} from './winogradTransforms.js'
import {
  FILTER_NS,
  WINOGRAD_COLUMNS,
  WINOGRAD_HAND,
  WINOGRAD_LEAST,
  WINOGRAD_OVERHEAD,
  WINOGRAD_ROOM,
  WINOGRAD_UNITS,
  productsPerNs,
} from '../../machine.js'

/** Tiles of a correlation: rows of tiles of one image, tiles in a row; and rows of a block, blocks of a unit, units. */
export type Tiling = {
  readonly high: number
  readonly wide: number
  readonly rows: number
  readonly blocks: number
  readonly units: number
}

/** Does the transform apply, and are there enough channels for it to win? `words`: 32-bit words per position of the source. */
export const suitsWinograd = (c: Correlation, words: number): boolean =>
  isTileable(c) &&
  words >= WINOGRAD_LEAST.channels &&
  c.to >= WINOGRAD_LEAST.channels &&
  words * c.to >= WINOGRAD_LEAST.pairs

/** A 3×3 kernel of stride 1 in one group, whose result has rows of whole tiles. */
export const isTileable = (c: Correlation): boolean =>
  c.groups === 1 &&
  c.kernel.length === 2 &&
  c.kernel.every((k) => k === 3) &&
  [...c.stride, ...c.dilation].every((s) => s === 1) &&
  c.positions[1] % 2 === 0 &&
  c.positions[1] >= 8 &&
  c.positions[0] >= 2

/** The correlation with its source placed in planes that whole tiles cover. */
export const forTiles = (c: Correlation): Correlation => ({
  ...c,
  placement: { ...c.placement, target: c.positions.map((n) => 2 * Math.ceil(n / 2) + 2) },
})

/** How many rows of tiles go together: enough columns to fill panels, few enough to stay in cache. */
const tilingOf = (c: Correlation, words: number): Tiling => {
  const [high, wide] = c.positions.map((n) => Math.ceil(n / 2))
  const all = c.batch * high
  const row = 64 * (words + c.to) * wide
  const most = Math.min(all, Math.max(Math.ceil(WINOGRAD_COLUMNS / wide), Math.floor(WINOGRAD_HAND / row)))
  const waste = (rows: number): number => (Math.ceil((rows * wide) / 16) * 16) / (rows * wide) + 4 / (rows * wide)
  const rows = range(most)
    .map((i) => i + 1)
    .reduce((best, r) => (waste(r) <= waste(best) ? r : best), 1)
  const blocks = Math.ceil(
    Math.ceil(all / rows) /
      Math.min(WINOGRAD_UNITS.most, Math.max(WINOGRAD_UNITS.always, Math.floor(WINOGRAD_ROOM / (row * rows)))),
  )
  return { high, wide, rows, blocks, units: Math.ceil(all / (rows * blocks)) }
}

/** Operands: planes of words, filters already transformed [16, to, words], and factors of the result per channel (or none). */
export type WinogradOperands = {
  readonly mac: 'f32' | 'i16'
  readonly planes: Place
  readonly words: number
  readonly filters: Place
  readonly scales: Place | null
}

/** Calls `body` for each row of tiles of a block with its image and its number within the image. */
export const eachRow = (
  scope: Scope,
  t: Tiling,
  first: Code<'i32'>,
  end: Code<'i32'>,
  body: (image: Code<'i32'>, tileRow: Code<'i32'>, inBlock: Code<'i32'>) => Code,
): Code => {
  const [r, n, y] = range(3).map(() => scope.local('i32'))
  return forLoop(r, first, end, 1, [
    n.set(i32.div_u(r.get, i32.const(t.high))),
    y.set(i32.rem_u(r.get, i32.const(t.high))),
    body(n.get, y.get, i32.sub(r.get, first)),
  ])
}

/** Where the inputs, the filters and the products of a unit lie, and their steps from one of the 16 to the next. */
type Hand = {
  readonly inputs: Local
  readonly products: Local
  readonly inputStep: number
  readonly productStep: number
  readonly columns: number
}

const transformIn = (
  c: Correlation,
  o: WinogradOperands,
  t: Tiling,
  at: Places,
  scope: Scope,
  work: Work,
  hand: Hand,
  first: Code<'i32'>,
  end: Code<'i32'>,
): Code => {
  const row = c.placement.target[1] * 4
  const plane = planeBytes(c.placement.target)
  const [source, target, k, p, q] = range(5).map(() => scope.local('i32'))
  const sums = o.mac === 'f32' ? floatSums : pairSums
  return eachRow(scope, t, first, end, (image, y, inBlock) => [
    source.set(i32.add(indexed(i32.const(o.planes(at)), image, o.words * plane), i32.mul(y, i32.const(2 * row)))),
    target.set(indexed(hand.inputs.get, inBlock, t.wide * 4)),
    forLoop(k, i32.const(0), i32.const(o.words), 1, [
      forFours(scope, t.wide, (x) => [
        p.set(indexed(source.get, x, 8)),
        q.set(indexed(target.get, x, 4)),
        inputTiles(sums, work, p.get, row, q.get, hand.inputStep),
      ]),
      advance(source, plane),
      advance(target, hand.columns * 4),
    ]),
  ])
}

const transformOut = (
  c: Correlation,
  o: WinogradOperands,
  t: Tiling,
  at: Places,
  scope: Scope,
  work: Work,
  hand: Hand,
  first: Code<'i32'>,
  end: Code<'i32'>,
  watch: Watch | null,
): Code => {
  const [high, wide] = c.positions
  const [source, target, k, second, p, q] = range(6).map(() => scope.local('i32'))
  const scale = scope.local('v128')
  const plane = high * wide * 4
  const finish = (x: Code<'v128'>): Code<'v128'> =>
    o.mac === 'f32' ? x : f32x4.mul(f32x4.convert_i32x4_s(x), scale.get)
  const put = (r: number, left: Code<'v128'>, right: Code<'v128'>, all: readonly Local<'v128'>[]): Code => {
    const both = [
      // Their sum is no number if one of them is none.
      watch === null ? [] : watch.see(f32x4.add(all[0].get, all[1].get)),
      v128.store(q.get, left, r * wide * 4),
      v128.store(q.get, right, r * wide * 4 + 16),
    ]
    return r === 1 && high % 2 === 1 ? control.if(second.get, both) : both
  }
  return eachRow(scope, t, first, end, (image, y, inBlock) => [
    target.set(i32.add(indexed(i32.const(result(at)), image, c.to * plane), i32.mul(y, i32.const(2 * wide * 4)))),
    source.set(indexed(hand.products.get, inBlock, t.wide * 4)),
    second.set(i32.lt_u(y, i32.const(Math.floor(high / 2)))),
    forLoop(k, i32.const(0), i32.const(c.to), 1, [
      o.scales === null
        ? []
        : scale.set(f32x4.mul(f32x4.const(0.25), v128.load32_splat(indexed(i32.const(o.scales(at)), k.get, 4)))),
      forFours(scope, t.wide, (x) => [
        p.set(indexed(source.get, x, 4)),
        q.set(indexed(target.get, x, 8)),
        outputTiles(o.mac === 'f32' ? floatSums : wordSums, work, p.get, hand.productStep, finish, put),
      ]),
      advance(target, plane),
      advance(source, hand.columns * 4),
    ]),
  ])
}

/** Units of whole images where that leaves enough of them: what follows can then be done while an image is in cache. */
const wholeImages = (c: Correlation, t: Tiling): Tiling => {
  const step =
    range(t.high)
      .map((i) => i + 1)
      .find((n) => (n * t.rows) % t.high === 0) ?? t.high
  const blocks = Math.ceil(t.blocks / step) * step
  const units = Math.ceil((c.batch * t.high) / (blocks * t.rows))
  return units >= Math.min(WINOGRAD_UNITS.least, c.batch) ? { ...t, blocks, units } : t
}

/** The stage that does everything but the filters. */
export const winogradStage = (c: Correlation, layout: Layout, o: WinogradOperands): Stage => {
  const t = wholeImages(c, tilingOf(c, o.words))
  const whole = (t.blocks * t.rows) % t.high === 0
  const columns = t.rows * t.wide
  const [inputStep, productStep] = [o.words * columns * 4, c.to * columns * 4]
  const slot = Math.ceil((16 * (inputStep + productStep)) / 64) * 64 + 64
  const room = layout.scratch(t.units * slot)
  const product: Product = {
    label: '',
    mac: o.mac,
    axes: [{ count: 16, block: 16, a: c.to * o.words * 4, b: inputStep, c: productStep }],
    rows: { count: c.to, block: c.to, at: { step: o.words * 4 } },
    columns: { count: columns, block: columns, panel: 64 },
    terms: o.words,
    a: { base: o.filters, k: { step: 4 } },
    b: { base: room, k: { step: columns * 4 } },
    c: { base: room, row: columns * 4, column: 4 },
  }
  const total = c.batch * t.high
  const body =
    (m: ModuleBuilder, at: Places, behind: Behind | undefined) =>
    (scope: Body<Units>): Code => {
      const [from, to] = scope.params
      const [block, first, end, inputs, products] = range(5).map(() => scope.local('i32'))
      const hand = { inputs, products, inputStep, productStep, columns }
      const work = newWork(scope)
      // A number that is none spoils the tiles that it is in, which shows in the result: another kernel does it all again.
      const watch = o.mac === 'f32' ? newWatch(scope, i32.const(at.flags)) : null
      return [
        // Units of one call follow each other in the same room, that of the first of them: no other call has it.
        inputs.set(indexed(i32.const(room(at)), from.get, slot)),
        products.set(i32.add(inputs.get, i32.const(16 * inputStep))),
        forLoop(block, i32.mul(from.get, i32.const(t.blocks)), i32.mul(to.get, i32.const(t.blocks)), 1, [
          first.set(i32.mul(block.get, i32.const(t.rows))),
          end.set(i32.add(first.get, i32.const(t.rows))),
          end.set(control.select(end.get, i32.const(total), i32.lt_u(end.get, i32.const(total)))),
          control.if(i32.lt_u(first.get, i32.const(total)), [
            transformIn(c, o, t, at, scope, work, hand, first.get, end.get),
            productCode(product, m, at, scope, { a: i32.const(o.filters(at)), b: inputs.get, c: products.get }),
            transformOut(c, o, t, at, scope, work, hand, first.get, end.get, watch),
            // Images of which this block made the last row.
            whole && behind !== undefined
              ? behind(i32.div_u(first.get, i32.const(t.high)), i32.div_u(end.get, i32.const(t.high)))
              : [],
          ]),
        ]),
        watch === null ? [] : watch.end,
      ]
    }
  return {
    label: `winograd ${t.rows}x${t.wide} tiles`,
    units: t.units,
    cost: ((t.blocks * columns * (16 * o.words * c.to)) / productsPerNs(o.mac === 'f32')) * WINOGRAD_OVERHEAD,
    ...(whole ? { piece: c.to * c.positions[0] * c.positions[1] } : {}),
    emit: (m, at, behind) => m.func({ params: ['i32', 'i32'], body: body(m, at, behind) }),
  }
}

/** Where the taps of a weight lie: bytes from one output channel, one word and one tap to the next. */
export type Taps = { readonly base: Place; readonly to: number; readonly word: number; readonly tap: number }

/** The stage that transforms filters into [16, to, words]; a unit is an output channel. Floats are divided by the 4 that integers keep. */
export const filterStage = (mac: 'f32' | 'i16', to: number, words: number, taps: Taps, target: Place): Stage => ({
  label: 'transform weight',
  units: to,
  cost: words * FILTER_NS,
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const work = newWork(scope)
        const [o, p, q, k] = range(4).map(() => scope.local('i32'))
        const gather = (t: number): Code<'v128'> =>
          [1, 2, 3].reduce(
            (v, l) => v128.load32_lane(l, p.get, v, shift + l * taps.word + t * taps.tap),
            v128.load32_zero(p.get, shift + t * taps.tap),
          )
        // Taps that go backwards are read from the last one on, so that offsets stay positive.
        const shift = taps.tap < 0 ? -8 * taps.tap : 0
        const one: Code = filters(mac === 'f32' ? floatSums : pairSums, work, gather, (i, value) =>
          v128.store(q.get, mac === 'f32' ? f32x4.mul(value, f32x4.const(0.25)) : value, i * to * words * 4),
        )
        return forLoop(o, scope.params[0].get, scope.params[1].get, 1, [
          p.set(indexed(i32.const(taps.base(at)), o.get, taps.to)),
          q.set(indexed(i32.const(target(at)), o.get, words * 4)),
          forLoop(k, i32.const(0), i32.const(Math.floor(words / 4)), 1, [
            one,
            advance(p, 4 * taps.word),
            advance(q, 16),
          ]),
          words % 4 === 0 ? [] : [advance(p, ((words % 4) - 4) * taps.word), advance(q, ((words % 4) - 4) * 4), one],
        ])
      },
    }),
})

/** Does an integer result of `from` channels fit: 36 times the largest product, summed, below 2^31, and 16 bits hold the transforms? */
export const fitsWinograd = (x: number, w: number, from: number): boolean =>
  4 * x < 2 ** 15 && 9 * w < 2 ** 15 && 36 * x * w * from < 2 ** 31

/** Elements of the transformed filters. */
export const filterWords = (to: number, words: number): number => 16 * to * words
