/**
 * Parameters and state as the twin keeps them: Brevitas' state dict, and beside it what Brevitas never saves, so that a collection goes on where it was:
 * counters and running averages of quantizers that still collect, and countdowns of delays.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../../data/error.js'
import { argumentProblems, nearestName, required } from '../../../data/fields.js'
import { isMarked, marksOf, type Marked } from '../../../data/marks.js'
import { sizeOf, showShape } from '../../../data/shape.js'
import { at, mapTree } from '../../../data/tree.js'
import { layerProblems } from '../../../nn/layers/checks.js'
import type { AnyLayer, Layer } from '../../../nn/layers/layer.js'
import { treesProblems, wantedOfLayer, type Wanted } from '../../../nn/program/wanted.js'
import { LEARNED } from '../../../quantizers/collection.js'
import type { StoredArray } from '../../arrays/element.js'
import { arraysField, type StoredArrays } from '../../arrays/stored.js'
import { keyOf } from '../keys.js'
import { fromStateDict, ownersIn, toStateDict, type Trees } from '../stateDict.js'

const without = (key: string | null, suffix: string): string | null =>
  key !== null && key.endsWith(suffix) ? key.slice(0, -suffix.length) : null

/** The key of a path in a network. */
type KeyOf = (path: string) => string | null

const keysIn = (layer: AnyLayer): KeyOf => {
  const ownerOf = ownersIn(layer)
  return (path) => keyOf(path, ownerOf(path))
}

/** Where the twin keeps a leaf of state that is no part of a state dict; null of all others. */
const hiddenKey = (path: string, paths: ReadonlySet<string>, key: KeyOf): string | null => {
  const dot = path.lastIndexOf('.')
  const [part, leaf] = [path.slice(0, dot), path.slice(dot + 1)]
  if (leaf === 'remaining' && part.endsWith('.delay')) {
    const quantizer = without(key(`${part.slice(0, -'.delay'.length)}.scale.value`), '.scaling_impl.value')
    return quantizer === null ? null : `${quantizer}.quant_delay_steps`
  }
  if (leaf !== 'counter' && leaf !== 'buffer') return null
  const runs = paths.has(`${part}.runningStats`)
  const home = runs ? without(key(`${part}.runningStats`), '.running_stats') : without(key(`${part}.value`), '.value')
  return home === null ? null : `${home}.${leaf}`
}

type Hidden = { readonly leaf: Wanted; readonly key: string }

const hiddenLeaves = (layer: AnyLayer): readonly Hidden[] => {
  const state = wantedOfLayer(layer).filter((w) => w.which === 'state')
  const paths = new Set(state.map((w) => w.path))
  const keys = keysIn(layer)
  return state.flatMap((leaf) => {
    const key = hiddenKey(leaf.path, paths, keys)
    return key === null ? [] : [{ leaf, key }]
  })
}

const home = (path: string): string => path.slice(0, path.lastIndexOf('.'))

/** Of a collection that is over nothing is hidden: the value is all there is. */
const isOver = (path: string, state: unknown): boolean => {
  const counter = at(state, `${home(path)}.counter`)
  return isMarked(counter) && counter.data[0] >= LEARNED
}

/** Norms and first scales of weights that nothing has computed yet: Brevitas takes them of the weights that it draws itself. */
const notComputed = (layer: AnyLayer, state: unknown): readonly QuantError[] =>
  wantedOfLayer(layer)
    .filter(({ path }) => /\.(norm|preScale)\.initDone$/.test(path) && numberAt(state, path) === 0)
    .map(({ path }) => ({
      tag: 'ExportError',
      op: 'toBrevitas',
      path: home(home(path)),
      message: `${home(path)} is computed by the first forward, and there was none: the twin would compute it of other weights`,
      fix: "run one step first: run(trace(net, inputs, { mode: 'train' }), …), and give the state that it returns",
    }))

const numberAt = (state: unknown, path: string): number => {
  const t = at(state, path)
  return isMarked(t) ? t.data[0] : NaN
}

