/** Parameters and state as Brevitas' state dict, and back: what `module.state_dict()` holds, key for key. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import { argumentProblems, fieldProblems, flag, nearestName, required } from '../../data/fields.js'
import { isMarked, marksOf, type Marked } from '../../data/marks.js'
import { sameShape, showShape, sizeOf } from '../../data/shape.js'
import { at, mapTree } from '../../data/tree.js'
import { layerProblems } from '../../nn/layers/checks.js'
import type { AnyLayer, Layer } from '../../nn/layers/layer.js'
import { init } from '../../nn/program/program.js'
import { treesProblems, wantedOfLayer, type Wanted } from '../../nn/program/wanted.js'
import { LEARNED } from '../../quantizers/collection.js'
import type { StoredArray } from '../arrays/element.js'
import { arraysField, type StoredArrays } from '../arrays/stored.js'
import { keyOf } from './keys.js'
import { aliasesOf } from './aliases.js'
import { partedLayers, withBrevitasNames } from './torchNames.js'

/** Parameters and state of a network. */
export type Trees<P, S> = { readonly params: P; readonly state: S }

const part = (path: string): string => path.slice(0, path.lastIndexOf('.'))

/** Beside a learned value: what counts its collection (activations), or says that it was computed (weights). */
type Guard = { readonly counter?: Wanted; readonly initDone?: Wanted }

/** Of a path the layer with names of its own below it, for `keyOf`. */
export const ownersIn = (layer: AnyLayer): ((path: string) => string | null) => {
  const owners = partedLayers(layer).map((l) => l.path)
  return (path) => owners.find((o) => o === '' || path.startsWith(`${o}.`)) ?? null
}

/** The leaves that Brevitas saves, with their keys and what guards them. */
const savedLeaves = (layer: AnyLayer) => {
  const wanted = wantedOfLayer(layer)
  const ownerOf = ownersIn(layer)
  const byPath = new Map(wanted.map((w) => [`${w.which}:${w.path}`, w] as const))
  return wanted.flatMap((leaf) => {
    const key = keyOf(leaf.path, ownerOf(leaf.path))
    if (key === null) return []
    const beside = (name: string): Wanted | undefined =>
      leaf.path.endsWith('.value') ? byPath.get(`state:${part(leaf.path)}.${name}`) : undefined
    const [counter, initDone] = [beside('counter'), beside('initDone')]
    const guard: Guard = {
      ...(counter === undefined ? {} : { counter }),
      ...(initDone === undefined ? {} : { initDone }),
    }
    return [{ leaf, key, guard }]
  })
}

const numberAt = (state: unknown, w: Wanted): number => {
  const t = at(state, w.path)
  return isMarked(t) ? t.data[0] : NaN
}

/** The value that Brevitas would save: while it collects, what the running average would become; null before the first call. */
const savedValue = (t: Marked, state: unknown, { counter, initDone }: Guard): Float32Array | null => {
  if (initDone !== undefined && numberAt(state, initDone) === 0) return null
  if (counter === undefined) return t.data
  const count = numberAt(state, counter)
  if (count >= LEARNED) return t.data
  const buffer = at(state, `${part(counter.path)}.buffer`)
  const { collection } = counter
  if (count === 0 || !isMarked(buffer) || collection === undefined || collection === null) return null
  return t.data.map((v, i) => collection.take(v, buffer.data[i]))
}

const missing = (path: string, key: string): QuantError => ({
  tag: 'InputError',
  input: path,
  path,
  message: `there is no ${path}, which Brevitas keeps as ${key}`,
  fix: 'give params and state of this network, as init or training returned them',
})

/**
 * What Brevitas' `module.state_dict()` would hold of a network in this state, by Brevitas' own keys. As there, counters, buffers and delays are not saved; a
 * quantizer that collects saves what it would switch over to; one that was never called has no key, and Brevitas' strict loading then says so. Quantizers that
 * recurrent layers share stand under each of their names.
 * @example
 * ```ts
 * import { chain, init, orThrow, QuantLinear } from 'quantrace'
 * import { toStateDict } from 'quantrace/brevitas'
 *
 * const net = chain({ fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }) })
 * console.log(Object.keys(orThrow(toStateDict(net, orThrow(init(net, 0))))))
 * ```
 */
