/** What arguments of functions over integer programs must be. */
import { argumentProblems, record, required, shaped, type Field } from '../data/fields.js'
import type { QuantErrors } from '../data/error.js'

/** An integer program, as an argument. */
export const integerProgramField: Field = {
  ...shaped('an integer program, as toInteger makes it', {
    program: required(record),
    constants: required(record),
    entry: required(record),
  }),
  like: 'orThrow(toInteger(program, { params, state }))',
}

/** What is wrong with what was given as an integer program. */
export const integerProgramProblems = (asker: string, integer: unknown): QuantErrors =>
  argumentProblems(asker, { integer }, { integer: required(integerProgramField) })

/** Parameters and state of a network, as an argument. */
export const fixedProblems = (asker: string, fixed: unknown): QuantErrors =>
  argumentProblems(
    asker,
    { fixed },
    {
      fixed: required({
        ...shaped('params and state of the network', { params: required(record), state: required(record) }),
        like: '{ params, state }',
      }),
    },
  )
