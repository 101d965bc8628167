/** Traces a function of values into a program. Knows trees of values; knows nothing of layers. */
import * as E from 'fp-ts/lib/Either.js'
import { freeze } from 'immer'
import type { Carried, ZeroPointKind } from '../data/quant.js'
import { carries, claimed, exactly, gridOf, HALF_ULP, intMax, intMin, isFloatGrid, nodesOfGrid } from '../data/quant.js'
import type { Dtype } from '../data/dtype.js'
import { declarationProblem } from '../data/declaration.js'
import { isFailure, type QuantError, type QuantErrors } from '../data/error.js'
import {
  finite,
  demand,
  fieldProblems,
  flag,
  isShape,
  oneOf,
  required,
  shapeField,
  showGiven,
  type Fields,
  nearestName,
} from '../data/fields.js'
import { showShape, type Shape } from '../data/shape.js'
import { demandShape } from '../data/tensor.js'
import type { Tree } from '../data/tree.js'
import { leaves, mapTree } from '../data/tree.js'
import { liesIn, namesIn, outwards, type Where } from '../data/where.js'
import type { Builder } from './builder.js'
import { isInvalid, newBuilder } from './builder.js'
import type { OpTable, Value } from './op.js'
import type { Program, ProgramInput, ProgramLayer, ProgramOutput, QuantParts } from './program.js'

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

const isDecl = (x: unknown): x is InputDecl =>
  typeof x === 'object' && x !== null && 'input' in x && (x.input === 'tensor' || x.input === 'quant')
const inputProblem = (path: string, message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input: path,
  path: '',
  message: `${path === '' ? 'the input' : `input ${path}`} ${message}`,
  fix,
})

