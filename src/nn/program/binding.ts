/** Between trees of tensors and the flat lists that a backend takes and gives. */
import * as E from 'fp-ts/lib/Either.js'
import { breaches, showDeclaration } from '../../data/declaration.js'
import type { QuantError, QuantErrors, QuantWarning } from '../../data/error.js'
import { argumentProblems, record, required } from '../../data/fields.js'
import { marksOf, type Marked, type Marks } from '../../data/marks.js'
import { dtypeBreach } from '../../data/dtype.js'
import { sameShape, showShape, sizeOf } from '../../data/shape.js'
import type { QuantTensor } from '../../data/quantTensor.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { at, mapTree, type Tree } from '../../data/tree.js'
import type { TrustOptions } from '../../evaluator/backend.js'
import type { Program, ProgramInput } from '../../graph/program.js'
import { outputOf, resultOf } from '../../graph/results.js'
import { meaningErrors } from './meanings.js'

/** The arguments of a run. */
export type RunArgs<P, S, I> = { readonly params: P; readonly state: S; readonly inputs: I }
/** What a run gives. `grads` is empty unless the program is a vjp. */
export type Ran<S, O> = {
  readonly outputs: O
  readonly state: S
  readonly grads: Grads
  readonly warnings: readonly QuantWarning[]
}
/** Gradients as trees: of the parameters, of learned state, and of inputs where asked for. */
export type Grads = { readonly params: Tree<Tensor>; readonly state: Tree<Tensor>; readonly inputs: Tree<Tensor> }

const inputError = (i: ProgramInput, message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input: i.path,
  path: i.kind === 'data' ? '' : i.path,
  message,
  fix,
})

/** What is given for an input, or undefined. */
export const partOf = (i: ProgramInput, given: unknown): unknown => {
  if (i.part === 'tensor') return given
  if (typeof given !== 'object' || given === null || !('kind' in given) || given.kind !== 'quant') return undefined
  const q = given as QuantTensor
  if (i.part === 'value') return q.value
  return i.part === 'scale' ? q.scale : q.zeroPoint
}

/** What was given in a tensor's place, in words. */
const kindOf = (x: unknown): string => {
  if (Array.isArray(x)) return 'an array'
  if (typeof x !== 'object') return `a ${typeof x}`
  if (x !== null && '_tag' in x) return 'an Either, whose value is its right'
  if (x !== null && 'kind' in x && x.kind === 'quant') return 'a quant tensor'
  return 'data' in Object(x) ? 'an object whose data is no Float32Array' : 'an object without data'
}

/** An input for which no tensor was given, or something else. */
const absent = (i: ProgramInput, name: string, given: unknown): QuantError => {
  const wanted = `a ${i.part === 'tensor' ? 'tensor' : 'quant tensor'} of shape ${showShape(i.shape)} was declared`
  if (given !== undefined && given !== null && i.part === 'tensor')
    return inputError(
      i,
      `${name} is ${kindOf(given)}: ${wanted}`,
      `make a tensor of numbers with tensorOf(${showShape(i.shape)}, numbers), and give it in the structure that was traced`,
    )
  return inputError(
    i,
    `${name} is missing: ${wanted}`,
    i.kind === 'data'
      ? 'give it in inputs, in the structure that was traced'
      : 'give the params and state that init or the last run returned; orThrow(init(net, 0)) unwraps what init gives',
  )
}

/** Something else where a quant tensor was declared: said once, of its value; null where one was given. */
const notQuant = (i: ProgramInput, given: unknown): readonly QuantError[] | null => {
  if (i.part === 'tensor' || given === undefined || given === null || isQuant(given)) return null
  if (i.part !== 'value') return []
  return [
    inputError(
      i,
      `data ${i.path === '' ? 'input' : i.path} is ${isTensor(given) ? 'a plain tensor' : kindOf(given)}: a quant tensor of shape ${showShape(i.shape)} was declared`,
      'give what a run returned as a quant tensor, or declare it with tensorInput',
    ),
  ]
}

const ARGUMENTS = { ...record, says: 'a record of params, state and inputs', like: '{ params, state, inputs: x }' }

/** An input's name in messages. */
const nameOf = (i: ProgramInput): string =>
  `${i.kind} ${i.path === '' ? 'input' : i.path}${i.part === 'tensor' ? '' : ` (${i.part})`}`

const isQuant = (x: unknown): x is QuantTensor =>
  typeof x === 'object' && x !== null && 'kind' in x && x.kind === 'quant'

/** In what a given quant tensor is not what was declared; its parts have the right shapes. Empty for other inputs. */
const quantErrors = (i: ProgramInput, given: unknown): readonly QuantError[] => {
  const { quant } = i
  if (quant === undefined || !isQuant(given)) return []
  if (!isTensor(given.bitWidth))
    return [inputError(i, `${nameOf(i)} has no bit width`, 'give the quant tensor as a run returned it')]
  return breaches(quant, given).map((breach) =>
    inputError(
      i,
      `${nameOf(i)} was declared as ${showDeclaration(quant)}, but ${breach}`,
      quant.valid
        ? 'declare with quantInput what is given, or give what was declared; valid: false declares a value that may be off its grid'
        : 'declare with quantInput what is given, or give what was declared',
    ),
  )
}

