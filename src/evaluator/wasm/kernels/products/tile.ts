/**
 * The micro-kernel of all products: `C[i][j] = Σ_k A[i][k] * B[k][j]` for a few rows and up to 16 columns, held in
 * registers. A number of A is spread over a vector and meets vectors of B. Where A and B stand for the next k is told by a
 * step or by a table of offsets, so that a convolution needs no copy of its windows.
 * One k a turn: V8 11 hoists all loads of a turn and would spill registers with more.
 */
import type { Code } from '../../asm/encode.js'
import { control, f32x4, i32, i32x4, i8x16, relaxed, v128 } from '../../asm/instructions.js'
import type { Func, Local, ModuleBuilder, Scope } from '../../asm/module.js'
import type { Places } from '../../kernel.js'
import { advance, range, repeatUntil, storeLanes, transpose4, zipHigh, zipLow, type Writing } from './code.js'
import type { Place } from './layout.js'
import { FLOAT_SUM_BLOCK } from '../../machine.js'

/** How an operand goes on with k: by a number of bytes, or to its start plus an entry (in bytes) of a table. */
export type Walk = { readonly step: number } | { readonly table: Place }

/** Float products, or products of pairs of 16-bit integers or of four bytes (two, four k in one lane), exact in 32 bits. */
export type Mac = 'f32' | 'i16' | ByteMac

/**
 * Bytes: `x` is the operand of which the engine multiplies 7 bits at least; where these are not all (`split`: of a signed or
 * an unsigned one), the top bits are multiplied and summed apart.
 */
export type ByteMac = { readonly x: 'a' | 'b'; readonly split: 'signed' | 'unsigned' | null }

/** A panel of rows by columns. All steps are in bytes. */
export type TileSpec = {
  readonly mac: Mac
  readonly height: number
  readonly vectors: number
  /** Columns of the last vector that are stored. */
  readonly lanes: number
  /** Distance of rows of A; null if a table (parameter `r`) tells where each row starts. */
  readonly rowStep: number | null
  readonly a: Walk
  readonly b: Walk
  /** Number of k, or null if the caller names the range of the table (in bytes). */
  readonly terms: number | null
  /** One of them is 4. */
  readonly result: { readonly row: number; readonly column: number }
  /** Integer sums are multiplied by a number for each row or for each column, or stay integers. */
  readonly scale: 'rows' | 'columns' | null
  /** Are the sums added to what is there? (Where columns are next to each other.) */
  readonly adds: boolean
}

/** A tile: where its operands start and its result, how many times, tables, and the range of k. */
export type TileFunction = Func<readonly ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32']>

/** What a tile works with: accumulators and their totals, by row and vector. */
type Registers = {
  readonly acc: readonly (readonly Local<'v128'>[])[]
  /** Sums of the top bits, where they are taken apart. */
  readonly top: readonly (readonly Local<'v128'>[])[]
  readonly b: readonly Local<'v128'>[]
  readonly av: Local<'v128'>
}

/** Where the operands stand as k goes on: rows of a, b, the table over k, and what it says of a. */
type Standing = { readonly rows: readonly Local[]; readonly b: Local; readonly t: Local; readonly q: Local }

/** What the code of a tile is written with. */
type Tile = Writing & { readonly spec: TileSpec; readonly regs: Registers; readonly ptr: Standing }

/** Does a table tell where an operand stands for the next k? */
const isTabled = ({ a, b }: TileSpec): boolean => 'table' in a || 'table' in b

/** `acc[i][j] += a * b`. */
const multiplyAdd = (m: ModuleBuilder, mac: Mac, { acc, top, av, b }: Registers, i: number, j: number): Code => {
  const sum = acc[i][j]
  const [a, v] = [av.get, b[j].get]
  if (mac === 'f32') return sum.set(m.multiplyAdd(a, v, sum.get))
  if (mac === 'i16') return sum.set(i32x4.add(sum.get, i32x4.dot_i16x8_s(a, v)))
  const [w, x] = mac.x === 'a' ? [v, a] : [a, v]
  if (mac.split === null) return sum.set(relaxed.i8x16_dot_i7x16_add(w, x, sum.get))
  const high = top[i][j]
  return [
    sum.set(relaxed.i8x16_dot_i7x16_add(w, v128.and(x, i32x4.const(0x7f7f7f7f)), sum.get)),
    high.set(relaxed.i8x16_dot_i7x16_add(w, i8x16.shr_u(x, 7), high.get)),
  ]
}

