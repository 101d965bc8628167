/** What is asked of backends and options of runs where a user hands them over; not public. */
import { left, type Either } from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { fieldProblems, flag, func, isEither, showGiven, type Fields } from '../data/fields.js'
import type { Program } from '../graph/program.js'
import type { Backend, Executable, RunOptions } from './backend.js'

const isBackend = (x: unknown): x is Backend =>
  typeof x === 'object' && x !== null && 'prepare' in x && typeof x.prepare === 'function' && 'name' in x

/** What is wrong with what was given as a backend; nothing if it is one. */
export const backendProblems = (asker: string, x: unknown): QuantErrors =>
  isBackend(x)
    ? []
    : [
        {
          tag: 'InputError',
          input: 'backend',
          path: '',
          message: `${asker} takes a backend, and was given ${showGiven(x)}`,
          fix: 'give wasm or reference, what a createWasm() that was awaited and unwrapped holds, or nothing',
        },
      ]

/** A program prepared on a backend of anyone's making, whose answer must be an Either. */
export const prepareOn = (backend: Backend, program: Program): Either<QuantErrors, Executable> => {
  const prepared = backend.prepare(program)
  return isEither(prepared)
    ? prepared
    : left([
        {
          tag: 'BackendError',
          backend: showGiven(backend.name),
          path: '',
          message: `the backend's prepare gave ${showGiven(prepared)}; it must give an Either of an executable`,
          fix: 'give wasm or reference, or mend the backend',
        },
      ])
}

const RUN: Fields<RunOptions> = { debugNonFinite: flag, observe: func, observeStep: func, trusted: flag }

/** What is wrong with the options of a run. */
export const runOptionProblems = (options: unknown): QuantErrors =>
  options === undefined ? [] : fieldProblems('run', options, RUN)
