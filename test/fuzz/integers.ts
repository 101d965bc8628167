/**
 * Recipes of programs on integers: data behind a quantizer, parameters behind one, and ops with a quantizer behind each. Most of them lower to
 * integers alone; of recipes of any ops hardly one does.
 */
import type fc from 'fast-check'
import * as q from '../../src/index.js'
import {
  programOfRecipe,
  recipeArb,
  type DrawnProgram,
  type NumberOptions,
  type RecipeStep,
} from '../../src/testing/index.js'

const NAMES =
  'add sub mul neg abs quantNeg quantAbs maximum addBias linear conv convTranspose relu clamp sigmoid maxPool avgPool ' +
  'adaptiveAvgPool upsampleNearest reshape permute concat slice pad quantize'
const POOL = NAMES.split(' ').map((name) => q.ops[name])

// Picks: 15 is a fresh input of data, 7 one of state; 5 and 4 are constants as scale and zero point; 0 is the value before.
const OF_DATA: RecipeStep = { op: 'quantize', example: 2, picks: [15, 5, 4] }
const OF_STATE: RecipeStep = { op: 'quantize', example: 0, picks: [7, 5, 4] }
const BEHIND: RecipeStep = { op: 'quantize', example: 0, picks: [0, 5, 4] }

/** Programs of at most `most` such ops. */
export const integerProgramArb = (options: NumberOptions & { readonly most: number }): fc.Arbitrary<DrawnProgram> =>
  recipeArb({ ...options, mode: 'eval', ops: POOL }).map((recipe) =>
    q.orThrow(
      programOfRecipe({
        ...recipe,
        steps: [OF_STATE, OF_DATA, ...recipe.steps.flatMap((step) => [step, BEHIND])],
      }),
    ),
  )
