/**
 * WebAssembly instructions as functions from operands to code. Names are the specification's, in two parts:
 * `f32x4.add(a, b)`. Loads and stores take an address and a constant offset in bytes.
 */
export { atomics, control, globals, memory } from './control.js'
export { f32, f64, i32, i64 } from './scalars.js'
export { f32x4, f64x2, i16x8, i32x4, i64x2, i8x16, relaxed, v128 } from './vectors.js'
