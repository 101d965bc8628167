/** The law of `lanes`: what loops compute of an op has the bits of its reference. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantTensor } from '../data/quantTensor.js'
import { valueOf } from '../data/quantTensor.js'
import { sizeOf } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import type { Backend } from '../evaluator/backend.js'
import { reference } from '../evaluator/reference/reference.js'
import { newExprs } from '../evaluator/wasm/elementwise/exprs.js'
import { wasm } from '../evaluator/wasm/wasm.js'
import type { Example, Op } from '../graph/op.js'
import type { Program } from '../graph/program.js'
import { demandLaw } from './demands.js'
import { programOf } from './laws.js'

/** Numbers at which formulas part: ties, zeros of both signs, subnormals, the ends of float32, what is no number. */
const HARD = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  -2.5,
  1e-40,
  -1e-40,
  3.4e38,
  -3.4e38,
  Infinity,
  -Infinity,
  NaN,
  0.1,
  -7.3,
  88,
]

/** The hard numbers from the `start`-th on, in steps that share no factor for different operands, so that all pairs meet. */
const hard = (shape: Tensor['shape'], k: number, start: number): Tensor => ({
  shape,
  data: Float32Array.from(
    { length: sizeOf(shape) },
    (_, i) => HARD[((start + i) * (k === 0 ? 1 : 7) + 5 * k) % HARD.length],
  ),
})

/** Operands of hard numbers, often enough for each to occur in the first. */
const hardOperands = ({ args }: Example): readonly (readonly Tensor[])[] => {
  const n = Math.max(1, args[0] === undefined ? 1 : sizeOf(args[0].shape))
  return Array.from({ length: Math.ceil(HARD.length / n) }, (_, r) => args.map((a, k) => hard(a.shape, k, r * n)))
}

type Result = Float32Array | string

/** The results of a program on each list of operands, or what went wrong. */
const resultsOn = (backend: Backend, program: Program, calls: readonly (readonly Tensor[])[]): readonly Result[] => {
  const prepared = backend.prepare(program)
  if (E.isLeft(prepared)) return calls.map(() => prepared.left[0].message)
  const executable = prepared.right
  const results = calls.map((operands): Result => {
    const ran = executable.run(operands)
    return E.isLeft(ran) ? ran.left[0].message : ran.right.outputs[0].data.slice()
  })
  executable.dispose()
  return results
}

const apart = (op: Op, expected: Result, found: Result): string | null => {
  if (typeof expected === 'string' || typeof found === 'string')
    return expected === found ? null : `${op.name}: the reference says ${String(expected)}, loops say ${String(found)}`
  const i = expected.findIndex((x, k) => !Object.is(x, found[k]))
  return i < 0 ? null : `${op.name}: element ${i} is ${expected[i]}, its lanes give ${found[i]}`
}

const noNumber = (op: Op, { args, attrs }: Example): string | null => {
  const e = newExprs()
  if (op.lanes === undefined) return `${op.name} has no lanes`
  try {
    const operands = args.map((_, k) => e.load(k))
    e.lower(op.lanes(e.lanes, operands, attrs))
    return null
  } catch (error) {
    return `${op.name}: its lanes give no number: ${error instanceof Error ? error.message : String(error)}`
  }
}

/**
 * The lanes of an op give the bits of its `evaluate`: on these operands, and on numbers at which formulas part (ties, zeros
 * of both signs, subnormals, infinities, NaN). NaN of any kind is one. Null, or a counterexample in words.
 * @example
 * fc.assert(fc.property(operandsArb(example), (xs) => lanesAgree(op, example, xs) === null))
 */
export const lanesAgree = (op: Op, example: Example, operands: readonly (Tensor | QuantTensor)[]): string | null => {
  demandLaw('lanesAgree', [op], { example, operands })
  const wrong = noNumber(op, example)
  if (wrong !== null) return wrong
  const program = programOf(op, example, false)
  const calls = [operands.map(valueOf), ...hardOperands(example)]
  const [expected, found] = [reference, wasm].map((backend) => resultsOn(backend, program, calls))
  return expected.map((result, k) => apart(op, result, found[k])).find((what) => what !== null) ?? null
}
