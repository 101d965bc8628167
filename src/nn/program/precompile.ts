/** From a traced program to one file that a small runtime runs. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { argumentProblems, record, required } from '../../data/fields.js'
import { zeros, type Tensor } from '../../data/tensor.js'
import { precompileProgram } from '../../evaluator/engines.js'
import { programProblems, type Program } from '../../graph/program.js'
import { bindInputs } from './binding.js'

const FIXED = { ...record, says: 'a record of params and state', like: '{ params, state }' }

/** What only a program that goes forward in eval mode has not. */
const unfit = (program: Program): QuantErrors => {
  const wrong = (message: string, fix: string): QuantErrors => [
    { tag: 'InputError', input: 'program', path: '', message: `precompile ${message}`, fix },
  ]
  if (program.mode !== 'eval')
    return wrong(
      "takes a program of mode 'eval', and was given one of mode 'train', whose state moves on with each run",
      "trace it with { mode: 'eval' }; compile and trainer run programs in training",
    )
  return program.structure.grads === null
    ? []
    : wrong(
        'takes a program that only goes forward, and was given one with gradients',
        'precompile the program before grad or vjp',
      )
}

/**
 * Compiles an eval program ahead of time, for these parameters and this state: a file that `loadPrecompiled` of `quantrace/runtime` runs in a
 * browser or Node with a few dozen kilobytes of code. It is a WebAssembly module (serve it as `application/wasm`) that holds the quantized weights.
 * Its results are those of `compile(program, wasm)` bit for bit; shapes are as traced, one thread runs.
 *
 * Errors: `InputError` where the program, its parameters or its state don't fit, `CheckFailed` where a check of parameters and state alone
 * fails (then every run would), `BackendError` where this engine has no WebAssembly SIMD or no memory left.
 * @example
 * ```ts
 * import { chain, init, orThrow, precompile, QuantLinear, tensorInput, trace } from 'quantrace'
 *
 * const net = chain({ fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }) })
 * const { params, state } = orThrow(init(net, 0))
 * const program = orThrow(trace(net, tensorInput([1, 2]), { mode: 'eval' }))
 * const bytes = orThrow(precompile(program, { params, state })) // a file for quantrace/runtime, which knows no layers
 * console.log(bytes.length > 0)
 * ```
 * ```text
 * true
 * ```
 */
export const precompile = <P, S, I, O>(
  program: Program<P, S, I, O>,
  fixed: { readonly params: P; readonly state: S },
): E.Either<QuantErrors, Uint8Array> => {
  const wrong = programProblems('precompile', program)
  if (wrong.length > 0) return E.left(wrong)
  const bad = [...unfit(program), ...argumentProblems('precompile', { fixed }, { fixed: required(FIXED) })]
  if (bad.length > 0) return E.left(bad)
  const bound = bindInputs(
    { inputs: program.inputs.filter((i) => i.kind !== 'data') },
    { params: fixed.params, state: fixed.state, inputs: null },
  )
  if (E.isLeft(bound)) return bound
  let next = 0
  const inputs = program.inputs.map((i): Tensor => (i.kind === 'data' ? zeros([0]) : bound.right[next++]))
  return precompileProgram(program, inputs)
}
