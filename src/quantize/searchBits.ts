/** Bits per layer under a budget. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { count, func, record, required, shaped, type Fields } from '../data/fields.js'
import { choosable, type Choosables, type LayerSize } from './choosable.js'
import { frontOf } from './knapsack.js'
import {
  DEFAULT_BITS,
  SENSITIVITY,
  sensitivity,
  sensitivityProblems,
  type LayerSensitivity,
  type Sensitivity,
  type SensitivityOptions,
} from './sensitivity.js'
import type { Rule } from './rules.js'
import type { Samples } from './samples.js'
import type { Quantized } from './types.js'

/**
 * What may be spent: bytes of weights (packed), or bit operations of one sample (multiplications × bits of weights ×
 * bits of activations).
 */
export type Budget = { readonly bytes: number } | { readonly bitOperations: number }

/** How bits are searched. */
export type SearchOptions<I = unknown, O = unknown> = SensitivityOptions<I, O> & {
  readonly budget: Budget
  /** Sensitivities that were measured before. */
  readonly sensitivity?: Sensitivity
}

/** Bits by the path of the layer, what they cost and what is expected to be lost. */
export type BitPlan = {
  /** Of weights. */
  readonly bits: { readonly [path: string]: number }
  /** Of the activations that layers quantize; absent where these keep the bits that they have. */
  readonly actBits?: { readonly [path: string]: number }
  readonly cost: number
  readonly loss: number
}

/** What `searchBits` found. */
export type BitSearch = BitPlan & {
  /** The chosen bits as rules, to be spread behind those that the network was quantized by. */
  readonly rules: readonly Rule[]
  /** Every plan that nothing beats, from the cheapest to the one with the least loss. */
  readonly front: readonly BitPlan[]
  readonly sensitivity: Sensitivity
}

const isBudget = (x: unknown): boolean => {
  if (!record.holds(x)) return false
  const entries = Object.entries(Object(x))
  return (
    entries.length === 1 &&
    ['bytes', 'bitOperations'].includes(entries[0][0]) &&
    typeof entries[0][1] === 'number' &&
    entries[0][1] > 0
  )
}

const OPTIONS: Fields<SearchOptions> = {
  ...SENSITIVITY,
  batches: count,
  batchSize: count,
  budget: required({
    says: '{ bytes } or { bitOperations }, a number above 0',
    like: '{ bytes: 100000 }',
    holds: isBudget,
  }),
  loss: func,
  sensitivity: shaped('what sensitivity gave', {
    layers: required({ ...record, says: 'a list', like: '[]', holds: Array.isArray }),
  }),
}

/** What a layer costs at so many bits of weights, and of what it multiplies. */
const costOf = (layer: LayerSize, bits: number, actBits: number, budget: Budget): number =>
  'bytes' in budget ? Math.ceil((layer.weights * bits) / 8) : layer.multiplications * actBits * bits

const tooLittle = (least: number, budget: Budget): QuantError => {
  const [name, asked] = Object.entries(budget)[0]
  return {
    tag: 'ConfigError',
    option: 'budget',
    path: '',
    message: `searchBits: ${name}: ${asked} is below what the fewest bits cost, ${least}`,
    fix: `give budget: { ${name}: ${least} } or more, or allow fewer bits`,
  }
}

/**
 * Chooses bits for the weights of each layer so that the loss is least under a budget, and bits for activations where
 * `activations` says which to try: the sum of the layers' own losses, as `sensitivity` measures them (or measured), is
 * minimised exactly, over all combinations (a knapsack by dynamic programming over what can't be beaten). The result is
 * rules: quantize again with them. Errors: a budget below the least possible, which is said before anything is measured.
 * @example
 * const found = searchBits(q, images, { budget: { bitOperations: 2e7 } })
 * pipe(found, E.chain(({ rules }) => quantize(net, inputs, trained, [...schemes.int8, ...rules])))
 */
export const searchBits = <I, O>(
  quantized: Quantized<I, O>,
  data: Samples<I>,
  options: SearchOptions<I, O>,
): E.Either<QuantErrors, BitSearch> => {
  const wrong = sensitivityProblems('searchBits', quantized, options, OPTIONS)
  if (wrong.length > 0) return E.left(wrong)
  const { budget, sensitivity: known, ...measuring } = options
  const least = known === undefined ? leastOf(quantized, budget, options) : E.right(leastKnown(known, budget))
  if (E.isLeft(least)) return least
  if (least.right > mostOf(budget)) return E.left([tooLittle(least.right, budget)])
  const measured = known === undefined ? sensitivity(quantized, data, measuring) : E.right(known)
  return E.chain((s: Sensitivity) => chosenFrom(s, budget))(measured)
}

const mostOf = (budget: Budget): number => ('bytes' in budget ? budget.bytes : budget.bitOperations)

