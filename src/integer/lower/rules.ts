/** What each op of the float graph is among integers. Those that are absent here and not element-wise have no integers. */
import { moves } from '../ops/moves.js'
import { add, concat, sub } from './joins.js'
import { adaptiveMaxPool, maxPool, move, pad } from './moves.js'
import { adaptiveAvgPool, avgPool, mean, sum } from './sums.js'
import { conv, convTranspose, linear, matmul, mul, type Rule } from './products.js'

/** Ops that hand their first operand on. */
export const PASSING: ReadonlySet<string> = new Set(['identity', 'dequantize', 'detach', 'asTraining'])

/** By name of what an op computes. Element-wise ones stand here for two operands of data. */
export const rules: { readonly [op: string]: Rule | undefined } = {
  ...Object.fromEntries(Object.keys(moves).map((name) => [name, move])),
  conv,
  convTranspose,
  linear,
  matmul,
  mul,
  add,
  sub,
  pad,
  concat,
  avgPool,
  adaptiveAvgPool,
  mean,
  sum,
  maxPool,
  adaptiveMaxPool,
}
