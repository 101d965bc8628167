/** From a layer to numbers: `init`, `trace`, `run`, and the gradient transformations over the registry of ops. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import {
  attempt,
  count,
  fieldProblems,
  flag,
  nonNegative,
  oneOf,
  required,
  showGiven,
  type Fields,
} from '../../data/fields.js'
import { manualSeed, rand, type Generator } from '../../data/random.js'
import type { Output, QuantTensor } from '../../data/quantTensor.js'
import { marksOf } from '../../data/marks.js'
import type { Tensor } from '../../data/tensor.js'
import { mapTree } from '../../data/tree.js'
import type { Backend, RunOptions } from '../../evaluator/backend.js'
import { backendProblems } from '../../evaluator/checks.js'
import { fastestHere, wasm } from '../../evaluator/engines.js'
import type { PlanDescription, Profile, ProfileOptions } from '../../evaluator/insight.js'
import { backendError } from '../../evaluator/messages.js'
import { reference } from '../../evaluator/reference/reference.js'
import type { Value } from '../../graph/op.js'
import { programProblems, type Program } from '../../graph/program.js'
import { bindInputs, type Ran, type RunArgs } from './binding.js'
import { compileOn, type Compiled } from './compiled.js'
import { traceProgram, type InputDecl } from '../../graph/trace.js'
import { ops } from '../../ops/index.js'
import { layerProblems, pairOf } from '../layers/checks.js'
import { isWhere, type Where } from '../../data/where.js'
import type { Layer, SpecTree } from '../layers/layer.js'
import { layersOf } from '../layers/source.js'
import { isSpec } from './wanted.js'

export type { Grads, Ran, RunArgs } from './binding.js'
export type { Compiled, Resident } from './compiled.js'

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
  /**
   * In training: layers and quantizers that go on as in `eval` (torch's `layer.eval()`), with all inside them. Batch norms
   * use their running statistics, quantizers what they have learned or averaged so far, dropouts are off, and no state of theirs moves on.
   * Their gradients are still taken: an optimizer's mask (`freezing`) keeps parameters and learned scales.
   */
  readonly freeze?: Where
  /** Strip metadata that is only claimed, and refuse an accumulator that no weight but 0 fits (default: follow Brevitas, which keeps the one and goes on with the other). */
  readonly strict?: boolean
  /** Record the source location of every node (costly). */
  readonly locations?: boolean
}

const TRACE: Fields<TraceOptions> = {
  mode: required(oneOf('train', 'eval')),
  freeze: { says: 'paths of layers, or a function of a path', like: "['bn1', 'input']", holds: isWhere },
  strict: flag,
  locations: flag,
}

const traceOptionProblems = (options: unknown): QuantErrors =>
  typeof options !== 'object' || options === null
    ? [
        {
          tag: 'ConfigError',
          option: 'mode',
          path: '',
          message: `trace takes options after the inputs, of which it needs the mode${options === undefined ? '' : `, and was given ${showGiven(options)}`}`,
          fix: "write trace(layer, inputs, { mode: 'train' }) or { mode: 'eval' }",
        },
      ]
    : fieldProblems('trace', options, TRACE)

/**
 * Traces a layer in a mode over declared inputs. Everything that is wrong is reported, not only the first.
 * @example
 * ```ts
 * import { chain, orThrow, QuantLinear, tensorInput, trace } from 'quantrace'
 *
 * const net = chain({ fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }) })
 * const program = orThrow(trace(net, tensorInput([8, 2]), { mode: 'eval' }))
 * console.log(program.graph.nodes.map((node) => node.op.name).includes('linear'))
 * ```
 * ```text
 * true
 * ```
 */
