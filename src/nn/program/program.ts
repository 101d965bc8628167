/** From a layer to numbers: `init`, `trace`, `run`, and the gradient transformations over the registry of ops. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../../data/error.js'
import { manualSeed, type Generator } from '../../data/random.js'
import type { Output, QuantTensor } from '../../data/quantTensor.js'
import type { Tensor } from '../../data/tensor.js'
import { mapTree } from '../../data/tree.js'
import { vjpProgram, type VjpOptions } from '../../autodiff/vjp.js'
import type { Backend, Executable, ResidentStorage, RunOptions } from '../../evaluator/backend.js'
import { fastestHere } from '../../evaluator/fastest.js'
import { reference } from '../../evaluator/reference/reference.js'
import { describePlan, type PlanDescription } from '../../evaluator/wasm/describe.js'
import { newMath } from '../../evaluator/wasm/kernels/math.js'
import { planOf } from '../../evaluator/wasm/planning.js'
import { profileProgram, type Profile, type ProfileOptions } from '../../evaluator/wasm/profile.js'
import type { Value } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { bindInputs, unbind, type Ran, type RunArgs } from './binding.js'
import { traceProgram, type InputDecl } from '../../graph/trace.js'
import { ops } from '../../ops/index.js'
import type { Layer, LeafSpec, SpecTree } from '../layers/layer.js'
import { layersOf } from '../layers/source.js'
import { disposed, disposedRange } from './refusals.js'

export type { Grads, Ran, RunArgs } from './binding.js'

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

const isSpec = (x: unknown): x is LeafSpec =>
  typeof x === 'object' && x !== null && 'init' in x && typeof x.init === 'function'

/** Traces a layer in a mode over declared inputs. Everything that is wrong is reported, not only the first. */
export const trace = <P, S, I, O>(
  layer: Layer<P, S, I, O>,
  inputs: InputsOf<I>,
  options: TraceOptions,
): E.Either<QuantErrors, Program<P, S, DataOf<I>, OutputsOf<O>>> => {
  if (layer.problems.length > 0) return E.left(layer.problems)
  if (options.mode !== 'train' && options.mode !== 'eval')
    return E.left<QuantErrors>([
      {
        tag: 'ConfigError',
        option: 'mode',
        path: '',
        message: `trace: the mode is ${JSON.stringify(options.mode)}`,
        fix: "give { mode: 'train' } or { mode: 'eval' }",
      },
    ])
  return traceProgram({
    table: ops,
    mode: options.mode,
    strict: options.strict ?? false,
    locations: options.locations ?? false,
    inputs,
    params: layer.params,
    state: layer.state,
    layers: layersOf(layer),
    body: (params, state, data, kit) => {
      const [results, nextState] = layer.apply(params as never, state as never, data as never, kit)
      return { results, nextState }
    },
  }) as E.Either<QuantErrors, Program<P, S, DataOf<I>, OutputsOf<O>>>
}

/** A layer's first parameters and state. */
export type Initial<P, S> = { readonly params: P; readonly state: S; readonly generator: Generator }

/** Draws a layer's parameters and makes its first state, from a seed (as torch.manual_seed) or an explicit generator. */
export const init = <P, S, I, O>(
  layer: Layer<P, S, I, O>,
  seed: number | bigint | Generator,
): E.Either<QuantErrors, Initial<P, S>> => {
  if (layer.problems.length > 0) return E.left(layer.problems)
  let generator = typeof seed === 'object' ? seed : manualSeed(seed)
  const draw = (tree: SpecTree): unknown =>
    mapTree(isSpec, tree, (spec) => {
      const [t, next] = spec.init(generator)
      generator = next
      return spec.learned && tree === layer.state ? { ...t, learned: true } : t
    })
  const params = draw(layer.params)
  const state = draw(layer.state)
  return E.right({ params: params as P, state: state as S, generator })
}

