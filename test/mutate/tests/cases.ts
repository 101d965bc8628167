/** Each conformance case as a test of its own. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as q from '../../../src/index.js'
import { judgeFile } from '../../conformance/verdict.js'
import { root } from '../../support/process.js'
import { suite } from '../../support/suite.js'

const test = suite('cases')
const FOLDER = join(root, 'test/conformance/cases')

for (const name of readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).toSorted())
  if (name.endsWith('.json'))
    test(name, () => {
      const verdict = judgeFile(join(FOLDER, name), q.reference, null)
      if (verdict !== null && verdict.differences.length > 0) throw new Error(verdict.differences.join('\n'))
    })

test.run()
