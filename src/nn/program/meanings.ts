/** Is a leaf of state what its place says it is? Asked of everything that comes from outside: arguments of a run, training states, files. */
import type { QuantError } from '../../data/error.js'
import { COUNT, countProblem, UNTOLD, type Marked } from '../../data/marks.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { at } from '../../data/tree.js'
import type { Program } from '../../graph/program.js'
import { LEARNED } from '../../quantizers/collection.js'
import { lowerEndMeans } from '../../quantizers/meaning.js'

/** A place in a state, as a program's input or a layer declares it. */
export type Place = { readonly path: string; readonly learned: boolean; readonly means?: string }

/** The path of a leaf beside this one. */
export const beside = (path: string, name: string): string => `${path.slice(0, path.lastIndexOf('.') + 1)}${name}`

/** Does nobody read this leaf any more, because the value that was collected in it is learned? */
const isSpent = (place: Place, state: unknown): boolean => {
  const counter = at(state, beside(place.path, 'counter'))
  const value = at(state, beside(place.path, 'value'))
  return !place.learned && isTensor(counter) && isTensor(value) && counter.data[0] >= LEARNED
}

/** What a file of version 1 leaves open: its counters are to be read by the `collectStatsSteps` of the network that wrote it. */
export const UNTOLD_FIX =
  'read the file with parseNetwork(layer)(bytes), or parseCheckpoint(like, layer)(bytes), which know the collectStatsSteps'

/**
 * Can collecting and learned not be told apart? Until marks were stored, a counter said one or the other by an option of the network: a value
 * that says nothing of itself and is no longer what every value begins with may have been learned at that count, or have decayed meanwhile.
 */
export const isOpen = (place: Place, value: Marked, counter: Tensor): boolean => {
  if (value.means !== undefined && value.means !== UNTOLD) return false
  const [count] = counter.data
  const start = place.means?.includes(lowerEndMeans) === true ? 0 : 1
  return count > 0 && count < LEARNED && value.data.some((x) => x !== start)
}

const isOld = (place: Place, t: Marked, state: unknown): boolean => {
  if (!place.learned || !place.path.endsWith('value')) return false
  const counter = at(state, beside(place.path, 'counter'))
  return isTensor(counter) && isOpen(place, t, counter)
}

/** What is wrong with what a leaf means, as message and fix, or null. A leaf that says nothing is taken at its place's word. */
export const meaningProblem = (
  place: Place,
  t: Marked,
  state: unknown,
): { readonly message: string; readonly fix: string } | null => {
  if (place.means === undefined) return null
  if (place.means === COUNT) {
    const wrong = countProblem(t)
    return wrong === null
      ? null
      : { message: `${place.path}: ${wrong}`, fix: 'give the state that init or the last run returned' }
  }
  if (t.means === place.means || isSpent(place, state)) return null
  if (t.means === undefined && !isOld(place, t, state)) return null
  return t.means === undefined || t.means === UNTOLD
    ? {
        message: `${place.path} is ${place.means}, but it does not say whether it was learned (it comes from a file of version 1, or lost its marks), and a counter then meant collecting or learned by an option of the network that wrote it`,
        fix: UNTOLD_FIX,
      }
    : {
        message: `${place.path} was stored as ${t.means}, but here it is ${place.means}`,
        fix: 'give this quantizer the scalingStatsOp, restrictScalingType and zero point with which the state was stored, or start it anew (loadPartial passes it over)',
      }
}

const NONE: readonly QuantError[] = []

/** The same as the errors of a run's arguments. */
export const meaningErrors = (place: Place, t: Marked, state: unknown): readonly QuantError[] => {
  const wrong = meaningProblem(place, t, state)
  return wrong === null ? NONE : [{ tag: 'InputError', input: place.path, path: place.path, ...wrong }]
}

/** All that is wrong with what the leaves of a program's state mean; leaves that are missing are somebody else's concern. */
export const stateErrors = (program: Pick<Program, 'inputs'>, state: unknown): readonly QuantError[] =>
  program.inputs.flatMap((i) => {
    const t = i.kind === 'state' ? at(state, i.path) : undefined
    return isTensor(t) ? meaningErrors(i, t, state) : []
  })
