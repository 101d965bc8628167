/** What laws are given is checked: an op, one way to call it, operands, a quantizer. */
import {
  allOf,
  anyNumber,
  demandArguments,
  flag,
  listOf,
  oneOf,
  record,
  required,
  shapeField,
  shaped,
  type Field,
} from '../data/fields.js'
import { outputField } from '../data/quantTensor.js'
import { tensorField } from '../data/tensor.js'
import { demandOp } from '../graph/op.js'
import { quantizerField } from '../quantizers/quantizer.js'

/** One way to call an op, as an argument. */
const exampleField: Field = {
  ...shaped(
    'an example of the op: { args, attrs }',
    allOf({ args: listOf(shaped('an operand', { shape: required(shapeField), quant: record })), attrs: record }),
  ),
  like: 'op.examples[0]',
}
const operandsField: Field = { ...listOf(outputField), like: '[tensorOf([2], [1, 2])]' }
const rangeField: Field = {
  says: 'two numbers, least and most',
  like: '[-1, 1]',
  holds: (x) => Array.isArray(x) && x.length === 2 && x.every((n) => typeof n === 'number'),
}
const LAW: { readonly [name: string]: Field } = {
  example: exampleField,
  operands: operandsField,
  g: tensorField,
  cotangent: tensorField,
  tolerance: anyNumber,
  metadata: flag,
  quantizer: quantizerField,
  x: tensorField,
  range: rangeField,
  mode: oneOf('train', 'eval'),
}

/** Throws where a law is asked of something else than it holds of. */
export const demandLaw = (law: string, ops: readonly unknown[], given: { readonly [name: string]: unknown }): void => {
  ops.forEach((op) => demandOp(law, op))
  demandArguments(law, given, Object.fromEntries(Object.keys(given).map((name) => [name, required(LAW[name])])))
  const { example, operands } = given
  if (operandsField.holds(operands) && exampleField.holds(example)) demandCount(law, example, operands)
}

const demandCount = (law: string, example: unknown, operands: unknown): void => {
  const wanted: readonly unknown[] = Object(example).args
  const found: readonly unknown[] = Object(operands)
  demandArguments(
    law,
    { operands },
    {
      operands: {
        says: `${wanted.length} operands, as the example has`,
        like: '[…]',
        holds: () => wanted.length === found.length,
      },
    },
  )
}
