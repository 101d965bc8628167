/** Whole programs as fast-check draws them: traced, with numbers to run on, printed as code where one is a counterexample. */
import fc from 'fast-check'
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import {
  anyNumber,
  demandArguments,
  listOf,
  oneOf,
  required,
  shaped,
  text,
  whole,
  type Field,
} from '../../data/fields.js'
import type { OpTable } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { traceProgram, type InputDecl } from '../../graph/trace.js'
import { ops as registry } from '../../ops/index.js'
import { cellsOf, type Cell } from './cells.js'
import { codeOf } from './code.js'
import { argsOf, declaredBy, layerOf, type DrawnArgs, type DrawnLayer, type Named } from './layerOf.js'
import { recipeArb, type ProgramOptions, type Recipe } from './recipe.js'

/** A program that was drawn. */
export type DrawnProgram = {
  readonly recipe: Recipe
  readonly mode: 'train' | 'eval'
  /** The same as a layer. */
  readonly layer: DrawnLayer
  readonly declared: Named<InputDecl>
  readonly program: Program
  readonly args: DrawnArgs
  /** All of it as code that can be pasted. */
  readonly code: string
  /** Were ops kept from metadata, because one refused it? */
  readonly plain: boolean
}

const isNumberList = (x: unknown): boolean => Array.isArray(x) && x.length > 0 && x.every((n) => typeof n === 'number')
const picks: Field = {
  says: 'a list of whole numbers, at least one',
  like: '[0]',
  holds: (x) => Array.isArray(x) && x.length > 0 && x.every((n) => Number.isSafeInteger(n) && Number(n) >= 0),
}
const stepField = shaped('a step of a recipe: { op, example, picks }', {
  op: required(text),
  example: required(whole),
  picks: required(picks),
})

const traced = (cells: readonly Cell[], mode: 'train' | 'eval', table: OpTable, plain: boolean) => {
  const layer = layerOf(cells, { table, plain })
  const declared = declaredBy(cells)
  const program = traceProgram({
    table,
    mode,
    strict: false,
    locations: false,
    params: layer.params,
    state: layer.state,
    inputs: declared,
    body: (params, state, inputs, kit) => {
      const [results, nextState] = layer.apply(params as never, state as never, inputs as never, kit)
      return { results, nextState }
    },
  })
  return { layer, declared, program }
}

/** The program that a recipe means, over a table of ops: first with all metadata, and where an op refuses that, without. */
export const programOfRecipe = (recipe: Recipe, table: OpTable = registry): E.Either<QuantErrors, DrawnProgram> => {
  demandArguments(
    'programOfRecipe',
    { recipe },
    {
      recipe: required(
        shaped('a recipe, as recipeArb draws it', {
          steps: required(listOf(stepField)),
          numbers: required({ ...listOf(anyNumber), says: 'a list of numbers, at least one', holds: isNumberList }),
          mode: required(oneOf('train', 'eval')),
        }),
      ),
    },
  )
  const { mode } = recipe
  const cells = cellsOf(recipe, table)
  const first = traced(cells, mode, table, false)
  const plain = E.isLeft(first.program)
  const { program, ...rest } = plain ? traced(cells, mode, table, true) : first
  return E.map((p: Program): DrawnProgram => ({
    ...rest,
    recipe,
    mode,
    program: p,
    args: argsOf(cells),
    plain,
    get code() {
      return codeOf(cells, mode)
    },
  }))(program)
}

const shown = (d: DrawnProgram): string => d.code

/** A program for fast-check, which prints it as code. */
const printed = (d: DrawnProgram): DrawnProgram =>
  Object.defineProperty(d, fc.toStringMethod, { value: () => shown(d), enumerable: false })

/**
 * Random well-typed programs of 1 to 200 ops with numbers to run them on: parameters, state, phases and loops included. A counterexample is the
 * smallest that still fails, and prints as code. Throws a `QuantFailure` where an option is wrong.
 * @example
 * fc.assert(fc.property(programArb({ most: 20 }), ({ program, args }) => isRight(run(program, args))))
 */
export const programArb = (options: ProgramOptions = {}): fc.Arbitrary<DrawnProgram> =>
  recipeArb(options)
    .map((recipe) => programOfRecipe(recipe, tableOf(options)))
    .filter(E.isRight)
    .map((made) => printed(made.right))

/** The registry, and the ops that were asked for. */
export const tableOf = ({ ops = [] }: ProgramOptions): OpTable => ({
  ...registry,
  ...Object.fromEntries(ops.map((op) => [op.name, op])),
})