export const toStateDict = <P, S, I, O>(
  layer: Layer<P, S, I, O>,
  trees: Trees<P, S>,
): E.Either<QuantErrors, StoredArrays> => {
  const problems = [...layerProblems('toStateDict', layer), ...treesProblems('toStateDict', 'trees', trees)]
  if (problems.length > 0) return E.left(problems)
  const errors: QuantError[] = []
  const out: Record<string, StoredArray> = {}
  const saved = savedLeaves(layer)
  for (const { leaf, key, guard } of saved) {
    const t = at(trees[leaf.which], leaf.path)
    if (!isMarked(t)) {
      errors.push(missing(leaf.path, key))
      continue
    }
    const data = savedValue(t, trees.state, guard)
    if (data !== null) out[key] = { shape: t.shape, data, type: key.endsWith('num_batches_tracked') ? 'I64' : 'F32' }
  }
  for (const [key, bits] of accumulatorsOf(saved)) out[key] = { shape: [], data: Float32Array.of(bits), type: 'F32' }
  const aliases = aliasesOf(
    layer,
    saved.map((s) => s.key),
  )
  for (const [alias, key] of aliases) if (Object.hasOwn(out, key)) out[alias] = out[key]
  return errors.length > 0 ? E.left(errors) : E.right(out)
}

/** Beside the norm of accumulator-aware weights Brevitas saves the bits of their accumulator, which are an option here. */
const accumulatorsOf = (saved: ReturnType<typeof savedLeaves>): ReadonlyMap<string, number> =>
  new Map(
    saved.flatMap(({ leaf, key }) =>
      leaf.accumulatorBits === undefined
        ? []
        : [[`${part(key)}.accumulator_bit_width.bit_width`, leaf.accumulatorBits] as const],
    ),
  )

/** How a state dict is loaded. */
export type StateDictOptions = {
  /** Every key of the network must be there, and no other (default true, as in torch). Else: what fits is taken, and the account tells the rest. */
  readonly strict?: boolean
}

/** A network with what was taken over, and the account of it. */
export type LoadedStateDict<P, S> = Trees<P, S> & {
  readonly loaded: readonly string[]
  readonly missing: readonly { readonly key: string; readonly nearest: string | null }[]
  readonly unexpected: readonly { readonly key: string; readonly nearest: string | null }[]
}

const parseError = (key: string, path: string, message: string, fix: string): QuantError => ({
  tag: 'ParseError',
  where: key,
  path,
  message,
  fix,
})

const near = (key: string, among: readonly string[]): string | null => nearestName(key, among) ?? null

const suggestion = (nearest: string | null, otherwise: string): string =>
  nearest === null ? otherwise : `did you mean ${nearest}? ${otherwise}`

/** torch stores a batch norm's count as a scalar, and scalars sometimes as one element. */
const fits = (stored: StoredArray, wanted: Wanted): boolean =>
  sameShape(stored.shape, wanted.shape) || (sizeOf(stored.shape) === 1 && sizeOf(wanted.shape) === 1)

type Plan = {
  readonly tensors: ReadonlyMap<string, Float32Array>
  readonly loaded: readonly string[]
  readonly errors: readonly QuantError[]
}

/** New numbers by `which:path`; loading a value ends its collection. */
const planned = (saved: ReturnType<typeof savedLeaves>, dict: StoredArrays): Plan => {
  const tensors = new Map<string, Float32Array>()
  const loaded: string[] = []
  const errors: QuantError[] = []
  for (const { leaf, key, guard } of saved) {
    const stored = Object.hasOwn(dict, key) ? dict[key] : undefined
    if (stored === undefined) continue
    if (!fits(stored, leaf)) {
      const message = `${key} has shape ${showShape(stored.shape)}, but ${leaf.path} has ${showShape(leaf.shape)}`
      errors.push(parseError(key, leaf.path, message, 'give the state dict of a network with the same sizes'))
      continue
    }
    loaded.push(key)
    tensors.set(`${leaf.which}:${leaf.path}`, stored.data)
    if (guard.counter !== undefined) tensors.set(`state:${guard.counter.path}`, Float32Array.of(LEARNED))
    if (guard.initDone !== undefined) tensors.set(`state:${guard.initDone.path}`, Float32Array.of(1))
  }
  return { tensors, loaded, errors }
}

