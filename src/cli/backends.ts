/** Where a program runs, by the options of a command. */
import * as E from 'fp-ts/lib/Either.js'
import type { Backend } from '../evaluator/backend.js'
import { createWasm, fastestHere, wasm } from '../evaluator/engines.js'
import { reference } from '../evaluator/reference/reference.js'
import { misused, orRefused, type Options, type Result } from './command.js'

/** Options that choose a backend. */
export const BACKEND = {
  backend: { type: 'string', value: 'NAME', says: 'wasm or reference (default: the faster one of this machine).' },
  threads: { type: 'string', value: 'N', says: 'Threads of wasm (default 1).' },
} as const satisfies Options

/** A backend and how to give it back. */
export type Opened = { readonly backend: Backend; readonly label: string; readonly close: () => void }

const opened = (backend: Backend, label = backend.name): Opened => ({ backend, label, close: () => undefined })

/** A whole number from 1 on that was given as text. */
export const countOf = (option: string, text: string | undefined, otherwise: number): Result<number> => {
  const n = text === undefined ? otherwise : Number(text)
  return Number.isSafeInteger(n) && n > 0
    ? E.right(n)
    : misused(option, `${option} ${text} is no whole number from 1 on`, `write ${option} ${otherwise}, for instance`)
}

/** WebAssembly with so many threads. */
export const wasmWith = async (threads: number): Promise<Result<Opened>> => {
  const made = await createWasm({ threads })
  return orRefused(
    E.map((backend: Extract<typeof made, { _tag: 'Right' }>['right']): Opened => ({
      backend,
      label: `wasm, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
      close: () => backend.dispose(),
    }))(made),
  )
}

/** The backend that was asked for. */
export const openBackend = async (given: {
  readonly backend: string | undefined
  readonly threads: string | undefined
}): Promise<Result<Opened>> => {
  const { backend: name, threads: text } = given
  if (name !== undefined && name !== 'wasm' && name !== 'reference')
    return misused(
      '--backend',
      `there is no backend ${JSON.stringify(name)}`,
      'give --backend wasm or --backend reference',
    )
  const threads = countOf('--threads', text, 1)
  if (E.isLeft(threads)) return threads
  if (name === 'reference')
    return text === undefined
      ? E.right(opened(reference))
      : misused('--threads', 'the reference has one thread', 'leave --threads out')
  if (threads.right > 1) return wasmWith(threads.right)
  return E.right(opened(name === 'wasm' ? wasm : fastestHere()))
}
