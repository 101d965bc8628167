/** A whole product as one stage: axes, rows and panels of columns split into units, and tiles over what a unit holds. */
import type { Code } from '../../asm/encode.js'
import { control, i32 } from '../../asm/instructions.js'
import { type Scope, forLoop } from '../../asm/module.js'
import type { Stage } from '../../kernel.js'
import { indexed } from './code.js'
import { panelsCode, tilesOf } from './panels.js'
import { bytesOf, held, type Chunks, type Pointers, type Product, type Span, type Sweep } from './product.js'
import { productsPerNs } from '../../machine.js'

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

/** Loops over the axes, outermost first. */
const axesCode = (
  sweep: Sweep,
  spans: readonly Span[],
  ptr: Pointers,
  inside: (ptr: Pointers) => Code,
  level = 0,
): Code => {
  const { p, scope } = sweep
  if (level === p.axes.length)
    return p.chunks === undefined ? inside(ptr) : chunkCode(sweep, p.chunks, spans[level], ptr, inside)
  const axis = p.axes[level]
  if (axis.count === 1) return axesCode(sweep, spans, ptr, inside, level + 1)
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
    axesCode(sweep, spans, next, inside, level + 1),
  ])
}

const chunkCode = (
  { at, scope }: Sweep,
  chunks: Chunks,
  span: Span,
  ptr: Pointers,
  inside: (ptr: Pointers) => Code,
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

const levelsOf = (p: Product): readonly { readonly count: number; readonly block: number }[] => [
  ...p.axes,
  ...(p.chunks === undefined ? [] : [{ count: p.chunks.count, block: 1 }]),
  { count: Math.ceil(p.columns.count / (p.columns.width ?? 16)), block: p.columns.block },
  p.rows,
]

const insideOf = (sweep: Sweep, spans: readonly Span[], ptr: Pointers): Code => {
  const [columns, rows] = spans.slice(-2)
  const tiles = tilesOf(sweep)
  return axesCode(sweep, spans, ptr, (inner) => panelsCode(sweep, [columns, rows], inner, tiles))
}

/** Code for a whole product (its blocks don't matter) whose operands and result start at the given addresses: for use within a unit. */
export const productCode = (
  sweep: Sweep,
  starts: { readonly a: Code<'i32'>; readonly b: Code<'i32'>; readonly c: Code<'i32'> },
): Code => {
  const zero = i32.const(0)
  const spans = levelsOf(sweep.p).map(({ count }) => ({ first: zero, end: i32.const(count), constant: count }))
  return insideOf(sweep, spans, { ...starts, s: zero, k: null, from: zero, to: zero })
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
    ...(whole ? { piece: p.piece, pieces: levels[0].block } : {}),
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
            insideOf({ p, m, at, scope }, spans, ptr),
            whole && behind !== undefined ? behind(spans[0].first, spans[0].end) : [],
          ])
        },
      }),
  }
}
