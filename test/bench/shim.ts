/** Stands in for createWasm until it has landed. */
import * as E from 'fp-ts/lib/Either.js'
import { wasm, type Backend, type QuantErrors } from '../../src/index.js'
export type WasmBackend = Backend & { readonly features: unknown; readonly dispose: () => void }
export const createWasm = async (_options: { threads?: number } = {}): Promise<E.Either<QuantErrors, WasmBackend>> => E.right({ ...wasm, features: {}, dispose: () => {} })
