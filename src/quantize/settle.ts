/** A plan with what flows where: which quantizers are of use, and who quantizes the input of whom. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { quantOf } from '../data/quant.js'
import { WIDEST_INTEGER } from '../graph/licence.js'
import type { Value } from '../graph/op.js'
import type { Program } from '../graph/program.js'
import { neverNegative } from '../graph/sign.js'
import { isValue } from '../graph/trace.js'
import { isQuantValue } from '../nn/functions/index.js'
import type { AnyLayer, Layer, TensorTree } from '../nn/layers/layer.js'
import { flowOf, type Flow } from '../nn/merging/flow.js'
import { changedLayers } from '../nn/merging/places.js'
import { trace, type InputsOf } from '../nn/program/program.js'
import { quantizedForm, type Around } from './convert.js'
import { ALONE, placed, type Job, type LeftAs, type Plan } from './plan.js'
import { readersOf } from './places.js'

type Net<I, O> = Layer<TensorTree, TensorTree, I, O>

/** The network with each job done. */
const rebuilt = <I, O>(net: Net<I, O>, jobs: Iterable<Job>, around: (path: string) => Around): Net<I, O> => {
  const changes = new Map<string, AnyLayer>()
  for (const { path, draft, choice } of jobs) {
    const form = quantizedForm(draft, choice, around(path))
    if (form !== null) changes.set(path, form)
  }
  const alone = changes.get('')
  return (alone ?? changedLayers(net, changes)) as Net<I, O>
}

/** The values that a layer was given, over all its calls. */
type Given = ReadonlyMap<string, readonly Value[]>

const valuesIn = (x: unknown): readonly Value[] => {
  if (isValue(x)) return [x]
  return typeof x === 'object' && x !== null ? Object.values(x).flatMap(valuesIn) : []
}

/** Everything that layers are given, joins included. */
const givenTo = <I, O>(
  net: Net<I, O>,
  inputs: InputsOf<I>,
): E.Either<QuantErrors, { readonly given: Given; readonly program: Program }> => {
  const given = new Map<string, Value[]>()
  const watching = new Map(
    placed(net).map(
      ({ path, layer }) =>
        [
          path,
          {
            ...layer,
            apply: (p: never, s: never, x: never, kit: never) => {
              given.set(path, [...(given.get(path) ?? []), ...valuesIn(x)])
              return layer.apply(p, s, x, kit)
            },
          },
        ] as const,
    ),
  )
  const watched = (watching.get('') ?? changedLayers(net, watching)) as Net<I, O>
  return E.map((program: unknown) => ({ given, program: program as Program }))(trace(watched, inputs, { mode: 'eval' }))
}

/** Is it no quant tensor, or one of too many bits for products of integers (an average of many)? */
const isTooWide = (v: Value): boolean => !isQuantValue(v) || (quantOf(v.carried)?.bits ?? 0) > WIDEST_INTEGER

const USELESS: LeftAs = {
  why: 'nothing reads its result on integers: what follows loses the metadata, or quantizes anew',
  fix: 'nothing needs to be done; a quantizer here would only cost accuracy',
}

/**
 * Without those activations whose quantizer nobody profits from: nothing reads them on their grid, or only joins, which
 * quantize for themselves.
 */
const useful = (plan: Plan, flow: Flow): Plan => {
  const readers = readersOf(flow, new Set(plan.jobs.keys()))
  const isJoin = (path: string | null): boolean => path !== null && plan.jobs.get(path)?.draft.role === 'join'
  const [jobs, left] = [new Map(plan.jobs), new Map(plan.left)]
  for (const { path, draft } of plan.jobs.values()) {
    if (draft.role !== 'activation') continue
    const found = (flow.calls.get(path) ?? []).flatMap(({ y }) => (y === null ? [null] : [...readers(y.id, path)]))
    if (found.length > 0 && !found.every(isJoin)) continue
    jobs.delete(path)
    left.set(path, USELESS)
  }
  return { jobs, left }
}

/** Whether a join must quantize its sum: where somebody else than an activation quantizer reads it. */
const joinsOutput = (plan: Plan, flow: Flow): ReadonlySet<string> => {
  const all = new Set(plan.jobs.keys())
  const readers = readersOf(flow, all)
  const requantizes = (path: string | null): boolean =>
    path !== null && plan.jobs.get(path)?.draft.role === 'activation'
  return new Set(
    [...plan.jobs.values()]
      .filter(({ path, draft }) => {
        if (draft.role !== 'join') return false
        const found = (flow.calls.get(path) ?? []).flatMap(({ y }) => (y === null ? [] : [...readers(y.id, path)]))
        return found.length === 0 || !found.every(requantizes)
      })
      .map(({ path }) => path),
  )
}

/** The quantized network, and what was left. */
export const settled = <I, O>(
  net: Net<I, O>,
  inputs: InputsOf<I>,
  first: Plan,
): E.Either<QuantErrors, { readonly net: Net<I, O>; readonly plan: Plan }> => {
  const tried = flowOf(
    rebuilt(net, first.jobs.values(), () => ALONE),
    inputs,
  )
  if (E.isLeft(tried)) return tried
  const plan = useful(first, tried.right)
  const outputs = joinsOutput(plan, tried.right)
  const before = givenTo(
    rebuilt(net, plan.jobs.values(), () => ALONE),
    inputs,
  )
  if (E.isLeft(before)) return before
  const { given, program } = before.right
  const unsigned = neverNegative(program.graph)
  return E.right({
    plan,
    net: rebuilt(net, plan.jobs.values(), (path) => {
      const values = given.get(path) ?? []
      return {
        input: values.some(isTooWide),
        output: outputs.has(path),
        unsigned: values.length > 0 && values.every((v) => unsigned(v.id)),
      }
    }),
  })
}
