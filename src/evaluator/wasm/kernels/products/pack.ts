/** Brings operands into the order in which a product reads them. */
import type { Code } from '../../asm/encode.js'
import { control, f32, f32x4, i32, v128 } from '../../asm/instructions.js'
import { forLoop, type Scope } from '../../asm/module.js'
import type { Stage } from '../../kernel.js'
import { advance, indexed, range, transpose4 } from './code.js'
import type { Place } from './layout.js'
import { COPIED_PER_NS, COPY_BLOCK, PACKED_PER_NS, PACKED_SPAN, SEEN_PER_NS, SUM_BLOCK } from '../../machine.js'

/** Bytes of all panels of a packed operand of `terms` rows. */
export const panelBytes = (terms: number, columns: number): number =>
  terms * (Math.floor(columns / 16) * 64 + Math.ceil((columns % 16) / 4) * 16)
/** Step of k within the narrow last panel, or within a wide one where there is none. */
export const narrowStep = (columns: number): number => (columns % 16 === 0 ? 64 : Math.ceil((columns % 16) / 4) * 16)

/** A matrix whose rows (numbers next to each other, one per k) become the columns of panels; repeated over outer steps. */
export type PanelPack = {
  readonly label: string
  readonly source: Place
  readonly target: Place
  readonly columns: number
  readonly columnStep: number
  /** k per repetition, and k of a whole panel (more where repetitions follow each other along k). */
  readonly terms: number
  readonly panelTerms: number
  /** Repetitions, outermost first, and how far they move source and target: in bytes, or in k (`targetTerms`). */
  readonly outer: readonly {
    readonly count: number
    readonly source: number
    readonly target?: number
    readonly targetTerms?: number
  }[]
}

/** Where a panel stands and goes, and its k. */
type PackedSpan = {
  readonly source: Code<'i32'>
  readonly target: Code<'i32'>
  readonly first: Code<'i32'>
  readonly end: Code<'i32'>
}

/** One panel's k from `first` to `end`: transposes four by four, then single numbers. */
const packPanel = (p: PanelPack, scope: Scope, { source, target, first, end }: PackedSpan, width: number): Code => {
  const vectors = Math.ceil(width / 4)
  const step = vectors * 16
  const rows = range(4).map(() => scope.local('v128'))
  const help = range(4).map(() => scope.local('v128'))
  const [from, to, k, whole] = range(4).map(() => scope.local('i32'))
  // Lanes beyond the last column repeat it: any number will do, but nothing may be read outside the operand.
  const column = (v: number, l: number): number => Math.min(4 * v + l, width - 1) * p.columnStep
  const begin: Code = [from.set(indexed(source, first, 4)), to.set(indexed(target, first, step))]
  return [
    whole.set(i32.add(first, i32.and(i32.sub(end, first), i32.const(-4)))),
    range(vectors).map((v) => [
      begin,
      forLoop(k, first, whole.get, 4, [
        rows.map((r, l) => r.set(v128.load(from.get, column(v, l)))),
        transpose4(rows, help),
        rows.map((r, i) => v128.store(to.get, r.get, i * step + 16 * v)),
        advance(from, 16),
        advance(to, 4 * step),
      ]),
    ]),
    begin,
    from.set(indexed(source, whole.get, 4)),
    to.set(indexed(target, whole.get, step)),
    forLoop(k, whole.get, end, 1, [
      range(4 * vectors).map((l) => f32.store(to.get, f32.load(from.get, column(0, l)), 4 * l)),
      advance(from, 4),
      advance(to, step),
    ]),
  ]
}

/** The stage that packs panels; a unit is a span of k of one panel of one repetition. */
export const panelStage = (p: PanelPack): Stage => {
  const panels = Math.ceil(p.columns / 16)
  const wide = Math.floor(p.columns / 16)
  const rest = p.columns - 16 * wide
  const spans = Math.ceil(p.terms / PACKED_SPAN)
  const units = p.outer.reduce((n, o) => n * o.count, panels * spans)
  return {
    label: p.label,
    units,
    cost: units === 0 ? 0 : (Math.min(16, p.columns) * Math.min(PACKED_SPAN, p.terms)) / PACKED_PER_NS,
    emit: (m, at) =>
      m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const [unit, left, first, end, panel, i, source, target] = range(8).map(() => scope.local('i32'))
          const take = (count: number): Code => [
            i.set(i32.rem_u(left.get, i32.const(count))),
            left.set(i32.div_u(left.get, i32.const(count))),
          ]
          // The last panel may be narrower than the others, and packed so.
          const isWhole = i32.lt_u(panel.get, i32.const(wide))
          const stepOf = (terms: number): Code<'i32'> => {
            const [whole, narrow] = [i32.const(64 * terms), i32.const(narrowStep(p.columns) * terms)]
            if (rest === 0) return whole
            return wide === 0 ? narrow : control.select(whole, narrow, isWhole)
          }
          const step = (o: PanelPack['outer'][number]): Code =>
            o.targetTerms === undefined
              ? target.set(indexed(target.get, i.get, o.target ?? 0))
              : target.set(i32.add(target.get, i32.mul(i.get, stepOf(o.targetTerms))))
          const span = { source: source.get, target: target.get, first: first.get, end: end.get }
          const pack = (width: number): Code => packPanel(p, scope, span, width)
          const packs = (): Code => {
            if (rest === 0) return pack(16)
            return wide === 0 ? pack(rest) : control.if(isWhole, pack(16), pack(rest))
          }
          return forLoop(unit, scope.params[0].get, scope.params[1].get, 1, [
            left.set(unit.get),
            take(spans),
            first.set(i32.mul(i.get, i32.const(PACKED_SPAN))),
            end.set(i32.add(first.get, i32.const(PACKED_SPAN))),
            end.set(control.select(end.get, i32.const(p.terms), i32.lt_u(end.get, i32.const(p.terms)))),
            take(panels),
            panel.set(i.get),
            source.set(indexed(i32.const(p.source(at)), panel.get, 16 * p.columnStep)),
            target.set(indexed(i32.const(p.target(at)), panel.get, 64 * p.panelTerms)),
            [...p.outer]
              .reverse()
              .map((o) => [take(o.count), source.set(indexed(source.get, i.get, o.source)), step(o)]),
            packs(),
          ])
        },
      }),
  }
}

