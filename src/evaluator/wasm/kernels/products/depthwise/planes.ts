/** The stage of all planes: each is placed in a room that stays in cache, and multiplied there. */
import { sizeOf } from '../../../../../data/shape.js'
import type { Code } from '../../../asm/encode.js'
import { control, i32 } from '../../../asm/instructions.js'
import { forLoop, type Local, type ModuleBuilder, type Scope } from '../../../asm/module.js'
import type { Places, Stage } from '../../../kernel.js'
import { COPIED_PER_NS, DEPTHWISE, EPILOGUE_ELEMENTS, PRODUCTS_PER_NS } from '../../../machine.js'
import { indexed, range } from '../code.js'
import { argument, result, type Layout } from '../layout.js'
import { clearCode, placeCode, roomBytes, type Mover } from './rooms.js'
import { planeCode, type Rows } from './rowSums.js'
import type { Strips } from './strips.js'

/** What a kind of numbers adds: code in front of all planes and behind them, how rows are placed and summed, and what is set for a channel. */
export type Arithmetic = {
  readonly begin: Code
  readonly mover: Mover
  readonly rows: Rows
  readonly channel: (channel: Code<'i32'>) => Code
  readonly end: Code
}

/** How planes are shared out: `pieces` of so many planes each, which are finished together, and so many of them a unit. */
type Sharing = { readonly planes: number; readonly pieces: number; readonly block: number; readonly units: number }

/** Pieces are planes, or as many channels of an image as a loop behind the kernel wants at least. */
const sharingOf = (s: Strips, room: number): Sharing => {
  const size = s.out[0] * s.out[1]
  const enough = range(s.channels).find((k) => s.channels % (k + 1) === 0 && (k + 1) * size >= EPILOGUE_ELEMENTS.least)
  const planes = enough === undefined ? 1 : enough + 1
  const pieces = s.planes / planes
  const most = Math.max(1, Math.min(DEPTHWISE.units, Math.floor(DEPTHWISE.rooms / room)))
  const block = Math.ceil(pieces / most)
  return { planes, pieces, block, units: Math.ceil(pieces / block) }
}

/** Nanoseconds of a plane. */
const costOf = (s: Strips): number =>
  (4 * s.rows.count * s.columns.count) / COPIED_PER_NS + (sizeOf(s.kernel) * sizeOf(s.out)) / PRODUCTS_PER_NS

/** The stage whose planes are read at operand 0, `size` bytes an element, and whose result is the kernel's. */
export const planesStage = (
  s: Strips,
  layout: Layout,
  element: 2 | 4,
  arithmetic: (m: ModuleBuilder, scope: Scope, at: Places) => Arithmetic,
): Stage => {
  const bytes = roomBytes(s, element)
  const share = sharingOf(s, bytes)
  const rooms = layout.scratch(share.units * bytes)
  const out = sizeOf(s.out)
  return {
    label: 'product',
    units: share.units,
    cost: share.block * share.planes * costOf(s),
    piece: share.planes * out,
    emit: (m, at, behind) =>
      m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const [from, to] = scope.params
          const [room, piece, end, plane, stop] = range(5).map(() => scope.local('i32'))
          const a = arithmetic(m, scope, at)
          const one = (k: Local): Code => [
            a.channel(i32.rem_u(k.get, i32.const(s.channels))),
            placeCode(
              scope,
              s,
              a.mover,
              indexed(i32.const(argument(0)(at)), k.get, sizeOf(s.source) * a.mover.size),
              room.get,
            ),
            planeCode(a.rows, room.get, indexed(i32.const(result(at)), k.get, 4 * out)),
          ]
          return [
            // Units that are done together share the first one's room.
            room.set(indexed(i32.const(rooms(at)), from.get, bytes)),
            clearCode(scope, room.get, bytes),
            a.begin,
            end.set(i32.mul(to.get, i32.const(share.block))),
            end.set(control.select(end.get, i32.const(share.pieces), i32.lt_u(end.get, i32.const(share.pieces)))),
            forLoop(piece, i32.mul(from.get, i32.const(share.block)), end.get, 1, [
              stop.set(indexed(i32.const(share.planes), piece.get, share.planes)),
              forLoop(plane, i32.mul(piece.get, i32.const(share.planes)), stop.get, 1, one(plane)),
              behind === undefined ? [] : behind(piece.get, i32.add(piece.get, i32.const(1))),
            ]),
            a.end,
          ]
        },
      }),
  }
}