/** A program prepared on a backend: call it as often as you like; `dispose` frees the backend's memory, its residents' too, and later calls are a `BackendError`. */
export type Compiled<P, S, I, O> = {
  readonly program: Program<P, S, I, O>
  readonly run: (args: RunArgs<P, S, I>, options?: RunOptions) => E.Either<QuantErrors, Ran<S, O>>
  /** Keeps arguments and results in the backend's memory: repeated executions copy and allocate nothing. */
  readonly resident: (args: RunArgs<P, S, I>) => E.Either<QuantErrors, Resident<P, S, I, O>>
  /** How many plans `run` has made so far: one per vector of phases, so a switch from statistics to learned costs one more. */
  readonly plans: () => number
  readonly dispose: () => void
}

/**
 * A program with its arguments in place. Not a value: its contents change with each execution. State does not move on.
 * After `dispose`, of it or of what compiled it, `load` and `execute` are a `BackendError`, and `inputs` and `results` throw a RangeError.
 */
export type Resident<P, S, I, O> = {
  /** Storage of the inputs: write into it before an execution. Ask anew after one: it may have moved. */
  readonly inputs: () => I
  /** Puts other arguments in place. */
  readonly load: (args: RunArgs<P, S, I>) => E.Either<QuantErrors, null>
  readonly execute: () => E.Either<QuantErrors, readonly QuantWarning[]>
  /** Results, next state and gradients of the latest execution: views that hold until the next one. */
  readonly results: () => Omit<Ran<S, O>, 'warnings'>
  readonly dispose: () => void
}

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** What a resident's memory hangs on. */
type Owner = { readonly backend: string; readonly isGone: () => boolean }

const residentOf = <P, S, I, O>(
  program: Program<P, S, I, O>,
  storage: ResidentStorage,
  first: RunArgs<P, S, I>,
  owner: Owner,
): E.Either<QuantErrors, Resident<P, S, I, O>> => {
  let known: { readonly first: Float32Array; readonly results: Omit<Ran<S, O>, 'warnings'> } | null = null
  let own = false
  const isGone = (): boolean => own || owner.isGone()
  const load = (args: RunArgs<P, S, I>): E.Either<QuantErrors, null> => {
    if (isGone()) return E.left(disposed('this resident program', owner.backend))
    const bound = bindInputs(program, args)
    if (E.isLeft(bound)) return bound
    bound.right.forEach((t, i) => storage.write(i, t))
    return E.right(null)
  }
  const whole = (index: number): Output => {
    const { quant } = program.inputs[index]
    const value = storage.input(index)
    if (quant === undefined) return value
    return {
      kind: 'quant',
      value,
      scale: storage.input(index + 1),
      zeroPoint: storage.input(index + 2),
      bitWidth: { shape: [], data: Float32Array.of(quant.bits) },
      signed: quant.signed,
      training: quant.training,
    }
  }
  const resident: Resident<P, S, I, O> = {
    inputs: () => {
      if (isGone()) throw disposedRange('this resident program')
      return mapTree(isIndex, program.structure.data, whole) as I
    },
    load,
    execute: () => (isGone() ? E.left(disposed('this resident program', owner.backend)) : storage.execute()),
    results: () => {
      if (isGone()) throw disposedRange('this resident program')
      const [at] = program.graph.outputs.map((_, i) => storage.output(i))
      if (known !== null && at !== undefined && known.first === at.data) return known.results
      const results = unbind<S, O>(
        program,
        program.graph.outputs.map((_, i) => storage.output(i)),
        [],
      )
      known = { first: at?.data ?? new Float32Array(0), results }
      return results
    },
    dispose: () => {
      own = true
      storage.dispose()
    },
  }
  const loaded = load(first)
  return E.isLeft(loaded) ? loaded : E.right(resident)
}

