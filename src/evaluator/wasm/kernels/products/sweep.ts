/** A whole product as one stage: axes, rows and panels of columns split into units, and tiles over what a unit holds. */
import type { Code } from '../../asm/encode.js'
import { control, i32 } from '../../asm/instructions.js'
import { type Local, type ModuleBuilder, type Scope, forLoop } from '../../asm/module.js'
import type { Places, Stage } from '../../kernel.js'
import { indexed } from './code.js'
import type { Place } from './layout.js'
import { tileFunction, type Mac, type TileFunction, type Walk } from './tile.js'
import { TILE_HEIGHTS, productsPerNs } from '../../machine.js'

/** An axis over which the whole product is repeated: how far operands, result and scales move at each step, in bytes. */
export type Axis = {
  readonly count: number
  readonly block: number
  readonly a: number
  readonly b: number
  readonly c: number
  readonly s?: number
}
/** A last axis whose entries (offset of a in bytes, first k of the packed b, first and last byte of the table over k) stand in a table. */
export type Chunks = { readonly count: number; readonly table: Place; readonly c: number }

/** A product `C[i][j] = Σ_k A[i][k] * B[k][j]`. Steps are in bytes; `block` is how many one unit does. */
export type Product = {
  readonly label: string
  readonly mac: Mac
  readonly axes: readonly Axis[]
  readonly chunks?: Chunks
  readonly rows: {
    readonly count: number
    readonly block: number
    readonly at: { readonly step: number } | { readonly table: Place }
  }
  /** Columns go in panels of 16 (or of `width`), `panel` bytes apart; the last one may be narrower. `block` counts panels. */
  readonly columns: { readonly count: number; readonly block: number; readonly panel: number; readonly width?: number }
  readonly terms: number | null
  /** Mean number of terms, where `terms` is null. */
  readonly meanTerms?: number
  readonly a: { readonly base: Place; readonly k: Walk }
  /** `narrow`: step of k within the last panel, where it is packed more narrowly. */
  readonly b: { readonly base: Place; readonly k: Walk; readonly narrow?: number }
  readonly c: { readonly base: Place; readonly row: number; readonly column: number; readonly adds?: boolean }
  readonly scale?: { readonly base: Place; readonly along: 'rows' | 'columns' }
  /** Elements of the result at each step of the first axis, where these lie one after the other. */
  readonly piece?: number
}

type Pointers = {
  readonly a: Code<'i32'>
  readonly b: Code<'i32'>
  readonly c: Code<'i32'>
  readonly s: Code<'i32'>
  readonly k: Code<'i32'> | null
  readonly from: Code<'i32'>
  readonly to: Code<'i32'>
}
type Span = { readonly first: Code<'i32'>; readonly end: Code<'i32'>; readonly constant: number | null }

const held = (local: Local, value: Code<'i32'>): { readonly set: Code; readonly get: Code<'i32'> } => ({
  set: local.set(value),
  get: local.get,
})

/** Splits the number of a unit into the spans of all levels, the last level fastest. */
const spansOf = (
  levels: readonly { readonly count: number; readonly block: number }[],
  unit: Code<'i32'>,
  { local }: Scope,
): { readonly code: Code; readonly spans: readonly Span[] } => {
  const rest = local('i32')
  const code: Code[] = [rest.set(unit)]
  const spans = new Array<Span>(levels.length)
  for (let i = levels.length - 1; i >= 0; i--) {
    const { count, block } = levels[i]
    const blocks = Math.ceil(count / block)
    if (blocks <= 1) {
      spans[i] = { first: i32.const(0), end: i32.const(count), constant: count }
      continue
    }
    const [first, end] = [local('i32'), local('i32')]
    code.push(first.set(i32.mul(i32.rem_u(rest.get, i32.const(blocks)), i32.const(block))))
    code.push(rest.set(i32.div_u(rest.get, i32.const(blocks))))
    code.push(end.set(i32.add(first.get, i32.const(block))))
    if (count % block !== 0)
      code.push(end.set(control.select(end.get, i32.const(count), i32.lt_u(end.get, i32.const(count)))))
    spans[i] = { first: first.get, end: end.get, constant: count % block === 0 ? block : null }
  }
  return { code, spans }
}

const bytesOf = (
  base: Code<'i32'>,
  index: Code<'i32'>,
  step: number,
  { local }: Scope,
): { readonly set: Code; readonly get: Code<'i32'> } =>
  step === 0 ? { set: [], get: base } : held(local('i32'), indexed(base, index, step))

/** The rows of one panel: as many tall tiles as fit, then lower ones. */
const rowsCode = (
  p: Product,
  at: Places,
  span: Span,
  ptr: Pointers,
  tile: (height: number) => TileFunction,
  heights: readonly number[],
  scope: Scope,
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

/** The panels of a unit, wide ones and perhaps a narrow last one. */
const panelsCode = (
  p: Product,
  at: Places,
  spans: readonly [Span, Span],
  ptr: Pointers,
  tiles: (vectors: number, lanes: number) => (height: number) => TileFunction,
  scope: Scope,
): Code => {
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
    rowsCode(
      p,
      at,
      spans[1],
      { ...ptr, b: b.get, c: c.get, s: s.get },
      tiles(vectors, lanes),
      TILE_HEIGHTS[vectors],
      scope,
    ),
  ]
  const full = (): Code => rows(false, width / 4, 4)
  const narrow = (): Code => rows(true, vectors, rest - 4 * (vectors - 1))
  const both = (): Code => control.if(i32.lt_u(j.get, i32.const(wide)), full(), narrow())
  const mixed = (): Code => (wide === 0 ? narrow() : both())
  const body = rest === 0 ? full() : mixed()
  return forLoop(j, spans[0].first, spans[0].end, 1, [b.set, c.set, s.set, body])
}