/** In what given indices or masks are not what was declared. Empty for other inputs. */
const dtypeErrors = (i: ProgramInput, given: unknown): readonly QuantError[] => {
  if (i.dtype === undefined || !isTensor(given)) return []
  const breach = dtypeBreach(i.dtype, given)
  return breach === null
    ? []
    : [
        inputError(
          i,
          `${nameOf(i)} was declared as ${i.dtype} (${i.dtype}Input), but ${breach}`,
          'give numbers of that kind, or declare it with tensorInput',
        ),
      ]
}

/** Is a batch's quant tensor what was declared? For what has been bound already, element by element, and may be given anew. */
export const keepsDeclaration = (i: ProgramInput, given: unknown): boolean =>
  quantErrors(i, given).length === 0 && dtypeErrors(i, given).length === 0

/** Puts the arguments in the order of the program's inputs, or says what is missing, misshapen, or not what was declared. */
export const bindInputs = (
  program: Pick<Program, 'inputs'>,
  args: RunArgs<unknown, unknown, unknown>,
  trust: TrustOptions = {},
): E.Either<QuantErrors, readonly Tensor[]> => {
  if (!record.holds(args))
    return E.left(argumentProblems('a run', { arguments: args }, { arguments: required(ARGUMENTS) }))
  const errors: QuantError[] = []
  const trees = { data: args.inputs, param: args.params, state: args.state, slot: null, hyper: null }
  const found = program.inputs.map((i) => {
    const given = at(trees[i.kind], i.path)
    const t = partOf(i, given)
    if (!isTensor(t)) {
      const told = notQuant(i, given)
      if (told === null) errors.push(absent(i, nameOf(i), given))
      else errors.push(...told)
      return null
    }
    if (i.means !== undefined) {
      const other = meaningErrors(i, t, args.state)
      if (other.length > 0) errors.push(...other)
    }
    if (!sameShape(t.shape, i.shape) || t.data.length !== sizeOf(i.shape))
      errors.push(
        inputError(
          i,
          `${nameOf(i)} has shape ${showShape(t.shape)} with ${t.data.length} elements, but ${showShape(i.shape)} was traced`,
          'trace again for this shape, or mend the tensor',
        ),
      )
    return t
  })
  const tensors = found.filter((t): t is Tensor => t !== null)
  if (errors.length === 0 && trust.trusted !== true)
    for (const i of program.inputs)
      if (i.quant !== undefined || i.dtype !== undefined)
        errors.push(...quantErrors(i, at(trees[i.kind], i.path)), ...dtypeErrors(i, at(trees[i.kind], i.path)))
  return errors.length > 0 ? E.left(errors) : E.right(tensors)
}

/** The marks of a program's leaves of state, by path; leaves without any are not in it. */
export const stateMarks = (program: Pick<Program, 'inputs'>): ReadonlyMap<string, Marks> =>
  new Map(
    program.inputs.flatMap((i): readonly (readonly [string, Marks])[] =>
      i.kind === 'state' && (i.learned || i.means !== undefined) ? [[i.path, marksOf(i)]] : [],
    ),
  )

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** A tensor with the marks of its place. Written out, because it is made for every leaf of every run. */
const marked = (t: Tensor, marks: Marks | undefined): Marked => {
  if (marks === undefined) return t
  const { shape, data } = t
  return marks.learned === true && marks.means === undefined
    ? { shape, data, learned: true }
    : { shape, data, ...marks }
}

/** What puts the tensors of a program's runs back into its trees; made once for many runs. */
export const unbinder = <S, O>(
  program: Program,
): ((tensors: readonly Tensor[], warnings: readonly QuantWarning[]) => Ran<S, O>) => {
  const where = new Map(program.graph.outputs.map((id, i) => [id, i] as const))
  const marks = stateMarks(program)
  const { results, nextState, grads } = program.structure
  const places = program.outputs.map((o) => resultOf(program, o, (node) => node))
  return (tensors, warnings) => {
    const tensorAt = (id: number): Tensor => tensors[where.get(id) ?? -1] ?? { shape: [], data: new Float32Array(1) }
    // A place in a list of gradients may be empty (-1): what stands there has none.
    const tensorOf = (index: number): Tensor => tensorAt(program.outputs[index]?.node ?? -1)
    const gradTrees = mapTree(isIndex, grads ?? {}, tensorOf) as { readonly [k: string]: Tree<Tensor> }
    return {
      outputs: mapTree(isIndex, results, (index) => outputOf(places[index], tensorAt)) as O,
      state: mapTree(isIndex, nextState, (index, path) => marked(tensorOf(index), marks.get(path))) as S,
      grads: { params: gradTrees.params ?? {}, state: gradTrees.state ?? {}, inputs: gradTrees.inputs ?? {} },
      warnings,
    }
  }
}

/** Puts the tensors of one run back into the trees of the program. */
export const unbind = <S, O>(
  program: Program,
  tensors: readonly Tensor[],
  warnings: readonly QuantWarning[],
): Ran<S, O> => unbinder<S, O>(program)(tensors, warnings)

/** The data inputs of a program alone, and where they stand among all. */
export const dataOf = (program: Program): Pick<Program, 'inputs'> & { readonly places: readonly number[] } => {
  const places = program.inputs.flatMap((i, index) => (i.kind === 'data' ? [index] : []))
  return { inputs: places.map((p) => program.inputs[p]), places }
}
