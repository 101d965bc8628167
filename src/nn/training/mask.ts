/** What an optimizer does to which leaf: rules per leaf, checked where they are asked for. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import { fieldProblems, flag, nonNegative, showGiven } from '../../data/fields.js'

/** One leaf as a mask sees it. */
export type OptimLeaf = { readonly kind: 'param' | 'state'; readonly path: string }
/** What a mask may say of a leaf; `frozen` leaves keep their very tensors. `weightDecay` and `lrScale` are numbers from 0 on. */
export type LeafRule = { readonly frozen?: boolean; readonly weightDecay?: number; readonly lrScale?: number }
/** Rules per leaf: freeze scales, no decay on thresholds. */
export type Mask = (leaf: OptimLeaf) => LeafRule

const isRecord = (x: unknown): boolean => typeof x === 'object' && x !== null && !Array.isArray(x)

/** What a mask says of a leaf, with the optimizer's own where it says nothing; or what is wrong with its answer. */
export const ruleOf = (
  optimizer: { readonly name: string; readonly weightDecay: number; readonly mask: Mask },
  leaf: OptimLeaf,
): E.Either<QuantErrors, Required<LeafRule>> => {
  const said: LeafRule = optimizer.mask(leaf)
  const asker = `the mask of ${optimizer.name}, asked for ${leaf.kind} ${leaf.path},`
  const problems: readonly QuantError[] = isRecord(said)
    ? fieldProblems(asker, said, { frozen: flag, weightDecay: nonNegative, lrScale: nonNegative })
    : [
        {
          tag: 'ConfigError',
          option: 'mask',
          path: '',
          message: `${asker} said ${showGiven(said)}; it must be a record`,
          fix: 'return { frozen: true }, { weightDecay: 0 }, { lrScale: 0.1 }, or {} for a leaf like any other',
        },
      ]
  if (problems.length > 0) return E.left(problems.map((p) => ({ ...p, path: leaf.path })))
  const { frozen = false, weightDecay = optimizer.weightDecay, lrScale = 1 } = said
  return E.right({ frozen, weightDecay, lrScale })
}
