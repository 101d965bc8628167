/**
 * Functions of traced values. Under their plain names they treat quant tensors as Brevitas' own functions and
 * operators do (`F.relu`, `+`); `plain` has torch's functions of the same name, which get bare values.
 */
export type { Operand } from './support.js'
export * from './operators.js'
export * from './elementwise.js'
export * from './comparisons.js'
export * from './shapes.js'
export * from './windows.js'
export * from './plain.js'
export * from './scan.js'
