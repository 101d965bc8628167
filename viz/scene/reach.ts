/** What follows from a node, and where its metadata comes from: walks over the edges of values. Pure; linear in the scene. */
import type { Scene, SceneEdge, SceneNode } from './scene.js'

/** A scene with its nodes and edges by name. */
export type Index = {
  readonly scene: Scene
  readonly node: ReadonlyMap<string, SceneNode>
  readonly out: ReadonlyMap<string, readonly SceneEdge[]>
  readonly in: ReadonlyMap<string, readonly SceneEdge[]>
}

const grouped = (edges: readonly SceneEdge[], key: 'from' | 'to'): ReadonlyMap<string, readonly SceneEdge[]> => {
  const out = new Map<string, SceneEdge[]>()
  for (const e of edges) {
    const known = out.get(e[key])
    if (known === undefined) out.set(e[key], [e])
    else known.push(e)
  }
  return out
}

/** Makes the lookup tables of a scene. */
export const indexOf = (scene: Scene): Index => ({
  scene,
  node: new Map(scene.nodes.map((n) => [n.id, n])),
  out: grouped(scene.edges, 'from'),
  in: grouped(scene.edges, 'to'),
})

const isQuant = (n: SceneNode | undefined): boolean => n?.carry === 'carries' || n?.carry === 'claimed'

/** What a lost or claimed node costs: products in float and results without (sure) metadata that lie behind it, up to the next quantizer. */
export type Cost = {
  readonly products: readonly string[]
  readonly results: readonly string[]
  readonly nodes: readonly string[]
}

/** Nodes behind one, itself first, as far as `passes` says; `met` is told of each node that is reached, passed or not. */
const walk = (
  index: Index,
  id: string,
  passes: (n: SceneNode) => boolean,
  met: (n: SceneNode) => void = () => undefined,
): ReadonlySet<string> => {
  const seen = new Set([id])
  const queue = [id]
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const e of index.out.get(at) ?? []) {
      const n = index.node.get(e.to)
      if (!e.flow || n === undefined || seen.has(n.id)) continue
      met(n)
      if (!passes(n)) continue
      seen.add(n.id)
      queue.push(n.id)
    }
  }
  return seen
}

/**
 * Walks on from a node through values without metadata, up to the first products (what lies behind a product in float is lost by
 * that one, but for results); of a claimed node through those that are in doubt.
 */
export const costOf = (index: Index, id: string): Cost => {
  const claimed = index.node.get(id)?.carry === 'claimed'
  const passes = (n: SceneNode): boolean => (claimed ? n.carry === 'claimed' && n.calm === undefined : !isQuant(n))
  const products = new Set<string>()
  walk(
    index,
    id,
    (n) => passes(n) && (claimed || n.integer === undefined),
    (n) => {
      if (n.integer === false) products.add(n.id)
    },
  )
  const seen = walk(index, id, passes)
  const results = index.scene.values.filter((v) => v.role === 'result' && seen.has(v.node)).map((v) => v.name)
  return { products: [...products], results, nodes: [...seen] }
}

/** Where the metadata of a node was born: the quantizers and quantized inputs behind it. */
export const birthsOf = (index: Index, id: string): readonly string[] => {
  const seen = new Set([id])
  const births: string[] = []
  const queue = [id]
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    const parents = (index.in.get(at) ?? []).filter((e) => e.flow && isQuant(index.node.get(e.from)))
    if (isQuant(index.node.get(at)) && (parents.length === 0 || index.node.get(at)?.quantizes !== undefined))
      births.push(at)
    else
      for (const { from } of parents)
        if (!seen.has(from)) {
          seen.add(from)
          queue.push(from)
        }
  }
  return births
}

/** Everything from which a node is computed, or that is computed from it. */
export const reached = (index: Index, id: string, direction: 'in' | 'out'): ReadonlySet<string> => {
  const seen = new Set([id])
  const queue = [id]
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const e of index[direction].get(at) ?? []) {
      const next = direction === 'in' ? e.from : e.to
      if (seen.has(next)) continue
      seen.add(next)
      queue.push(next)
    }
  }
  return seen
}
