/** `quantrace/integer`: networks on integers only, their proofs, and C. */
export { toInteger } from './toInteger.js'
export type { IntegerOptions } from './toInteger.js'
export { runInteger } from './evaluate.js'
export { dequantizeOutputs, quantizeInputs } from './borders.js'
export { integerOps, integerPrimitives } from './ops/index.js'
export { toC } from './c/toC.js'
export type { COptions, CProgram } from './c/toC.js'
export type { Border, Entry, IntegerProgram } from './program.js'
