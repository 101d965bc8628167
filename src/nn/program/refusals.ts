/** Refusals that several ways to run share, worded once. */
import { showGiven } from '../../data/fields.js'
import type { QuantErrors } from '../../data/error.js'

/** What was disposed of is used again: its memory may hold another program's numbers by now. */
export const disposedMessage = (what: string): string => `${what} was disposed of, and the memory behind it is gone`

const DISPOSED_FIX = 'dispose after the last use, or make a new one'

/** `disposedMessage` as the error of a step or run. */
export const disposed = (what: string, backend: string): QuantErrors => [
  { tag: 'BackendError', backend, path: '', message: disposedMessage(what), fix: DISPOSED_FIX },
]

/** A learning rate that would make every parameter NaN. */
export const badRate = (lr: number | undefined): QuantErrors => [
  {
    tag: 'InputError',
    input: 'lr',
    path: '',
    message: `the learning rate of this step is ${showGiven(lr)}; it must be a finite number from 0 on`,
    fix: 'give the optimizer its lr (sgd({ lr: 0.1 })), and mend the schedule if there is one: cosineDecay(lr, steps), for instance',
  },
]