/** Loops over the axes, outermost first. */
const axesCode = (
  p: Product,
  at: Places,
  spans: readonly Span[],
  ptr: Pointers,
  inside: (ptr: Pointers) => Code,
  scope: Scope,
  level = 0,
): Code => {
  if (level === p.axes.length)
    return p.chunks === undefined ? inside(ptr) : chunkCode(p.chunks, at, spans[level], ptr, inside, scope)
  const axis = p.axes[level]
  if (axis.count === 1) return axesCode(p, at, spans, ptr, inside, scope, level + 1)
  const i = scope.local('i32')
  const [a, b, c, s] = [
    bytesOf(ptr.a, i.get, axis.a, scope),
    bytesOf(ptr.b, i.get, axis.b, scope),
    bytesOf(ptr.c, i.get, axis.c, scope),
    bytesOf(ptr.s, i.get, axis.s ?? 0, scope),
  ]
  const next = { ...ptr, a: a.get, b: b.get, c: c.get, s: s.get }
  return forLoop(i, spans[level].first, spans[level].end, 1, [
    a.set,
    b.set,
    c.set,
    s.set,
    axesCode(p, at, spans, next, inside, scope, level + 1),
  ])
}

const chunkCode = (
  chunks: Chunks,
  at: Places,
  span: Span,
  ptr: Pointers,
  inside: (ptr: Pointers) => Code,
  scope: Scope,
): Code => {
  const i = scope.local('i32')
  const entry = held(scope.local('i32'), indexed(i32.const(chunks.table(at)), i.get, 16))
  const [a, k, from, to] = [0, 4, 8, 12].map((o) => held(scope.local('i32'), i32.load(entry.get, o)))
  const [pa, pc] = [held(scope.local('i32'), i32.add(ptr.a, a.get)), bytesOf(ptr.c, i.get, chunks.c, scope)]
  return forLoop(i, span.first, span.end, 1, [
    entry.set,
    a.set,
    k.set,
    from.set,
    to.set,
    pa.set,
    pc.set,
    inside({ ...ptr, a: pa.get, c: pc.get, k: k.get, from: from.get, to: to.get }),
  ])
}

/** Tile functions of a product, each emitted once. */
const tilesOf = (
  p: Product,
  m: ModuleBuilder,
  at: Places,
): ((vectors: number, lanes: number) => (height: number) => TileFunction) => {
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

const levelsOf = (p: Product): readonly { readonly count: number; readonly block: number }[] => [
  ...p.axes,
  ...(p.chunks === undefined ? [] : [{ count: p.chunks.count, block: 1 }]),
  { count: Math.ceil(p.columns.count / (p.columns.width ?? 16)), block: p.columns.block },
  p.rows,
]

const insideOf = (
  p: Product,
  m: ModuleBuilder,
  at: Places,
  spans: readonly Span[],
  ptr: Pointers,
  scope: Scope,
): Code => {
  const [columns, rows] = spans.slice(-2)
  const tiles = tilesOf(p, m, at)
  return axesCode(p, at, spans, ptr, (inner) => panelsCode(p, at, [columns, rows], inner, tiles, scope), scope)
}

/** Code for a whole product (its blocks don't matter) whose operands and result start at the given addresses: for use within a unit. */
export const productCode = (
  p: Product,
  m: ModuleBuilder,
  at: Places,
  scope: Scope,
  starts: { readonly a: Code<'i32'>; readonly b: Code<'i32'>; readonly c: Code<'i32'> },
): Code => {
  const zero = i32.const(0)
  const spans = levelsOf(p).map(({ count }) => ({ first: zero, end: i32.const(count), constant: count }))
  return insideOf(p, m, at, spans, { ...starts, s: zero, k: null, from: zero, to: zero }, scope)
}

/** The stage that computes a product. */
export const productStage = (p: Product): Stage => {
  const levels = levelsOf(p)
  const units = levels.reduce((n, l) => n * Math.ceil(l.count / l.block), 1)
  const whole = p.piece !== undefined && levels.slice(1).every((l) => l.block >= l.count)
  const macs =
    levels.slice(0, -2).reduce((n, l) => n * l.count, 1) *
    p.columns.count *
    p.rows.count *
    (p.terms ?? p.meanTerms ?? 1)
  return {
    label: p.label,
    units,
    cost: units === 0 ? 0 : macs / units / productsPerNs(p.mac === 'f32'),
    ...(whole ? { piece: p.piece } : {}),
    emit: (m, at, behind) =>
      m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const unit = scope.local('i32')
          const { code, spans } = spansOf(levels, unit.get, scope)
          const zero = i32.const(0)
          const s = p.scale === undefined ? zero : i32.const(p.scale.base(at))
          const ptr = {
            a: i32.const(p.a.base(at)),
            b: i32.const(p.b.base(at)),
            c: i32.const(p.c.base(at)),
            s,
            k: null,
            from: zero,
            to: zero,
          }
          return forLoop(unit, scope.params[0].get, scope.params[1].get, 1, [
            code,
            insideOf(p, m, at, spans, ptr, scope),
            whole && behind !== undefined ? behind(spans[0].first, spans[0].end) : [],
          ])
        },
      }),
  }
}
