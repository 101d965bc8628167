/** Takes over what fits from another network: floats into quantized layers, a backbone below another head. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import {
  allOf,
  demandArguments,
  fieldProblems,
  func,
  list,
  listOf,
  nearestName,
  required,
  shaped,
  text,
  type Field,
} from '../../data/fields.js'
import { isMarked, type Marked } from '../../data/marks.js'
import { sameShape, type Shape } from '../../data/shape.js'
import { leaves, mapTree } from '../../data/tree.js'
import { layerProblems } from '../layers/checks.js'
import type { Layer } from '../layers/layer.js'
import type { Network } from './network.js'
import { fillPart, partsOf, type Unfilled } from './parts.js'
import type { Saved } from './stored.js'
import { treesProblems, wantedOfLayer, type Which } from './wanted.js'

/** How leaves are matched. */
export type PartialOptions = {
  /** The path in this network of a stored leaf, `backbone.conv1.weight` → `conv1.weight`; null leaves it out. Default: its own. */
  readonly rename?: (path: string) => string | null
}

/** A leaf of the network that kept its first numbers. */
export type MissingLeaf = {
  readonly path: string
  readonly why: string
  /** A stored leaf of this shape that was left over and has the most similar name, or null. */
  readonly nearest: string | null
}
/** A stored leaf that was not used. */
export type LeftOverLeaf = {
  /** Its path where it was stored. */
  readonly path: string
  /** A missing leaf of this shape with the most similar name, or null. */
  readonly nearest: string | null
}
/** A network with what could be taken over, and the account of it. */
export type PartialLoad<P, S> = Network<P, S> & {
  readonly loaded: readonly string[]
  readonly missing: readonly MissingLeaf[]
  readonly leftOver: readonly LeftOverLeaf[]
}

type Found = { readonly which: Which; readonly from: string; readonly path: string; readonly leaf: Marked }
type Nested = { [key: string]: Nested | Marked }

/** Leaves as nested records by their paths. */
const nested = (found: readonly Found[], which: Which): Nested => {
  const root: Nested = Object.create(null)
  for (const { path, leaf } of found.filter((f) => f.which === which)) {
    const keys = path.split('.')
    let branch = root
    for (const key of keys.slice(0, -1)) {
      const inner = branch[key]
      branch = inner === undefined || isMarked(inner) ? (branch[key] = Object.create(null)) : inner
    }
    branch[keys[keys.length - 1]] = leaf
  }
  return root
}

const clash = (a: Found, b: Found): QuantError => ({
  tag: 'ConfigError',
  option: 'rename',
  path: a.path,
  message: `loadPartial: rename sends both ${a.from} and ${b.from} to ${a.path}`,
  fix: 'send them to two paths, or one of them to null',
})

/** The stored leaves under the names of this network. */
const renamed = (saved: Saved, rename: (path: string) => string | null): E.Either<QuantErrors, readonly Found[]> => {
  const out = new Map<string, Found>()
  const errors: QuantError[] = []
  for (const which of ['params', 'state'] as const)
    for (const { path: from, leaf } of leaves(isMarked, saved[which])) {
      const path = rename(from)
      if (typeof path !== 'string') continue
      const found = { which, from, path, leaf }
      const known = out.get(`${which}:${path}`)
      if (known === undefined) out.set(`${which}:${path}`, found)
      else errors.push(clash(known, found))
    }
  return errors.length > 0 ? E.left(errors) : E.right([...out.values()])
}

type Named = { readonly path: string; readonly shape: Shape }

const tail = (a: string, b: string): number => {
  const [x, y] = [a.split('.').reverse(), b.split('.').reverse()]
  const differs = x.findIndex((key, i) => key !== y[i])
  return differs < 0 ? x.length : differs
}

/** Of those with the same shape the one with the most similar name: by letters and words, else by the end of its path. */
const nearest = ({ path, shape }: Named, among: readonly Named[]): string | null => {
  const fitting = among.filter((n) => sameShape(n.shape, shape)).map((n) => n.path)
  const close = nearestName(path, fitting)
  if (close !== undefined) return close
  const best = fitting.reduce((a, b) => (tail(path, b) > tail(path, a) ? b : a), '')
  return tail(path, best) > 0 ? best : null
}