/** What is wrong with the declared inputs: each leaf must say the shape that will be given. */
const inputProblems = (x: unknown, path: string, depth: number): QuantErrors => {
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

const isLeafDecl = (x: unknown): x is LeafDecl =>
  typeof x === 'object' && x !== null && 'learned' in x && typeof x.learned === 'boolean'
/** Is it a traced value? */
export const isValue = (x: unknown): x is Value =>
  typeof x === 'object' &&
  x !== null &&
  'kit' in x &&
  'carried' in x &&
  'id' in x &&
  typeof x.kit === 'object' &&
  x.kit !== null &&
  'emit' in x.kit &&
  typeof x.kit.emit === 'function' &&
  typeof x.id === 'number' &&
  'shape' in x &&
  Array.isArray(x.shape)

/** What is traced, and how. */
export type TraceSpec = {
  readonly table: OpTable
  readonly mode: 'train' | 'eval'
  readonly strict: boolean
  readonly locations: boolean
  readonly inputs: unknown
  readonly params: unknown
  readonly state: unknown
  /** What is traced as in `eval`, whatever the mode; each name must be one of the network's. */
  readonly freeze?: Where
  readonly layers?: readonly ProgramLayer[]
  readonly body: (
    params: Tree<Value>,
    state: Tree<Value>,
    inputs: Tree<Value>,
    builder: Builder,
  ) => { readonly results: unknown; readonly nextState: unknown }
}

const declared = (
  b: Builder,
  d: QuantInput,
  parts: { readonly value: Value; readonly scale: Value; readonly zeroPoint: Value },
): Value => {
  const [lo, hi] = [intMin(d.bits, d.signed), intMax(d.bits, d.signed)]
  const quant = {
    scale: parts.scale.id,
    zeroPoint: parts.zeroPoint.id,
    bitWidth: b.constant(d.bits).id,
    bits: d.bits,
    signed: d.signed,
    training: d.training,
    zero: d.zeroPoint,
    lo,
    hi,
    slack: HALF_ULP * Math.max(Math.abs(lo), hi),
  }
  const carried: Carried = !d.valid
    ? claimed(quant, 'the input was declared as not valid')
    : d.bits < 2
      ? exactly(quant, 'one bit is valid only if both of its two integers occur')
      : carries(quant)
  return b.declare(parts.value, carried)
}

const partsOf = (v: Value): QuantParts | null => {
  const q = gridOf(v.carried)
  return q === null
    ? null
    : {
        scale: q.scale,
        zeroPoint: q.zeroPoint,
        bitWidth: q.bitWidth,
        bits: q.bits,
        signed: q.signed,
        training: q.training,
        ...(isFloatGrid(q) ? { format: q.format } : q.learned === true ? { learned: true } : {}),
        ...(q.group === undefined ? {} : { group: q.group }),
      }
}

/** What the body returns; what it throws of this library's own errors joins those of the trace. */
const bodyOf = (
  spec: TraceSpec,
  b: Builder,
  ...args: readonly [params: Tree<Value>, state: Tree<Value>, inputs: Tree<Value>]
): ReturnType<TraceSpec['body']> => {
  try {
    return spec.body(...args, b)
  } catch (e) {
    if (!isFailure(e)) throw e
    b.errors.push(...e.errors)
    return { results: {}, nextState: {} }
  }
}

/** Names to freeze that are no part of the network, each with the nearest one that is. */
const unknownNames = (still: Where, placed: readonly { readonly path: string }[]): QuantErrors => {
  const known = new Set(placed.flatMap(({ path }) => outwards(path)))
  return namesIn(still)
    .filter((name) => !known.has(name))
    .map((name) => {
      const near = nearestName(name, [...known])
      return {
        tag: 'ConfigError',
        option: 'freeze',
        path: '',
        message: `trace was told to freeze ${JSON.stringify(name)}, which is no part of this network`,
        fix:
          near === undefined
            ? `name layers or quantizers by their paths: ${[...known]
                .filter((n) => n !== '')
                .slice(0, 8)
                .join(', ')}, …`
            : `did you mean ${JSON.stringify(near)}?`,
      }
    })
}

/** Runs the body over fresh inputs and returns the program, or every error that was found. */
export const traceProgram = (spec: TraceSpec): E.Either<QuantErrors, Program> => {
  const wrong = inputProblems(spec.inputs, '', 0)
  if (wrong.length > 0) return E.left(wrong)
  const { freeze: still } = spec
  const b = newBuilder(still === undefined ? spec : { ...spec, frozen: liesIn(still) })
  const inputs: ProgramInput[] = []
  const outputs: ProgramOutput[] = []
  const add = (
    kind: ProgramInput['kind'],
    path: string,
    shape: Shape,
    learned: boolean,
    part: ProgramInput['part'],
    extra: Partial<ProgramInput> = {},
  ): Value => {
    const name = part === 'tensor' || part === 'value' ? path : `${path === '' ? 'input' : path}.${part}`
    const v = b.input(kind, name, shape, undefined, extra.dtype)
    inputs.push({ kind, path, node: v.id, shape, learned, part, ...extra })
    return v
  }
  const leaf =
    (kind: 'param' | 'state') =>
    (d: LeafDecl, path: string): { readonly index: number; readonly value: Value } => ({
      index: inputs.length,
      value: add(kind, path, d.shape, d.learned, 'tensor', d.means === undefined ? {} : { means: d.means }),
    })
  const data = (d: InputDecl, path: string): { readonly index: number; readonly value: Value } => {
    const index = inputs.length
    if (d.input === 'tensor')
      return {
        index,
        value: add('data', path, d.shape, false, 'tensor', d.dtype === undefined ? {} : { dtype: d.dtype }),
      }
    const { bits, signed, training, zeroPoint: zero, valid } = d
    const problem = declarationProblem(d)
    if (problem !== null)
      b.failWith({
        tag: 'InputError',
        input: path,
        path: '',
        message: `the quant input ${path === '' ? '' : `${path} `}of shape ${showShape(d.shape)} can't be declared so: ${problem}`,
        fix: 'quantInput(shape, { bits, signed, scaleShape, zeroPointShape }): shapes are [] per tensor, [1, channels, 1, 1] per channel',
      })
    const value = add('data', path, d.shape, false, 'value', { quant: { bits, signed, training, zero, valid } })
    const scale = add('data', path, d.scaleShape, false, 'scale')
    const zeroPoint = add('data', path, d.zeroPointShape, false, 'zeroPoint')
    return { index, value: declared(b, d, { value, scale, zeroPoint }) }
  }
  const isEntry = (x: unknown): x is { readonly index: number; readonly value: Value } =>
    typeof x === 'object' && x !== null && 'index' in x && 'value' in x && isValue(x.value)
  const split = (tree: unknown): readonly [Tree<Value>, Tree<number>] => [
    mapTree(isEntry, tree, (e) => e.value),
    mapTree(isEntry, tree, (e) => e.index),
  ]
  const [paramValues, params] = split(mapTree(isLeafDecl, spec.params, leaf('param')))
  const [stateValues, state] = split(mapTree(isLeafDecl, spec.state, leaf('state')))
  const [dataValues, dataTree] = split(mapTree(isDecl, spec.inputs, data))
  const { results, nextState } = bodyOf(spec, b, paramValues, stateValues, dataValues)

  const output =
    (kind: ProgramOutput['kind']) =>
    (v: Value, path: string): number => {
      const quant = kind === 'result' ? partsOf(v) : null
      return outputs.push({ kind, path, node: v.id, ...(quant === null ? {} : { quant }) }) - 1
    }
  const found = [...leaves(isValue, results), ...leaves(isValue, nextState)].map((l) => l.leaf)
  if (b.errors.length === 0 && leaves(isValue, results).length === 0)
    b.failWith({
      tag: 'InputError',
      input: 'result',
      path: '',
      message: `the traced function returned no value${inputs.some((i) => i.kind === 'data') ? '' : ', and no input was declared'}`,
      fix: "declare each input with tensorInput(shape) or quantInput(…), and return values made from them by quantrace's functions",
    })
  if (b.errors.length === 0 && found.some(isInvalid))
    b.failWith({
      tag: 'Internal',
      path: '',
      message: 'an invalid value was returned without an error',
      fix: 'report this as a bug of quantrace',
    })
  if (b.errors.length === 0 && found.some((v) => v.kit !== b))
    b.failWith({
      tag: 'InputError',
      input: 'result',
      path: '',
      message: 'the traced function returned a value of another trace',
      fix: "return only values made from this call's arguments",
    })
  if (b.errors.length > 0) return E.left(freeze([...b.errors], true))
  const resultTree = mapTree(isValue, results, output('result'))
  const nextTree = mapTree(isValue, nextState, output('state'))
  const structure = { data: dataTree, params, state, results: resultTree, nextState: nextTree, grads: null }
  const parts = outputs.flatMap(({ quant: q }) => (q === undefined ? [] : nodesOfGrid(q)))
  const graph = b.finish([...found, ...parts.map(b.value)])
  const unknown = still === undefined ? [] : unknownNames(still, [...graph.nodes, ...(spec.layers ?? [])])
  if (unknown.length > 0) return E.left(unknown)
  return E.right(
    freeze<Program>(
      {
        version: 1,
        mode: spec.mode,
        strict: spec.strict,
        graph,
        inputs,
        outputs,
        structure,
        ...(spec.layers === undefined || spec.layers.length === 0 ? {} : { layers: spec.layers }),
      },
      true,
    ),
  )
}
