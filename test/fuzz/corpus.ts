/** Recipes as JSON, which has neither -0 nor NaN nor infinities: those are texts. */
import type { Recipe } from '../../src/testing/index.js'

/** A recipe whose numbers JSON can hold. */
export type StoredRecipe = Omit<Recipe, 'numbers'> & { readonly numbers: readonly (number | string)[] }

const isOdd = (x: number): boolean => !Number.isFinite(x) || Object.is(x, -0)

/** As it is kept. */
export const stored = (recipe: Recipe): StoredRecipe => ({
  ...recipe,
  numbers: recipe.numbers.map((x) => (isOdd(x) ? (Object.is(x, -0) ? '-0' : String(x)) : x)),
})

/** As it was. */
export const restored = (recipe: StoredRecipe): Recipe => ({ ...recipe, numbers: recipe.numbers.map(Number) })
