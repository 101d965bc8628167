/**
 * The gradient of a depthwise convolution to its weight: a unit is a channel of some images. Each plane is placed in a room, and its taps,
 * one register each, sum products with the cotangent's vectors, position by position and image by image.
 */
import { sizeOf } from '../../../../../data/shape.js'
import type { Code } from '../../../asm/encode.js'
import { control, f32, f32x4, i32, i32x4, v128 } from '../../../asm/instructions.js'
import { forLoop, type Local, type ModuleBuilder, type Scope } from '../../../asm/module.js'
import type { Kernel, Stage } from '../../../kernel.js'
import { COPIED_PER_NS, DEPTHWISE, FLOAT_SUM_BLOCK, PRODUCTS_PER_NS } from '../../../machine.js'
import { advance, indexed, range, times } from '../code.js'
import { correlationBytes, kernelOf } from '../correlate.js'
import { correlationFlops, type Correlation } from '../geometry.js'
import { argument, newLayout, result, type Layout, type Place } from '../layout.js'
import { sumStage } from '../pack.js'
import { clearCode, floatMover, placeCode, roomBytes, rowBytes } from './rooms.js'
import { forwardStrips, type Strips } from './strips.js'

/** How images are shared out: into parts, whose sums are added at the end; `flush`: images, or rows of one, after which sums are added to totals. */
type Shares = { readonly parts: number; readonly images: number; readonly flush: number; readonly rows: number }

const sharesOf = (s: Strips): Shares => {
  const images = s.planes / s.channels
  const parts = Math.min(images, Math.max(1, Math.ceil(DEPTHWISE.parts / s.channels)))
  // A lane's sum of so many products at most.
  const perRow = Math.ceil(s.out[1] / 4)
  const rows = Math.max(1, Math.min(s.out[0], Math.floor(FLOAT_SUM_BLOCK / perRow)))
  const flush = rows < s.out[0] ? 1 : Math.max(1, Math.floor(FLOAT_SUM_BLOCK / (perRow * s.out[0])))
  return { parts, images: Math.ceil(images / parts), flush, rows }
}

/** Taps that are summed in one pass over a plane, by what a tap reads. */
type Tap = { readonly offset: number; readonly index: number }

/** The taps of a kernel, in passes that registers hold. */
const passesOf = (s: Strips): readonly (readonly Tap[])[] => {
  const row = rowBytes(s, 4)
  const taps = s.rowTaps[0].flatMap((r) =>
    s.columnTaps[0].map((c) => ({
      offset: r.at * row + (c.phase * s.pitch + c.at) * 4,
      index: r.tap * s.kernel[1] + c.tap,
    })),
  )
  const passes = Math.ceil(taps.length / DEPTHWISE.sums)
  const size = Math.ceil(taps.length / passes)
  return range(passes).map((i) => taps.slice(i * size, (i + 1) * size))
}

const LANES = [0, 1, 2, 3].map((lanes) => i32x4.lanes([0, 1, 2, 3].map((l) => (l < lanes ? -1 : 0))))

/** The last few numbers of a row, zeros behind them. */
const fewFrom = (p: Local, lanes: number): Code<'v128'> => {
  if (lanes === 1) return v128.load32_zero(p.get)
  const two = v128.load64_zero(p.get)
  return lanes === 2 ? two : v128.load32_lane(2, p.get, two, 8)
}

/** What sums are written with. */
type Summing = {
  readonly m: ModuleBuilder
  readonly scope: Scope
  readonly s: Strips
  readonly sums: readonly Local<'v128'>[]
  readonly totals: readonly Local<'v128'>[]
}

/** One row of the cotangent at `g` with the room's at `room`. */
const rowCode = ({ m, scope, s, sums }: Summing, taps: readonly Tap[], room: Local, g: Local): Code => {
  const [p, q] = [scope.local('i32'), scope.local('i32')]
  const y = scope.local('v128')
  const whole = Math.floor(s.out[1] / 4)
  const rest = s.out[1] % 4
  const meet = (x: (offset: number) => Code<'v128'>): Code =>
    taps.map(({ offset, index }) => sums[index].set(m.multiplyAdd(x(offset), y.get, sums[index].get)))
  return [
    p.set(room.get),
    q.set(g.get),
    times(scope, whole, [
      y.set(v128.load(q.get)),
      meet((offset) => v128.load(p.get, offset)),
      advance(p, 16),
      advance(q, 16),
    ]),
    // What stands behind a row's end in the room may be anything: it must not meet the zeros there.
    rest === 0 ? [] : [y.set(fewFrom(q, rest)), meet((offset) => v128.and(v128.load(p.get, offset), LANES[rest]))],
  ]
}

/** All rows of a plane, added to the totals after every block of them but the last, if there are several. */
const planeCode = (w: Summing, { rows: block }: Shares, room: Local, cotangent: Code<'i32'>, flush: Code): Code => {
  const { scope, s } = w
  const [at, g] = [scope.local('i32'), scope.local('i32')]
  const rows = (taps: readonly Tap[], count: number): Code =>
    times(scope, count, [rowCode(w, taps, at, g), advance(at, s.rowStep * rowBytes(s, 4)), advance(g, 4 * s.out[1])])
  const blocks = Math.ceil(s.out[0] / block)
  return passesOf(s).map((taps) => [
    at.set(room.get),
    g.set(cotangent),
    blocks === 1
      ? rows(taps, s.out[0])
      : [times(scope, blocks - 1, [rows(taps, block), flush]), rows(taps, s.out[0] - (blocks - 1) * block), flush],
  ])
}

