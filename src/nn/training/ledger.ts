/** What a trainer counts beside its memory: updates of each leaf, and gradients that wait for their update. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import type { Tensor } from '../../data/tensor.js'
import { ACCUMULATED, pendingOf, pendingSlot, waitingProblems, withoutPending } from './accumulation.js'
import { countOfUpdates, slotKey, startsNow, updatesSoFar, type OptimState } from './memory.js'
import type { WithUpdate } from './update.js'
import type { UpdateRule } from './updateRules.js'

/** The counts of a trainer. Not a value: each step moves them on. */
export type Ledger = {
  /** Updates since the latest `load`. */
  readonly taken: () => number
  /** How often the leaf of group `g` was updated. */
  readonly updates: (g: number) => number
  readonly isFirst: (leaf: string) => boolean
  readonly pendingWeight: () => number
  /** Does the next step update? */
  readonly isDue: (closes: boolean) => boolean
  /** A step was taken: an update, or a gradient that waits for one. */
  readonly moved: (weight: number, due: boolean) => void
  readonly load: (optim: OptimState) => E.Either<QuantErrors, null>
  /** The optimizer's state now; `slot` gives the memory's own storage. */
  readonly optimAfter: (before: OptimState, slot: (path: string) => Tensor) => OptimState
  /** An error of a step with the path of the leaf that it is about. */
  readonly located: (error: QuantError) => QuantError
}

const badCount = (leaf: string, updates: number): QuantError => ({
  tag: 'InputError',
  input: leaf,
  path: leaf,
  message: `the optimizer's memory says that ${leaf} was updated ${updates} times`,
  fix: 'give what startTraining, an earlier step or parseCheckpoint returned',
})

/** Copies of the slots of all leaves. */
const copies = (leaves: readonly string[], names: readonly string[], slot: (path: string) => Tensor) =>
  Object.fromEntries(
    leaves.flatMap((leaf) =>
      names.map((name) => {
        const { shape, data } = slot(slotKey(name, leaf))
        return [slotKey(name, leaf), { shape, data: data.slice() }] as const
      }),
    ),
  )

/** Counts for one trainer; `every`: how many steps make an update. */
export const newLedger = (
  rule: UpdateRule,
  { groups, leaves, checked }: Pick<WithUpdate<unknown, unknown, unknown, unknown>, 'groups' | 'leaves' | 'checked'>,
  every: number,
): Ledger => {
  const atLoad = new Float64Array(groups.length)
  const firsts = new Set<string>()
  let [taken, steps, weights] = [0, 0, 0]
  return {
    taken: () => taken,
    updates: (g) => atLoad[g] + taken,
    isFirst: (leaf) => taken === 0 && firsts.has(leaf),
    pendingWeight: () => weights,
    isDue: (closes) => closes || steps + 1 >= every,
    moved: (weight, due) => {
      if (due) {
        taken++
        steps = 0
        weights = 0
      } else {
        steps++
        weights += weight
      }
    },
    load: (optim) => {
      const counts = leaves.map((leaf) => ({ leaf, updates: updatesSoFar(rule, optim, leaf) }))
      const wrong = rule.countsUpdates ? counts.filter((c) => !Number.isInteger(c.updates) || c.updates < 0) : []
      if (wrong.length > 0) return E.left(wrong.map((c) => badCount(c.leaf, c.updates)))
      const pending = pendingOf(optim)
      const waiting = waitingProblems(optim, every)
      if (waiting.length > 0) return E.left(waiting)
      firsts.clear()
      for (const leaf of leaves) if (startsNow(rule, optim, leaf)) firsts.add(leaf)
      groups.forEach((g, i) => {
        atLoad[i] = counts.find((c) => c.leaf === g.leaf)?.updates ?? optim.step
      })
      taken = 0
      steps = pending.batches
      weights = pending.weight
      return E.right(null)
    },
    optimAfter: (before, slot) => {
      const names = rule.slots.map((s) => s.name)
      const counted = leaves.map((leaf) => countOfUpdates(rule, leaf, updatesSoFar(rule, before, leaf) + taken))
      return {
        step: before.step + taken,
        slots: {
          ...withoutPending(before.slots),
          ...(taken === 0 ? {} : { ...copies(leaves, names, slot), ...Object.assign({}, ...counted) }),
          ...(steps === 0 ? {} : { ...copies(leaves, [ACCUMULATED], slot), ...pendingSlot(steps, weights) }),
        },
      }
    },
    located: (error) => {
      const found = checked.find((c) => error.tag === 'NonFinite' && error.message === `${c.says} is not finite`)
      return found === undefined ? error : { ...error, path: found.path }
    },
  }
}