export const trace = <P, S, I, O>(
  layer: Layer<P, S, I, O>,
  inputs: InputsOf<I>,
  options: TraceOptions,
): E.Either<QuantErrors, Program<P, S, DataOf<I>, OutputsOf<O>>> => {
  const wrong = [...layerProblems('trace', layer), ...traceOptionProblems(options)]
  if (wrong.length > 0) return E.left(wrong)
  return traceProgram({
    table: ops,
    mode: options.mode,
    strict: options.strict ?? false,
    locations: options.locations ?? false,
    ...(options.freeze === undefined ? {} : { freeze: options.freeze }),
    inputs,
    params: layer.params,
    state: layer.state,
    layers: layersOf(layer),
    body: (params, state, data, kit) => {
      const [results, nextState] = pairOf(layer.layer, layer.apply(params as never, state as never, data as never, kit))
      return { results, nextState }
    },
  }) as E.Either<QuantErrors, Program<P, S, DataOf<I>, OutputsOf<O>>>
}

/** A layer's first parameters and state. */
export type Initial<P, S> = { readonly params: P; readonly state: S; readonly generator: Generator }

/** The generator that a seed sets, or a given one, looked at by a draw of nothing. */
const generatorOf = (seed: number | bigint | Generator): E.Either<QuantErrors, Generator> =>
  attempt(() => (typeof seed === 'object' ? rand([0])(seed)[1] : manualSeed(seed)))

/**
 * Draws a layer's parameters and makes its first state, from a seed (as torch.manual_seed) or an explicit generator.
 * @example
 * ```ts
 * import { chain, init, orThrow, QuantLinear } from 'quantrace'
 *
 * const net = chain({ fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }) })
 * const { params } = orThrow(init(net, 0)) // the numbers of torch.manual_seed(0)
 * console.log(params.fc.weight?.shape)
 * ```
 * ```text
 * [ 1, 2 ]
 * ```
 */
export const init = <P, S, I, O>(
  layer: Layer<P, S, I, O>,
  seed: number | bigint | Generator,
): E.Either<QuantErrors, Initial<P, S>> => {
  const wrong = layerProblems('init', layer)
  if (wrong.length > 0) return E.left(wrong)
  const first = generatorOf(seed)
  if (E.isLeft(first)) return first
  let generator = first.right
  const draw = (tree: SpecTree): unknown =>
    mapTree(isSpec, tree, (spec) => {
      const [t, next] = spec.init(generator)
      generator = next
      return tree === layer.state ? { ...t, ...marksOf(spec) } : t
    })
  // Drawing refuses what it can't hold.
  return attempt(() => {
    const [params, state] = [draw(layer.params), draw(layer.state)]
    return { params: params as P, state: state as S, generator }
  })
}

/**
 * Prepares a program on a backend: `wasm` where the engine has SIMD, else the reference, unless told otherwise.
 * @example
 * ```ts
 * import { compile, functionLayer, orThrow, relu, tensorInput, tensorOf, trace } from 'quantrace'
 *
 * const program = orThrow(trace(functionLayer('Relu', relu), tensorInput([2]), { mode: 'eval' }))
 * const compiled = orThrow(compile(program))
 * const { outputs } = orThrow(compiled.run({ params: {}, state: {}, inputs: tensorOf([2], [-1, 2]) }))
 * compiled.dispose()
 * console.log(outputs)
 * ```
 * ```text
 * { shape: [ 2 ], data: Float32Array(2) [ 0, 2 ] }
 * ```
 */
export const compile = <P, S, I, O>(
  program: Program<P, S, I, O>,
  backend: Backend = fastestHere(),
): E.Either<QuantErrors, Compiled<P, S, I, O>> => {
  const wrong = [...programProblems('compile', program), ...backendProblems('compile', backend)]
  return wrong.length > 0 ? E.left(wrong) : compileOn(program, backend)
}

const PROFILE: Fields<ProfileOptions> = {
  rounds: { ...count, says: 'a whole number from 1 to 10000', holds: (x) => count.holds(x) && Number(x) <= 10_000 },
  warmUpMs: {
    ...nonNegative,
    says: 'a number from 0 to 60000',
    holds: (x) => nonNegative.holds(x) && Number(x) <= 60_000,
  },
}

