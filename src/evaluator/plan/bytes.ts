/**
 * Which values an eval plan stores as bytes: integers of a quantizer that nothing but integer kernels reads, so that its
 * scale needs not be multiplied in by who makes it and divided out again by each reader. Grids come from the licences of
 * the products behind them; pools that pick elements hand them back to what they read.
 */
import { sizeOf } from '../../data/shape.js'
import { constantOf, constOp } from '../../graph/structural.js'
import type { FlatNode } from './flatten.js'
import type { GroupStep, Step } from './fuse.js'
import type { Leveled } from './levels.js'

/** Integers `lo` … `hi` times the number that flat node `scale` holds. */
export type ByteGrid = { readonly scale: number; readonly lo: number; readonly hi: number }

/** Values stored as bytes, by flat node. */
export type ByteGrids = ReadonlyMap<number, ByteGrid>

/** None. */
export const NO_BYTES: ByteGrids = new Map()

/** What the backend's kernels can do with bytes. */
export type ByteRules = {
  /** Is it a product whose kernel reads the integers of operand 0? */
  readonly takes: (node: FlatNode) => boolean
  /** Is each element of its result one of operand 0, and has it a kernel from bytes to bytes? */
  readonly picks: (node: FlatNode) => boolean
  /** Does the loop, which stores bytes alone, give the same ones where it reads these as bytes (for which -0 is 0)? */
  readonly reads: (step: GroupStep, bytes: ByteGrids) => boolean
}

/** Scales that steps can be counted in: from the first normal float32 on, up to where 256 steps would overflow. */
export const STEPS = { least: 2 ** -126, end: 2 ** 119 } as const

/** Do its integers fit a byte, signed or not? */
const fitsByte = ({ lo, hi }: ByteGrid): boolean => (lo >= 0 ? hi <= 255 : lo >= -128 && hi <= 127)

/** Is the scale, where it is known, one that steps can be counted in? */
const isScale = ({ op, attrs }: FlatNode): boolean =>
  op !== constOp || (constantOf(attrs) >= STEPS.least && constantOf(attrs) < STEPS.end)

const isSame = (a: ByteGrid, b: ByteGrid): boolean => a.scale === b.scale && a.lo === b.lo && a.hi === b.hi

/** Grids of what products and pools read; null where two readers see two. */
const gridsOf = (nodes: readonly FlatNode[], rules: ByteRules): ReadonlyMap<number, ByteGrid | null> => {
  const grids = new Map<number, ByteGrid | null>()
  const note = (id: number, grid: ByteGrid): void => {
    const known = grids.get(id)
    grids.set(id, known === undefined || (known !== null && isSame(known, grid)) ? grid : null)
  }
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]
    const own = grids.get(i) ?? null
    if (typeof node.licence === 'object' && rules.takes(node)) {
      const { scales, x } = node.licence
      if (sizeOf(scales[0].shape) === 1) note(node.args[0].id, { scale: scales[0].id, lo: x[0], hi: x[1] })
    } else if (own !== null && rules.picks(node)) note(node.args[0].id, own)
  }
  return grids
}

/** What a loop reads from memory. */
const readsOf = ({ members }: GroupStep, nodes: readonly FlatNode[]): ReadonlySet<number> => {
  const own = new Set(members)
  return new Set(members.flatMap((m) => nodes[m].args.map((a) => a.id)).filter((a) => !own.has(a)))
}

/** Values that a loop can't write, or not read, as bytes. */
const badInLoop = (
  step: GroupStep,
  bytes: ByteGrids,
  { flat: { nodes }, cached }: Leveled,
  rules: ByteRules,
): readonly number[] => {
  const reads = readsOf(step, nodes)
  const sums = step.cached || step.reduces.length > 0
  const stores = step.stores.filter((s) => {
    const grid = bytes.get(s)
    return (
      grid !== undefined && (sums || cached[s] === 1 || !reads.has(grid.scale) || sizeOf(nodes[s].shape) !== step.size)
    )
  })
  const loads = [...reads].filter((r) => bytes.has(r))
  if (loads.length === 0) return stores
  const pure =
    !sums && step.stores.every((s) => bytes.has(s)) && loads.every((r) => sizeOf(nodes[r].shape) === step.size)
  return pure && rules.reads(step, bytes) ? stores : [...stores, ...loads]
}

/** The same of an op of its own. */
const badInOp = (node: FlatNode, bytes: ByteGrids, rules: ByteRules): readonly number[] => {
  const [first, ...rest] = node.args.map((a) => a.id)
  const others = rest.filter((a) => bytes.has(a))
  const reads = first !== undefined && bytes.has(first)
  const makes = bytes.has(node.id)
  if (rules.picks(node) && reads === makes) return others
  return [
    ...others,
    ...(reads && !(typeof node.licence === 'object' && rules.takes(node)) ? [first] : []),
    ...(makes ? [node.id] : []),
  ]
}

/** The values that are stored as bytes. */
export const bytesOf = (leveled: Leveled, steps: readonly Step[], rules: ByteRules): ByteGrids => {
  const { nodes, outputs } = leveled.flat
  const shown = new Set(outputs.map((o) => o.id))
  const made = new Set(steps.flatMap((s) => (s.kind === 'op' ? [s.node] : s.stores)))
  const bytes = new Map(
    [...gridsOf(nodes, rules)].flatMap(([id, grid]) =>
      grid !== null &&
      fitsByte(grid) &&
      isScale(nodes[grid.scale]) &&
      made.has(id) &&
      !shown.has(id) &&
      leveled.cached[id] === 0
        ? [[id, grid] as const]
        : [],
    ),
  )
  for (;;) {
    const bad = steps.flatMap((s) =>
      s.kind === 'group' ? badInLoop(s, bytes, leveled, rules) : badInOp(nodes[s.node], bytes, rules),
    )
    if (bad.length === 0) return bytes
    for (const id of bad) bytes.delete(id)
  }
}