/** Numbers that were trained for another accumulator than this network's. */
const accumulatorErrors = (accumulators: ReadonlyMap<string, number>, dict: StoredArrays): readonly QuantError[] =>
  [...accumulators].flatMap(([key, bits]) => {
    const stored = Object.hasOwn(dict, key) ? dict[key].data[0] : bits
    return stored === bits
      ? []
      : [
          parseError(
            key,
            '',
            `${key} is ${stored}, but the accumulator of this network has ${bits} bits`,
            `give the layer weightAccumulatorBitWidth: ${stored}`,
          ),
        ]
  })

/** Without second names of shared quantizers, whose numbers stand under the first. */
const underOwnNames = (dict: StoredArrays, aliases: ReadonlyMap<string, string>): StoredArrays => {
  const entries = Object.entries(dict)
  const second = entries.flatMap(([key, array]): readonly (readonly [string, StoredArray])[] => {
    const own = aliases.get(key)
    return own === undefined ? [] : [[own, array]]
  })
  return { ...Object.fromEntries(second), ...Object.fromEntries(entries.filter(([key]) => !aliases.has(key))) }
}

const put = <T>(which: 'params' | 'state', tree: T, tensors: Plan['tensors']): T =>
  mapTree(isMarked, tree, (t, path): Marked => {
    const data = tensors.get(`${which}:${path}`)
    return data === undefined ? t : { shape: t.shape, data, ...marksOf(t) }
  }) as T

/**
 * A network with the numbers of Brevitas' state dict. As in Brevitas, a loaded scale or zero point ends its collection, whatever its counter was, and delays
 * start again. Of recurrent layers and multi-head attention torch's own names are taken too, `weight_ih_l0` or `in_proj_weight`. Errors (strict): a ParseError for each key that is missing, unexpected (with the nearest known one) or has another shape.
 *
 * @example
 * const { params, state } = orThrow(pipe(parseSafetensors(bytes), E.chain((dict) => fromStateDict(net, dict))))
 */
export const fromStateDict = <P, S, I, O>(
  layer: Layer<P, S, I, O>,
  given: StoredArrays,
  options: StateDictOptions = {},
): E.Either<QuantErrors, LoadedStateDict<P, S>> => {
  const problems = [
    ...layerProblems('fromStateDict', layer),
    ...argumentProblems('fromStateDict', { dict: given }, { dict: required(arraysField) }),
    ...fieldProblems('fromStateDict', options, { strict: flag }),
  ]
  const fresh = problems.length > 0 ? E.left(problems) : init(layer, 0)
  if (E.isLeft(fresh)) return fresh
  const saved = savedLeaves(layer)
  const known = saved.map((s) => s.key)
  const aliases = aliasesOf(layer, known)
  const dict = underOwnNames(withBrevitasNames(layer, given, known), aliases)
  const plan = planned(saved, dict)
  const keys = Object.keys(dict)
  const accumulators = accumulatorsOf(saved)
  const absent = known.filter((k) => !keys.includes(k)).map((key) => ({ key, nearest: near(key, keys) }))
  const unexpected = keys
    .filter((k) => !known.includes(k) && !accumulators.has(k))
    .map((key) => ({ key, nearest: near(key, known) }))
  const strict = options.strict !== false
  const errors = [
    ...plan.errors,
    ...accumulatorErrors(accumulators, dict),
    ...(strict ? absent : []).map(({ key, nearest }) =>
      parseError(
        key,
        '',
        `the state dict has no ${key}`,
        suggestion(nearest, 'Give a whole state dict, or { strict: false } to take what fits'),
      ),
    ),
    ...(strict ? unexpected : []).map(({ key, nearest }) =>
      parseError(
        key,
        '',
        `this network has nothing for ${key}`,
        suggestion(nearest, 'Give the state dict of this network, or { strict: false } to leave it out'),
      ),
    ),
  ]
  if (errors.length > 0) return E.left(errors)
  const params = put('params', fresh.right.params, plan.tensors)
  const state = put('state', fresh.right.state, plan.tensors)
  return E.right({ params, state, loaded: plan.loaded, missing: absent, unexpected })
}