/** Adds sums to totals and begins anew. */
const flushCode = ({ sums, totals }: Summing): Code =>
  sums.map((v, k) => [totals[k].set(f32x4.add(totals[k].get, v.get)), v.set(f32x4.const(0))])

/** Adds the lanes of totals and stores them one behind the other. */
const storeCode = ({ totals }: Summing, to: Local): Code =>
  totals.map((t, k) => {
    const [a, b, c, d] = range(4).map((l) => f32x4.extract(l, t.get))
    return f32.store(to.get, f32.add(f32.add(a, b), f32.add(c, d)), 4 * k)
  })

/** A unit: a channel of a part of the images; its images go in groups, after each of which sums are added to totals. */
const unitCode = (
  w: Summing,
  share: Shares,
  image: { readonly first: Local; readonly end: Local },
  body: (image: Local) => Code,
): Code => {
  const { scope } = w
  const [n, stop] = [scope.local('i32'), scope.local('i32')]
  const flush = flushCode(w)
  return [
    w.totals.map((t) => t.set(f32x4.const(0))),
    w.sums.map((t) => t.set(f32x4.const(0))),
    forLoop(n, image.first.get, image.end.get, share.flush, [
      stop.set(i32.add(n.get, i32.const(share.flush))),
      stop.set(control.select(stop.get, image.end.get, i32.lt_u(stop.get, image.end.get))),
      groupCode(scope, n, stop, body),
      flush,
    ]),
  ]
}

const groupCode = (scope: Scope, first: Local, end: Local, body: (image: Local) => Code): Code => {
  const i = scope.local('i32')
  return forLoop(i, first.get, end.get, 1, body(i))
}

const sumsStage = (s: Strips, layout: Layout, share: Shares, target: Place, step: number): Stage => {
  const bytes = roomBytes(s, 4)
  const taps = sizeOf(s.kernel)
  const units = share.parts * s.channels
  const rooms = layout.scratch(units * bytes)
  const images = s.planes / s.channels
  return {
    label: 'product',
    units,
    cost:
      share.images * ((4 * s.rows.count * s.columns.count) / COPIED_PER_NS + (taps * sizeOf(s.out)) / PRODUCTS_PER_NS),
    emit: (m, at) =>
      m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const [from, to] = scope.params
          const [room, unit, channel, first, end, out] = range(6).map(() => scope.local('i32'))
          const vectors = (): readonly Local<'v128'>[] => range(taps).map(() => scope.local('v128'))
          const w: Summing = { m, scope, s, sums: vectors(), totals: vectors() }
          const mover = floatMover(s)
          const planeOf = (image: Local, base: number, size: number): Code<'i32'> =>
            indexed(i32.const(base), i32.add(i32.mul(image.get, i32.const(s.channels)), channel.get), 4 * size)
          return [
            room.set(indexed(i32.const(rooms(at)), from.get, bytes)),
            clearCode(scope, room.get, bytes),
            forLoop(unit, from.get, to.get, 1, [
              channel.set(i32.rem_u(unit.get, i32.const(s.channels))),
              first.set(i32.div_u(unit.get, i32.const(s.channels))),
              out.set(
                i32.add(
                  i32.const(target(at)),
                  i32.add(i32.mul(first.get, i32.const(step)), i32.mul(channel.get, i32.const(4 * taps))),
                ),
              ),
              first.set(i32.mul(first.get, i32.const(share.images))),
              end.set(i32.add(first.get, i32.const(share.images))),
              end.set(control.select(end.get, i32.const(images), i32.lt_u(end.get, i32.const(images)))),
              unitCode(w, share, { first, end }, (image) => [
                placeCode(scope, s, mover, planeOf(image, argument(0)(at), sizeOf(s.source)), room.get),
                planeCode(w, share, room, planeOf(image, argument(1)(at), sizeOf(s.out)), flushCode(w)),
              ]),
              storeCode(w, out),
            ]),
          ]
        },
      }),
  }
}

/** The gradient of a depthwise convolution to its weight, from x (operand 0) and the cotangent (operand 1). */
export const depthwiseWeight = (c: Correlation): Kernel => {
  const layout = newLayout()
  const s = forwardStrips(c)
  const share = sharesOf(s)
  const weights = s.channels * sizeOf(s.kernel)
  const step = Math.ceil(weights / 16) * 64
  const partial = share.parts === 1 ? result : layout.scratch(share.parts * step)
  const product = sumsStage(s, layout, share, partial, step)
  const sum =
    share.parts === 1 ? [] : [sumStage('sum parts', { place: partial, step, parts: share.parts }, result, weights)]
  return kernelOf('convWeightGrad f32 depthwise', layout, [product, ...sum], correlationFlops(c), correlationBytes(c))
}
