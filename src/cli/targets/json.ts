/** `--to json`: the program as `programToJSON` stores it. */
import * as E from 'fp-ts/lib/Either.js'
import { programToJSON } from '../../graph/json.js'
import type { Target } from '../target.js'

export const json: Target = {
  says: 'the program as programToJSON stores it, without its numbers (quantrace import writes both)',
  ending: '.json',
  options: {},
  make: ({ program }) => E.right({ is: 'file', content: programToJSON(program) }),
}
