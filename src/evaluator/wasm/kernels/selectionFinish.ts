/** The last step of a row: the wanted element among the candidates that the filter kept, at a bound, or in the whole row. */
import type { Code } from '../asm/encode.js'
import { control, f32, i32 } from '../asm/instructions.js'
import { forLoop, type Func, type Local, type ModuleBuilder, type Scope } from '../asm/module.js'
import type { Places } from '../kernel.js'
import { floatOf, keyOf, selectInPlace, selectKey, type Selection } from './keys.js'
import { bump, wordAt } from './loops.js'
import { CANDIDATE, countEqual, firstEqual, isSame, type Search } from './selectionFilter.js'
import { STRIPS, type SelectionPlan } from './selectionPlan.js'

/** `(x, lane, row)`: finishes a row. */
export type RowFunction = Func<readonly ['i32', 'i32', 'i32']>

/** The last step of a row: its plan, the functions that it calls, where memory lies. */
export type Finish = {
  readonly plan: SelectionPlan
  readonly select: Selection
  readonly whole: Selection
  readonly equal: Search
  readonly first: Search
  readonly at: Places
}

/** What the chunks counted: candidates, elements below the lower bound and equal to it, and strips that were full. */
type Totals = { readonly m: Local; readonly below: Local; readonly equal: Local; readonly full: Local }

const addUp = (scope: Scope, plan: SelectionPlan, lane: Local): { readonly totals: Totals; readonly set: Code } => {
  const totals = {
    m: scope.local('i32'),
    below: scope.local('i32'),
    equal: scope.local('i32'),
    full: scope.local('i32'),
  }
  const [p, end] = [scope.local('i32'), scope.local('i32')]
  const all = [totals.m, totals.below, totals.equal, totals.full]
  return {
    totals,
    set: [
      all.map((t) => t.set(i32.const(0))),
      p.set(i32.add(lane.get, i32.const(plan.at.counts))),
      end.set(i32.add(p.get, i32.const(16 * STRIPS * plan.chunks))),
      forLoop(
        p,
        p.get,
        end.get,
        16,
        all.map((t, i) => bump(t, i32.load(p.get, 4 * i))),
      ),
    ],
  }
}

/** Calls `use` with `p` at each candidate of the row, in order of their indices. */
const overCandidates = (scope: Scope, plan: SelectionPlan, lane: Local, p: Local, use: Code): Code => {
  const [c, end] = [scope.local('i32'), scope.local('i32')]
  return forLoop(c, i32.const(0), i32.const(STRIPS * plan.chunks), 1, [
    p.set(i32.add(i32.add(lane.get, i32.const(plan.at.candidates)), i32.mul(c.get, i32.const(plan.room * CANDIDATE)))),
    end.set(
      i32.add(p.get, i32.shl(i32.load(i32.add(lane.get, i32.shl(c.get, i32.const(4))), plan.at.counts), i32.const(3))),
    ),
    forLoop(p, p.get, end.get, CANDIDATE, use),
  ])
}

/** Sets `key` to the key of rank `r` among the `m` candidates. */
const amongCandidates = (
  scope: Scope,
  { plan, select }: Finish,
  lane: Local,
  key: Local,
  { m, r }: { readonly m: Local; readonly r: Local },
): Code => {
  const [p, to, bits] = [scope.local('i32'), scope.local('i32'), scope.local('i32')]
  const keys = i32.add(lane.get, i32.const(plan.at.keys))
  return [
    to.set(keys),
    overCandidates(scope, plan, lane, p, [
      bits.set(i32.load(p.get)),
      i32.store(to.get, keyOf(bits, plan.abs)),
      bump(to, 4),
    ]),
    key.set(select.call(keys, m.get, r.get, i32.add(lane.get, i32.const(plan.at.counters)))),
  ]
}

/** Sets `index` to that of the first candidate equal to v. */
const firstCandidate = (scope: Scope, plan: SelectionPlan, lane: Local, v: Local<'f32'>, index: Local): Code => {
  const [p, x] = [scope.local('i32'), scope.local('f32')]
  return control.block([
    overCandidates(scope, plan, lane, p, [
      x.set(f32.load(p.get)),
      // Out of two loops of two blocks each, and the block around them.
      control.if(isSame(x, v), [index.set(i32.load(p.get, 4)), control.br(5)]),
    ]),
  ])
}

/** How the wanted element is had. */
const HOW = { search: 0, candidate: 1, lower: 2, upper: 3 } as const

type Ranked = { readonly how: Local; readonly r: Local; readonly totals: Totals }

