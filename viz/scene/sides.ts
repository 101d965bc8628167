/** Forward and backward pass of a differentiated program: which of them is shown, and which nodes belong together. */
import { mirrorBox } from './names.js'
import type { Index } from './reach.js'
import type { Scene } from './scene.js'

/** What is shown of a differentiated program. */
export type Side = 'forward' | 'backward' | 'both'

/** Has a program a backward pass? */
export const hasBackward = (scene: Scene): boolean => scene.nodes.some((n) => n.side === 'backward')

/** A scene with one pass alone. Edges between the passes go with the pass that is left out. */
export const onSide = (scene: Scene, side: Side): Scene => {
  if (side === 'both' || !hasBackward(scene)) return scene
  const wanted = (x: { readonly side?: 'backward' }): boolean => (x.side ?? 'forward') === side
  const nodes = scene.nodes.filter(wanted)
  const kept = new Set(nodes.map((n) => n.id))
  return {
    ...scene,
    nodes,
    boxes: scene.boxes.filter(wanted),
    edges: scene.edges.filter((e) => kept.has(e.from) && kept.has(e.to)),
    values: scene.values.filter((v) => kept.has(v.node)),
  }
}

/** Who belongs to whom: backward nodes to the forward node whose rule made them, cotangents to the values that they are gradients of. */
export type Partners = { readonly of: (id: string) => readonly string[] }

/** Finds, for a node or a box, those on the other side that belong to it. */
export const partnersOf = (index: Index): Partners => {
  const found = new Map<string, Set<string>>()
  const add = (a: string, b: string): void => {
    found.set(a, (found.get(a) ?? new Set()).add(b))
    found.set(b, (found.get(b) ?? new Set()).add(a))
  }
  for (const n of index.scene.nodes) {
    if (n.backwardOf !== undefined) add(n.id, n.backwardOf)
    if (n.cotangent !== undefined) add(n.id, n.cotangent)
  }
  const boxes = new Set(index.scene.boxes.map((b) => b.id))
  return {
    of: (id) =>
      boxes.has(id) && !index.node.has(id) ? [mirrorBox(id)].filter((m) => boxes.has(m)) : [...(found.get(id) ?? [])],
  }
}
