/** What an optimizer does to which leaf: rules per leaf, checked where they are asked for. */
import * as E from 'fp-ts/lib/Either.js'
import { failure, type QuantError, type QuantErrors } from '../../data/error.js'
import {
  demand,
  demandArguments,
  fieldProblems,
  flag,
  func,
  nonNegative,
  oneOf,
  required,
  showGiven,
  text,
} from '../../data/fields.js'
import { isWhere, liesIn, namesIn, partProblems, type Where } from '../../data/where.js'
import type { Program } from '../../graph/program.js'
import { inputError } from './options.js'

/** One leaf as a mask sees it. */
export type OptimLeaf = { readonly kind: 'param' | 'state'; readonly path: string }
/** What a mask may say of a leaf; `frozen` leaves keep their very tensors. `weightDecay` and `lrScale` are numbers from 0 on. */
export type LeafRule = { readonly frozen?: boolean; readonly weightDecay?: number; readonly lrScale?: number }
/** Rules per leaf: freeze scales, no decay on thresholds. */
export type Mask = (leaf: OptimLeaf) => LeafRule

/**
 * A mask that freezes parameters and learned state by the paths of what they lie in, as `trace(…, { freeze })` freezes statistics;
 * other leaves have the rules of `others`. A name that is no part of the network that is trained is an error there.
 */
export const freezing = (where: Where, others: Mask = () => ({})): Mask => {
  demandArguments('freezing', { others }, { others: func })
  if (!isWhere(where))
    throw failure([
      inputError(
        'where',
        `freezing was given ${showGiven(where)}`,
        "give paths of layers, ['conv1', 'bn1'], or a function of a path",
      ),
    ])
  const still = liesIn(where)
  const mask: Mask = (leaf) => {
    demand(fieldProblems('a mask', leaf, { kind: required(oneOf('param', 'state')), path: required(text) }))
    return still(leaf.path) ? { frozen: true } : others(leaf)
  }
  // A mask alone never learns what there is; whoever has the program asks whether all of these are in it.
  return Object.assign(mask, { parts: [...namesIn(where), ...partsOf(others)] })
}

/** The names that `freezing` was given; none of a mask of one's own. */
const partsOf = (mask: Mask): readonly string[] =>
  'parts' in mask && Array.isArray(mask.parts) ? mask.parts.filter((p) => typeof p === 'string') : []

/** Names of a mask that are no part of the program, each with the nearest one that is: they would freeze nothing, in silence. */
export const maskProblems = (mask: Mask, { graph, inputs, layers = [] }: Program): readonly QuantError[] =>
  partProblems('freezing', partsOf(mask), [...inputs.filter((i) => i.kind !== 'data'), ...graph.nodes, ...layers])

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
