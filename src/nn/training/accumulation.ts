/** Gradients of several batches as one: their mean, weighted by the sizes of the batches. */
import { failure, type QuantError } from '../../data/error.js'
import { full, isTensor, tensorOf, type Tensor } from '../../data/tensor.js'
import { at, leaves, mapTree } from '../../data/tree.js'
import type { Grads } from '../program/binding.js'
import { slotKey, type OptimState } from './memory.js'
import { demandArguments, numbers, required } from '../../data/fields.js'
import { gradsField, inputError } from './options.js'

/** Slot of the gradients that wait: their sum, each times its weight. */
export const ACCUMULATED = 'accumulated'
/** Of how many batches, and with which weight in all, gradients wait; absent where none do. */
export const PENDING = 'pending:batches'

/** How many batches wait for their update in an optimizer's state, and with which weight in all. */
export const pendingOf = (optim: OptimState): { readonly batches: number; readonly weight: number } => {
  const [batches = 0, weight = 0] = optim.slots[PENDING]?.data ?? []
  return { batches, weight }
}

/** Gradients wait for their update, but a training of an update `every` so many batches has none for them: none is lost in silence. */
export const waitingProblems = (optim: OptimState, every: number): readonly QuantError[] => {
  const { batches } = pendingOf(optim)
  return batches === 0 || every > 1
    ? []
    : [
        inputError(
          'accumulate',
          `the training state holds gradients of ${batches} batches that wait for their update, but this training does not accumulate`,
          'go on with the same accumulate, or from a state behind an update',
        ),
      ]
}

/** An optimizer's memory without gradients that wait. */
export const withoutPending = (slots: OptimState['slots']): OptimState['slots'] =>
  Object.fromEntries(Object.entries(slots).filter(([k]) => k !== PENDING && !k.startsWith(`${ACCUMULATED}:`)))

/** What is stored of so many batches that wait. */
export const pendingSlot = (batches: number, weight: number): OptimState['slots'] => ({
  [PENDING]: tensorOf([2], [batches, weight]),
})

const MEAN = {
  all: required({
    says: 'a list of gradients, as runs gave them',
    like: '[a.grads, b.grads]',
    holds: (x: unknown) => Array.isArray(x) && x.every(gradsField.holds),
  }),
  weights: required(numbers),
}

const KINDS = [
  ['param', 'params'],
  ['state', 'state'],
] as const

/** One more gradient that waits, in float32 order as a compiled step does it. */
export const withGradient = (optim: OptimState, grads: Grads, weight: number): OptimState => {
  const w = Math.fround(weight)
  const sums = KINDS.flatMap(([kind, tree]) =>
    leaves(isTensor, grads[tree]).map(({ path, leaf: g }): readonly [string, Tensor] => {
      const key = slotKey(ACCUMULATED, `${kind}.${path}`)
      const before = optim.slots[key] ?? full(g.shape, 0)
      return [key, { shape: g.shape, data: g.data.map((x, i) => before.data[i] + Math.fround(x * w)) }]
    }),
  )
  const pending = pendingOf(optim)
  return {
    ...optim,
    slots: {
      ...optim.slots,
      ...Object.fromEntries(sums),
      ...pendingSlot(pending.batches + 1, pending.weight + weight),
    },
  }
}

/** The mean of the gradients that wait, in the structure of one of them. */
export const meanOfPending = (optim: OptimState, like: Grads): Grads => {
  const share = Math.fround(1 / pendingOf(optim).weight)
  const mean =
    (kind: string) =>
    (g: Tensor, path: string): Tensor => {
      const sum = optim.slots[slotKey(ACCUMULATED, `${kind}.${path}`)] ?? g
      return { shape: g.shape, data: sum.data.map((x) => x * share) }
    }
  return {
    ...like,
    params: mapTree(isTensor, like.params, mean('param')),
    state: mapTree(isTensor, like.state, mean('state')),
  }
}

/**
 * The mean of several gradients of one program, each counting `weights[i]` (default 1; give the sizes of the batches where they
 * differ): without batch statistics, the gradient of one batch that holds them all.
 */
export const meanGrads = (
  all: readonly Pick<Grads, 'params' | 'state'>[],
  weights: readonly number[] = Array.isArray(all) ? all.map(() => 1) : [],
): Pick<Grads, 'params' | 'state'> => {
  demandArguments('meanGrads', { all, weights }, MEAN)
  const total = weights.reduce((sum, w) => sum + w, 0)
  if (
    all.length === 0 ||
    weights.length !== all.length ||
    !weights.every((w) => w >= 0) ||
    !(total > 0 && total < Infinity)
  )
    throw failure([
      inputError(
        'weights',
        `meanGrads was given ${all.length} gradients and the weights ${weights.join(', ')}`,
        'give at least one gradient, and a number from 0 on for each, not all 0',
      ),
    ])
  const mean = (tree: 'params' | 'state') =>
    mapTree(isTensor, all[0][tree], (g: Tensor, path): Tensor => {
      const parts = all.map((one) => at(one[tree], path))
      const sum = new Float64Array(g.data.length)
      parts.forEach((t, k) => {
        if (isTensor(t)) for (let i = 0; i < sum.length; i++) sum[i] += t.data[i] * weights[k]
      })
      return { shape: g.shape, data: Float32Array.from(sum, (x) => x / total) }
    })
  return { params: mean('params'), state: mean('state') }
}
