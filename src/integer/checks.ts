/** What arguments of functions over integer programs must be. */
import type { QuantErrors } from '../data/error.js'
import { argumentProblems, isShape, record, required, shaped, type Field } from '../data/fields.js'
import { sizeOf } from '../data/shape.js'
import { isTensor } from '../data/tensor.js'
import { isProgram } from '../graph/program.js'
import { constOp, inputOp } from '../graph/structural.js'
import { isIntegerOp } from './ops/record.js'
import type { IntegerTensor } from './values.js'

const isRecord = (x: unknown): x is { readonly [name: string]: unknown } => typeof x === 'object' && x !== null

const isWholes = (x: unknown): boolean => ArrayBuffer.isView(x) && 'length' in x

/** Whole numbers in a typed array, as many as the shape says. */
export const isIntegerTensor = (x: unknown): x is IntegerTensor =>
  isRecord(x) && isShape(x.shape) && isWholes(x.data) && (x.data as IntegerTensor['data']).length === sizeOf(x.shape)

const isListOf = (x: unknown, holds: (e: unknown) => boolean): boolean => Array.isArray(x) && x.every(holds)

const isBorder = (x: unknown): boolean =>
  isRecord(x) && typeof x.name === 'string' && isShape(x.shape) && isTensor(x.scale) && isTensor(x.zeroPoint)

/** Is it a program of integer ops, with all its constants? */
const isInteger = (program: unknown, constants: unknown): boolean =>
  isProgram(program) &&
  isRecord(constants) &&
  program.graph.nodes.every(({ op }) => op === inputOp || op === constOp || isIntegerOp(op)) &&
  program.inputs.every(
    (i) => i.kind !== 'param' || (Object.hasOwn(constants, i.path) && isIntegerTensor(constants[i.path])),
  )

const isTap = (x: unknown): boolean => isRecord(x) && typeof x.path === 'string' && isShape(x.shape) && isRecord(x.grid)

/** What each entry of its other lists must be. */
const LISTS: { readonly [name: string]: (x: unknown) => boolean } = {
  accumulators: isRecord,
  requantizations: isRecord,
  biases: isRecord,
  taps: isTap,
  inner: isTap,
}

const isIntegerProgram = (x: unknown): boolean =>
  isRecord(x) &&
  isInteger(x.program, x.constants) &&
  [x.inputs, x.outputs].every((borders) => isListOf(borders, isBorder)) &&
  Object.entries(LISTS).every(([name, holds]) => isListOf(x[name], holds)) &&
  isRecord(x.entry) &&
  isProgram(x.entry.program) &&
  isRecord(x.entry.constants)

/** An integer program, as an argument. JSON loses its ops and typed arrays, so it is looked at whether it has them. */
export const integerProgramField: Field = {
  says: 'an integer program, as toInteger makes it',
  like: 'orThrow(toInteger(program, { params, state }))',
  holds: isIntegerProgram,
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
