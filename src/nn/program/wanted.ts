/** What a network keeps, leaf by leaf: declared by a layer, or read off a fresh training state. */
import type { QuantError } from '../../data/error.js'
import { isEither, showGiven } from '../../data/fields.js'
import { isMarked, marksOf, type Marks } from '../../data/marks.js'
import type { Shape } from '../../data/shape.js'
import { at, leaves } from '../../data/tree.js'
import type { Collection } from '../../quantizers/collection.js'
import type { AnyLayer, LeafSpec } from '../layers/layer.js'

/** In which of the two trees a leaf stands. */
export type Which = 'params' | 'state'

/** A leaf that a network has. */
export type Wanted = {
  readonly which: Which
  readonly path: string
  readonly shape: Shape
  readonly marks: Marks
  /** Of a counter: how the collection that it counts ends; null where only a training state is known, undefined for other leaves. */
  readonly collection?: Collection | null
  /** Of the norm of accumulator-aware weights: the bits of the accumulator. */
  readonly accumulatorBits?: number
}

/** Is it the declaration of one leaf? */
export const isSpec = (x: unknown): x is LeafSpec =>
  typeof x === 'object' && x !== null && 'init' in x && typeof x.init === 'function'

/** All leaves of a layer. */
export const wantedOfLayer = (layer: Pick<AnyLayer, 'params' | 'state'>): readonly Wanted[] =>
  (['params', 'state'] as const).flatMap((which) =>
    leaves(isSpec, layer[which]).map(({ path, leaf }): Wanted => ({
      which,
      path,
      shape: leaf.shape,
      marks: which === 'state' ? marksOf(leaf) : {},
      ...(leaf.collection === undefined ? {} : { collection: leaf.collection }),
      ...(leaf.accumulatorBits === undefined ? {} : { accumulatorBits: leaf.accumulatorBits }),
    })),
  )

/** All leaves of parameters and state as tensors. What counts a collection is known by the buffer and the value beside it. */
export const wantedOfTrees = (trees: { readonly params: unknown; readonly state: unknown }): readonly Wanted[] =>
  (['params', 'state'] as const).flatMap((which) => {
    const found = leaves(isMarked, trees[which])
    const paths = new Set(found.map((l) => l.path))
    return found.map(({ path, leaf }): Wanted => {
      const part = path.slice(0, Math.max(0, path.lastIndexOf('.')))
      const counts = path.endsWith('.counter') && paths.has(`${part}.buffer`) && paths.has(`${part}.value`)
      return { which, path, shape: leaf.shape, marks: marksOf(leaf), ...(counts ? { collection: null } : {}) }
    })
  })

/** The same leaves, with what a layer says of their collections. */
export const collecting = (
  wanted: readonly Wanted[],
  layer: Pick<AnyLayer, 'params' | 'state'> | undefined,
): readonly Wanted[] => {
  if (layer === undefined) return wanted
  const known = new Map(wantedOfLayer(layer).map((w) => [`${w.which}:${w.path}`, w.collection] as const))
  return wanted.map((w) => {
    const collection = known.get(`${w.which}:${w.path}`)
    return collection === undefined ? w : { ...w, collection }
  })
}

/** What is wrong with what was given as a tree of tensors by name; nothing if nothing is. */
export const treeProblems = (asker: string, input: string, x: unknown): readonly QuantError[] =>
  typeof x === 'object' && x !== null && !Array.isArray(x) && !isEither(x) && !isMarked(x)
    ? []
    : [
        {
          tag: 'InputError',
          input,
          path: '',
          message: `${asker} takes ${input} as a record of tensors by name, and was given ${showGiven(x)}`,
          fix: isEither(x) ? 'unwrap it with orThrow' : `give the ${input} that init or the last run returned`,
        },
      ]

/** The same of something that has params and state. */
export const treesProblems = (asker: string, input: string, x: unknown): readonly QuantError[] => {
  const outer = treeProblems(asker, input, x)
  return outer.length > 0
    ? outer
    : (['params', 'state'] as const).flatMap((which) => treeProblems(asker, `${input}.${which}`, at(x, which)))
}
