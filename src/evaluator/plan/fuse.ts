/**
 * Third pass: steps. Element-wise nodes of one level and size become groups; for each group it is decided which members
 * must be stored, and which cheap operands are computed again instead of being stored by an earlier group.
 */
import { constOp } from '../../graph/structural.js'
import type { FlatNode } from './flatten.js'
import type { Leveled } from './levels.js'

/** One loop over `size` elements: `stores` are written to memory, `reduces` are sums over the loop. */
export type GroupStep = {
  readonly kind: 'group'
  readonly level: number
  readonly cached: boolean
  readonly size: number
  readonly members: readonly number[]
  readonly stores: readonly number[]
  readonly reduces: readonly number[]
}
/** One op on its own: a kernel, or the reference on the host; `behind`: a loop over its result that runs inside the kernel. */
export type OpStep = {
  readonly kind: 'op'
  readonly level: number
  readonly cached: boolean
  readonly node: number
  readonly behind?: GroupStep
}
/** A step of a plan. */
export type Step = GroupStep | OpStep

/** The flat nodes that a step computes. */
export const nodesOf = (s: Step): readonly number[] =>
  s.kind === 'op' ? [s.node, ...(s.behind?.members ?? [])] : s.members

/** What the fuser asks of the backend. */
export type FuseRules = {
  /** Where the broadcast patterns of a node's operands change, in elements from the innermost; loops with common axes can be shared. */
  readonly cuts: (node: FlatNode) => readonly number[]
  /** Is the node so cheap that computing it twice beats storing it? */
  readonly cheap: (node: FlatNode) => boolean
  /** Most members of one group. */
  readonly most: number
}

type Draft = {
  readonly level: number
  readonly cached: boolean
  readonly size: number
  readonly members: number[]
  cuts: readonly number[]
}

/** Cuts of two loops together, or null where one's axes cut the other's apart. */
const joined = (a: readonly number[], b: readonly number[], size: number): readonly number[] | null => {
  if (b.every((c) => a.includes(c))) return a
  const all = [...new Set([...a, ...b])].sort((x, y) => x - y)
  return all.every((c, i) => (i === 0 || c % all[i - 1] === 0) && size % c === 0) ? all : null
}

/** Members of each group, in order; one that does not fit the loop of the latest opens another. */
const draftGroups = (l: Leveled, rules: FuseRules): readonly Draft[] => {
  const open = new Map<string, Draft>()
  const drafts: Draft[] = []
  for (const node of l.flat.nodes) {
    const kind = l.kinds[node.id]
    if (kind !== 'map' && kind !== 'reduce') continue
    const [level, size, cached] = [l.levels[node.id], l.sizes[node.id], l.cached[node.id] === 1]
    const key = `${level}:${size}:${cached ? 1 : 0}`
    const last = open.get(key)
    const cuts = size === 1 ? [] : rules.cuts(node)
    const both = last === undefined || last.members.length >= rules.most ? null : joined(last.cuts, cuts, size)
    if (last !== undefined && both !== null) {
      last.members.push(node.id)
      last.cuts = both
    } else {
      const draft = { level, size, cached, members: [node.id], cuts }
      drafts.push(draft)
      open.set(key, draft)
    }
  }
  // In the order of execution: what a group reads was made by an earlier one of this list.
  return drafts.sort((a, b) => Number(b.cached) - Number(a.cached) || a.level - b.level)
}

const MOST_INLINED = 3

/** What is decided so far: which nodes are stored, and which group each is in (-1: none). */
type Settling = {
  readonly l: Leveled
  readonly rules: FuseRules
  readonly needed: Uint8Array
  readonly groupOf: Int32Array
}

/** The nodes that outputs and single ops read. */
const neededOf = ({ flat, kinds }: Leveled): Uint8Array => {
  const { nodes } = flat
  const needed = new Uint8Array(nodes.length)
  for (const o of flat.outputs) needed[o.id] = 1
  for (const node of nodes)
    if (kinds[node.id] === 'op')
      for (const a of [...node.args, ...(typeof node.licence === 'object' ? node.licence.scales : [])]) needed[a.id] = 1
  return needed
}

