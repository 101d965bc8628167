/**
 * From dequantized numbers back to the integers they came from: `q = round(x / s)`, exact for |q| ≤ 255, since x is q·s
 * rounded once and the reciprocal errs by another rounding. Pairs of 16-bit integers share a 32-bit word.
 */
import type { Code } from '../../asm/encode.js'
import { control, f32, f32x4, i16x8, i32, i32x4, v128 } from '../../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../../asm/module.js'
import { GUARD } from '../../barrier.js'
import type { IntegerLicence, Places, Stage } from '../../kernel.js'
import { advance, indexed, range } from './code.js'
import { argument, type Layout, type Place } from './layout.js'
import { moveRow, type Reader } from './planes.js'
import { QUANTIZED_PER_NS } from '../../machine.js'

/** 1.5 · 2^23: adding it rounds a small number to an integer (ties to even), which then stands in the low bits. */
const MAGIC = 12582912
/** How far a number may be off its integer where that is looked at: what float32 can do to 255 steps, and to the reciprocal. */
const NEAR = 2 ** -12

/** Largest |q| of a side of the licence. */
export const bound = (side: { readonly lo: number; readonly hi: number }): number => Math.max(-side.lo, side.hi, 0)

/** Watches over numbers that are quantized: raises a flag where one is no integer of the licence. */
export type Quantizer = {
  /** Sets the scale: at an address, or at one plus four bytes for each step. */
  readonly begin: (scale: Code<'i32'>) => Code
  /** The words whose low 16 bits are the integers. */
  readonly words: (x: Code<'v128'>) => Code<'v128'>
  /** Raises the flag if need be. */
  readonly end: Code
}

/** How far each number is off the nearest integer. */
const offGrid = (t: Local<'v128'>): Code<'v128'> =>
  f32x4.sub(t.get, f32x4.sub(f32x4.add(t.get, f32x4.const(MAGIC)), f32x4.const(MAGIC)))

/** A quantizer for numbers up to `most`, whose flag is the i32 at `flag`. `declared`: numbers off the grid raise it too. */
export const newQuantizer = (scope: Scope, most: number, flag: Code<'i32'>, declared: boolean): Quantizer => {
  const [ok, inverse, t] = range(3).map(() => scope.local('v128'))
  const scale = scope.local('f32')
  return {
    begin: (address) => [
      scale.set(f32.load(address)),
      inverse.set(f32x4.splat(f32.div(f32.const(1), scale.get))),
      ok.set(
        i32x4.splat(
          i32.sub(
            i32.const(0),
            i32.and(f32.gt(f32.abs(scale.get), f32.const(0)), f32.lt(f32.abs(scale.get), f32.const(Infinity))),
          ),
        ),
      ),
    ],
    words: (x) => [
      t.set(f32x4.mul(x, inverse.get)),
      ok.set(v128.and(ok.get, f32x4.le(f32x4.abs(t.get), f32x4.const(most + 0.5)))),
      declared ? ok.set(v128.and(ok.get, f32x4.le(f32x4.abs(offGrid(t)), f32x4.const(NEAR)))) : [],
      f32x4.add(t.get, f32x4.const(MAGIC)),
    ],
    end: control.if(i32.eqz(i32x4.all_true(ok.get)), i32.store(flag, i32.const(1))),
  }
}

const LOW = i32x4.const(0xffff)
/** Low halves of two vectors of words, side by side. */
export const paired = (a: Code<'v128'>, b: Code<'v128'>): Code<'v128'> =>
  v128.shuffle(a, i32x4.shl(b, 16), [0, 1, 18, 19, 4, 5, 22, 23, 8, 9, 26, 27, 12, 13, 30, 31])
/** Low halves alone, the high ones 0. */
export const unpaired = (a: Code<'v128'>): Code<'v128'> => v128.and(a, LOW)

/** Reads pairs from a plane and from another one `second` bytes further on; or single numbers if there is none. */
export const pairReader = (q: Quantizer, second: ((p: Local) => Code<'i32'>) | null): Reader => {
  const read =
    (load: (address: Code<'i32'>, offset?: number) => Code<'v128'>) =>
    (p: Local, offset: number): Code<'v128'> =>
      second === null
        ? unpaired(q.words(load(p.get, offset)))
        : paired(q.words(load(p.get, offset)), q.words(load(second(p), offset)))
  return { size: 4, four: read(v128.load), one: read(v128.load32_zero) }
}

/** Neighbours of two vectors of bytes, and a vector and itself. */
const ZIP = Array.from({ length: 16 }, (_, i) => Math.floor(i / 2) + (i % 2) * 16)

/** The same of operands that are bytes: their integers as they are. */
export const bytePairReader = (signed: boolean, second: ((p: Local) => Code<'i32'>) | null): Reader => {
  const extend = signed ? i16x8.extend_low_i8x16_s : i16x8.extend_low_i8x16_u
  const read =
    (load: (address: Code<'i32'>, offset?: number) => Code<'v128'>) =>
    (p: Local, offset: number): Code<'v128'> =>
      second === null
        ? i32x4.extend_low_i16x8_u(extend(load(p.get, offset)))
        : extend(v128.shuffle(load(p.get, offset), load(second(p), offset), ZIP))
  return { size: 1, four: read(v128.load32_zero), one: read(v128.load8_splat) }
}

