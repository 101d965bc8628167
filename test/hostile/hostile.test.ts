/** A few hundred hostile inputs of each kind; 10,000 of each: `npm run hostile`. */
import { suite } from '../support/suite.js'
import { attack } from './attack.js'
import { KINDS } from './kinds.js'

const test = suite('hostile input')

for (const kind of KINDS)
  test(`${kind.name}: typed errors only, in bounded time and memory`, () => {
    const { faults } = attack(kind, 150, 1)
    if (faults.length > 0) throw new Error(faults.join('\n'))
  })

test.run()
