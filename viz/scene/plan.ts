/** A compiler's plan as the page needs it: counts after each pass, and what became of each node. */
import type { PlanDescription } from '../../src/evaluator/insight.js'
import type { ScenePlan } from './scene.js'

/** The plan of a scene's program. */
export const planFacts = (d: PlanDescription): ScenePlan => ({
  bytes: d.bytes,
  phases: d.phases,
  passes: d.passes,
  levels: new Set(d.steps.map((s) => s.level)).size,
  steps: d.steps.map((s) => ({
    kernel: s.kernel,
    on: s.on,
    level: s.level,
    once: s.once,
    ops: s.ops.length,
    nodes: s.nodes.map(String),
    stores: s.stores,
  })),
})