/** Where a licence's scales and the flag are. */
export type Scales = {
  readonly x: Place
  readonly w: Place
  readonly flag: Place
  readonly products: Place
  readonly perChannel: boolean
  /** See `IntegerLicence`. */
  readonly declared: boolean
}

/** Scale operands, the flag (of operands that are bytes the plan's guard), and room for the products of scales, one per output channel. */
export const newScales = (layout: Layout, licence: IntegerLicence, channels: number, bytes: boolean): Scales => {
  return {
    x: argument(2),
    w: argument(3),
    flag: bytes ? () => GUARD : (at) => at.flags,
    products: layout.scratch(channels * 4),
    perChannel: licence.weightScales > 1,
    declared: licence.declared,
  }
}

/** Code for output channel `o`: sets the weight's quantizer and stores the product of the scales. */
export const beginChannel = (s: Scales, q: Quantizer, at: Places, o: Code<'i32'>): Code => {
  const scale = indexed(i32.const(s.w(at)), o, s.perChannel ? 4 : 0)
  return [
    q.begin(scale),
    f32.store(indexed(i32.const(s.products(at)), o, 4), f32.mul(f32.load(i32.const(s.x(at))), f32.load(scale))),
  ]
}

/** How the numbers of a channel become words: code that reads at one pointer and writes at the other; both may move. */
export type WordRule = (scope: Scope, q: Quantizer, p: Local, t: Local) => Code

/** A weight, of numbers up to `most`, and the words that it becomes: channels, and how much each has. */
export type WeightWords = {
  readonly most: number
  readonly channels: number
  readonly numbers: number
  readonly words: number
  readonly target: Place
  /** Integers of a word. */
  readonly per: 2 | 4
}

/** A stage over output channels that brings the weight into words. */
export const weightStage = (
  s: Scales,
  { most, channels, numbers, words, target, per }: WeightWords,
  rule: WordRule,
): Stage => ({
  label: per === 4 ? 'weight to i8' : 'weight to i16',
  units: channels,
  cost: numbers / QUANTIZED_PER_NS,
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const [o, p, t] = range(3).map(() => scope.local('i32'))
        const q = newQuantizer(scope, most, i32.const(s.flag(at) + 4), s.declared)
        return forLoop(o, scope.params[0].get, scope.params[1].get, 1, [
          beginChannel(s, q, at, o.get),
          p.set(indexed(i32.const(argument(1)(at)), o.get, numbers * 4)),
          t.set(indexed(i32.const(target(at)), o.get, words * 4)),
          rule(scope, q, p, t),
          q.end,
        ])
      },
    }),
})

/** Words of pairs of channels [from/2, taps] from a weight [from, taps]; an odd last channel has no partner. */
export const channelPairs =
  (from: number, taps: number): WordRule =>
  (scope, q, p, t) => {
    const [i, a, b] = range(3).map(() => scope.local('i32'))
    const row = (second: boolean): Code => [
      a.set(p.get),
      b.set(t.get),
      moveRow(scope, pairReader(q, second ? () => i32.add(a.get, i32.const(taps * 4)) : null), { p: a, q: b }, taps),
    ]
    return [
      forLoop(i, i32.const(0), i32.const(Math.floor(from / 2)), 1, [
        row(true),
        advance(p, 8 * taps),
        advance(t, 4 * taps),
      ]),
      from % 2 === 1 ? row(false) : [],
    ]
  }

/** Words of pairs of neighbouring taps along the last axis of a kernel of `rows` rows: [rows, ceil(width/2)]. */
export const tapPairs =
  (rows: number, width: number): WordRule =>
  (_scope, q, p, t) => {
    const perRow = Math.ceil(width / 2)
    return range(rows * perRow).map((i) => {
      const from = 4 * (Math.floor(i / perRow) * width + 2 * (i % perRow))
      const first = q.words(v128.load32_zero(p.get, from))
      const both =
        2 * (i % perRow) + 1 < width ? paired(first, q.words(v128.load32_zero(p.get, from + 4))) : unpaired(first)
      return v128.store32_lane(0, t.get, both, 4 * i)
    })
  }

/** Words of neighbouring numbers of one row: [ceil(n/2)]. */
export const neighbourPairs =
  (n: number): WordRule =>
  (scope, q, p, t) => {
    const i = scope.local('i32')
    const whole = (offset: number): Code<'v128'> =>
      i32x4.sub(q.words(v128.load(p.get, offset)), i32x4.const(0x4b400000))
    return [
      forLoop(i, i32.const(0), i32.const(Math.floor(n / 8)), 1, [
        v128.store(t.get, i16x8.narrow_i32x4_s(whole(0), whole(16))),
        advance(p, 32),
        advance(t, 16),
      ]),
      range(Math.ceil((n % 8) / 2)).map((j) => {
        const first = q.words(v128.load32_zero(p.get, 8 * j))
        return v128.store32_lane(
          0,
          t.get,
          2 * j + 1 < n % 8 ? paired(first, q.words(v128.load32_zero(p.get, 8 * j + 4))) : unpaired(first),
          4 * j,
        )
      }),
    ]
  }
