/** What leaves the boxes of a scene. */
import type { Scene, SceneNode } from './scene.js'

/** For each box the values that leave it: to a node outside, or as a result. Linear in the edges, but for the depth of boxes. */
export const leavingOf = (
  scene: Scene,
  nodeOf: ReadonlyMap<string, SceneNode>,
): ReadonlyMap<string, ReadonlySet<SceneNode>> => {
  const parent = new Map(scene.boxes.map((b) => [b.id, b.parent]))
  const out = new Map<string, Set<SceneNode>>()
  const leave = (source: SceneNode | undefined, target: string): void => {
    if (source === undefined) return
    const around = new Set<string>()
    for (let at: string | undefined = target; at !== undefined && at !== ''; at = parent.get(at)) around.add(at)
    for (
      let at: string | undefined = source.box;
      at !== undefined && at !== '' && !around.has(at);
      at = parent.get(at)
    ) {
      const known = out.get(at) ?? new Set()
      known.add(source)
      out.set(at, known)
    }
  }
  for (const e of scene.edges) if (e.flow) leave(nodeOf.get(e.from), nodeOf.get(e.to)?.box ?? '')
  for (const v of scene.values) if (v.role === 'result') leave(nodeOf.get(v.node), '')
  return out
}
