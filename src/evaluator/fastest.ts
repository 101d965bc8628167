/** The backend for programs that are run more than once: WebAssembly where the engine has SIMD, else the reference. */
import type { Backend } from './backend.js'
import { reference } from './reference/reference.js'
import { hasSimd } from './wasm/features.js'
import { wasm } from './wasm/wasm.js'

/**
 * `wasm` where this engine has WebAssembly SIMD, else `reference`; `name` says which. Ready at once, one thread. Both
 * backends agree in every element-wise op bit for bit, and in sums of products to float32 rounding.
 */
export const fastestHere = (): Backend => (hasSimd() ? wasm : reference)
