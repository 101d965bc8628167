/** Where the time of a program goes, and what the compiler made of it, as a page shows it. */
import type { PlanDescription, ProfileRow } from '../../src/evaluator/insight.js'

/** One step of a profiled plan; times in milliseconds of one thread, `nodes` are those that it computes. */
export type SceneStep = Omit<ProfileRow, 'nodes' | 'stages'> & {
  readonly nodes: readonly string[]
  readonly stages: number
}

/** Where the time of one execution goes; `total` is the sum of the steps, `ms` an execution timed as a whole. */
export type SceneProfile = {
  readonly ms: number
  readonly total: number
  readonly bytes: number
  readonly limits: {
    readonly cacheGBs: number
    readonly memoryGBs: number
    readonly gflops: number
    readonly integerGops: number
  }
  readonly steps: readonly SceneStep[]
}

/** What the compiler made of a program: counts after its passes, and its steps; addresses in bytes. */
export type ScenePlan = {
  readonly bytes: number
  readonly phases: PlanDescription['phases']
  readonly passes: Omit<PlanDescription['passes'], 'byteValues'>
  readonly levels: number
  /** `ops`: how many flat nodes; `nodes`: the traced nodes from which they come. */
  readonly steps: readonly {
    readonly kernel: string
    readonly on: 'wasm' | 'host'
    readonly level: number
    readonly once: boolean
    readonly ops: number
    readonly nodes: readonly string[]
    readonly stores: readonly number[]
  }[]
}