/** What the fewest bits cost, before anything is measured. */
const leastOf = <I, O>(
  quantized: Quantized<I, O>,
  budget: Budget,
  { bits = DEFAULT_BITS, activations }: SensitivityOptions<I, O>,
): E.Either<QuantErrors, number> =>
  E.map(({ layers }: Choosables) =>
    layers.reduce((sum, { size }) => {
      const actBits = activations === undefined || size.reads === undefined ? size.actBits : Math.min(...activations)
      return sum + costOf(size, Math.min(...bits), actBits, budget)
    }, 0),
  )(choosable(quantized))

/** Bits of the activations that some layers multiply (null: as they are), and of the weights of each of these layers. */
type Choice = {
  readonly actBits: number | null
  readonly bits: readonly number[]
  readonly cost: number
  readonly loss: number
}

/** Layers that multiply the activations of one layer, or one whose activations stay as they are. */
type Group = {
  readonly reads: string | null
  readonly layers: readonly LayerSensitivity[]
  /** By rising cost, none beaten by another. */
  readonly choices: readonly Choice[]
}

/** The best of several lists of choices. */
const best = (all: readonly Choice[]): readonly Choice[] =>
  frontOf([all.map(({ cost, loss }, k) => ({ bits: k, cost, loss }))]).map(({ bits: [k] }) => all[k])

const groupOf = (layers: readonly LayerSensitivity[], s: Sensitivity, budget: Budget): Group => {
  const over = (loss: number): number => Math.max(0, loss - s.float)
  const weightsAt = (actBits: number | null, before: number): readonly Choice[] =>
    frontOf(
      layers.map((l) =>
        l.losses.map(({ bits, loss }) => ({
          bits,
          cost: costOf(l, bits, actBits ?? l.actBits, budget),
          loss: over(loss),
        })),
      ),
    ).map(({ bits, cost, loss }) => ({ actBits, bits, cost, loss: before + loss }))
  const acts = s.activations?.find((a) => a.path === layers[0].reads)
  return acts === undefined
    ? { reads: null, layers, choices: weightsAt(null, 0) }
    : { reads: acts.path, layers, choices: best(acts.losses.flatMap(({ bits, loss }) => weightsAt(bits, over(loss)))) }
}

/** Layers whose bits are chosen together: what they cost depends on the bits of the same activations. */
const groupsOf = (s: Sensitivity, budget: Budget): readonly Group[] => {
  const chosen = new Set(s.activations?.map((a) => a.path))
  const together = new Map<string, readonly LayerSensitivity[]>()
  for (const l of s.layers) {
    const key = l.reads !== undefined && chosen.has(l.reads) ? `reads ${l.reads}` : `alone ${l.path}`
    together.set(key, [...(together.get(key) ?? []), l])
  }
  return [...together.values()].map((layers) => groupOf(layers, s, budget))
}

const leastKnown = (s: Sensitivity, budget: Budget): number =>
  groupsOf(s, budget).reduce((sum, { choices }) => sum + choices[0].cost, 0)

/** Every plan that nothing beats. */
const plansOf = (s: Sensitivity, budget: Budget): readonly BitPlan[] => {
  const groups = groupsOf(s, budget)
  const order = new Map(s.layers.map((l, k) => [l.path, k]))
  return frontOf(groups.map((g) => g.choices.map(({ cost, loss }, k) => ({ bits: k, cost, loss })))).map((plan) => {
    const taken = groups.map(({ reads, layers, choices }, k) => ({ reads, layers, choice: choices[plan.bits[k]] }))
    const bits = taken
      .flatMap(({ layers, choice }) => layers.map((l, i) => [l.path, choice.bits[i]] as const))
      .sort(([a], [b]) => (order.get(a) ?? 0) - (order.get(b) ?? 0))
    const acts = taken.flatMap(({ reads, choice: { actBits } }) =>
      reads === null || actBits === null ? [] : [[reads, actBits] as const],
    )
    return {
      bits: Object.fromEntries(bits),
      ...(s.activations === undefined ? {} : { actBits: Object.fromEntries(acts) }),
      cost: plan.cost,
      loss: plan.loss,
    }
  })
}

/** What the chosen bits are as rules. */
const rulesOf = ({ bits, actBits = {} }: BitPlan): readonly Rule[] =>
  [...new Set([...Object.keys(bits), ...Object.keys(actBits)])].map((path) => ({
    ...(path === '' ? {} : { path }),
    to: {
      ...(bits[path] === undefined ? {} : { weightBitWidth: bits[path] }),
      ...(actBits[path] === undefined ? {} : { actBitWidth: actBits[path] }),
    },
  }))

/** The best plan under the budget, and all others that nothing beats. */
const chosenFrom = (s: Sensitivity, budget: Budget): E.Either<QuantErrors, BitSearch> => {
  const front = plansOf(s, budget)
  const chosen = front.filter((p) => p.cost <= mostOf(budget)).at(-1)
  if (chosen === undefined) return E.left([tooLittle(front[0].cost, budget)])
  return E.right({ ...chosen, rules: rulesOf(chosen), front, sensitivity: s })
}
