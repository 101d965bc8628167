/** The WebAssembly backend: fused plans over one arena, SIMD kernels, threads where they can be had. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import type { Backend } from '../backend.js'
import type { Features } from '../insight.js'
import { backendError } from '../messages.js'
import { reference } from '../reference/reference.js'
import { coresHere, newCrew, type OwnedCrew } from './crew.js'
import { executableOf } from './executable.js'
import { hasRelaxedSimd, hasSharedMemory, hasSimd } from './features.js'

/** A backend with threads: `dispose` ends them. */
export type WasmBackend = Backend & { readonly features: Features; readonly dispose: () => void }

/** How a backend with threads is made. */
export type WasmOptions = {
  /** How many threads at most, the calling one included; absent: as many as there are cores, up to 8. */
  readonly threads?: number
  /** Work that one thread does in fewer nanoseconds is not split (default 25,000). Results don't depend on it. */
  readonly splitAbove?: number
}

const SPLIT_ABOVE = 25_000

const noSimd = backendError(
  'wasm',
  'this engine has no WebAssembly SIMD',
  'use the reference backend, or createWasm, which steps down to it and says so',
)

/** WebAssembly SIMD in the calling thread, ready at once. See `createWasm` for several threads. */
export const wasm: Backend = {
  name: 'wasm',
  prepare: (program) => (hasSimd() ? E.right(executableOf(program, { crew: null })) : E.left([noSimd])),
}

const MOST_BY_DEFAULT = 8

const badThreads = (threads: number): E.Either<QuantErrors, never> =>
  E.left([
    {
      tag: 'ConfigError',
      option: 'threads',
      path: '',
      message: `createWasm: ${typeof threads === 'number' ? threads : JSON.stringify(threads)} threads were asked for; it must be a whole number from 1 on`,
      fix: 'give threads: 1, or leave it out',
    },
  ])

/**
 * The WebAssembly backend with threads (worker_threads in Node, workers in a cross-origin isolated page). What can't be
 * had is passed over, and `features` says what is used and why no more: without shared memory one thread, without SIMD
 * the reference backend. Results don't depend on the number of threads. `dispose` ends the workers.
 */
export const createWasm = async (options: WasmOptions = {}): Promise<E.Either<QuantErrors, WasmBackend>> => {
  const { threads } = options
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1)) return badThreads(threads)
  const [simd, relaxedSimd, sharedMemory] = [hasSimd(), hasRelaxedSimd(), hasSharedMemory()]
  const found = { simd, relaxedSimd, sharedMemory }
  if (!simd)
    return E.right({
      ...reference,
      features: { ...found, threads: 1, level: 'plain', notes: ['no WebAssembly SIMD: the reference backend runs'] },
      dispose: () => undefined,
    })
  const wanted = threads ?? Math.min(MOST_BY_DEFAULT, await coresHere())
  const notes =
    wanted > 1 && !sharedMemory ? ['no shared memory (a page needs cross-origin isolation): one thread'] : []
  const crew: OwnedCrew | null =
    wanted > 1 && sharedMemory ? await newCrew(wanted, options.splitAbove ?? SPLIT_ABOVE) : null
  return E.right({
    name: 'wasm',
    features: {
      ...found,
      threads: (crew?.threads ?? 1) - (crew?.missing ?? 0),
      level: crew === null ? 'simd' : 'threads × simd',
      notes:
        crew === null || crew.missing === 0
          ? notes
          : [...notes, `${crew.missing} workers did not start in five seconds; they join when they come`],
    },
    prepare: (program) => E.right(executableOf(program, { crew })),
    dispose: () => crew?.end(),
  })
}
