/** The registry: every primitive of `all.ts` by its name. */
import type { Op, OpTable, Primitives } from '../graph/op.js'
import { structuralOps } from '../graph/structural.js'
import * as all from './all.js'

// Also for the compiler: what a package's declarations name, whoever imports it sees, the lines of `Primitives` included.
export * from './all.js'

/** The computing primitives, from which laws sample. */
export const primitiveOps: readonly Op[] = Object.values(all)

/** Every primitive by name. Names of ours are known to the compiler; what users add to `Primitives` is not in here. */
export type Registry = OpTable & { readonly [N in keyof Primitives]: Op }

const table: OpTable = Object.freeze({
  ...structuralOps,
  ...Object.fromEntries(primitiveOps.map((op) => [op.name, op])),
})

/** All primitives by name, the structural ones included. */
export const ops = table as Registry
