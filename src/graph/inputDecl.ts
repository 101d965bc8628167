/** How inputs, parameters and state are declared before anything is traced. */
import type { Dtype } from '../data/dtype.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import {
  demand,
  fieldProblems,
  finite,
  flag,
  isShape,
  oneOf,
  required,
  shapeField,
  showGiven,
  type Fields,
} from '../data/fields.js'
import type { ZeroPointKind } from '../data/quant.js'
import type { Shape } from '../data/shape.js'
import { demandShape } from '../data/tensor.js'

/** Declares a plain tensor as an input; with a `dtype`, what is given is checked to be whole numbers, or 0 and 1. */
export type TensorInput = {
  readonly input: 'tensor'
  readonly shape: Shape
  readonly dtype?: Exclude<Dtype, 'float'>
}
/** Declares a quant tensor as an input: its value must lie on the grid of its scale and zero point. */
export type QuantInput = {
  readonly input: 'quant'
  readonly shape: Shape
  readonly scaleShape: Shape
  readonly zeroPointShape: Shape
  readonly zeroPoint: ZeroPointKind
  readonly bits: number
  readonly signed: boolean
  readonly training: boolean
  /** Is the value known to lie on the grid? `false` makes it a claim. */
  readonly valid: boolean
}
/** Declares one input of a program. */
export type InputDecl = TensorInput | QuantInput

/** A plain tensor of the given shape as an input. Throws a `QuantFailure` where the shape is none. */
export const tensorInput = (shape: Shape, ...others: readonly never[]): TensorInput => {
  demandShape('tensorInput', shape, others)
  return { input: 'tensor', shape }
}

/** Whole numbers as an input: indices of an embedding, classes. Nothing is differentiated by it. Throws as `tensorInput`. */
export const integerInput = (shape: Shape, ...others: readonly never[]): TensorInput => {
  demandShape('integerInput', shape, others)
  return { input: 'tensor', shape, dtype: 'integer' }
}

/** 0 (false) and 1 (true) as an input: the masks of attention. Nothing is differentiated by it. Throws as `tensorInput`. */
export const booleanInput = (shape: Shape, ...others: readonly never[]): TensorInput => {
  demandShape('booleanInput', shape, others)
  return { input: 'tensor', shape, dtype: 'boolean' }
}

const QUANT_INPUT: Fields<Omit<QuantInput, 'input' | 'shape'>> = {
  bits: required(finite),
  signed: required(flag),
  scaleShape: shapeField,
  zeroPointShape: shapeField,
  zeroPoint: oneOf('zero', 'integer', 'any'),
  training: flag,
  valid: flag,
}

/** A quant tensor as an input; per tensor, zero point 0, made in eval and valid unless told otherwise. Throws a `QuantFailure` as `tensorInput`. */
export const quantInput = (
  shape: Shape,
  options: Partial<Omit<QuantInput, 'input' | 'shape'>> & { readonly bits: number; readonly signed: boolean },
): QuantInput => {
  demandShape('quantInput', shape)
  demand(fieldProblems('quantInput', options, QUANT_INPUT))
  const { scaleShape = [], zeroPointShape = [], zeroPoint = 'zero', training = false, valid = true } = options
  const { bits, signed } = options
  return { input: 'quant', shape, scaleShape, zeroPointShape, zeroPoint, bits, signed, training, valid }
}

/** A leaf of parameters or state: its shape, whether an optimizer may change it, and (where it matters) what its numbers mean. */
export type LeafDecl = { readonly shape: Shape; readonly learned: boolean; readonly means?: string }

/** Is it the declaration of an input? */
export const isDecl = (x: unknown): x is InputDecl =>
  typeof x === 'object' && x !== null && 'input' in x && (x.input === 'tensor' || x.input === 'quant')
const inputProblem = (path: string, message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input: path,
  path: '',
  message: `${path === '' ? 'the input' : `input ${path}`} ${message}`,
  fix,
})

/** What is wrong with the declared inputs: each leaf must say the shape that will be given. */
export const inputProblems = (x: unknown, path: string, depth: number): QuantErrors => {
  const wrong = (what: string, fix: string): QuantErrors => [
    inputProblem(
      path,
      `was declared by ${what}; an input is declared by tensorInput(shape) or quantInput(shape, options)`,
      fix,
    ),
  ]
  if (isDecl(x))
    return isShape(x.shape) &&
      (x.input === 'tensor' || fieldProblems('quantInput', partsDeclared(x), QUANT_INPUT).length === 0)
      ? []
      : wrong(showGiven(x), 'make it with tensorInput([2, 4]), for instance')
  if (isShape(x) && x.length > 0) return wrong(`the bare shape ${showGiven(x)}`, `write tensorInput(${showGiven(x)})`)
  if (typeof x !== 'object' || x === null || ArrayBuffer.isView(x) || depth > 64)
    return wrong(showGiven(x), 'write tensorInput([2, 4]), for instance, in the structure that the forward takes')
  if ('data' in x || ('kind' in x && x.kind === 'quant'))
    return wrong('numbers', 'declare its shape alone, tensorInput(x.shape); the numbers are given to run')
  return Object.entries(x).flatMap(([key, inner]) =>
    inputProblems(inner, path === '' ? key : `${path}.${key}`, depth + 1),
  )
}

const partsDeclared = ({ input: _input, shape: _shape, ...options }: QuantInput): object => options

/** Is it the declaration of a leaf of parameters or state? */
export const isLeafDecl = (x: unknown): x is LeafDecl =>
  typeof x === 'object' && x !== null && 'learned' in x && typeof x.learned === 'boolean'
