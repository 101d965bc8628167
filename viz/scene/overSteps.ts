/** Values over the steps of loops: what is kept of them, step by step, and what a page shows. */
import type { Tensor } from '../../src/data/tensor.js'
import type { Node } from '../../src/graph/graph.js'
import { branchScope } from './names.js'
import { clippedOf } from './observed.js'
import type { SceneNode, SceneSeries } from './scene.js'

/** What of a step is kept, in lists that grow. */
type Growing = { readonly [K in 'min' | 'max' | 'mean' | 'clipped']: number[] }

/** Values over the steps of loops, by the id of a node in a scene: `172.body.5`. */
export type OverSteps = ReadonlyMap<string, SceneSeries>

/** Collects values of steps as they are told. */
export type StepWatch = {
  readonly overSteps: OverSteps
  readonly observeStep: (loop: Node, step: number, node: Node, value: Tensor) => void
}

/** Least, largest and mean of the finite numbers; NaN where there is none. */
const extentOf = ({ data }: Tensor): readonly [min: number, max: number, mean: number] => {
  let [min, max, sum, n] = [Infinity, -Infinity, 0, 0]
  for (let i = 0; i < data.length; i++) {
    const x = data[i]
    if (!Number.isFinite(x)) continue
    if (x < min) min = x
    if (x > max) max = x
    sum += x
    n++
  }
  return n === 0 ? [NaN, NaN, NaN] : [min, max, sum / n]
}

/** Starts to watch. Of each value only a few numbers are kept, so a long sequence takes little. */
export const newStepWatch = (): StepWatch => {
  const overSteps = new Map<string, Growing>()
  // Values of the step that is being computed: quantizers ask for their operands.
  let now = { loop: -1, step: -1, values: new Map<number, Tensor>() }
  const clipped = (node: Node): number | null => {
    const [x, scale, zeroPoint] = node.inputs.map((id) => now.values.get(id))
    if (node.op.births !== true || x === undefined || scale === undefined || zeroPoint === undefined) return null
    const found = clippedOf(node, x, scale, zeroPoint)
    return found === null ? null : found[0] + found[1]
  }
  return {
    overSteps,
    observeStep: (loop, step, node, value) => {
      if (now.loop !== loop.id || now.step !== step) now = { loop: loop.id, step, values: new Map() }
      now.values.set(node.id, value)
      const id = `${branchScope(String(loop.id), loop, 0).prefix}${node.id}`
      const own = overSteps.get(id) ?? { min: [], max: [], mean: [], clipped: [] }
      overSteps.set(id, own)
      const [min, max, mean] = extentOf(value)
      own.min[step] = min
      own.max[step] = max
      own.mean[step] = mean
      const share = clipped(node)
      if (share !== null) own.clipped[step] = share
    },
  }
}

const brief = (xs: readonly number[]): readonly number[] => Array.from(xs, (x) => Number(x.toPrecision(4)))

/** What a page keeps: of values on the way through a body, to four digits. */
export const seriesOf = (overSteps: OverSteps, nodes: readonly SceneNode[]): { readonly [node: string]: SceneSeries } =>
  Object.fromEntries(
    nodes.flatMap((n) => {
      const s = n.step === true ? overSteps.get(n.id) : undefined
      if (s === undefined) return []
      const whole = { min: brief(s.min), max: brief(s.max), mean: brief(s.mean) }
      return [[n.id, (s.clipped ?? []).length === 0 ? whole : { ...whole, clipped: brief(s.clipped ?? []) }]]
    }),
  )