/** The arrays of `network.safetensors`: every number that the twin's modules hold. */
export const twinArrays = <P, S, I, O>(
  layer: Layer<P, S, I, O>,
  trees: Trees<P, S>,
): E.Either<QuantErrors, StoredArrays> => {
  const problems = [...layerProblems('toBrevitas', layer), ...treesProblems('toBrevitas', 'trees', trees)]
  if (problems.length > 0) return E.left(problems)
  const early = notComputed(layer, trees.state)
  if (early.length > 0) return E.left(early)
  return E.map((dict: StoredArrays): StoredArrays => {
    const out: Record<string, StoredArray> = { ...dict }
    const keys = keysIn(layer)
    const put = (key: string, path: string): void => {
      const t = at(trees.state, path)
      if (isMarked(t)) out[key] = { shape: t.shape, data: t.data, type: 'F32' }
    }
    for (const { leaf, key } of hiddenLeaves(layer)) {
      if (isOver(leaf.path, trees.state)) continue
      put(key, leaf.path)
      // The value itself, not what a state dict of Brevitas would say it becomes: the twin goes on collecting.
      const value = keys(`${home(leaf.path)}.value`)
      if (key.endsWith('.buffer') && value !== null) put(value, `${home(leaf.path)}.value`)
    }
    return out
  })(toStateDict(layer, trees))
}

const misfit = ({ leaf, key }: Hidden, stored: StoredArray): QuantError => ({
  tag: 'ParseError',
  where: key,
  path: leaf.path,
  message: `${key} has shape ${showShape(stored.shape)}, but ${leaf.path} has ${showShape(leaf.shape)}`,
  fix: 'give the file of a network with the same sizes',
})

/** What of the file is missing: all but thresholds of weights that no forward has computed yet. */
const absent = (
  layer: AnyLayer,
  missing: readonly { readonly key: string; readonly nearest: string | null }[],
): readonly QuantError[] => {
  const wanted = wantedOfLayer(layer)
  const computed = new Set(
    wanted.filter((w) => w.path.endsWith('.initDone')).map((w) => keysIn(layer)(`${home(w.path)}.value`)),
  )
  return missing
    .filter(({ key }) => !computed.has(key))
    .map(({ key, nearest }) => ({
      tag: 'ParseError',
      where: key,
      path: '',
      message: `the file has no ${key}`,
      fix: `${nearest === null ? '' : `did you mean ${nearest}? `}Give a file that the twin of this network wrote`,
    }))
}

/**
 * A network with the numbers that its PyTorch twin has saved (`parseSafetensors` of `trained.safetensors`), quantizers that still collect included. What
 * draws random numbers here (dropout) starts again: torch has drawn them there.
 *
 * @example
 * const { params, state } = orThrow(pipe(parseSafetensors(bytes), E.chain((dict) => fromBrevitas(net, dict))))
 */
export const fromBrevitas = <P, S, I, O>(
  layer: Layer<P, S, I, O>,
  dict: StoredArrays,
): E.Either<QuantErrors, Trees<P, S>> => {
  const problems = [
    ...layerProblems('fromBrevitas', layer),
    ...argumentProblems('fromBrevitas', { dict }, { dict: required(arraysField) }),
  ]
  if (problems.length > 0) return E.left(problems)
  const hidden = hiddenLeaves(layer)
  const keys = new Set(hidden.map((h) => h.key))
  const shown = Object.fromEntries(Object.entries(dict).filter(([key]) => !keys.has(key)))
  const loaded = fromStateDict(layer, shown, { strict: false })
  if (E.isLeft(loaded)) return loaded
  const { params, state, missing, unexpected } = loaded.right
  const present = hidden.filter(({ key }) => Object.hasOwn(dict, key))
  const errors = [
    ...absent(layer, missing),
    ...unexpected.map(({ key }): QuantError => ({
      tag: 'ParseError',
      where: key,
      path: '',
      message: `this network has nothing for ${key}`,
      fix: `${nearestHint(key, layer)}give the file that the twin of this network wrote`,
    })),
    ...present
      .filter(({ key, leaf }) => dict[key].data.length !== sizeOf(leaf.shape))
      .map((h) => misfit(h, dict[h.key])),
  ]
  if (errors.length > 0) return E.left(errors)
  const numbers = new Map(present.map(({ leaf, key }) => [leaf.path, dict[key].data] as const))
  const collecting = mapTree(isMarked, state, (t, path): Marked => {
    const data = numbers.get(path)
    return data === undefined ? t : { shape: t.shape, data, ...marksOf(t) }
  }) as S
  return E.right({ params, state: collecting })
}

const nearestHint = (key: string, layer: AnyLayer): string => {
  const known = wantedOfLayer(layer).flatMap((w) => keysIn(layer)(w.path) ?? [])
  const near = nearestName(key, known)
  return near === undefined ? '' : `did you mean ${near}? Else `
}
