/** Bounds of a row from samples at fixed places. */
import type { Code } from '../asm/encode.js'
import { control, f32, i32, memory } from '../asm/instructions.js'
import { forLoop, type Func, type Local, type ModuleBuilder, type Scope, type Units } from '../asm/module.js'
import { floatOf, keyOf, type Selection } from './keys.js'
import { bump, whileLoop, wordAt } from './loops.js'
import type { SelectionPlan } from './selectionPlan.js'
import { LISTED_SAMPLES } from '../machine.js'

/** Calls `use(key)` for each sample: one from every `step` elements, at a place in them that varies (golden section), so that no period of the data is met. */
const overSamples = (scope: Scope, { samples, step, abs }: SelectionPlan, x: Local, key: Local, use: Code): Code => {
  const [i, base, bits, hash] = Array.from({ length: 4 }, () => scope.local('i32'))
  const within = i32.shr_u(
    i32.mul(i32.shr_u(hash.get, i32.const(18)), i32.const(Math.min(step, 262143))),
    i32.const(14),
  )
  return [
    base.set(x.get),
    hash.set(i32.const(0)),
    forLoop(i, i32.const(0), i32.const(samples), 1, [
      bits.set(i32.load(step === 1 ? base.get : wordAt(base.get, within))),
      key.set(keyOf(bits, abs)),
      use,
      bump(hash, 0x9e3779b1 | 0),
      bump(base, step * 4),
    ]),
  ]
}

/** Puts a key into the ascending list at `list`, whose smallest it replaces. */
const insert = (scope: Scope, list: Local, last: Local, key: Local): Code => {
  const at = scope.local('i32')
  return control.if(i32.gt_u(key.get, i32.load(list.get)), [
    at.set(list.get),
    whileLoop(i32.lt_u(at.get, last.get), [
      control.br_if(1, i32.ge_u(i32.load(at.get, 4), key.get)),
      i32.store(at.get, i32.load(at.get, 4)),
      bump(at, 4),
    ]),
    i32.store(at.get, key.get),
  ])
}

/** The bound of `rank` samples from the upper or lower end, by a list of the best so far. */
const byList = (scope: Scope, plan: SelectionPlan, x: Local, lane: Local): Code => {
  const [key, list, last] = Array.from({ length: 3 }, () => scope.local('i32'))
  // From the lower end the complements of the keys are listed.
  const flip: Code = plan.side === 'below' ? key.set(i32.xor(key.get, i32.const(-1))) : []
  return [
    list.set(i32.add(lane.get, i32.const(plan.at.keys))),
    last.set(i32.add(list.get, i32.const(4 * (plan.rank - 1)))),
    memory.fill(list.get, i32.const(0), i32.const(4 * plan.rank)),
    overSamples(scope, plan, x, key, [flip, insert(scope, list, last, key)]),
    key.set(i32.load(list.get)),
    flip,
    f32.store(lane.get, floatOf(key, plan.abs), plan.side === 'below' ? 4 : 0),
  ]
}

/** A row and its memory, and the way to select in that. */
type Row = { readonly x: Local; readonly lane: Local; readonly select: Selection }

/** Stores the sample of rank `rank` (from 0) at `lane + offset`. */
const bySelection = (
  scope: Scope,
  plan: SelectionPlan,
  { x, lane, select }: Row,
  rank: number,
  offset: number,
): Code => {
  const [key, to] = [scope.local('i32'), scope.local('i32')]
  const keys = i32.add(lane.get, i32.const(plan.at.keys))
  return [
    to.set(keys),
    overSamples(scope, plan, x, key, [i32.store(to.get, key.get), bump(to, 4)]),
    key.set(
      select.call(keys, i32.const(plan.samples), i32.const(rank), i32.add(lane.get, i32.const(plan.at.counters))),
    ),
    f32.store(lane.get, floatOf(key, plan.abs), offset),
  ]
}

/** `(row, lane)`: writes the bounds of a row at `lane` (lower) and `lane + 4` (upper). */
export const sampleBounds = (m: ModuleBuilder, plan: SelectionPlan, select: Selection): Func<Units> =>
  m.func({
    params: ['i32', 'i32'],
    body: (scope) => {
      const [x, lane] = scope.params
      const row = { x, lane, select }
      const { side, rank, ranks, samples } = plan
      if (side === 'between') return ranks.map((r, i) => bySelection(scope, plan, row, r, 4 * i))
      // Up to this rank the best samples are kept in a sorted list; beyond it all are selected from.
      if (rank <= LISTED_SAMPLES) return byList(scope, plan, x, lane)
      return side === 'above'
        ? bySelection(scope, plan, row, samples - rank, 0)
        : bySelection(scope, plan, row, rank - 1, 4)
    },
  })
