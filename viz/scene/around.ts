/** A node or a box with all boxes around it. */
import type { Scene } from './scene.js'

/** A node, or a box, with all boxes around it, the innermost first. */
export const around = (scene: Pick<Scene, 'boxes' | 'nodes'>): ((id: string) => readonly string[]) => {
  const parent = new Map(scene.boxes.map((b) => [b.id, b.parent]))
  const box = new Map(scene.nodes.map((n) => [n.id, n.box]))
  return (id) => {
    const out = [id]
    for (let at = box.get(id) ?? parent.get(id); at !== undefined && at !== ''; at = parent.get(at)) out.push(at)
    return out
  }
}

/** The heads of the attention around a node; none outside of one. */
export const headsOf = (scene: Pick<Scene, 'boxes' | 'nodes'>, id: string): number | undefined => {
  const heads = new Map(scene.boxes.map((b) => [b.id, b.heads]))
  return around(scene)(id).flatMap((at) => heads.get(at) ?? [])[0]
}
