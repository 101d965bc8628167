/** The laws of each op as a test of its own. */
import { isLeft } from 'fp-ts/lib/Either.js'
import { primitiveOps } from '../../../src/ops/index.js'
import { checkOp, showVerdict } from '../../../src/testing/index.js'
import { suite } from '../../support/suite.js'

const test = suite('laws')

for (const op of primitiveOps)
  test(op.name, () => {
    const verdict = checkOp(op, { runs: 8 })
    if (isLeft(verdict)) throw new Error(showVerdict(verdict))
  })

test.run()
