/** What layers that are called with a record are given: each operand under its name. */
import type { QuantError } from '../../data/error.js'
import { demand, fieldProblems, required, type Field } from '../../data/fields.js'
import type { Kit } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'

/** Any traced value. */
export const aValue: Field = { says: 'a traced value', like: 'x', holds: isValue }
/** Booleans, or floats that are added. */
export const aMask: Field = {
  says: 'a traced value of booleans or floats',
  like: 'mask, declared with booleanInput',
  holds: (x) => isValue(x) && x.dtype !== 'integer',
}
/** States of a recurrent layer. */
export const someStates: Field = {
  says: 'a traced value, or a list of traced values',
  like: 'h',
  holds: (x) => isValue(x) || (Array.isArray(x) && x.every(isValue)),
}

/** What a recurrent layer is called with; those with a cell state start from one. */
export const recurrentOperands = (hasCell: boolean): { readonly [name: string]: Field } => ({
  x: required(aValue),
  hx: someStates,
  ...(hasCell ? { cx: someStates } : {}),
})

const bare = (asker: string, names: readonly string[]): QuantError => ({
  tag: 'InputError',
  input: asker,
  path: '',
  message: `${asker} is called with a record of operands, and was given a value alone`,
  fix: `write { ${names[0]}: value }; it knows ${names.join(', ')}`,
})

/** Throws where a record of operands holds what the layer does not know, or what is not what it must be. */
export const demandOperands = (
  kit: Kit,
  asker: string,
  given: unknown,
  fields: { readonly [name: string]: Field },
): void => {
  const problems = isValue(given) ? [bare(asker, Object.keys(fields))] : fieldProblems(asker, given, fields)
  demand(problems.map((e) => ({ ...e, path: kit.path() })))
}