/** Top bits count 128, or -128 of a signed byte. */
const joinTops = ({ mac }: TileSpec, { acc, top }: Registers): Code =>
  typeof mac === 'string' || mac.split === null
    ? []
    : acc.map((row, i) =>
        row.map((sum, j) =>
          sum.set((mac.split === 'signed' ? i32x4.sub : i32x4.add)(sum.get, i32x4.shl(top[i][j].get, 7))),
        ),
      )

const zero = (locals: readonly (readonly Local<'v128'>[])[]): Code => locals.flat().map((l) => l.set(i32x4.const(0)))

/** The loop over k from where the pointers stand to `stop`. */
const loopOverTerms = ({ m, at, scope, spec, regs, ptr }: Tile, stop: Code<'i32'>): Code => {
  const { a, b, height, rowStep } = spec
  const tabled = isTabled(spec)
  const from = scope.local('i32')
  const fromTable = 'table' in b ? from.set(i32.add(ptr.b.get, i32.load(ptr.t.get, b.table(at)))) : []
  const bAt = 'table' in b ? from.get : ptr.b.get
  const walksA = 'table' in a
  const rowAt = (i: number): Code<'i32'> => (rowStep === null ? ptr.rows[i].get : ptr.rows[0].get)
  const base = scope.local('i32')
  // With affine rows the table's offset is added once; with tabled rows, to each.
  const once = walksA && rowStep !== null
  const address = (i: number): Code<'i32'> => {
    if (once) return base.get
    return walksA ? i32.add(rowAt(i), ptr.q.get) : rowAt(i)
  }
  return repeatUntil(tabled ? ptr.t : ptr.b, stop, [
    walksA ? ptr.q.set(i32.load(ptr.t.get, a.table(at))) : [],
    once ? base.set(i32.add(ptr.rows[0].get, ptr.q.get)) : [],
    fromTable,
    regs.b.map((v, j) => v.set(v128.load(bAt, 16 * j))),
    range(height).map((i) => [
      regs.av.set(v128.load32_splat(address(i), rowStep === null ? 0 : i * rowStep)),
      regs.b.map((_, j) => multiplyAdd(m, spec.mac, regs, i, j)),
    ]),
    'step' in a ? (rowStep === null ? ptr.rows : ptr.rows.slice(0, 1)).map((p) => advance(p, a.step)) : [],
    'step' in b ? advance(ptr.b, b.step) : [],
    tabled ? advance(ptr.t, 4) : [],
  ])
}

/** Where a vector of columns is stored: its first column, bytes to the next one, how many there are. */
type Columns = { readonly c: Code<'i32'>; readonly column: number; readonly lanes: number }

/** Stores rows `i` … of one vector of columns so that rows are next to each other in memory. */
const storeDown = (
  to: Columns,
  rows: readonly Local<'v128'>[],
  help: readonly Local<'v128'>[],
  offset: number,
): Code => {
  const { c, column, lanes } = to
  const place = (l: number): number => offset + l * column
  if (rows.length >= 4)
    return [
      transpose4(rows.slice(0, 4), help),
      range(lanes).map((l) => v128.store(c, rows[l].get, place(l))),
      rows.length > 4 ? storeDown(to, rows.slice(4), help, offset + 16) : [],
    ]
  if (rows.length === 1) return range(lanes).map((l) => v128.store32_lane(l, c, rows[0].get, place(l)))
  const [low, high] = help
  return [
    low.set(zipLow(rows[0].get, rows[1].get)),
    high.set(zipHigh(rows[0].get, rows[1].get)),
    range(lanes).map((l) => v128.store64_lane(l % 2, c, (l < 2 ? low : high).get, place(l))),
    rows.length > 2 ? storeDown(to, rows.slice(2), help, offset + 8) : [],
  ]
}

const scaled = (spec: TileSpec, acc: readonly (readonly Local<'v128'>[])[], s: Code<'i32'>, regs: Registers): Code => {
  if (spec.mac === 'f32' || spec.scale === null) return []
  const by = spec.scale === 'columns' ? regs.b.map((v, j) => v.set(v128.load(s, 16 * j))) : []
  return [
    by,
    acc.map((row, i) => [
      spec.scale === 'rows' ? regs.av.set(v128.load32_splat(s, 4 * i)) : [],
      row.map((v, j) =>
        v.set(f32x4.mul(f32x4.convert_i32x4_s(v.get), spec.scale === 'rows' ? regs.av.get : regs.b[j].get)),
      ),
    ]),
  ]
}

