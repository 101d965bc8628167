/** What is asked of backends and options of runs where a user hands them over; not public. */
import type { QuantErrors } from '../data/error.js'
import { fieldProblems, flag, func, showGiven, type Fields } from '../data/fields.js'
import type { Backend, RunOptions } from './backend.js'

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

const RUN: Fields<RunOptions> = { debugNonFinite: flag, observe: func, trusted: flag }

/** What is wrong with the options of a run. */
export const runOptionProblems = (options: unknown): QuantErrors =>
  options === undefined ? [] : fieldProblems('run', options, RUN)
