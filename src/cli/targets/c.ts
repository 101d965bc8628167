/** `--to c`: the network on integers only, as C99: a source and a header. */
import * as E from 'fp-ts/lib/Either.js'
import { toC, toInteger, type IntegerOptions } from '../../integer/index.js'
import type { Stored } from '../../../viz/known.js'
import { misused, orRefused, type Options, type Result } from '../command.js'
import { numbersOf } from '../numbers.js'
import type { Made, Target } from '../target.js'

type Form = NonNullable<IntegerOptions['requantization']>
const FORMS: readonly Form[] = ['auto', 'multiplier', 'thresholds']

const OPTIONS: Options = {
  prefix: {
    type: 'string',
    value: 'NAME',
    says: 'Prefix of all names of C, and name of the files (default: that of the program).',
  },
  requantization: {
    type: 'string',
    value: 'FORM',
    says: `${FORMS.join(', ')}: how quantizers are written (default auto); thresholds are always exact.`,
  },
}

const formOf = (text: unknown): Result<Form> => {
  const form = FORMS.find((f) => f === (text ?? 'auto'))
  return form === undefined
    ? misused('--requantization', `there is no form ${JSON.stringify(text)}`, `give one of ${FORMS.join(', ')}`)
    : E.right(form)
}

/** A program's name as an identifier. */
const identifier = (name: string): string => name.replace(/[^A-Za-z0-9]+/g, '_').replace(/^(?![A-Za-z])/, 'net_')

export const c: Target = {
  says: 'C99 on integers only: a source and a header, nothing else needed',
  ending: '-c',
  options: OPTIONS,
  check: (given) => formOf(given['requantization']),
  make: (subject, given) => {
    const form = formOf(given['requantization'])
    if (E.isLeft(form)) return form
    const name = typeof given['prefix'] === 'string' ? given['prefix'] : identifier(subject.name)
    return E.chain((numbers: Stored): Result<Made> => {
      const integer = toInteger(subject.program, numbers, { requantization: form.right })
      if (E.isLeft(integer)) return orRefused(integer)
      return orRefused(
        E.map(({ source, header }: { readonly source: string; readonly header: string }): Made => ({
          is: 'folder',
          files: { [`${name}.c`]: source, [`${name}.h`]: header },
        }))(toC(integer.right, { name })),
      )
    })(numbersOf(subject))
  },
}
