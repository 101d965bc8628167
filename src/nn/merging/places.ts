/** Layers inside layers: finding them by path, putting others in their place, and their numbers with them. */
import type { AnyLayer, TensorTree } from '../layers/layer.js'
import { isTensor } from '../../data/tensor.js'

/** A layer and where it stands: in which combination of layers, and under which path. */
export type Placed = {
  readonly path: string
  readonly layer: AnyLayer
  /** The combination that it stands in. */
  readonly parent: AnyLayer
}

const below = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)

/** All layers that can be replaced and have none in themselves. A network that is one layer has none. */
export const layersBelow = (layer: AnyLayer, path = ''): readonly Placed[] => {
  const { within, rebuilt } = layer.source ?? {}
  if (within === undefined || rebuilt === undefined) return []
  return Object.entries(within).flatMap(([name, inner]) => {
    const at = below(path, name)
    const deeper = layersBelow(inner, at)
    return deeper.length > 0 || inner.source?.within !== undefined
      ? deeper
      : [{ path: at, layer: inner, parent: layer }]
  })
}

/** A network with other layers at some paths; null takes one out of its chain. */
export const changedLayers = (layer: AnyLayer, changes: ReadonlyMap<string, AnyLayer | null>, path = ''): AnyLayer => {
  const { within, rebuilt } = layer.source ?? {}
  if (within === undefined || rebuilt === undefined) return layer
  const inner = Object.entries(within).flatMap(([name, l]): readonly (readonly [string, AnyLayer])[] => {
    const at = below(path, name)
    const change = changes.get(at)
    return change === null ? [] : [[name, change ?? changedLayers(l, changes, at)]]
  })
  const same = inner.length === Object.keys(within).length && inner.every(([name, l]) => within[name] === l)
  return same ? layer : rebuilt(Object.fromEntries(inner))
}

/** The branch of a tree at a path; an empty one where there is none. */
export const branchAt = (tree: TensorTree, path: string): TensorTree =>
  path.split('.').reduce<TensorTree>((t, key) => {
    const inner = t[key]
    return inner === undefined || isTensor(inner) ? {} : inner
  }, tree)

/** A tree with another branch at a path, or without one. */
export const withBranch = (tree: TensorTree, path: string, branch: TensorTree | null): TensorTree => {
  const [name, ...rest] = path.split('.')
  const { [name]: old, ...others } = tree
  if (rest.length === 0 && branch === null) return others
  const inner = old === undefined || isTensor(old) ? {} : old
  // A key that is there keeps its place.
  return { ...tree, [name]: rest.length === 0 ? (branch ?? {}) : withBranch(inner, rest.join('.'), branch) }
}
