/**
 * Which values an eval plan stores as bytes: integers of a quantizer that nothing but integer kernels reads, so that its
 * scale needs not be multiplied in by who makes it and divided out again by each reader. Grids come from the licences of
 * the products behind them and from the quantizers that make them; ops that pick elements hand them on, both ways.
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
  /** The operands of which each element of its result is one, where it has a kernel from bytes to bytes; null of other ops. */
  readonly picks: (node: FlatNode) => readonly number[] | null
  /** Has it a kernel that makes numbers of operand 0 in bytes, the same whatever the sign of its zeros is? */
  readonly averages: (node: FlatNode) => boolean
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

/** The grid of what a licensed product reads. */
const licensedGrid = ({ licence }: FlatNode): ByteGrid | null =>
  typeof licence === 'object' && sizeOf(licence.scales[0].shape) === 1
    ? { scale: licence.scales[0].id, lo: licence.x[0], hi: licence.x[1] }
    : null

const picked = (node: FlatNode, rules: ByteRules): readonly number[] =>
  rules.picks(node)?.map((k) => node.args[k].id) ?? []

/** Grids of what products and those that pick elements read; null where two readers see two. */
const gridsOfReaders = (nodes: readonly FlatNode[], rules: ByteRules): Map<number, ByteGrid | null> => {
  const grids = new Map<number, ByteGrid | null>()
  const note = (id: number, grid: ByteGrid): void => {
    const known = grids.get(id)
    grids.set(id, known === undefined || (known !== null && isSame(known, grid)) ? grid : null)
  }
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]
    const [own, read] = [grids.get(i) ?? null, licensedGrid(node)]
    if (read !== null && rules.takes(node)) note(node.args[0].id, read)
    else if (own !== null) for (const id of picked(node, rules)) note(id, own)
  }
  return grids
}

/** The grids of all values: as their readers see them, else as they were quantized or picked. */
const gridsOf = (nodes: readonly FlatNode[], rules: ByteRules): ReadonlyMap<number, ByteGrid | null> => {
  const grids = gridsOfReaders(nodes, rules)
  for (const node of nodes) {
    if (grids.has(node.id)) continue
    const { grid, args } = node
    if (grid !== undefined) grids.set(node.id, { scale: args[grid.scale].id, lo: grid.lo, hi: grid.hi })
    else if (grids.size > 0) {
      const [first = null, ...rest] = picked(node, rules).map((id) => grids.get(id) ?? null)
      if (first !== null && rest.every((g) => g !== null && isSame(g, first))) grids.set(node.id, first)
    }
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
  const makes = bytes.get(node.id)
  const own = picked(node, rules)
  if (own.length > 0) {
    const alike = own.every((id) => {
      const grid = bytes.get(id)
      return grid === undefined || makes === undefined ? grid === makes : isSame(grid, makes)
    })
    return alike ? [] : [...own, node.id].filter((id) => bytes.has(id))
  }
  const read = bytes.get(first)
  const licensed = licensedGrid(node)
  const reads =
    read === undefined || rules.averages(node) || (licensed !== null && rules.takes(node) && isSame(licensed, read))
  return [...rest.filter((a) => bytes.has(a)), ...(reads ? [] : [first]), ...(makes === undefined ? [] : [node.id])]
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
