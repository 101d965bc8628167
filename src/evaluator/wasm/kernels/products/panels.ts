/** What a unit does of a product: panels of columns, and tiles over the rows of each. */
import type { Code } from '../../asm/encode.js'
import { control, i32 } from '../../asm/instructions.js'
import { forLoop } from '../../asm/module.js'
import { indexed } from './code.js'
import { bytesOf, held, type Pointers, type Span, type Sweep } from './product.js'
import { tileFunction, type TileFunction } from './tile.js'
import { TILE_HEIGHTS } from '../../machine.js'

/** The function of a tile of so many vectors, of whose last one so many lanes are stored, and of so many rows. */
export type Tiles = (vectors: number, lanes: number) => (height: number) => TileFunction

/** The rows of one panel: as many tall tiles as fit, then lower ones. */
const rowsCode = (
  { p, at, scope }: Sweep,
  span: Span,
  ptr: Pointers,
  tile: (height: number) => TileFunction,
  heights: readonly number[],
): Code => {
  const affine = 'step' in p.rows.at ? p.rows.at.step : 0
  const table = 'table' in p.rows.at ? p.rows.at.table(at) : 0
  const [a, r, c, s, left, n] = [0, 1, 2, 3, 4, 5].map(() => scope.local('i32'))
  const start: Code = [
    a.set(indexed(ptr.a, span.first, affine)),
    r.set(indexed(i32.const(table), span.first, 4)),
    c.set(indexed(ptr.c, span.first, p.c.row)),
    s.set(p.scale?.along === 'rows' ? indexed(ptr.s, span.first, 4) : ptr.s),
  ]
  const run = (h: number, count: Code<'i32'>): Code =>
    tile(h).call(a.get, ptr.b, c.get, count, r.get, s.get, ptr.from, ptr.to)
  const moved = (rows: Code<'i32'>): Code => [
    a.set(indexed(a.get, rows, affine)),
    r.set(indexed(r.get, rows, 4)),
    c.set(indexed(c.get, rows, p.c.row)),
    p.scale?.along === 'rows' ? s.set(indexed(s.get, rows, 4)) : [],
  ]
  if (span.constant !== null) {
    let rest = span.constant
    return [
      start,
      heights.map((h) => {
        const count = Math.floor(rest / h)
        rest -= count * h
        return count === 0 ? [] : [run(h, i32.const(count)), rest === 0 ? [] : moved(i32.const(count * h))]
      }),
    ]
  }
  return [
    start,
    left.set(i32.sub(span.end, span.first)),
    heights.map((h) => [
      n.set(i32.div_u(left.get, i32.const(h))),
      control.if(n.get, [run(h, n.get), moved(i32.mul(n.get, i32.const(h)))]),
      left.set(i32.rem_u(left.get, i32.const(h))),
    ]),
  ]
}

/** Tile functions of a product, each emitted once. */
export const tilesOf = ({ p, m, at }: Sweep): Tiles => {
  const known = new Map<string, TileFunction>()
  return (vectors, lanes) => (height) => {
    const key = `${height},${vectors},${lanes}`
    const found = known.get(key)
    if (found !== undefined) return found
    const narrow = p.b.narrow !== undefined && (4 * vectors < (p.columns.width ?? 16) || lanes < 4)
    const made = tileFunction(
      m,
      {
        mac: p.mac,
        height,
        vectors,
        lanes,
        rowStep: 'step' in p.rows.at ? p.rows.at.step : null,
        a: p.a.k,
        b: narrow ? { step: p.b.narrow } : p.b.k,
        terms: p.terms,
        result: p.c,
        scale: p.scale?.along ?? null,
        adds: p.c.adds ?? false,
      },
      at,
    )
    known.set(key, made)
    return made
  }
}

/** The panels of a unit, wide ones and perhaps a narrow last one. */
export const panelsCode = (sweep: Sweep, spans: readonly [Span, Span], ptr: Pointers, tiles: Tiles): Code => {
  const { p, scope } = sweep
  const width = p.columns.width ?? 16
  const wide = Math.floor(p.columns.count / width)
  const rest = p.columns.count - width * wide
  const vectors = Math.ceil(rest / 4)
  const j = scope.local('i32')
  const at16 = scope.local('i32')
  const b = { local: at16, ...held(at16, indexed(ptr.b, j.get, p.columns.panel)) }
  const c = bytesOf(ptr.c, j.get, width * p.c.column, scope)
  const s = bytesOf(ptr.s, j.get, p.scale?.along === 'columns' ? 4 * width : 0, scope)
  const stepOf = (isNarrow: boolean): number =>
    (isNarrow ? p.b.narrow : undefined) ?? ('step' in p.b.k ? p.b.k.step : 0)
  const rows = (isNarrow: boolean, vectors: number, lanes: number): Code => [
    ptr.k === null ? [] : b.local.set(indexed(b.get, ptr.k, stepOf(isNarrow))),
    rowsCode(sweep, spans[1], { ...ptr, b: b.get, c: c.get, s: s.get }, tiles(vectors, lanes), TILE_HEIGHTS[vectors]),
  ]
  const full = (): Code => rows(false, width / 4, 4)
  const narrow = (): Code => rows(true, vectors, rest - 4 * (vectors - 1))
  const both = (): Code => control.if(i32.lt_u(j.get, i32.const(wide)), full(), narrow())
  const mixed = (): Code => (wide === 0 ? narrow() : both())
  const body = rest === 0 ? full() : mixed()
  return forLoop(j, spans[0].first, spans[0].end, 1, [b.set, c.set, s.set, body])
}
