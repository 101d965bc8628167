/** Words of four bytes: of four channels, or of four neighbours; what 8-bit dot products read. */
import { sizeOf } from '../../../../data/shape.js'
import type { Code } from '../../asm/encode.js'
import { i16x8, i32, i32x4, i8x16, v128 } from '../../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../../asm/module.js'
import type { Stage } from '../../kernel.js'
import { advance, indexed, range } from './code.js'
import type { Correlation } from './geometry.js'
import type { Quantizer, WordRule } from './integers.js'
import { argument, type Layout, type Place } from './layout.js'
import { moveRow, planeBytes, planeStage, type Reader } from './planes.js'

const BYTE = i32x4.const(0xff)
/** Low bytes of up to four vectors of words, side by side. */
const joined = (words: readonly Code<'v128'>[]): Code<'v128'> =>
  words
    .map((w, k) => (k === 0 ? v128.and(w, BYTE) : i32x4.shl(k === 3 ? w : v128.and(w, BYTE), 8 * k)))
    .reduce((a, b) => v128.or(a, b))

/** Reads up to four numbers, `offsets` bytes further on, as one word. */
const quadReader = (q: Quantizer, offsets: readonly number[]): Reader => {
  const read =
    (load: (address: Code<'i32'>, offset?: number) => Code<'v128'>) =>
    (p: Local, offset: number): Code<'v128'> =>
      joined(offsets.map((o) => q.words(load(p.get, offset + o))))
  return { size: 4, four: read(v128.load), one: read(v128.load32_zero) }
}

/** Words of fours of channels [from/4, taps] from a weight [from, taps]; the last ones may hold fewer. */
export const channelQuads =
  (from: number, taps: number): WordRule =>
  (scope, q, p, t) => {
    const [i, a, b] = range(3).map(() => scope.local('i32'))
    const row = (channels: number): Code => [
      a.set(p.get),
      b.set(t.get),
      moveRow(
        scope,
        quadReader(
          q,
          range(channels).map((k) => 4 * k * taps),
        ),
        { p: a, q: b },
        taps,
      ),
    ]
    return [
      forLoop(i, i32.const(0), i32.const(Math.floor(from / 4)), 1, [
        row(4),
        advance(p, 16 * taps),
        advance(t, 4 * taps),
      ]),
      from % 4 === 0 ? [] : row(from % 4),
    ]
  }

/** Words of four neighbouring taps along the last axis of a kernel of `rows` rows: [rows, ceil(width/4)]. */
export const tapQuads =
  (rows: number, width: number): WordRule =>
  (_scope, q, p, t) => {
    const perRow = Math.ceil(width / 4)
    return range(rows * perRow).map((i) => {
      const first = 4 * (i % perRow)
      const from = 4 * (Math.floor(i / perRow) * width + first)
      const words = range(Math.min(4, width - first)).map((k) => q.words(v128.load32_zero(p.get, from + 4 * k)))
      return v128.store32_lane(0, t.get, joined(words), 4 * i)
    })
  }

/** Words of neighbouring numbers of one row: [ceil(n/4)]. */
export const neighbourQuads =
  (n: number): WordRule =>
  (scope, q, p, t) => {
    const i = scope.local('i32')
    const whole = (k: number): Code<'v128'> => i32x4.sub(q.words(v128.load(p.get, 16 * k)), i32x4.const(0x4b400000))
    const half = (k: number): Code<'v128'> => i16x8.narrow_i32x4_s(whole(k), whole(k + 1))
    return [
      forLoop(i, i32.const(0), i32.const(Math.floor(n / 16)), 1, [
        v128.store(t.get, i8x16.narrow_i16x8_s(half(0), half(2))),
        advance(p, 64),
        advance(t, 16),
      ]),
      range(Math.ceil((n % 16) / 4)).map((j) =>
        v128.store32_lane(
          0,
          t.get,
          joined(range(Math.min(4, (n % 16) - 4 * j)).map((k) => q.words(v128.load32_zero(p.get, 4 * (4 * j + k))))),
          4 * j,
        ),
      ),
    ]
  }

const bytesOf = (picks: readonly number[]): readonly number[] =>
  range(16).map((i) => picks[i % picks.length] + Math.floor(i / picks.length))
/** Bytes of two vectors in turn; and pairs of them. */
const ZIP = bytesOf([0, 16])
const ZIP_PAIRS = range(16).map((i) => 2 * Math.floor(i / 4) + (i % 2) + (i % 4 < 2 ? 0 : 16))

/** Words of bytes, from planes of them: three more lie where `others` say; or one byte a word if there are none. */
const byteReader = (others: readonly ((p: Local) => Code<'i32'>)[]): Reader => {
  const read =
    (load: (address: Code<'i32'>, offset?: number) => Code<'v128'>) =>
    (p: Local, offset: number): Code<'v128'> => {
      if (others.length === 0) return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(load(p.get, offset)))
      const [b, c, d] = others.map((o) => load(o(p), offset))
      return v128.shuffle(v128.shuffle(load(p.get, offset), b, ZIP), v128.shuffle(c, d, ZIP), ZIP_PAIRS)
    }
  return { size: 1, four: read(v128.load32_zero), one: read(v128.load8_splat) }
}

/** Joins the low byte of each word of a plane with those of the three `distance`, twice and three times as many bytes further on. */
const joinNeighbours = (scope: Scope, start: Code<'i32'>, bytes: number, distance: number): Code => {
  const [p, end] = range(2).map(() => scope.local('i32'))
  return [
    end.set(i32.add(start, i32.const(bytes))),
    forLoop(p, start, end.get, 16, v128.store(p.get, joined(range(4).map((k) => v128.load(p.get, k * distance))))),
  ]
}

/** Planes of words: of four channels, or (`distance` > 0) of a byte and the three that far, twice and three times as far (in elements). */
export const quadPlanes = (c: Correlation, layout: Layout, target: Place, distance: number): Stage => {
  const perGroup = Math.ceil(c.from / 4)
  const source = sizeOf(c.placement.source)
  const plane = planeBytes(c.placement.target)
  /** The first channel of a unit within its group. */
  const first = (unit: Local): Code<'i32'> => i32.mul(i32.rem_u(unit.get, i32.const(perGroup)), i32.const(4))
  const sourceOf = (unit: Local): Code<'i32'> =>
    c.from % 4 === 0
      ? i32.mul(unit.get, i32.const(4 * source))
      : i32.mul(
          i32.add(i32.mul(i32.div_u(unit.get, i32.const(perGroup)), i32.const(c.from)), first(unit)),
          i32.const(source),
        )
  return planeStage(layout, {
    label: 'planes to i8',
    planes: c.batch * c.groups * perGroup,
    source: argument(0),
    sourceOf,
    target,
    placement: c.placement,
    size: 1,
    reader: (scope, unit, at) => {
      // Where there is no such channel its weight is 0: any other will do.
      const steps = distance > 0 ? [] : [1, 2, 3].map((k) => ({ k, at: scope.local('i32') }))
      const before = steps.map(({ k, at: step }) =>
        step.set(
          c.from % 4 === 0
            ? i32.const(k * source)
            : i32.mul(i32.lt_u(i32.add(first(unit), i32.const(k)), i32.const(c.from)), i32.const(k * source)),
        ),
      )
      const begin = indexed(i32.const(target(at)), unit.get, plane)
      return {
        before,
        reader: byteReader(
          steps.map(
            ({ at: step }) =>
              (p: Local) =>
                i32.add(p.get, step.get),
          ),
        ),
        after: distance === 0 ? [] : joinNeighbours(scope, begin, plane, 4 * distance),
      }
    },
  })
}