/** Copies 32-bit words through nested loops of any strides (bytes), outermost first; a unit is one step of the outermost. */
export const permuteStage = (
  label: string,
  source: Place,
  target: Place,
  axes: readonly { readonly count: number; readonly source: number; readonly target: number }[],
): Stage => ({
  label,
  units: axes[0].count,
  cost: axes.slice(1).reduce((n, a) => n * a.count, 1),
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const nest = (level: number, from: Code<'i32'>, to: Code<'i32'>): Code => {
          if (level === axes.length) return i32.store(to, i32.load(from))
          const { count, source: s, target: t } = axes[level]
          const [i, p, q] = range(3).map(() => scope.local('i32'))
          const outermost = level === 0
          const first = outermost ? scope.params[0].get : i32.const(0)
          return [
            p.set(outermost ? indexed(from, first, s) : from),
            q.set(outermost ? indexed(to, first, t) : to),
            forLoop(i, first, outermost ? scope.params[1].get : i32.const(count), 1, [
              nest(level + 1, p.get, q.get),
              advance(p, s),
              advance(q, t),
            ]),
          ]
        }
        return nest(0, i32.const(source(at)), i32.const(target(at)))
      },
    }),
})

/** Copies memory as it stands; a unit is a block of 16 KiB. */
export const copyStage = (label: string, source: Place, target: Place, bytes: number): Stage => {
  const block = COPY_BLOCK
  return {
    label,
    units: Math.ceil(bytes / block),
    cost: block / COPIED_PER_NS,
    emit: (m, at) =>
      m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const [p, end] = range(2).map(() => scope.local('i32'))
          return [
            end.set(i32.mul(scope.params[1].get, i32.const(block))),
            end.set(control.select(end.get, i32.const(bytes), i32.lt_u(end.get, i32.const(bytes)))),
            forLoop(
              p,
              i32.mul(scope.params[0].get, i32.const(block)),
              end.get,
              4,
              i32.store(i32.add(p.get, i32.const(target(at))), i32.load(i32.add(p.get, i32.const(source(at))))),
            ),
          ]
        },
      }),
  }
}

/** Arrays in order, `step` bytes from one to the next, a multiple of 64. */
export type Parts = { readonly place: Place; readonly step: number; readonly parts: number }

/** Adds up arrays of `count` numbers in order. A unit is 1024 numbers. */
export const sumStage = (label: string, { place: source, step, parts }: Parts, target: Place, count: number): Stage => {
  const block = 4 * SUM_BLOCK
  return {
    label,
    units: Math.ceil((count * 4) / block),
    cost: (parts * SUM_BLOCK) / SEEN_PER_NS,
    emit: (m, at) =>
      m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const [p, q, end, stop] = range(4).map(() => scope.local('i32'))
          const sum = scope.local('v128')
          const bytes = Math.ceil(count / 4) * 16
          return [
            end.set(i32.mul(scope.params[1].get, i32.const(block))),
            end.set(control.select(end.get, i32.const(bytes), i32.lt_u(end.get, i32.const(bytes)))),
            forLoop(p, i32.mul(scope.params[0].get, i32.const(block)), end.get, 16, [
              q.set(i32.add(p.get, i32.const(source(at)))),
              sum.set(v128.load(q.get)),
              stop.set(i32.add(q.get, i32.const(parts * step))),
              advance(q, step),
              forLoop(q, q.get, stop.get, step, sum.set(f32x4.add(sum.get, v128.load(q.get)))),
              v128.store(i32.add(p.get, i32.const(target(at))), sum.get),
            ]),
          ]
        },
      }),
  }
}
