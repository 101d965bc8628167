/**
 * Second pass: which nodes go through memory together. Element-wise nodes over the same number of elements join a group
 * (one loop); every node gets a level, such that a group needs nothing of its own level but its own members. Levels
 * rise along every edge that goes through memory, so steps sorted by level are in a valid order. Linear in the nodes.
 */
import { sizeOf } from '../../data/shape.js'
import { constOp, inputOp } from '../../graph/structural.js'
import type { Flat, FlatNode } from './flatten.js'

/** How a node can be computed: element by element in a group, as a reduction at the end of a group, or as a step of its own. */
export type Kind = 'map' | 'reduce' | 'op' | 'leaf'
/** Says how nodes can be computed. */
export type Classify = (node: FlatNode) => Exclude<Kind, 'leaf'>

/**
 * Flat nodes with their kinds and levels. `cached` marks nodes that depend on parameters and state alone, `ends` those of
 * `late` that nothing before the end reads: they come after all that can fail.
 */
export type Leveled = { readonly flat: Flat; readonly kinds: readonly Kind[]; readonly levels: Int32Array; readonly sizes: Float64Array; readonly cached: Uint8Array; readonly ends: Uint8Array }

/** Elements over which a node loops: its own, or those of the operand that it reduces. */
const loopSize = (node: FlatNode, kind: Kind): number => sizeOf(kind === 'reduce' ? node.args[0].shape : node.shape)

/** What a node reads, the scales of a licence included. */
const operandsOf = (n: FlatNode): readonly number[] => (typeof n.licence === 'object' ? [...n.args, ...n.licence.scales] : n.args).map((a) => a.id)

/** Assigns levels as early as possible, then moves element-wise nodes as late as their users allow: what only the backward pass wants is computed there. */
export const levelsOf = (flat: Flat, classify: Classify, cheap: (node: FlatNode) => boolean, late: ReadonlySet<number>, fixedInputs: ReadonlySet<number>): Leveled => {
  const { nodes } = flat
  const kinds = nodes.map((n): Kind => (n.op === inputOp || n.op === constOp ? 'leaf' : classify(n)))
  const sizes = Float64Array.from(nodes, (n, i) => loopSize(n, kinds[i]))
  const levels = new Int32Array(nodes.length)
  const cached = new Uint8Array(nodes.length)
  const together = (from: number, to: number): boolean => kinds[from] === 'map' && (kinds[to] === 'map' || kinds[to] === 'reduce') && sizes[from] === sizes[to] && cached[from] === cached[to]
  const lists = nodes.map(operandsOf)
  const operands = (n: FlatNode): readonly number[] => lists[n.id]
  const after = (a: number, to: number): number => (kinds[a] === 'leaf' ? 1 : together(a, to) ? levels[a] : levels[a] + 1)
  let top = 0
  for (const node of nodes) {
    const i = node.id
    if (kinds[i] === 'leaf') {
      cached[i] = node.op === constOp || fixedInputs.has(i) ? 1 : 0
      continue
    }
    cached[i] = operands(node).every((a) => cached[a] === 1) && fixedInputs.size > 0 ? 1 : 0
    for (const a of operands(node)) levels[i] = Math.max(levels[i], after(a, i))
    levels[i] = Math.max(levels[i], 1)
    top = Math.max(top, levels[i])
  }
  // What changes the inputs of the next run comes after everything else that can fail; but what is read on the way stays.
  const able = Uint8Array.from(nodes, (_, i) => (kinds[i] === 'map' ? 1 : 0))
  const used = new Uint8Array(nodes.length)
  for (let i = nodes.length - 1; i >= 0; i--) {
    if (used[i] === 0 && !late.has(i)) able[i] = 0
    for (const a of operands(nodes[i])) {
      used[a] = 1
      if (able[i] === 0) able[a] = 0
    }
  }
  const ends = new Uint8Array(nodes.length)
  for (const node of nodes) {
    const i = node.id
    // What stands between two of them goes along.
    if (able[i] === 0 || !(late.has(i) || operands(node).some((a) => ends[a] === 1))) continue
    ends[i] = 1
    levels[i] = operands(node).reduce((l, a) => Math.max(l, after(a, i)), top + 1)
  }
  const latest = new Int32Array(nodes.length).fill(-1)
  // A reduction goes with its users where that costs no other loop its operand: what it sums is in memory, or cheap to make.
  const atHand = (i: number, depth: number): boolean => kinds[i] !== 'map' || (depth < 3 && cheap(nodes[i]) && nodes[i].args.every((a) => sizes[a.id] !== sizes[i] || atHand(a.id, depth + 1)))
  const movable = (node: FlatNode): boolean => kinds[node.id] === 'map' || (kinds[node.id] === 'reduce' && node.args.every((a) => sizeOf(a.shape) !== sizes[node.id] || atHand(a.id, 0)))
  // What does more than a few operations an element stays with the others that read the same memory: they share its loop.
  const heavy = (i: number): boolean => kinds[i] === 'reduce' || (kinds[i] === 'map' && !cheap(nodes[i]))
  const readers = new Map<number, number[]>()
  const wholeReads = (node: FlatNode): readonly number[] => node.args.map((a) => a.id).filter((a) => (kinds[a] === 'op' || nodes[a].op === inputOp) && sizeOf(nodes[a].shape) === sizes[node.id] && sizes[node.id] > 1)
  for (const node of nodes) if (heavy(node.id)) for (const a of wholeReads(node)) readers.set(a, [...(readers.get(a) ?? []), node.id])
  const company = (node: FlatNode): number => (heavy(node.id) ? Math.min(...wholeReads(node).flatMap((a) => (readers.get(a) ?? []).filter((u) => u !== node.id).map((u) => levels[u]))) : Infinity)
  // Nor does what is made of such a result move away from it: that would store the one to make the other.
  const pins = new Float64Array(nodes.length).fill(Infinity)
  for (const node of nodes) {
    const i = node.id
    const own = company(node)
    if (kinds[i] === 'map') pins[i] = heavy(i) && own < Infinity ? Math.max(levels[i], own) : Math.min(...node.args.map((a) => (together(a.id, i) ? pins[a.id] : Infinity)), Infinity)
  }
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]
    if (latest[i] > levels[i] && cached[i] === 0 && movable(node)) levels[i] = Math.max(levels[i], Math.min(latest[i], company(node), pins[i]))
    for (const a of operands(node)) {
      const bound = together(a, i) ? levels[i] : levels[i] - 1
      latest[a] = latest[a] < 0 ? bound : Math.min(latest[a], bound)
    }
  }
  return { flat, kinds, levels, sizes, cached, ends }
}