/** Would computing the node again, with what it reads, be cheap, and does nobody else want it stored? */
const isInlinable = (t: Settling, i: number, depth: number): boolean => {
  const { l, rules, needed } = t
  const { nodes } = l.flat
  const stored = (k: number): boolean => l.kinds[k] !== 'map' || needed[k] === 1 || l.sizes[k] === 1
  if (depth >= MOST_INLINED || l.cached[i] !== 0 || stored(i) || l.sizes[i] === 0 || !rules.cheap(nodes[i]))
    return false
  return nodes[i].args.every(
    (a) =>
      nodes[a.id].op === constOp || stored(a.id) || (l.sizes[a.id] === l.sizes[i] && isInlinable(t, a.id, depth + 1)),
  )
}

/** The group of draft `g`: what its stores and sums need of it, and what it computes again of earlier ones; null where nobody needs any. */
const settled = (t: Settling, d: Draft, g: number): GroupStep | null => {
  const { l, rules, needed, groupOf } = t
  const { nodes } = l.flat
  const wanted = new Set<number>()
  let { cuts } = d
  const reduces = d.members.filter((i) => l.kinds[i] === 'reduce')
  const stores = d.members.filter((i) => l.kinds[i] === 'map' && needed[i] === 1)
  const waiting = [...stores, ...reduces]
  if (waiting.length === 0) return null
  /** An operand is a member too, is computed again here, or is stored by the group that it is in. */
  const want = (id: number): void => {
    if (l.kinds[id] !== 'map') return
    const both =
      groupOf[id] !== g && l.sizes[id] === d.size && isInlinable(t, id, 0)
        ? joined(cuts, rules.cuts(nodes[id]), d.size)
        : null
    if (groupOf[id] !== g && both === null) needed[id] = 1
    else waiting.push(id)
    cuts = both ?? cuts
  }
  for (let i = waiting.pop(); i !== undefined; i = waiting.pop()) {
    if (wanted.has(i)) continue
    wanted.add(i)
    for (const a of nodes[i].args) want(a.id)
  }
  const members = [...wanted].sort((a, b) => a - b)
  return { kind: 'group', level: d.level, cached: d.cached, size: d.size, members, stores, reduces }
}

/** Decides what is stored. Later groups are settled first, so that each knows which of its members others want. */
const settle = (l: Leveled, drafts: readonly Draft[], rules: FuseRules): readonly GroupStep[] => {
  const groupOf = new Int32Array(l.flat.nodes.length).fill(-1)
  drafts.forEach((d, g) =>
    d.members.forEach((i) => {
      groupOf[i] = g
    }),
  )
  const settling = { l, rules, needed: neededOf(l), groupOf }
  const groups: GroupStep[] = []
  for (let g = drafts.length - 1; g >= 0; g--) {
    const group = settled(settling, drafts[g], g)
    if (group !== null) groups.push(group)
  }
  return groups.reverse()
}

/** Groups and single ops, in an order in which everything is made before it is read; what is cached comes first. */
export const stepsOf = (l: Leveled, rules: FuseRules): readonly Step[] => {
  const groups = settle(l, draftGroups(l, rules), rules)
  const ops: readonly OpStep[] = l.flat.nodes
    .filter((n) => l.kinds[n.id] === 'op' && n.ofLoop === undefined)
    .map((n) => ({ kind: 'op', level: l.levels[n.id], cached: l.cached[n.id] === 1, node: n.id }))
  const first = (s: Step): number => (s.kind === 'op' ? s.node : (s.members[0] ?? 0))
  // Sorting is stable: groups that were split off one loop keep their order.
  return [...groups, ...ops].sort(
    (a, b) =>
      Number(b.cached) - Number(a.cached) ||
      a.level - b.level ||
      // Single ops before groups, by their nodes.
      Number(b.kind === 'op') - Number(a.kind === 'op') ||
      (a.kind === 'op' && b.kind === 'op' ? first(a) - first(b) : 0),
  )
}
