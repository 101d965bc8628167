/** Softmax and its logarithm against the reference, to the bit. */
import fc from 'fast-check'
import { softmaxKernel } from '../../src/evaluator/wasm/kernels/softmax.js'
import { suite } from '../support/suite.js'
import { checkOp, kinds, seeds } from './support/kernels.js'

const test = suite('kernels: softmax')

test('softmax and its logarithm along any axis', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('softmax', 'logSoftmax'),
      fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
      fc.nat(),
      kinds,
      seeds,
      (op, shape, d, kind, seed) =>
        checkOp((spec) => softmaxKernel(spec), op, [shape], { dim: d % shape.length }, kind, seed),
    ),
    { numRuns: 120 },
  )
})

test.run()
