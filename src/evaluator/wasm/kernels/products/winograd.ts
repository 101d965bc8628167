/**
 * 3×3 correlations of stride 1 by Winograd's F(2×2, 3×3): 16 products over channels for each 2×2 of the result, 2.25 times
 * fewer multiplications. A unit transforms some rows of tiles, multiplies and transforms back while all is in cache.
 * With pairs of 16-bit integers it is exact: inputs grow by at most 4, filters by 9, and sums may wrap, for the result fits.
 */
import type { Code } from '../../asm/encode.js'
import { control, f32x4, i32, v128 } from '../../asm/instructions.js'
import { forLoop, type Body, type Local, type ModuleBuilder, type Units } from '../../asm/module.js'
import type { Behind, Places, Stage } from '../../kernel.js'
import { advance, indexed, range } from './code.js'
import { newWatch, type Watch } from './exact.js'
import type { Correlation } from './geometry.js'
import { result, type Layout, type Place } from './layout.js'
import { planeBytes } from './planes.js'
import type { Product } from './product.js'
import { productCode } from './sweep.js'
import { eachRow, tilingOf, wholeImages, type Block } from './winogradTiles.js'
import { floatSums, forFours, inputTiles, newWork, outputTiles, pairSums, wordSums } from './winogradTransforms.js'
import { WINOGRAD_OVERHEAD, productsPerNs } from '../../machine.js'

/** Operands: planes of words, filters already transformed [16, to, words], and factors of the result per channel (or none). */
export type WinogradOperands = {
  readonly mac: 'f32' | 'i16'
  readonly planes: Place
  readonly words: number
  readonly filters: Place
  readonly scales: Place | null
}

/** Where the inputs, the filters and the products of a unit lie, and their steps from one of the 16 to the next. */
type Hand = {
  readonly inputs: Local
  readonly products: Local
  readonly inputStep: number
  readonly productStep: number
  readonly columns: number
}

const transformIn = (b: Block, o: WinogradOperands, hand: Hand): Code => {
  const { c, t, at, scope, work } = b
  const row = c.placement.target[1] * 4
  const plane = planeBytes(c.placement.target)
  const [source, target, k, p, q] = range(5).map(() => scope.local('i32'))
  const sums = o.mac === 'f32' ? floatSums : pairSums
  return eachRow(b, (image, y, inBlock) => [
    source.set(i32.add(indexed(i32.const(o.planes(at)), image, o.words * plane), i32.mul(y, i32.const(2 * row)))),
    target.set(indexed(hand.inputs.get, inBlock, t.wide * 4)),
    forLoop(k, i32.const(0), i32.const(o.words), 1, [
      forFours(scope, t.wide, (x) => [
        p.set(indexed(source.get, x, 8)),
        q.set(indexed(target.get, x, 4)),
        inputTiles(sums, work, { at: p.get, step: row }, { at: q.get, step: hand.inputStep }),
      ]),
      advance(source, plane),
      advance(target, hand.columns * 4),
    ]),
  ])
}

const transformOut = (b: Block, o: WinogradOperands, hand: Hand, watch: Watch | null): Code => {
  const { c, t, at, scope, work } = b
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
  return eachRow(b, (image, y, inBlock) => [
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
        outputTiles(o.mac === 'f32' ? floatSums : wordSums, work, { at: p.get, step: hand.productStep }, finish, put),
      ]),
      advance(target, plane),
      advance(source, hand.columns * 4),
    ]),
  ])
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
      const rows = { m, at, scope, c, t, work: newWork(scope), first: first.get, end: end.get }
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
            transformIn(rows, o, hand),
            productCode({ p: product, m, at, scope }, { a: i32.const(o.filters(at)), b: inputs.get, c: products.get }),
            transformOut(rows, o, hand, watch),
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
