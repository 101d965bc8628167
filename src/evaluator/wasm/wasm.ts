/** The WebAssembly backend: fused plans over one arena, SIMD kernels, threads where they can be had. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { count, fieldProblems, flag, nonNegative, oneOf, type Fields } from '../../data/fields.js'
import type { Backend } from '../backend.js'
import type { Features } from '../insight.js'
import { backendError } from '../messages.js'
import { reference } from '../reference/reference.js'
import { coresHere, newCrew, type OwnedCrew } from './crew.js'
import { executableOf } from './executable.js'
import { explain } from './describe.js'
import { hasRelaxedSimd, hasSharedMemory, hasSimd } from './features.js'
import { profileProgram } from './profile.js'
import { BASELINE, described, rungsHere, type Rungs } from './rungs.js'
import { MOST_THREADS_BY_DEFAULT, SPLIT_ABOVE_NS } from './machine.js'

/** A backend with threads: `dispose` ends them. */
export type WasmBackend = Backend & { readonly features: Features; readonly dispose: () => void }

/** How a backend with threads is made. */
export type WasmOptions = {
  /** How many threads at most, the calling one included; absent: as many as there are cores, up to 8. */
  readonly threads?: number
  /**
   * Forces the dot products of integers: `baseline`, of 16 bits, or `relaxed`, of 8 bits (an error where the engine has none).
   * Absent: what the engine does faster. The numbers are the same.
   */
  readonly simd?: 'baseline' | 'relaxed'
  /**
   * Add products of floats without rounding them first, where the engine has relaxed SIMD (default false): faster, and the bits
   * of float sums then depend on the machine.
   */
  readonly fma?: boolean
  /** Work that one thread does in fewer nanoseconds is not split (default 25,000). Results don't depend on it. */
  readonly splitAbove?: number
}

const noSimd = backendError(
  'wasm',
  'this engine has no WebAssembly SIMD',
  'use the reference backend, or createWasm, which steps down to it and says so',
)

/** Nothing is measured before. */
const READY: Rungs = {
  ...BASELINE,
  why: 'the backend `wasm` measures nothing; createWasm takes what this engine does faster',
}

/** WebAssembly SIMD in the calling thread, ready at once. See `createWasm` for several threads. */
export const wasm: Backend = {
  name: 'wasm',
  prepare: (program) => (hasSimd() ? E.right(executableOf(program, { crew: null, rungs: READY })) : E.left([noSimd])),
  explain: (program, inputs) => explain(program, inputs, READY),
  profile: (program, inputs, options) => profileProgram(program, inputs, options, READY),
}

const OPTIONS: Fields<WasmOptions> = {
  threads: count,
  splitAbove: nonNegative,
  simd: oneOf('baseline', 'relaxed'),
  fma: flag,
}

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
 * @example
 * ```ts
 * import { compile, createWasm, functionLayer, orThrow, relu, tensorInput, trace } from 'quantrace'
 *
 * const backend = orThrow(await createWasm({ threads: 2 }))
 * const program = orThrow(trace(functionLayer('Relu', relu), tensorInput([2]), { mode: 'eval' }))
 * orThrow(compile(program, backend)).dispose()
 * backend.dispose()
 * ```
 */
export const createWasm = async (options: WasmOptions = {}): Promise<E.Either<QuantErrors, WasmBackend>> => {
  const { threads } = options
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1)) return badThreads(threads)
  const wrong = fieldProblems('createWasm', options, OPTIONS)
  if (wrong.length > 0) return E.left(wrong)
  const found = { simd: hasSimd(), relaxedSimd: hasRelaxedSimd(), sharedMemory: hasSharedMemory() }
  const chosen = rungsHere({ relaxed: found.simd && found.relaxedSimd, simd: options.simd, fma: options.fma })
  if (E.isLeft(chosen)) return chosen
  const { rungs, note } = chosen.right
  if (!found.simd) return E.right(stoodIn(found))
  const wanted = threads ?? Math.min(MOST_THREADS_BY_DEFAULT, await coresHere())
  const crew = wanted > 1 && found.sharedMemory ? await newCrew(wanted, options.splitAbove ?? SPLIT_ABOVE_NS) : null
  const alone =
    wanted > 1 && crew === null ? ['no shared memory (a page needs cross-origin isolation): one thread'] : []
  return E.right({
    name: 'wasm',
    features: featuresOf(found, crew, rungs, [...note, ...alone]),
    prepare: (program) => E.right(executableOf(program, { crew, rungs })),
    explain: (program, inputs) => explain(program, inputs, rungs),
    profile: (program, inputs, given) => profileProgram(program, inputs, given, rungs),
    dispose: () => crew?.end(),
  })
}

/** What the engine has. */
type Found = Pick<Features, 'simd' | 'relaxedSimd' | 'sharedMemory'>

/** The reference backend, where there is no SIMD. */
const stoodIn = (found: Found): WasmBackend => ({
  ...reference,
  features: {
    ...found,
    threads: 1,
    level: 'plain',
    notes: ['no WebAssembly SIMD: the reference backend runs'],
    rungs: described(BASELINE),
  },
  dispose: () => undefined,
})

/** What is used, and why no more. */
const featuresOf = (found: Found, crew: OwnedCrew | null, rungs: Rungs, notes: readonly string[]): Features => {
  const missing = crew?.missing ?? 0
  const late = `${missing} workers did not start in five seconds; they join when they come`
  return {
    ...found,
    threads: (crew?.threads ?? 1) - missing,
    level: crew === null ? 'simd' : 'threads × simd',
    notes: missing === 0 ? notes : [...notes, late],
    rungs: described(rungs),
  }
}