const storeTile = (spec: TileSpec, acc: readonly (readonly Local<'v128'>[])[], c: Code<'i32'>, scope: Scope): Code => {
  const lanesOf = (j: number): number => (j === spec.vectors - 1 ? spec.lanes : 4)
  const { row, column } = spec.result
  if (column === 4)
    return acc.map((vs, i) =>
      vs.map((v, j) => [
        spec.adds ? v.set(f32x4.add(v128.load(c, i * row + 16 * j), v.get)) : [],
        storeLanes(c, v.get, lanesOf(j), i * row + 16 * j),
      ]),
    )
  // Rows are zipped in pairs, or transposed in fours.
  const helpers = [0, 0, 2, 2][spec.height] ?? 4
  const help = range(helpers).map(() => scope.local('v128'))
  return range(spec.vectors).map((j) =>
    storeDown(
      { c, column, lanes: lanesOf(j) },
      acc.map((vs) => vs[j]),
      help,
      4 * j * column,
    ),
  )
}

/** Emits the sums over all k: in one loop, or in blocks that are added up. Gives the locals that hold them. */
const sums = (tile: Tile, end: Code<'i32'>): { readonly code: Code; readonly held: Registers['acc'] } => {
  const { scope, spec, regs, ptr } = tile
  const tabled = isTabled(spec)
  const blocks = spec.mac !== 'f32' || spec.terms === null ? 1 : Math.ceil(spec.terms / FLOAT_SUM_BLOCK)
  if (blocks === 1)
    return {
      code: [zero(regs.acc), zero(regs.top), loopOverTerms(tile, end), joinTops(spec, regs)],
      held: regs.acc,
    }
  const totals = regs.acc.map((row) => row.map(() => scope.local('v128')))
  const counter = tabled ? ptr.t : ptr.b
  const unit = tabled || !('step' in spec.b) ? 4 : spec.b.step
  const stop = scope.local('i32')
  const size = Math.ceil((spec.terms ?? 0) / blocks) * unit
  return {
    code: [
      zero(totals),
      repeatUntil(counter, end, [
        stop.set(i32.add(counter.get, i32.const(size))),
        stop.set(control.select(stop.get, end, i32.lt_u(stop.get, end))),
        zero(regs.acc),
        loopOverTerms(tile, stop.get),
        totals.map((row, i) => row.map((t, j) => t.set(f32x4.add(t.get, regs.acc[i][j].get)))),
      ]),
    ],
    held: totals,
  }
}

/**
 * Emits a function `(a, b, c, n, r, s, from, to)` that computes `n` (at least 1) times `height` rows of one panel:
 * a and b are where the operands start, c where the first row of the result goes, r the table of rows, s the scales.
 */
export const tileFunction = (m: ModuleBuilder, spec: TileSpec, at: Places): TileFunction =>
  m.func({
    params: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'],
    body: (scope) => {
      const [a, b, c, n, r, s, from, to] = scope.params
      const sum = (): Local<'v128'> => scope.local('v128')
      const splits = typeof spec.mac === 'object' && spec.mac.split !== null
      const regs: Registers = {
        acc: range(spec.height).map(() => range(spec.vectors).map(sum)),
        top: splits ? range(spec.height).map(() => range(spec.vectors).map(sum)) : [],
        b: range(spec.vectors).map(() => scope.local('v128')),
        av: scope.local('v128'),
      }
      const tabled = isTabled(spec)
      const ptr = {
        rows: range(spec.rowStep === null ? spec.height : 1).map(() => scope.local('i32')),
        b: scope.local('i32'),
        t: scope.local('i32'),
        q: scope.local('i32'),
      }
      const last = scope.local('i32')
      const stepB = 'step' in spec.b ? spec.b.step : 0
      const known = (terms: number): Code<'i32'> => (tabled ? i32.const(terms * 4) : last.get)
      const end = spec.terms === null ? to.get : known(spec.terms)
      const { code, held } = sums({ m, at, scope, spec, regs, ptr }, end)
      return [
        tabled || spec.terms === null ? [] : last.set(i32.add(b.get, i32.const(spec.terms * stepB))),
        control.loop([
          ptr.rows.map((p, i) => p.set(spec.rowStep === null ? i32.add(a.get, i32.load(r.get, 4 * i)) : a.get)),
          ptr.b.set(b.get),
          tabled ? ptr.t.set(spec.terms === null ? from.get : i32.const(0)) : [],
          code,
          scaled(spec, held, s.get, regs),
          storeTile(spec, held, c.get, scope),
          spec.rowStep === null ? advance(r, 4 * spec.height) : advance(a, spec.height * spec.rowStep),
          advance(c, spec.height * spec.result.row),
          spec.scale === 'rows' ? advance(s, 4 * spec.height) : [],
          control.br_if(0, n.tee(i32.sub(n.get, i32.const(1)))),
        ]),
      ]
    },
  })