/** The arguments of a program in its order, where it is a program and they fit. */
const boundTo = (
  asker: string,
  program: Program,
  args: RunArgs<unknown, unknown, unknown>,
  more: QuantErrors = [],
): E.Either<QuantErrors, readonly Tensor[]> => {
  const wrong = [...programProblems(asker, program), ...more]
  return wrong.length > 0 ? E.left(wrong) : bindInputs(program, args)
}

const makesNoPlan = ({ name }: Backend): E.Either<QuantErrors, never> =>
  E.left([
    backendError(name, 'it makes no plan: ops are computed one by one', 'give wasm, what createWasm made, or nothing'),
  ])

/**
 * The plan that the WebAssembly backend makes for a program in the phases of this state: its passes, steps, memory,
 * which products run on integers, and with which instructions; `showPlan` prints it. Nothing is run. `backend`: whose plan, if
 * not that of `wasm`; what `createWasm` made may take other instructions.
 * @example
 * ```ts
 * import { explainPlan, functionLayer, orThrow, relu, showPlan, tensorInput, tensorOf, trace } from 'quantrace'
 *
 * const program = orThrow(trace(functionLayer('Relu', relu), tensorInput([2]), { mode: 'eval' }))
 * const plan = orThrow(explainPlan(program, { params: {}, state: {}, inputs: tensorOf([2], [-1, 2]) }))
 * console.log(plan.passes.loops, showPlan(plan).includes('relu'))
 * ```
 * ```text
 * 1 true
 * ```
 */
export const explainPlan = <P, S, I, O>(
  program: Program<P, S, I, O>,
  args: RunArgs<NoInfer<P>, NoInfer<S>, NoInfer<I>>,
  backend: Backend = wasm,
): E.Either<QuantErrors, PlanDescription> =>
  E.chain((inputs: readonly Tensor[]) => backend.explain?.(program, inputs) ?? makesNoPlan(backend))(
    boundTo('explainPlan', program, args, backendProblems('explainPlan', backend)),
  )

/**
 * Times every step of a program on the WebAssembly backend (one thread), beside the machine's measured limits;
 * `showProfile` prints it. `backend`: whose instructions, if not those of `wasm`.
 */
export const profile = <P, S, I, O>(
  program: Program<P, S, I, O>,
  args: RunArgs<NoInfer<P>, NoInfer<S>, NoInfer<I>>,
  options?: ProfileOptions,
  backend: Backend = wasm,
): E.Either<QuantErrors, Profile> =>
  E.chain((inputs: readonly Tensor[]) => backend.profile?.(program, inputs, options) ?? makesNoPlan(backend))(
    boundTo('profile', program, args, [
      ...(options === undefined ? [] : fieldProblems('profile', options, PROFILE)),
      ...backendProblems('profile', backend),
    ]),
  )

/**
 * Runs a program once, on the reference backend: `(params, state, inputs) → (outputs, state′)`. The same arguments give the same bits.
 * @example
 * ```ts
 * import { functionLayer, mul, orThrow, run, tensorInput, tensorOf, trace } from 'quantrace'
 *
 * const program = orThrow(trace(functionLayer('Twice', (x) => mul(x, 2)), tensorInput([2]), { mode: 'eval' }))
 * const { outputs } = orThrow(run(program, { params: {}, state: {}, inputs: tensorOf([2], [1, 3]) }))
 * console.log(outputs)
 * ```
 * ```text
 * { shape: [ 2 ], data: Float32Array(2) [ 2, 6 ] }
 * ```
 */
export const run = <P, S, I, O>(
  program: Program<P, S, I, O>,
  args: RunArgs<NoInfer<P>, NoInfer<S>, NoInfer<I>>,
  options?: RunOptions,
): E.Either<QuantErrors, Ran<S, O>> => {
  const wrong = programProblems('run', program)
  if (wrong.length > 0) return E.left(wrong)
  const compiled = compileOn(program, reference)
  return E.isLeft(compiled) ? compiled : compiled.right.run(args, options)
}
