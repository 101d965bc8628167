/** A profile as the page needs it: nodes as names, rates and times to four digits, nothing that the page does not show. */
import type { Profile } from '../../src/evaluator/insight.js'
import type { Scene, SceneProfile, SceneStep } from './scene.js'

const short = (x: number): number => Number(x.toPrecision(4))

/** The profile of a scene's program. */
export const timesOf = (p: Profile): SceneProfile => ({
  ms: short(p.ms),
  total: p.rows.reduce((t, r) => t + r.ms, 0),
  bytes: p.bytes,
  limits: p.limits,
  steps: p.rows.map((r): SceneStep => ({
    step: r.step,
    kernel: r.kernel,
    path: r.path,
    nodes: r.nodes.map(String),
    on: r.on,
    ms: short(r.ms),
    share: short(r.share),
    bytes: r.bytes,
    flops: r.flops,
    gbs: short(r.gbs),
    gflops: short(r.gflops),
    stages: r.stages.length,
    ...(r.product === undefined ? {} : { product: r.product }),
  })),
})

/** Steps that compute a node, or nodes in a box. */
export const stepsAt = (scene: Scene, id: string): readonly SceneStep[] => {
  const boxes = new Map(scene.nodes.map((n) => [n.id, n.box]))
  const isBox = scene.boxes.some((b) => b.id === id)
  return (scene.profile?.steps ?? []).filter((s) =>
    s.nodes.some((n) => n === id || (isBox && `${boxes.get(n) ?? ''}.`.startsWith(`${id}.`))),
  )
}
