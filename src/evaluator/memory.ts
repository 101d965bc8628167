/** What a program needs is compared with what there is before anything is allocated; and where memory ends all the same, that is an error like others. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { showBytes } from '../data/shape.js'
import type { Program } from '../graph/program.js'
import { sizeProblem } from '../graph/sizes.js'
import { backendError } from './messages.js'

const SMALLER = 'use smaller shapes or a smaller batch; what was computed before stays valid'

/** Bytes of inputs and outputs beyond which a backend doesn't start: WebAssembly addresses no more. */
export const TOGETHER = { wasm: 2 ** 32, reference: 2 ** 34 } as const

/** Why a backend can't hold a program's values, or null. */
export const tooLarge = (program: Program, backend: keyof typeof TOGETHER): QuantErrors | null => {
  const problem = sizeProblem(program, TOGETHER[backend])
  return problem === null ? null : [backendError(backend, `this program can't be run: ${problem}`, SMALLER)]
}

/** A plan of so many bytes can't be had. */
export const noRoom = (backend: string, bytes: number, why: string): QuantErrors => [
  backendError(backend, `a plan of ${showBytes(bytes)} can't be had: ${why}`, SMALLER),
]

const ENDED = /allocation|out of memory|array length/i

/** Runs what allocates; where the engine has no more memory, its RangeError becomes an error of ours. */
export const withMemory = <A>(backend: string, body: () => E.Either<QuantErrors, A>): E.Either<QuantErrors, A> => {
  try {
    return body()
  } catch (e) {
    if (e instanceof RangeError && ENDED.test(e.message))
      return E.left([backendError(backend, `the engine has no memory left for this program: ${e.message}`, SMALLER)])
    throw e
  }
}
