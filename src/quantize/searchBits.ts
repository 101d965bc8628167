/** Bits per layer under a budget. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { count, func, record, required, shaped, type Fields } from '../data/fields.js'
import {
  choosable,
  DEFAULT_BITS,
  SENSITIVITY,
  sensitivity,
  sensitivityProblems,
  type Choosables,
  type LayerSize,
  type Sensitivity,
  type SensitivityOptions,
} from './sensitivity.js'
import { frontOf, type Choosable } from './knapsack.js'
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
  readonly bits: { readonly [path: string]: number }
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

/** What a layer costs at so many bits. */
const costOf = (layer: LayerSize, bits: number, budget: Budget): number =>
  'bytes' in budget ? Math.ceil((layer.weights * bits) / 8) : layer.multiplications * layer.actBits * bits

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
 * Chooses bits for the weights of each layer so that the loss is least under a budget: the sum of the layers' own
 * losses, as `sensitivity` measures them (or measured), is minimised exactly, over all combinations (a knapsack by
 * dynamic programming over what can't be beaten). The result is rules: quantize again with them. Errors: a budget below
 * the least possible, which is said before anything is measured.
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
  const least = known === undefined ? leastOf(quantized, budget, options.bits) : E.right(leastKnown(known, budget))
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
  bits: readonly number[] = DEFAULT_BITS,
): E.Either<QuantErrors, number> =>
  E.map(({ layers }: Choosables) => layers.reduce((sum, { size }) => sum + costOf(size, Math.min(...bits), budget), 0))(
    choosable(quantized),
  )

const leastKnown = ({ layers }: Sensitivity, budget: Budget): number =>
  layers.reduce((sum, l) => sum + Math.min(...l.losses.map(({ bits }) => costOf(l, bits, budget))), 0)

/** The best plan under the budget, and all others that nothing beats. */
const chosenFrom = (s: Sensitivity, budget: Budget): E.Either<QuantErrors, BitSearch> => {
  const parts = s.layers.map((layer): Choosable =>
    layer.losses.map(({ bits, loss }) => ({
      bits,
      cost: costOf(layer, bits, budget),
      loss: Math.max(0, loss - s.float),
    })),
  )
  const front = frontOf(parts).map(({ bits, cost, loss }): BitPlan => ({
    bits: Object.fromEntries(s.layers.map((l, k) => [l.path, bits[k]] as const)),
    cost,
    loss,
  }))
  const chosen = front.filter((p) => p.cost <= mostOf(budget)).at(-1)
  if (chosen === undefined) return E.left([tooLittle(front[0].cost, budget)])
  const rules = Object.entries(chosen.bits).map(([path, bits]): Rule => ({
    ...(path === '' ? {} : { path }),
    to: { weightBitWidth: bits },
  }))
  return E.right({ ...chosen, rules, front, sensitivity: s })
}
