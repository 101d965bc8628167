/** Programs with a backward pass: the gradient transformations over the registry of ops. */
import * as E from 'fp-ts/lib/Either.js'
import { vjpProgram, type VjpOptions } from '../../autodiff/vjp.js'
import type { QuantErrors } from '../../data/error.js'
import { fieldProblems, flag, text, type Fields } from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import { programProblems, type Program } from '../../graph/program.js'
import { ops } from '../../ops/index.js'

const VJP: Fields<Omit<VjpOptions, 'cotangent'>> = { output: text, inputs: flag }

const differentiated = (
  asker: string,
  program: Program,
  options: Omit<VjpOptions, 'cotangent'>,
  cotangent: 'one' | 'given',
): E.Either<QuantErrors, Program> => {
  const wrong = [...programProblems(asker, program), ...fieldProblems(asker, options, VJP)]
  return wrong.length > 0 ? E.left(wrong) : vjpProgram(ops)(program, { ...options, cotangent })
}

/**
 * The program with a backward pass from a scalar result: a run of it gives `grads` beside outputs and state.
 * @example
 * ```ts
 * import { functionLayer, grad, mul, orThrow, run, sum, tensorInput, tensorOf, trace } from 'quantrace'
 *
 * const squares = functionLayer('Squares', (x) => sum(mul(x, x)))
 * const program = orThrow(grad(orThrow(trace(squares, tensorInput([2]), { mode: 'train' })), { inputs: true }))
 * const { grads } = orThrow(run(program, { params: {}, state: {}, inputs: tensorOf([2], [1, 3]) }))
 * console.log(grads?.inputs)
 * ```
 * ```text
 * { shape: [ 2 ], data: Float32Array(2) [ 2, 6 ] }
 * ```
 */
export const grad = <P, S, I, O>(
  program: Program<P, S, I, O>,
  options: Omit<VjpOptions, 'cotangent'> = {},
): E.Either<QuantErrors, Program<P, S, I, O>> =>
  differentiated('grad', program, options, 'one') as E.Either<QuantErrors, Program<P, S, I, O>>

/** The inputs of a vjp: those of the program, and the cotangent of the chosen result. */
export type WithCotangent<I> = { readonly inputs: I; readonly cotangent: Tensor }

/** The program with a backward pass from one result, whose cotangent becomes an input. */
export const vjp = <P, S, I, O>(
  program: Program<P, S, I, O>,
  options: Omit<VjpOptions, 'cotangent'> = {},
): E.Either<QuantErrors, Program<P, S, WithCotangent<I>, O>> =>
  E.map((p: Program) => p as Program<P, S, WithCotangent<I>, O>)(differentiated('vjp', program, options, 'given'))

/** `grad` under the name that JAX users look for: the value is among the outputs. */
export const valueAndGrad = grad
