/** The WebAssembly backend: fused plans over one arena, SIMD kernels, one thread. */
import * as E from 'fp-ts/lib/Either.js'
import type { Backend } from '../backend.js'
import { executableOf } from './executable.js'
import { missingFunction } from './functions.js'

/** WebAssembly SIMD in the calling thread. See `createWasm` for several threads. */
export const wasm: Backend = {
  name: 'wasm',
  prepare: (program) => E.right(executableOf(program, { crew: null, source: missingFunction })),
}