const isSaved = (x: unknown): x is Saved => typeof x === 'object' && x !== null && 'params' in x && 'state' in x

/**
 * The network `initial` of a layer with all that fits from a saved one: parameters of the same path and shape, one by one, and state whose
 * leaves belong together, whole: a scale is taken only with a counter that says whether it is learned, and only where its number means the
 * same. A learned value also fits a quantizer that is told its range, and the other way round; a float layer's weight fits a binary layer, which keeps
 * it in state. What did not fit keeps its first numbers and is told, with the nearest names.
 * @example pipe(parseTensors(bytes), E.chain(loadPartial(quantizedNet, fresh, { rename: (path) => path.replace(/^module\./, '') })))
 */
export const loadPartial =
  <P, S, I, O>(layer: Layer<P, S, I, O>, initial: Network<P, S>, options: PartialOptions = {}) =>
  (saved: unknown): E.Either<QuantErrors, PartialLoad<P, S>> => {
    const problems = [
      ...layerProblems('loadPartial', layer),
      ...treesProblems('loadPartial', 'initial', initial),
      ...fieldProblems('loadPartial', options, { rename: func }),
      ...treesProblems('loadPartial', 'saved', saved),
    ]
    if (problems.length > 0 || !isSaved(saved)) return E.left(problems)
    const found = renamed(saved, options.rename ?? ((path) => path))
    if (E.isLeft(found)) return found
    const trees = { params: nested(found.right, 'params'), state: nested(found.right, 'state') }
    const filled = partsOf(wantedOfLayer(layer)).map((part) => fillPart(part, trees))
    const taken = new Map(
      filled.flatMap((f) => (E.isRight(f) ? f.right.leaves.map(([w, t]) => [`${w.which}:${w.path}`, t] as const) : [])),
    )
    const used = new Set(filled.flatMap((f) => (E.isRight(f) ? f.right.used.map(([w, p]) => `${w}:${p}`) : [])))
    const unfilled: readonly Unfilled[] = filled.flatMap((f) => (E.isLeft(f) ? f.left : []))
    const left = found.right.filter((f) => !used.has(`${f.which}:${f.path}`))
    const put =
      (which: Which) =>
      (t: Marked, path: string): Marked =>
        taken.get(`${which}:${path}`) ?? t
    return E.right({
      params: mapTree(isMarked, initial.params, put('params')) as P,
      state: mapTree(isMarked, initial.state, put('state')) as S,
      loaded: [...taken.keys()].map((key) => key.slice(key.indexOf(':') + 1)),
      missing: unfilled.map(({ wanted, why }) => ({
        path: wanted.path,
        why,
        nearest: nearest(
          wanted,
          left.map((f) => ({ path: f.from, shape: f.leaf.shape })),
        ),
      })),
      leftOver: left.map((f) => ({
        path: f.from,
        nearest: nearest(
          { path: f.path, shape: f.leaf.shape },
          unfilled.map((u) => u.wanted),
        ),
      })),
    })
  }

const near = (name: string | null): string => (name === null ? '' : ` (nearest: ${name})`)

const partialField: Field = {
  ...shaped(
    'what loadPartial gave, unwrapped',
    allOf({
      loaded: list,
      missing: listOf(shaped('a leaf', allOf({ path: text, why: text }))),
      leftOver: listOf(shaped('a leaf', allOf({ path: text }))),
    }),
  ),
  like: 'orThrow(loadPartial(…))',
}

/** What `loadPartial` did, for people: a line for each leaf that is missing or left over. */
export const showPartialLoad = (l: Pick<PartialLoad<unknown, unknown>, 'loaded' | 'missing' | 'leftOver'>): string => {
  demandArguments('showPartialLoad', { loaded: l }, { loaded: required(partialField) })
  return [
    `loaded ${l.loaded.length} of ${l.loaded.length + l.missing.length} leaves`,
    ...l.missing.map((m) => `missing ${m.path}: ${m.why}${near(m.nearest)}`),
    ...l.leftOver.map((o) => `left over ${o.path}${near(o.nearest)}`),
  ].join('\n')
}
