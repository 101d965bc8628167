/** The registry of integer programs. */
import type { OpTable } from '../../graph/op.js'
import { ops } from '../../ops/index.js'
import { moves, pools } from './moves.js'
import { lookup, requantize, thresholds } from './maps.js'
import { integerConv, integerConvTranspose, integerLinear, integerMatmul, integerMul } from './products.js'
import type { IntegerOp } from './record.js'
import { integerAdd, integerBias, integerSum, integerSumPool } from './sums.js'

/** The integer primitives, from which laws sample. */
export const integerPrimitives: readonly IntegerOp[] = [
  integerConv,
  integerConvTranspose,
  integerLinear,
  integerMatmul,
  integerMul,
  integerBias,
  integerAdd,
  integerSumPool,
  integerSum,
  requantize,
  thresholds,
  lookup,
  ...Object.values(moves).map((m) => m.integer),
  ...Object.values(pools).map((m) => m.integer),
]

/** All ops by name that an integer program is made of: what `parseProgram` needs to read one again. */
export const integerOps: OpTable = Object.freeze({
  ...ops,
  ...Object.fromEntries(integerPrimitives.map((op) => [op.name, op])),
})
