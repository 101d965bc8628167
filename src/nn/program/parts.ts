/** Which of a network's leaves stored ones can fill. Leaves of state that belong together (a scale, a batch norm's statistics) are filled together. */
import * as E from 'fp-ts/lib/Either.js'
import type { Marked } from '../../data/marks.js'
import { showShape } from '../../data/shape.js'
import { scalar } from '../../data/tensor.js'
import { LEARNED } from '../../quantizers/collection.js'
import { beside } from './meanings.js'
import { counterNow, fits, leafProblem, savedAt, type Saved } from './stored.js'
import type { Wanted, Which } from './wanted.js'

/** Leaves that are filled, by their path; and what of the stored ones is used up by it. */
export type Filled = {
  readonly leaves: readonly (readonly [wanted: Wanted, leaf: Marked])[]
  readonly used: readonly (readonly [which: Which, path: string])[]
}
/** A leaf that isn't filled, and why. */
export type Unfilled = { readonly wanted: Wanted; readonly why: string }

const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('.')))
const nameOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1)

/** Parameters one by one; leaves of state together with those beside them. */
export const partsOf = (wanted: readonly Wanted[]): readonly (readonly Wanted[])[] => {
  const parts = new Map<string, Wanted[]>()
  for (const w of wanted) {
    const key = w.which === 'params' ? `params:${w.path}` : `state:${parentOf(w.path)}`
    const known = parts.get(key)
    if (known === undefined) parts.set(key, [w])
    else known.push(w)
  }
  return [...parts.values()]
}

/** In which tree a leaf is stored: that of its place, or the other one (a binary layer keeps its weight in state). */
const whereIs = (w: Wanted, saved: Saved): Which | null =>
  [w.which, w.which === 'params' ? ('state' as const) : ('params' as const)].find(
    (which) => savedAt(saved, which, w.path) !== undefined,
  ) ?? null

const misfit = (w: Wanted, t: Marked, saved: Saved): string | null =>
  fits(w, t)
    ? (leafProblem(w, t, saved.state)?.message ?? null)
    : `it has shape ${showShape(w.shape)} here, and ${showShape(t.shape)} is stored`

/** One leaf as it is stored, with the marks of its place. */
const same = (w: Wanted, saved: Saved): E.Either<string, readonly [Marked, Which]> => {
  const which = whereIs(w, saved)
  const t = which === null ? undefined : savedAt(saved, which, w.path)
  if (which === null || t === undefined) return E.left('it is not stored')
  const wrong = misfit(w, t, saved)
  if (wrong !== null) return E.left(wrong)
  const now = counterNow(w, t, saved)
  return E.isLeft(now)
    ? E.left(now.left.message)
    : E.right([{ shape: now.right.shape, data: now.right.data, ...w.marks }, which])
}

const COUNTERS = ['counter', 'initDone'] as const

/** Is a stored value one that was learned, by what counts beside it? One that nothing counts was learned from the start. */
const isLearned = (value: Wanted, part: readonly Wanted[], saved: Saved): boolean => {
  const initDone = savedAt(saved, 'state', beside(value.path, 'initDone'))
  if (initDone !== undefined) return initDone.data[0] >= 1
  const counter = savedAt(saved, 'state', beside(value.path, 'counter'))
  if (counter === undefined) return true
  const path = beside(value.path, 'counter')
  const own = part.find((w) => w.path === path)
  const now = counterNow(own ?? { which: 'state', path, shape: [], marks: {}, collection: null }, counter, saved)
  return E.isRight(now) && now.right.data[0] >= LEARNED
}

/** A learned value for a quantizer that came to it in another way: what counts beside it then says that it is learned. */
const byValue = (value: Wanted, part: readonly Wanted[], saved: Saved): E.Either<string, Filled> => {
  const taken = same(value, saved)
  if (E.isLeft(taken)) return taken
  if (!isLearned(value, part, saved))
    return E.left('it was still collecting where it was stored; finish that first (finishCollection)')
  const ends: readonly (readonly [string, number])[] = [
    ['counter', LEARNED],
    ['initDone', 1],
  ]
  const counted = part.flatMap((w) =>
    ends.filter(([name]) => name === nameOf(w.path)).map(([, n]) => [w, { ...scalar(n), ...w.marks }] as const),
  )
  const spent = [...COUNTERS, 'buffer'].map((name) => beside(value.path, name))
  return E.right({
    leaves: [[value, taken.right[0]], ...counted],
    used: [value.path, ...spent.filter((p) => savedAt(saved, 'state', p) !== undefined)].map((p) => ['state', p]),
  })
}

/** All leaves of a part as they are stored. */
const bySame = (part: readonly Wanted[], saved: Saved): E.Either<readonly Unfilled[], Filled> => {
  const found = part.map((w) => [w, same(w, saved)] as const)
  const wrong = found.flatMap(([wanted, t]) => (E.isLeft(t) ? [{ wanted, why: t.left }] : []))
  if (wrong.length > 0)
    return E.left(part.map((w) => wrong.find((u) => u.wanted === w) ?? { wanted: w, why: wrong[0].why }))
  const right = found.flatMap(([w, t]) => (E.isRight(t) ? [[w, t.right] as const] : []))
  return E.right({ leaves: right.map(([w, [t]]) => [w, t]), used: right.map(([w, [, which]]) => [which, w.path]) })
}

/** Fills a part whole, or says why not. */
export const fillPart = (part: readonly Wanted[], saved: Saved): E.Either<readonly Unfilled[], Filled> => {
  const value = part.find((w) => w.which === 'state' && w.marks.learned === true && nameOf(w.path) === 'value')
  if (value === undefined) return bySame(part, saved)
  const counts = (has: (path: string) => boolean): string => COUNTERS.filter((n) => has(beside(value.path, n))).join()
  const alike =
    counts((p) => part.some((w) => w.path === p)) === counts((p) => savedAt(saved, 'state', p) !== undefined)
  const first = alike ? bySame(part, saved) : null
  if (first !== null && E.isRight(first)) return first
  const second = byValue(value, part, saved)
  if (E.isRight(second)) return second
  return first ?? E.left(part.map((wanted) => ({ wanted, why: second.left })))
}
