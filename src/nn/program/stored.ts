/**
 * The loader of stored parameters and state: every leaf is checked against what the network keeps, and files of version 1 are brought to
 * what a state says today. Checkpoints, networks without an optimizer and partial loading all read through it.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import { nearestName } from '../../data/fields.js'
import { COUNT, UNTOLD, type Marked } from '../../data/marks.js'
import { sameShape, showShape, sizeOf } from '../../data/shape.js'
import { isTensor, scalar, type Tensor } from '../../data/tensor.js'
import { at, leaves, mapTree } from '../../data/tree.js'
import { LEARNED } from '../../quantizers/collection.js'
import { lowerEndMeans } from '../../quantizers/meaning.js'
import { beside, isOpen, meaningProblem, UNTOLD_FIX } from './meanings.js'
import type { Wanted, Which } from './wanted.js'

/** Two trees of tensors that may be parameters and state. */
export type Saved = { readonly params: unknown; readonly state: unknown }

/** What is wrong, and how to mend it. */
export type Problem = { readonly message: string; readonly fix: string }

/** It is the file of another network. */
const another = (message: string): Problem => ({
  message: `it belongs to another network: ${message}`,
  fix: 'give a file that this network wrote, or take over what fits with loadPartial',
})

/** The tensor at a leaf's place, if there is one. */
export const savedAt = (saved: Saved, which: Which, path: string): Marked | undefined => {
  const t = at(saved[which], path)
  return isTensor(t) ? t : undefined
}

/** Has a stored leaf the size of its place? */
export const fits = (w: Wanted, t: Tensor): boolean => sameShape(t.shape, w.shape) && t.data.length === sizeOf(w.shape)

/** What is wrong with a stored leaf at its place, or null. Learned leaves that say nothing pass: their counters are judged by `counterNow`. */
export const leafProblem = (w: Wanted, t: Marked, state: unknown): Problem | null => {
  if (!fits(w, t)) return another(`${w.path} has shape ${showShape(t.shape)}, but ${showShape(w.shape)} is expected`)
  return w.marks.means !== COUNT && (t.means === UNTOLD || t.means === undefined)
    ? null
    : meaningProblem({ path: w.path, learned: w.marks.learned === true, ...w.marks }, t, state)
}

/**
 * What a counter says today. In a file of version 1, or a state without marks, a learned quantizer stood at one more than its `collectStatsSteps`; a value that is
 * still what every value begins with can't have been learned (or learning changed nothing). What neither decides is refused.
 */
export const counterNow = (w: Wanted, counter: Tensor, saved: Saved): E.Either<Problem, Tensor> => {
  const path = beside(w.path, 'value')
  const value = savedAt(saved, 'state', path)
  const means = w.path.endsWith('zeroPoint.counter') ? { means: lowerEndMeans } : {}
  if (w.collection === undefined || value === undefined || !isOpen({ path, learned: true, ...means }, value, counter))
    return E.right(counter)
  const [count] = counter.data
  if (w.collection !== null && count === w.collection.steps + 1) return E.right(scalar(LEARNED))
  return E.left({
    message: `${w.path} is ${count} in ${value.means === UNTOLD ? 'a file of version 1' : 'a state without marks'}, where a counter meant collecting or learned by the collectStatsSteps of the network that wrote it${w.collection === null ? '' : `; here that is ${w.collection.steps}, which does not fit`}`,
    fix:
      w.collection === null
        ? UNTOLD_FIX
        : 'read it into a network with the collectStatsSteps with which it was trained, store it anew, and read that',
  })
}

const readLeaf = (w: Wanted, saved: Saved): E.Either<Problem, Marked> => {
  const t = savedAt(saved, w.which, w.path)
  if (t === undefined) return E.left(another(`${w.path} is missing`))
  const wrong = leafProblem(w, t, saved.state)
  if (wrong !== null) return E.left(wrong)
  return E.map((now: Tensor): Marked => ({ shape: now.shape, data: now.data, ...w.marks }))(counterNow(w, t, saved))
}

/** Leaves that the network doesn't have. */
export const leftOver = (
  wanted: readonly Wanted[],
  saved: Saved,
): readonly { readonly which: Which; readonly path: string }[] => {
  const known = new Set(wanted.map((w) => `${w.which}:${w.path}`))
  return (['params', 'state'] as const).flatMap((which) =>
    leaves(isTensor, saved[which])
      .filter(({ path }) => !known.has(`${which}:${path}`))
      .map(({ path }) => ({ which, path })),
  )
}

/** Of so many leaves that are left over the nearest names are looked for. */
const FEW = 10

/** A leaf that nobody wants. */
const unwanted = (wanted: readonly Wanted[], which: Which, path: string, look: boolean): Problem => {
  const names = look ? wanted.filter((w) => w.which === which).map((w) => w.path) : []
  const near = nearestName(path, names)
  return another(
    `${path} is stored, but this network has no such leaf${near === undefined ? '' : ` (the nearest is ${near})`}`,
  )
}

/**
 * All of a network from a stored one, in the structure of `like`: every leaf must be there, of its shape and meaning, and no other. Marks
 * become those of the network.
 */
export const readWhole =
  <T extends Saved>(like: T, wanted: readonly Wanted[], where: string) =>
  (saved: Saved): E.Either<QuantErrors, { readonly params: T['params']; readonly state: T['state'] }> => {
    const read = new Map<string, Marked>()
    const errors: QuantError[] = []
    for (const w of wanted) {
      const leaf = readLeaf(w, saved)
      if (E.isLeft(leaf)) errors.push({ tag: 'ParseError', where, path: w.path, ...leaf.left })
      else read.set(`${w.which}:${w.path}`, leaf.right)
    }
    leftOver(wanted, saved).forEach(({ which, path }, i) =>
      errors.push({ tag: 'ParseError', where, path, ...unwanted(wanted, which, path, i < FEW) }),
    )
    if (errors.length > 0) return E.left(errors)
    const put =
      (which: Which) =>
      (t: Tensor, path: string): Tensor =>
        read.get(`${which}:${path}`) ?? t
    return E.right({
      params: mapTree(isTensor, like.params, put('params')) as T['params'],
      state: mapTree(isTensor, like.state, put('state')) as T['state'],
    })
  }
