/** Functions in double and softmax against the reference, to the bit. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { newModule } from '../../src/evaluator/wasm/asm/module.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { softmaxKernel, unaryFunction, unaryKernel } from '../../src/evaluator/wasm/kernels/unary.js'
import type { Attrs } from '../../src/graph/op.js'
import { suite } from '../support/suite.js'
import { checkArgs, checkOp, kinds, seeds } from './support/kernels.js'

const test = suite('kernels of functions')

const functions: readonly (readonly [string, Attrs])[] = [
  ['exp', {}],
  ['exp2', {}],
  ['log', {}],
  ['log2', {}],
  ['sqrt', {}],
  ['sigmoid', {}],
  ['tanh', {}],
  ['softsign', {}],
  ['leakyRelu', { negativeSlope: 0.01 }],
  ['elu', { alpha: 1.1 }],
  ['gelu', {}],
  ['geluSlope', {}],
  ['hardswish', {}],
]

/** Float32 numbers of all signs, exponents and many mantissas, subnormals, infinities and NaN among them. */
const everywhere = (n: number, seed: number): Float32Array => {
  const bits = Uint32Array.from({ length: n }, (_, i) => Math.imul(i * 2 + 1 + seed, 2654435761) >>> 0)
  return new Float32Array(bits.buffer)
}

/** Numbers where the functions bend: -110 … 110 and the neighbourhood of 0. */
const near = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => {
    const u = (Math.imul(i + seed, 2246822519) >>> 0) / 2 ** 31 - 1
    return i % 3 === 0 ? u * 110 : i % 3 === 1 ? u * 3 : u * u * u * 0.01
  })

test('each function gives the bits of its reference, everywhere', () => {
  for (const [op, attrs] of functions)
    for (const args of [
      everywhere(20000, 7),
      near(20000, 3),
      Float32Array.of(0, -0, NaN, Infinity, -Infinity, 1, -1, 3, -3, 0.5),
    ])
      checkArgs((spec) => unaryKernel(spec, newMath()), { op, attrs, shapes: [[args.length]], shape: [args.length] }, [
        args,
      ])
})

test('functions of scalars, small shapes and other kinds of numbers', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...functions),
      fc.constantFrom([], [1], [3, 5], [2049], [5000]),
      kinds,
      seeds,
      ([op, attrs], shape, kind, seed) =>
        checkOp((spec) => unaryKernel(spec, newMath()), op, [shape], attrs, kind, seed),
    ),
    { numRuns: 60 },
  )
})

test('softmax and its logarithm along any axis', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('softmax', 'logSoftmax'),
      fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
      fc.nat(),
      kinds,
      seeds,
      (op, shape, d, kind, seed) =>
        checkOp((spec) => softmaxKernel(spec, newMath()), op, [shape], { dim: d % shape.length }, kind, seed),
    ),
    { numRuns: 120 },
  )
})

test('a function is emitted once per module', () => {
  const [m, mathOf] = [newModule(), newMath()]
  const [first, again, other] = [{}, {}, { alpha: 2 }].map((attrs) =>
    unaryFunction(m, mathOf(m), 'elu', { alpha: 1, ...attrs }),
  )
  assert.equal(first?.index, again?.index)
  assert.notEqual(first?.index, other?.index)
  assert.equal(unaryFunction(m, mathOf(m), 'nothing', {}), null)
})

test.run()
