/** What is looked at while numbers are taken from inside a network, and where it runs. */
import type { Backend } from '../evaluator/backend.js'
import type { InputsOf } from '../nn/program/program.js'
import type { Feed } from './samples.js'

/** Declared inputs, samples, and the backend. */
export type Looking<I> = {
  readonly inputs: InputsOf<I>
  readonly feed: Feed<I>
  readonly backend: Backend | undefined
}
