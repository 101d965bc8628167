/** What this engine can do, found out by asking it to validate small modules. */
import { f32x4, relaxed, v128 } from './asm/instructions.js'
import { newModule, type ModuleBuilder } from './asm/module.js'

const valid = (build: (m: ModuleBuilder) => void): boolean => {
  const m = newModule()
  build(m)
  return WebAssembly.validate(m.bytes({ pages: 1, maximum: 1, shared: false }))
}

/** Does the engine know 128-bit SIMD? */
export const hasSimd = (): boolean =>
  valid(
    (m) =>
      void m.func({
        params: ['i32'],
        body: ({ params: [p] }) => v128.store(p.get, f32x4.add(v128.load(p.get), f32x4.const(1))),
      }),
  )

/** Does the engine know relaxed SIMD? What its instructions are good for is asked by rungs.ts. */
export const hasRelaxedSimd = (): boolean =>
  valid(
    (m) =>
      void m.func({
        params: ['i32'],
        body: ({ params: [p] }) =>
          v128.store(p.get, relaxed.i8x16_dot_i7x16_add(v128.load(p.get), v128.load(p.get), v128.load(p.get))),
      }),
  )

/** May memory be shared with other threads here? */
export const hasSharedMemory = (): boolean => {
  if (typeof SharedArrayBuffer === 'undefined') return false
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof SharedArrayBuffer
  } catch {
    return false
  }
}
