/** Runs one program case step by step through the public API. */
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { acted, programOf, tracedAs, type LayersNow, type Now } from './actions.js'
import { buildLayer } from './build.js'
import {
  decode,
  decodeQuant,
  isQuantJson,
  namesOf,
  outputOf,
  safe,
  type Case,
  type Statement,
  type Step,
  type ValueJson,
} from './format.js'
import { isValue } from '../../src/graph/trace.js'
import { callFunction, layerInput } from './interpret.js'
import { leafDifference, valueDifferences } from './judge.js'
import { bothMetadata, judgeMetadata, noMetadata, type Metadata } from './metadata.js'
import { leafAt, loadInit, placeOf, recordedLeaf, sgd, type Nested, type Trees } from './state.js'

/** The library's refusal: what it said, and when. */
export type Refusal = {
  readonly errors: q.QuantErrors
  readonly stage: 'construct' | 'trace' | 'run'
  readonly step: number
}
/** Outcome of a case: all that disagrees, what was refused (then the steps end there), and the metadata check. */
export type Outcome = {
  readonly differences: readonly string[]
  readonly refusal: Refusal | null
  readonly metadata: Metadata
}

export type ByName<T> = { readonly [name: string]: T }
export type CaseModel = q.Layer<Nested, Nested, ByName<q.Value>, ByName<q.Value>>
export type CaseProgram = q.Program<Nested, Nested, ByName<q.Tensor | q.QuantTensor>, ByName<q.Output>>
type Ran = q.Ran<Nested, ByName<q.Output>>
type Call = (params: unknown, state: unknown, x: unknown) => readonly [unknown, unknown]

/** The parts of a result in order, records and lists flattened; null is an absent one. */
const partsOf = (y: unknown): readonly (q.Value | null)[] =>
  y === null || isValue(y) ? [y] : Object.values(y as ByName<unknown>).flatMap(partsOf)

export const mapNames = <A, B>(record: ByName<A>, f: (a: A) => B): ByName<B> =>
  Object.fromEntries(Object.entries(record).map(([k, v]) => [safe(k), f(v)]))

/** The layers of a case as its file says. */
export const layersOf = (c: Case): LayersNow =>
  Object.fromEntries(Object.entries(c.layers).map(([id, spec]) => [id, buildLayer(spec)]))

/** One forward of a layer's weight quantizer alone. */
const weightAlone = (
  layer: q.AnyLayer,
  id: string,
  params: unknown,
  state: unknown,
  input: q.Value | null | undefined,
): readonly [q.Value, unknown] => {
  const { forwardWeight } = layer as q.WeightLayer
  const { kit } = (params as { readonly weight: q.Value }).weight
  return kit.scoped(id, () => forwardWeight(params as never, state as never, kit, input ?? undefined))
}

/** The case's program, or that of a step, as one model, all of whose values are results. */
export const modelOf = (c: Case, layers = layersOf(c), program: readonly Statement[] = c.program): CaseModel => {
  const names = [...new Set(c.steps.flatMap((s) => Object.keys(s.inputs)))]
  const forward = (
    bound: ByName<Call>,
    params: Nested,
    state: Nested,
    inputs: ByName<q.Value>,
  ): readonly [ByName<q.Value>, ByName<unknown>] => {
    const env = new Map<string, q.Value | null>(
      names.filter((n) => Object.hasOwn(inputs, safe(n))).map((n) => [n, inputs[safe(n)]] as const),
    )
    const after: Record<string, unknown> = {}
    for (const s of program) {
      const bind = (y: unknown): void => {
        const parts = partsOf(y)
        namesOf(s).forEach((name, i) => env.set(name, parts[i] ?? null))
      }
      if (s.fn === 'quant_weight') {
        const id = String(s.attrs?.of)
        const input = typeof s.args[0] === 'string' ? env.get(s.args[0]) : undefined
        const [w, next] = weightAlone(layers[id], id, params[id], after[id] ?? state[id], input)
        bind(w)
        after[id] = next
      } else if (s.layer === undefined) bind(callFunction(env, s))
      else {
        const [y, next] = bound[s.layer](
          params[s.layer],
          after[s.layer] ?? state[s.layer],
          layerInput(c.layers[s.layer].type, env, s),
        )
        bind(y)
        after[s.layer] = next
      }
    }
    return [
      mapNames(Object.fromEntries([...env].filter((e): e is [string, q.Value] => e[1] !== null)), (v) => v),
      after,
    ]
  }
  return q.model(layers as never, forward as never) as unknown as CaseModel
}

const zeroPointKind = (z: q.Tensor, bits: number, signed: boolean): q.ZeroPointKind => {
  if (z.data.every((v) => v === 0)) return 'zero'
  const [lo, hi] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1]
  return z.data.every((v) => Number.isInteger(v) && v >= lo && v <= hi) ? 'integer' : 'any'
}

export const declare = (v: ValueJson): q.InputDecl => {
  if (v.kind === 'integer') return q.integerInput(v.shape)
  if (v.kind === 'boolean') return q.booleanInput(v.shape)
  if (!isQuantJson(v)) return q.tensorInput(v.shape)
  const t = decodeQuant(v)
  const bits = t.bitWidth.data[0]
  return q.quantInput(t.value.shape, {
    scaleShape: t.scale.shape,
    zeroPointShape: t.zeroPoint.shape,
    zeroPoint: zeroPointKind(t.zeroPoint, bits, t.signed),
    bits,
    signed: t.signed,
    training: t.training,
    valid: q.isValidQuantTensor(t),
  })
}

