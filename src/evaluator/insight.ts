/** What a backend can tell of a plan, of where its time goes, and of the machine: plain data, for print and page. */
import type { NodeId } from '../data/quant.js'

/** One product of the program: on what it runs, and why not on integers. */
export type ProductDescription = {
  readonly node: NodeId
  readonly op: string
  readonly path: string
  readonly kernel: string
  readonly runsOn: 'integers' | 'float'
  readonly why: string
}

/** One step: the nodes of the program that it computes, what it reads and stores, and where. Addresses in bytes. */
export type StepDescription = {
  readonly index: number
  readonly kernel: string
  readonly on: 'wasm' | 'host'
  readonly path: string
  readonly level: number
  /** Done once for given parameters and state (eval only). */
  readonly once: boolean
  readonly ops: readonly string[]
  readonly nodes: readonly NodeId[]
  readonly reads: readonly number[]
  readonly stores: readonly number[]
  readonly scratchBytes: number
  /** Where the step updates several leaves: their paths, in the order in which they are done. */
  readonly leaves: readonly string[]
}

/** With which instructions products multiply: 16-bit (`baseline`) or 8-bit (`relaxed`) dot products of integers, and why; and whether float products are added unrounded. */
export type RungsDescription = {
  readonly integers: 'baseline' | 'relaxed'
  readonly fma: boolean
  readonly why: string
}

/** A plan for one vector of phases. `bytes` is the size of the arena, known before anything runs. */
export type PlanDescription = {
  readonly bytes: number
  readonly rungs: RungsDescription
  readonly phases: readonly { readonly path: string; readonly phase: 'collecting' | 'learned' }[]
  readonly passes: {
    readonly programNodes: number
    readonly flatNodes: number
    readonly loops: number
    readonly kernels: number
    readonly hostSteps: number
    readonly storedValues: number
    /** Values among these that are integers of a quantizer, stored as bytes. */
    readonly byteValues: number
    readonly inPlace: number
  }
  readonly steps: readonly StepDescription[]
  readonly products: readonly ProductDescription[]
}

/** Measured rates of one thread. */
export type Limits = {
  /** Bytes read and written per nanosecond (GB/s) by a loop over 6 MB, and over 48 MB (memory). */
  readonly cacheGBs: number
  readonly memoryGBs: number
  /** float32 multiplications and additions per nanosecond (GFLOP/s). */
  readonly gflops: number
  /** 16-bit integer multiplications and additions per nanosecond (GOP/s). */
  readonly integerGops: number
}

/** One step of a plan. Times are milliseconds of one thread, the best of all rounds. */
export type ProfileRow = {
  readonly step: number
  readonly kernel: string
  readonly path: string
  /** Nodes of the program that it computes. */
  readonly nodes: readonly NodeId[]
  readonly on: 'wasm' | 'host'
  readonly ms: number
  /** Share of the whole, 0 … 1. */
  readonly share: number
  readonly bytes: number
  readonly flops: number
  readonly gbs: number
  readonly gflops: number
  /** Products only: on what it runs, and why. */
  readonly product?: { readonly runsOn: 'integers' | 'float'; readonly why: string }
  readonly stages: readonly { readonly label: string; readonly ms: number; readonly units: number }[]
}

/** The profile of one plan. */
export type Profile = {
  /** In the order of execution. */
  readonly rows: readonly ProfileRow[]
  /** One whole execution, the best of all rounds. */
  readonly ms: number
  /** Time to plan, to assemble and to load. */
  readonly compileMs: number
  readonly bytes: number
  readonly limits: Limits
}

/** How a profile is taken. */
export type ProfileOptions = { readonly rounds?: number; readonly warmUpMs?: number }

/** The ladder: what there is, and what a backend uses of it. */
export type Features = {
  readonly simd: boolean
  readonly relaxedSimd: boolean
  /** Shared memory between threads: in a page only with cross-origin isolation. */
  readonly sharedMemory: boolean
  /** Threads that take part, the calling one included. */
  readonly threads: number
  /** The instructions that products are made of. */
  readonly rungs: RungsDescription
  /** `threads × simd`, `simd`, or `plain` (the reference backend, where there is no SIMD). */
  readonly level: 'threads × simd' | 'simd' | 'plain'
  /** Why a higher rung isn't used. */
  readonly notes: readonly string[]
}
