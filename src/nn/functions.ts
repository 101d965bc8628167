/**
 * Functions of traced values. Under their plain names they treat quant tensors as Brevitas' own functions and
 * operators do (`F.relu`, `+`); `plain` has torch's functions of the same name, which get bare values.
 */
export type { Operand } from './functions/support.js'
export * from './functions/operators.js'
export * from './functions/elementwise.js'
export * from './functions/shapes.js'
export * from './functions/windows.js'
export * from './functions/plain.js'