/** Where the element lies as far as bounds and counts tell: leaves `how`, and the rank among the candidates in `r`. */
const locate = (
  { plan, equal }: Finish,
  x: Local,
  lane: Local,
  { how, r, totals: { m, below, equal: e } }: Ranked,
): Code => {
  const { side, n, k, most } = plan
  const is = (what: number): Code => how.set(i32.const(what))
  const less = (a: Local, b: Local): Code<'i32'> => i32.lt_u(a.get, b.get)
  const count = (bound: number): Code<'i32'> => equal.call(x.get, i32.const(n), f32.load(lane.get, bound))
  const atBound = (bound: number, what: number): Code => [
    r.set(i32.sub(r.get, m.get)),
    control.if(i32.lt_u(r.get, count(bound)), is(what)),
  ]
  const candidate = control.if(i32.le_u(m.get, i32.const(most)), is(HOW.candidate))
  const fromBelow = control.if(less(r, m), candidate, atBound(4, HOW.upper))
  if (side === 'above')
    return [
      r.set(i32.const(n - k)),
      control.if(less(r, m), [r.set(i32.sub(i32.sub(m.get, i32.const(1)), r.get)), candidate], atBound(0, HOW.lower)),
    ]
  if (side === 'below') return [r.set(i32.const(k - 1)), fromBelow]
  return [
    r.set(i32.sub(i32.const(k - 1), below.get)),
    control.if(
      i32.ge_s(r.get, i32.const(0)),
      control.if(less(r, e), is(HOW.lower), [r.set(i32.sub(r.get, e.get)), fromBelow]),
    ),
  ]
}

/** Writes the chosen value of a row, and its index where that is wanted. */
const writeChosen = (finish: Finish, row: Local, v: Local<'f32'>, index: Local): Code => [
  f32.store(wordAt(i32.const(finish.at.outs[0]), row.get), v.get),
  finish.at.outs.length > 1 ? i32.store(wordAt(i32.const(finish.at.outs[1]), row.get), index.get) : [],
]

/** `(x, lane, row)`: the last step of a row whose candidates are known. */
export const finishRow = (m: ModuleBuilder, finish: Finish): RowFunction =>
  m.func({
    params: ['i32', 'i32', 'i32'],
    body: (scope) => {
      const { plan, whole, first, at } = finish
      const [x, lane, row] = scope.params
      const { totals, set } = addUp(scope, plan, lane)
      const ranked: Ranked = { how: scope.local('i32'), r: scope.local('i32'), totals }
      const [index, key, v] = [scope.local('i32'), scope.local('i32'), scope.local('f32')]
      const indexed = at.outs.length > 1
      const { how } = ranked
      return [
        how.set(i32.const(HOW.search)),
        set,
        control.if(i32.eqz(totals.full.get), locate(finish, x, lane, ranked)),
        control.if(
          i32.eq(how.get, i32.const(HOW.candidate)),
          [
            amongCandidates(scope, finish, lane, key, { m: totals.m, r: ranked.r }),
            v.set(floatOf(key, plan.abs)),
            indexed ? firstCandidate(scope, plan, lane, v, index) : [],
          ],
          [
            control.if(
              how.get,
              v.set(
                f32.add(
                  control.select(f32.load(lane.get), f32.load(lane.get, 4), i32.eq(how.get, i32.const(HOW.lower))),
                  f32.const(0),
                ),
              ),
              [
                key.set(
                  whole.call(
                    x.get,
                    i32.const(plan.n),
                    i32.const(plan.k - 1),
                    i32.add(lane.get, i32.const(plan.at.counters)),
                  ),
                ),
                v.set(floatOf(key, plan.abs)),
              ],
            ),
            indexed ? index.set(first.call(x.get, i32.const(plan.n), v.get)) : [],
          ],
        ),
        writeChosen(finish, row, v, index),
      ]
    },
  })

/** `(x, lane, row)`: a short row, of whose elements all are candidates. */
export const shortRow = (m: ModuleBuilder, finish: Finish): RowFunction =>
  m.func({
    params: ['i32', 'i32', 'i32'],
    body: (scope) => {
      const { plan, select, first, at } = finish
      const [x, lane, row] = scope.params
      const [p, to, end, bits, key, index] = Array.from({ length: 6 }, () => scope.local('i32'))
      const v = scope.local('f32')
      const keys = i32.add(lane.get, i32.const(plan.at.keys))
      return [
        to.set(keys),
        end.set(wordAt(x.get, i32.const(plan.n))),
        forLoop(p, x.get, end.get, 4, [
          bits.set(i32.load(p.get)),
          i32.store(to.get, keyOf(bits, plan.abs)),
          bump(to, 4),
        ]),
        key.set(
          select.call(keys, i32.const(plan.n), i32.const(plan.k - 1), i32.add(lane.get, i32.const(plan.at.counters))),
        ),
        v.set(floatOf(key, plan.abs)),
        at.outs.length > 1 ? index.set(first.call(x.get, i32.const(plan.n), v.get)) : [],
        writeChosen(finish, row, v, index),
      ]
    },
  })

/** What the last step of a row calls. */
export const newFinish = (m: ModuleBuilder, plan: SelectionPlan, at: Places): Finish => ({
  plan,
  at,
  select: selectKey(m),
  whole: selectInPlace(m, plan.abs),
  equal: countEqual(m, plan.abs),
  first: firstEqual(m, plan.abs),
})
