/** Which backend trains: WebAssembly with as many threads as the page may have; what it lacks is said. */
import * as E from 'fp-ts/lib/Either.js'
import { createWasm, type Backend, type QuantErrors, type WasmBackend } from '../../src/index.js'

/** A backend, what to say of it, and how to free it. */
export type Chosen = { readonly backend: Backend; readonly words: string; readonly dispose: () => void }

const LEVELS = { 'threads × simd': 'WebAssembly SIMD', simd: 'WebAssembly SIMD', plain: 'reference backend' } as const

/** The backend of the worker; `threads` is what it may use. */
export const chooseBackend = async (threads: number): Promise<E.Either<QuantErrors, Chosen>> => {
  const made = await createWasm({ threads })
  return E.map((backend: WasmBackend): Chosen => {
    const { level, threads: used, notes } = backend.features
    return {
      backend,
      words: [`${LEVELS[level]}, ${used} ${used === 1 ? 'thread' : 'threads'}`, ...notes].join(' · '),
      dispose: backend.dispose,
    }
  })(made)
}
