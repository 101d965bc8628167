/** From a layer to numbers: `init`, `trace`, `run`, and the gradient transformations over the registry of ops. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors, QuantWarning } from '../data/error.js'
import { manualSeed, type Generator } from '../data/random.js'
import { sameShape, showShape } from '../data/shape.js'
import type { Output, QuantTensor } from '../data/quantTensor.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import { at, mapTree, type Tree } from '../data/tree.js'
import { vjpProgram, type VjpOptions } from '../autodiff/vjp.js'
import type { Backend, Executable, RunOptions } from '../evaluator/backend.js'
import { reference } from '../evaluator/reference/reference.js'
import type { Value } from '../graph/op.js'
import type { Program, ProgramInput } from '../graph/program.js'
import { traceProgram, type InputDecl } from '../graph/trace.js'
import { ops } from '../ops/index.js'
import type { Layer, LeafSpec, SpecTree } from './layer.js'

/** How inputs are declared: the structure of what the layer is given, an `InputDecl` for each value. */
export type InputsOf<I> = I extends Value ? InputDecl : { readonly [K in keyof I]: InputsOf<I[K]> }
/** What a run takes for each declared input. */
export type DataOf<I> = I extends Value ? Tensor | QuantTensor : { readonly [K in keyof I]: DataOf<I[K]> }
/** What a run gives for each traced result. */
export type OutputsOf<O> = O extends Value ? Output : { readonly [K in keyof O]: OutputsOf<O[K]> }

/** How a layer is traced. */
export type TraceOptions = {
  /** `train`: batch statistics, state moves on. `eval`: running averages or learned values. */
  readonly mode: 'train' | 'eval'
  /** Strip metadata that is only claimed (default: follow Brevitas and keep it). */
  readonly strict?: boolean
  /** Record the source location of every node (costly). */
  readonly locations?: boolean
}

const isSpec = (x: unknown): x is LeafSpec => typeof x === 'object' && x !== null && 'init' in x && typeof x.init === 'function'

/** Traces a layer in a mode over declared inputs. Everything that is wrong is reported, not only the first. */
export const trace = <P, S, I, O>(layer: Layer<P, S, I, O>, inputs: InputsOf<I>, options: TraceOptions): E.Either<QuantErrors, Program<P, S, DataOf<I>, OutputsOf<O>>> => {
  if (layer.problems.length > 0) return E.left(layer.problems)
  if (options.mode !== 'train' && options.mode !== 'eval') return E.left<QuantErrors>([{ tag: 'ConfigError', option: 'mode', path: '', message: `trace: the mode is ${JSON.stringify(options.mode)}`, fix: "give { mode: 'train' } or { mode: 'eval' }" }])
  return traceProgram({
    table: ops, mode: options.mode, strict: options.strict ?? false, locations: options.locations ?? false,
    inputs, params: layer.params, state: layer.state,
    body: (params, state, data, kit) => {
      const [results, nextState] = layer.apply(params as never, state as never, data as never, kit)
      return { results, nextState }
    },
  }) as E.Either<QuantErrors, Program<P, S, DataOf<I>, OutputsOf<O>>>
}

/** A layer's first parameters and state. */
export type Initial<P, S> = { readonly params: P; readonly state: S; readonly generator: Generator }

/** Draws a layer's parameters and makes its first state, from a seed (as torch.manual_seed) or an explicit generator. */
export const init = <P, S, I, O>(layer: Layer<P, S, I, O>, seed: number | bigint | Generator): E.Either<QuantErrors, Initial<P, S>> => {
  if (layer.problems.length > 0) return E.left(layer.problems)
  let generator = typeof seed === 'object' ? seed : manualSeed(seed)
  const draw = (tree: SpecTree): unknown => mapTree(isSpec, tree, (spec) => {
    const [t, next] = spec.init(generator)
    generator = next
    return spec.learned && tree === layer.state ? { ...t, learned: true } : t
  })
  const params = draw(layer.params)
  const state = draw(layer.state)
  return E.right({ params: params as P, state: state as S, generator })
}

/** The arguments of a run. */
export type RunArgs<P, S, I> = { readonly params: P; readonly state: S; readonly inputs: I }
/** What a run gives. `grads` is empty unless the program is a vjp. */
export type Ran<S, O> = { readonly outputs: O; readonly state: S; readonly grads: Grads; readonly warnings: readonly QuantWarning[] }
/** Gradients as trees: of the parameters, of learned state, and of inputs where asked for. */
export type Grads = { readonly params: Tree<Tensor>; readonly state: Tree<Tensor>; readonly inputs: Tree<Tensor> }

const inputError = (i: ProgramInput, message: string, fix: string): QuantError => ({ tag: 'InputError', input: i.path, path: i.kind === 'data' ? '' : i.path, message, fix })

const partOf = (i: ProgramInput, given: unknown): unknown => {
  if (i.part === 'tensor') return given
  if (typeof given !== 'object' || given === null || !('kind' in given) || given.kind !== 'quant') return undefined
  const q = given as QuantTensor
  return i.part === 'value' ? q.value : i.part === 'scale' ? q.scale : q.zeroPoint
}

