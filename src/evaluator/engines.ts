/** The backends that there are, and what they can tell of plans: the one door to the WebAssembly backend for what stands above this folder. */
export { fastestHere } from './fastest.js'
export { createWasm, wasm, type WasmBackend, type WasmOptions } from './wasm/wasm.js'
export { showPlan } from './wasm/describe.js'
export { precompileProgram } from './wasm/precompile.js'
export { showProfile } from './wasm/profile.js'
