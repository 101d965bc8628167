/** What tests of the WebAssembly backend share: small programs, both backends on the same inputs, and comparisons. */
import assert from 'node:assert/strict'
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../../src/data/error.js'
import { orThrow } from '../../../src/data/error.js'
import { sizeOf, type Shape } from '../../../src/data/shape.js'
import type { Tensor } from '../../../src/data/tensor.js'
import type { Backend, RunResult } from '../../../src/evaluator/backend.js'
import { reference } from '../../../src/evaluator/reference/reference.js'
import type { Kit, Value } from '../../../src/graph/op.js'
import type { Program } from '../../../src/graph/program.js'
import { tensorInput, traceProgram } from '../../../src/graph/trace.js'
import { ops } from '../../../src/ops/index.js'

/** The right side, or the errors as an exception. */
export const get = orThrow

/** A program over plain tensors of these shapes that gives what `body` makes of them. */
export const programOfBody = (
  shapes: readonly Shape[],
  body: (inputs: readonly Value[], kit: Kit) => readonly Value[],
  mode: 'train' | 'eval' = 'train',
): Program =>
  get(
    traceProgram({
      table: ops,
      mode,
      strict: false,
      locations: false,
      params: {},
      state: {},
      inputs: shapes.map((s) => tensorInput(s)),
      body: (_p, _s, inputs, kit) => ({ results: body(inputs as never, kit), nextState: {} }),
    }),
  )

/** Runs a program once and frees what it held. */
export const runOn = (
  backend: Backend,
  program: Program,
  inputs: readonly Tensor[],
): E.Either<QuantErrors, RunResult> => {
  const executable = get(backend.prepare(program))
  try {
    return executable.run(inputs)
  } finally {
    executable.dispose()
  }
}

/** The outputs of both backends, or the same errors of both. */
export const runBoth = (
  backend: Backend,
  program: Program,
  inputs: readonly Tensor[],
): readonly (readonly [Tensor, Tensor])[] => {
  const [a, b] = [runOn(reference, program, inputs), runOn(backend, program, inputs)]
  if (E.isLeft(a) || E.isLeft(b)) {
    assert.deepEqual(E.isLeft(b) ? b.left : 'no error', E.isLeft(a) ? a.left : 'no error')
    return []
  }
  assert.deepEqual(b.right.warnings, a.right.warnings)
  assert.equal(b.right.outputs.length, a.right.outputs.length)
  return a.right.outputs.map((t, i) => [t, b.right.outputs[i]] as const)
}

/** Fails where two tensors differ in a bit; NaN of any kind is one, and with `zeros` 0 is -0. */
export const assertSame = (actual: Tensor, expected: Tensor, what: string, zeros = false): void => {
  assert.deepEqual(actual.shape, expected.shape, what)
  assert.equal(actual.data.length, sizeOf(expected.shape), what)
  const at = expected.data.findIndex((x, i) => !Object.is(x, actual.data[i]) && !(zeros && x === actual.data[i]))
  if (at >= 0) assert.fail(`${what}: element ${at} is ${actual.data[at]}, the reference gives ${expected.data[at]}`)
}

/** Half the distance of 1 to the next float32: a sum of n terms may be off by some of these times the sum of magnitudes. */
const HALF_ULP = 2 ** -24

/** Fails where a sum is farther off than `ulps` × the sum of its terms' magnitudes. */
export const assertNear = (actual: Tensor, expected: Tensor, magnitudes: Tensor, what: string, ulps = 8): void => {
  assert.deepEqual(actual.shape, expected.shape, what)
  const at = expected.data.findIndex((x, i) => {
    const y = actual.data[i]
    return !Object.is(x + 0, y + 0) && !(Math.abs(x - y) <= 2 * ulps * HALF_ULP * magnitudes.data[i] + 1e-44)
  })
  if (at >= 0)
    assert.fail(
      `${what}: element ${at} is ${actual.data[at]}, the reference gives ${expected.data[at]} (magnitudes ${magnitudes.data[at]})`,
    )
}