/** Runs a traced step, with a backward pass where the step has a gradient. */
export const runStep = (
  step: Step,
  program: CaseProgram,
  output: string,
  trees: Trees,
  backend: q.Backend,
): E.Either<q.QuantErrors, Ran> => {
  const data = mapNames(step.inputs, (v) => (isQuantJson(v) ? decodeQuant(v) : decode(v)))
  if (step.output_grad === undefined)
    return E.chain((exe: q.Compiled<Nested, Nested, ByName<q.Tensor | q.QuantTensor>, ByName<q.Output>>) =>
      exe.run({ ...trees, inputs: data }),
    )(q.compile(program, backend))
  const backward = q.vjp(program, { output, inputs: true })
  if (E.isLeft(backward)) return backward
  const cotangent = decode(step.output_grad)
  return E.chain(
    (exe: q.Compiled<Nested, Nested, q.WithCotangent<ByName<q.Tensor | q.QuantTensor>>, ByName<q.Output>>) =>
      exe.run({ ...trees, inputs: { inputs: data, cotangent } }),
  )(q.compile(backward.right, backend))
}

const gradientOf = (grads: q.Grads, step: Step, trees: Trees, key: string): q.Tensor | undefined => {
  if (Object.hasOwn(step.inputs, key)) return leafAt(grads.inputs, [safe(key)])
  const { which, path } = placeOf(trees, key)
  return leafAt(grads[which], path)
}

/** All that a step's results, gradients and state differ in from its expectations. */
const judgeStep = (c: Case, step: Step, ran: Ran, after: Trees): readonly string[] => {
  const { y, values, grads, state } = step.expect ?? {}
  return [
    ...(y === undefined ? [] : valueDifferences('y', y, ran.outputs[safe(outputOf(c, step.program))], c.compare)),
    ...Object.entries(values ?? {}).flatMap(([name, v]) =>
      valueDifferences(`values/${name}`, v, ran.outputs[safe(name)], c.compare),
    ),
    ...Object.entries(grads ?? {}).flatMap(([key, t]) =>
      leafDifference('grads', key, t, gradientOf(ran.grads, step, after, key), c.compare),
    ),
    ...Object.entries(state ?? {}).flatMap(([key, t]) =>
      leafDifference('state', key, t, recordedLeaf(c, after, key), c.compare),
    ),
  ]
}

/** The case's program, traced in the mode of its first step; all its values are results. */
export const traceCase = (c: Case): E.Either<q.QuantErrors, q.Program> =>
  q.trace(modelOf(c), mapNames(c.steps[0].inputs, declare), tracedAs(c, c.steps[0])) as E.Either<
    q.QuantErrors,
    q.Program
  >

type Done = Now & { readonly program: CaseProgram; readonly ran: Ran }
type StepResult = { readonly stage: Refusal['stage']; readonly done: E.Either<q.QuantErrors, Done> }

/** Runs one step: its actions, its program, and the update behind it. */
export const doStep = (c: Case, step: Step, before: Now, backend: q.Backend): StepResult => {
  const now = acted(c, before, step)
  if (E.isLeft(now)) return { stage: 'run', done: now }
  const { layers, trees } = now.right
  const statements = programOf(c, step)
  const traced = q.trace(modelOf(c, layers, statements), mapNames(step.inputs, declare), tracedAs(c, step))
  if (E.isLeft(traced)) return { stage: 'trace', done: traced }
  const program = traced.right as CaseProgram
  const updated = (ran: Ran): Done => {
    const after = { params: trees.params, state: ran.state }
    return { layers, program, ran, trees: step.sgd === undefined ? after : sgd(after, ran.grads, step.sgd.lr) }
  }
  return {
    stage: 'run',
    done: E.map(updated)(runStep(step, program, safe(outputOf(c, statements)), trees, backend)),
  }
}

/** Runs all steps, or up to the one that the library refuses. */
export const executeCase = (c: Case, backend: q.Backend): Outcome => {
  const differences: string[] = []
  let metadata = noMetadata
  const refused = (errors: q.QuantErrors, stage: Refusal['stage'], step: number): Outcome => ({
    differences,
    metadata,
    refusal: { errors, stage, step },
  })
  const layers = layersOf(c)
  const first = q.init(modelOf(c, layers), 0)
  if (E.isLeft(first)) return refused(first.left, 'construct', 0)
  let now: Now = { layers, trees: loadInit(c, first.right) }
  for (const [index, step] of c.steps.entries()) {
    const { stage, done } = doStep(c, step, now, backend)
    if (E.isLeft(done)) return refused(done.left, stage, index)
    const { ran, program, trees } = done.right
    now = done.right
    const checked = judgeMetadata(c, step, program)
    metadata = bothMetadata(metadata, checked)
    differences.push(...[...judgeStep(c, step, ran, trees), ...checked.differences].map((d) => `step ${index}: ${d}`))
  }
  return { differences, metadata, refusal: null }
}
