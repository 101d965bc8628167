/** The engines that programs are run on: threads that split almost everything, and other instructions where this machine has them. */
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import type { Engine } from './routes.js'

/** Them, and how they are let go. */
export type Engines = {
  readonly threads: q.Backend
  readonly rungs: readonly Engine[]
  readonly dispose: () => void
}

/** `wasm` itself is the baseline without fused sums. */
const RUNGS = [
  ['relaxed', { simd: 'relaxed' }],
  ['fused multiply-add', { fma: true }],
] as const

/** An engine without relaxed SIMD has fewer rungs. */
export const newEngines = async (): Promise<Engines> => {
  const threads = q.orThrow(await q.createWasm({ threads: 2, splitAbove: 64 }))
  const rungs: (Engine & { readonly backend: q.WasmBackend })[] = []
  for (const [name, options] of RUNGS) {
    const made = await q.createWasm({ threads: 1, ...options })
    if (E.isRight(made)) rungs.push({ name, backend: made.right })
  }
  return {
    threads,
    rungs,
    dispose: () => {
      threads.dispose()
      for (const { backend } of rungs) backend.dispose()
    },
  }
}
