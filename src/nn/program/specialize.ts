/** Programs made for one network: parameters and state become constants. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { argumentProblems, fieldProblems, flag, func, record, required, type Fields } from '../../data/fields.js'
import { programProblems, type Program } from '../../graph/program.js'
import { specializeProgram, type Fixed, type Specialized, type SpecializeOptions } from '../../graph/specialize.js'
import { ops } from '../../ops/index.js'
import { stateErrors } from './meanings.js'

const SPECIALIZE: Fields<SpecializeOptions> = { keep: func, unroll: flag, quantInputs: record }

/**
 * The program of one network: `(program, params, state) → program`. Phases are decided by their counters, what depends on parameters and state alone
 * is computed once, checks among it are made now; metadata is kept. The result is an ordinary program without state, whose parameters are the
 * constants that are left. Exporters stand on it; so can you.
 * @example
 * ```ts
 * import { chain, init, orThrow, QuantLinear, run, specialize, tensorInput, tensorOf, trace, valueOf } from 'quantrace'
 *
 * const net = chain({ fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }) })
 * const { params, state } = orThrow(init(net, 0))
 * const program = orThrow(trace(net, tensorInput([1, 2]), { mode: 'eval' }))
 * const fixed = orThrow(specialize(program, { params, state }))
 * const x = tensorOf([1, 2], [1, 2])
 * const { outputs } = orThrow(run(fixed.program, { params: fixed.constants, state: {}, inputs: x }))
 * console.log(valueOf(outputs).shape)
 * ```
 * ```text
 * [ 1, 1 ]
 * ```
 */
export const specialize = <P, S, I, O>(
  program: Program<P, S, I, O>,
  fixed: { readonly params: P; readonly state: S },
  options: SpecializeOptions = {},
): E.Either<QuantErrors, Specialized<I, O>> => {
  const bad = [
    ...programProblems('specialize', program),
    ...argumentProblems('specialize', { fixed }, { fixed: required(record) }),
    ...fieldProblems('specialize', options, SPECIALIZE),
  ]
  if (bad.length > 0) return E.left(bad)
  const made = specializeProgram<P, S, I, O>(program, fixed, ops, options)
  if (E.isLeft(made)) return made
  const wrong = stateErrors(program, fixed.state)
  return wrong.length > 0 ? E.left(wrong) : made
}

export type { Fixed, Specialized, SpecializeOptions }
