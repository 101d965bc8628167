/** `--to svg`: the picture that `quantrace viz` draws. */
import * as E from 'fp-ts/lib/Either.js'
import { toSvg } from '../../../viz/index.js'
import type { Target } from '../target.js'

export const svg: Target = {
  says: 'a picture of its layers',
  ending: '.svg',
  options: { all: { type: 'boolean', says: 'Draw every node.' } },
  make: ({ program, name }, { all }) =>
    E.right({ is: 'file', content: toSvg(program, { title: name, expand: all === true ? 'all' : 'first' }) }),
}
