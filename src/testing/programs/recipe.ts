/**
 * Recipes of programs: which ops are applied, one after the other, and to which earlier values. Every recipe means a well-typed program (`cells.ts`
 * says which), so whatever shrinking leaves of one still does.
 */
import fc from 'fast-check'
import { demand, fieldProblems, flag, oneOf, type Field } from '../../data/fields.js'
import { isOp, type Op } from '../../graph/op.js'
import { primitiveOps } from '../../ops/index.js'
import { numberArb, type NumberOptions } from './numbers.js'

/** One op of a recipe, or one of the two structures. */
export type RecipeStep = {
  /** Name of a primitive, or `phase:A:B` or `scan:A` around others. */
  readonly op: string
  /** Which of the op's examples says how it is called. */
  readonly example: number
  /** For each operand: a fresh input, or how far back the earlier value lies that it is given. */
  readonly picks: readonly number[]
}

/** A program by its choices; JSON, so that a corpus can keep it. */
export type Recipe = {
  readonly mode: 'train' | 'eval'
  readonly steps: readonly RecipeStep[]
  /** What the inputs hold, in turn. */
  readonly numbers: readonly number[]
  /** Products and sums are given whole numbers, whose sums have the same bits in any order. */
  readonly wholeSums: boolean
}

/** Which programs are drawn. */
export type ProgramOptions = NumberOptions & {
  /** Most ops of a program, 1 to 200 (default 200; a few large ones, many small ones). */
  readonly most?: number
  /** The ops to draw from (default: every primitive). */
  readonly ops?: readonly Op[]
  readonly mode?: 'train' | 'eval'
}

const most: Field = {
  says: 'a whole number from 1 to 200',
  like: '30',
  holds: (x) => Number.isInteger(x) && Number(x) > 0 && Number(x) <= 200,
}
const someOps: Field = {
  says: 'a list of ops, at least one',
  like: '[ops.relu]',
  holds: (x) => Array.isArray(x) && x.length > 0 && x.every(isOp),
}
const PROGRAM = { most, ops: someOps, mode: oneOf('train', 'eval'), huge: flag, nonFinite: flag }

/** The structures, which stand in no registry of computing ops. */
export const STRUCTURES = { phase: 'phase', scan: 'scan' } as const

/** Ops that a phase or a loop may hold: of one operand, any shape. */
const isSimple = (op: Op): boolean => op.elementwise === true && op.examples[0].args.length === 1

/** The structures over ops of the pool: `scan:relu`, `phase:abs:neg`. */
const structuresOf = (pool: readonly Op[]): readonly fc.WeightedArbitrary<string>[] => {
  const simple = pool.filter(isSimple).map((op) => op.name)
  if (simple.length === 0) return []
  const one = fc.constantFrom(...simple)
  return [
    { weight: 1, arbitrary: one.map((a) => `${STRUCTURES.scan}:${a}`) },
    { weight: 2, arbitrary: fc.tuple(one, one).map(([a, b]) => `${STRUCTURES.phase}:${a}:${b}`) },
  ]
}

const stepArb = (pool: readonly Op[]): fc.Arbitrary<RecipeStep> => {
  const checks = pool.filter((op) => op.guards === true).map((op) => op.name)
  const others = pool.filter((op) => op.guards !== true).map((op) => op.name)
  const names = (list: readonly string[], weight: number): readonly fc.WeightedArbitrary<string>[] =>
    list.length === 0 ? [] : [{ weight, arbitrary: fc.constantFrom(...list) }]
  return fc.record({
    op: fc.oneof(...names(others, 60), ...names(checks, 1), ...structuresOf(pool)),
    example: fc.nat({ max: 23 }),
    picks: fc.array(fc.nat({ max: 79 }), { minLength: 3, maxLength: 3 }),
  })
}

/** Recipes: small ones mostly. */
export const recipeArb = (options: ProgramOptions = {}): fc.Arbitrary<Recipe> => {
  demand(fieldProblems('recipeArb', options, PROGRAM))
  const { ops = primitiveOps, mode, most: longest = 200 } = options
  const steps = (max: number): fc.Arbitrary<readonly RecipeStep[]> =>
    fc.array(stepArb(ops), { minLength: 1, maxLength: Math.min(max, longest), size: 'max' })
  return fc.record({
    mode: mode === undefined ? fc.constantFrom('eval', 'train') : fc.constant(mode),
    steps: fc.oneof(
      { weight: 12, arbitrary: steps(6) },
      { weight: 6, arbitrary: steps(24) },
      { weight: 1, arbitrary: steps(longest) },
    ),
    numbers: fc.array(numberArb({ huge: options.huge ?? false, nonFinite: options.nonFinite ?? false }), {
      minLength: 1,
      maxLength: 24,
      size: 'max',
    }),
    wholeSums: fc.boolean(),
  })
}
