/** Checks the ops that a file defines, all of the registry where it is no file of ops. Status 1 where a law is broken. */
import { readFileSync } from 'node:fs'
import { isLeft } from 'fp-ts/lib/Either.js'
import { primitiveOps } from '../../src/ops/index.js'
import { checkOp, showVerdict } from '../../src/testing/index.js'

const [, , file = ''] = process.argv
const source = readFileSync(file, 'utf8')
const mine = primitiveOps.filter(
  (op) => source.includes(`name: '${op.name}'`) || new RegExp(`const ${op.name}\\b`).test(source),
)
for (const op of mine.length > 0 ? mine : primitiveOps.slice(0, 40)) {
  const verdict = checkOp(op, { runs: 8 })
  if (isLeft(verdict)) {
    console.log(showVerdict(verdict))
    process.exit(1)
  }
}