/** Puts the arguments in the order of the program's inputs, or says what is missing or misshapen. */
const bindInputs = (program: Program, args: RunArgs<unknown, unknown, unknown>): E.Either<QuantErrors, readonly Tensor[]> => {
  const errors: QuantError[] = []
  const trees = { data: args.inputs, param: args.params, state: args.state }
  const found = program.inputs.map((i) => {
    const t = partOf(i, at(trees[i.kind], i.path))
    const name = `${i.kind} ${i.path === '' ? 'input' : i.path}${i.part === 'tensor' ? '' : ` (${i.part})`}`
    if (!isTensor(t)) {
      errors.push(inputError(i, `${name} is missing: a ${i.part === 'tensor' ? 'tensor' : 'quant tensor'} of shape ${showShape(i.shape)} was declared`, i.kind === 'data' ? 'give it in inputs, in the structure that was traced' : 'give the params and state that init or the last run returned'))
      return null
    }
    if (!sameShape(t.shape, i.shape) || t.data.length !== i.shape.reduce((p, n) => p * n, 1))
      errors.push(inputError(i, `${name} has shape ${showShape(t.shape)} with ${t.data.length} elements, but ${showShape(i.shape)} was traced`, 'trace again for this shape, or mend the tensor'))
    return t
  })
  const tensors = found.filter((t): t is Tensor => t !== null)
  return errors.length > 0 ? E.left(errors) : E.right(tensors)
}

/** A program prepared on a backend: call it as often as you like; `dispose` frees the backend's memory. */
export type Compiled<P, S, I, O> = {
  readonly program: Program<P, S, I, O>
  readonly run: (args: RunArgs<P, S, I>, options?: RunOptions) => E.Either<QuantErrors, Ran<S, O>>
  readonly dispose: () => void
}

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** Puts the tensors of a run back into the trees of the program. */
const unbind = <S, O>(program: Program, tensors: readonly Tensor[], warnings: readonly QuantWarning[]): Ran<S, O> => {
  const where = new Map<number, Tensor>()
  program.graph.outputs.forEach((id, i) => where.set(id, tensors[i]))
  const tensorAt = (id: number): Tensor => where.get(id) ?? { shape: [], data: new Float32Array(1) }
  const result = (index: number): Output => {
    const o = program.outputs[index]
    const value = tensorAt(o.node)
    if (o.quant === undefined) return value
    const { scale, zeroPoint, bitWidth, signed, training } = o.quant
    return { kind: 'quant', value, scale: tensorAt(scale), zeroPoint: tensorAt(zeroPoint), bitWidth: tensorAt(bitWidth), signed, training }
  }
  const learned = new Set(program.inputs.filter((i) => i.kind === 'state' && i.learned).map((i) => i.path))
  const tensorOf = (index: number): Tensor => tensorAt(program.outputs[index].node)
  const { results, nextState, grads } = program.structure
  const gradTrees = (mapTree(isIndex, grads ?? {}, tensorOf)) as { readonly [k: string]: Tree<Tensor> }
  return {
    outputs: mapTree(isIndex, results, result) as O,
    state: mapTree(isIndex, nextState, (index, path) => (learned.has(path) ? { ...tensorOf(index), learned: true } : tensorOf(index))) as S,
    grads: { params: gradTrees.params ?? {}, state: gradTrees.state ?? {}, inputs: gradTrees.inputs ?? {} },
    warnings,
  }
}

/** Prepares a program on a backend (the reference unless told otherwise). */
export const compile = <P, S, I, O>(program: Program<P, S, I, O>, backend: Backend = reference): E.Either<QuantErrors, Compiled<P, S, I, O>> => {
  const compiled = (executable: Executable): Compiled<P, S, I, O> => ({
    program,
    run: (args, options) => {
      const bound = bindInputs(program, args)
      if (E.isLeft(bound)) return bound
      const ran = executable.run(bound.right, options)
      return E.isLeft(ran) ? ran : E.right(unbind<S, O>(program, ran.right.outputs, ran.right.warnings))
    },
    dispose: () => executable.dispose(),
  })
  const prepared = backend.prepare(program)
  return E.isLeft(prepared) ? prepared : E.right(compiled(prepared.right))
}

/** Runs a program once: `(params, state, inputs) → (outputs, state′)`. The same arguments give the same bits. */
export const run = <P, S, I, O>(program: Program<P, S, I, O>, args: RunArgs<NoInfer<P>, NoInfer<S>, NoInfer<I>>, options?: RunOptions): E.Either<QuantErrors, Ran<S, O>> => {
  const compiled = compile(program)
  return E.isLeft(compiled) ? compiled : compiled.right.run(args, options)
}

/** The program with a backward pass from a scalar result: a run of it gives `grads` beside outputs and state. */
export const grad = <P, S, I, O>(program: Program<P, S, I, O>, options: Omit<VjpOptions, 'cotangent'> = {}): E.Either<QuantErrors, Program<P, S, I, O>> =>
  vjpProgram(ops)(program, { ...options, cotangent: 'one' }) as E.Either<QuantErrors, Program<P, S, I, O>>

/** The inputs of a vjp: those of the program, and the cotangent of the chosen result. */
export type WithCotangent<I> = { readonly inputs: I; readonly cotangent: Tensor }

/** The program with a backward pass from one result, whose cotangent becomes an input. */
export const vjp = <P, S, I, O>(program: Program<P, S, I, O>, options: Omit<VjpOptions, 'cotangent'> = {}): E.Either<QuantErrors, Program<P, S, WithCotangent<I>, O>> =>
  E.map((p: Program) => p as Program<P, S, WithCotangent<I>, O>)(vjpProgram(ops)(program, { ...options, cotangent: 'given' }))

/** `grad` under the name that JAX users look for: the value is among the outputs. */
export const valueAndGrad = grad
