/** Which backend trains: one place to choose. */
import * as E from 'fp-ts/lib/Either.js'
import { wasm, type Backend, type QuantErrors } from '../../src/index.js'

/** A backend, what to say of it, and how to free it. */
export type Chosen = { readonly backend: Backend; readonly words: string; readonly dispose: () => void }

/** The backend of the worker; `threads` is what it may use. */
export const chooseBackend = async (_threads: number): Promise<E.Either<QuantErrors, Chosen>> =>
  E.right({ backend: wasm, words: `${wasm.name}, 1 thread`, dispose: () => undefined })