/** Prepares a program on a backend: `wasm` where the engine has SIMD, else the reference, unless told otherwise. */
export const compile = <P, S, I, O>(
  program: Program<P, S, I, O>,
  backend: Backend = fastestHere(),
): E.Either<QuantErrors, Compiled<P, S, I, O>> => {
  let gone = false
  const owner: Owner = { backend: backend.name, isGone: () => gone }
  const compiled = (executable: Executable): Compiled<P, S, I, O> => ({
    program,
    run: (args, options) => {
      if (gone) return E.left(disposed('this compiled program', backend.name))
      const bound = bindInputs(program, args)
      if (E.isLeft(bound)) return bound
      const ran = executable.run(bound.right, options)
      return E.isLeft(ran) ? ran : E.right(unbind<S, O>(program, ran.right.outputs, ran.right.warnings))
    },
    resident: (args) =>
      gone
        ? E.left(disposed('this compiled program', backend.name))
        : E.chain((storage: ResidentStorage) => residentOf<P, S, I, O>(program, storage, args, owner))(
            executable.resident(),
          ),
    plans: () => executable.plans(),
    dispose: () => {
      gone = true
      executable.dispose()
    },
  })
  const prepared = backend.prepare(program)
  return E.isLeft(prepared) ? prepared : E.right(compiled(prepared.right))
}

/**
 * The plan that the WebAssembly backend makes for a program in the phases of this state: its passes, steps, memory, and
 * which products run on integers; `showPlan` prints it. Nothing is run.
 */
export const explainPlan = <P, S, I, O>(
  program: Program<P, S, I, O>,
  args: RunArgs<NoInfer<P>, NoInfer<S>, NoInfer<I>>,
): E.Either<QuantErrors, PlanDescription> =>
  E.map((inputs: readonly Tensor[]) =>
    describePlan(
      planOf(program, (i) => inputs[i].data, [], newMath()),
      program.graph.nodes.length,
    ),
  )(bindInputs(program, args))

/**
 * Times every step of a program on the WebAssembly backend (one thread), beside the machine's measured limits;
 * `showProfile` prints it.
 */
export const profile = <P, S, I, O>(
  program: Program<P, S, I, O>,
  args: RunArgs<NoInfer<P>, NoInfer<S>, NoInfer<I>>,
  options?: ProfileOptions,
): E.Either<QuantErrors, Profile> =>
  E.chain((inputs: readonly Tensor[]) => profileProgram(program, inputs, options))(bindInputs(program, args))

/** Runs a program once, on the reference backend: `(params, state, inputs) → (outputs, state′)`. The same arguments give the same bits. */
export const run = <P, S, I, O>(
  program: Program<P, S, I, O>,
  args: RunArgs<NoInfer<P>, NoInfer<S>, NoInfer<I>>,
  options?: RunOptions,
): E.Either<QuantErrors, Ran<S, O>> => {
  const compiled = compile(program, reference)
  return E.isLeft(compiled) ? compiled : compiled.right.run(args, options)
}

/** The program with a backward pass from a scalar result: a run of it gives `grads` beside outputs and state. */
export const grad = <P, S, I, O>(
  program: Program<P, S, I, O>,
  options: Omit<VjpOptions, 'cotangent'> = {},
): E.Either<QuantErrors, Program<P, S, I, O>> =>
  vjpProgram(ops)(program, { ...options, cotangent: 'one' }) as E.Either<QuantErrors, Program<P, S, I, O>>

/** The inputs of a vjp: those of the program, and the cotangent of the chosen result. */
export type WithCotangent<I> = { readonly inputs: I; readonly cotangent: Tensor }

/** The program with a backward pass from one result, whose cotangent becomes an input. */
export const vjp = <P, S, I, O>(
  program: Program<P, S, I, O>,
  options: Omit<VjpOptions, 'cotangent'> = {},
): E.Either<QuantErrors, Program<P, S, WithCotangent<I>, O>> =>
  E.map((p: Program) => p as Program<P, S, WithCotangent<I>, O>)(
    vjpProgram(ops)(program, { ...options, cotangent: 'given' }),
  )

/** `grad` under the name that JAX users look for: the value is among the outputs. */
export const valueAndGrad = grad
