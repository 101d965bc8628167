/** One op on one of its examples, as a program. */
import * as E from 'fp-ts/lib/Either.js'
import { programOfRecipe, type DrawnProgram } from '../../../src/testing/index.js'

const NUMBERS = [0.5, -1.25, 2, 0.75, -0.3, 1.5, 3, -2, 0.1, -0.6]
/** How operands are found: fresh data; data, then parameters; earlier values, onto a grid where a quant tensor is wanted. */
const PICKS = { data: [15, 14, 13], parameters: [15, 30, 29], earlier: [0, 7, 6] } as const

/** A way to find operands. */
export type How = keyof typeof PICKS
/** All of them. */
export const HOWS: readonly How[] = ['data', 'parameters', 'earlier']

/** The program of an op's example, or null where its operands can't be found so. */
export const drawnOf = (op: string, example: number, how: How): DrawnProgram | null => {
  const before =
    how === 'earlier'
      ? [
          { op: 'tanh', example: 0, picks: [15] },
          { op: 'sub', example: 1, picks: [0, 14] },
        ]
      : []
  const steps = [...before, { op, example, picks: PICKS[how] }]
  const made = programOfRecipe({ mode: 'eval', steps, numbers: NUMBERS, wholeSums: false })
  return E.isLeft(made) ? null : made.right
}
