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
export type Leveled = {
  readonly flat: Flat
  readonly kinds: readonly Kind[]
  readonly levels: Int32Array
  readonly sizes: Float64Array
  readonly cached: Uint8Array
  readonly ends: Uint8Array
}

/** Elements over which a node loops: its own, or those of the operand that it reduces. */
const loopSize = (node: FlatNode, kind: Kind): number => sizeOf(kind === 'reduce' ? node.args[0].shape : node.shape)

/** What a node reads, the scales of a licence included. */
const operandsOf = (n: FlatNode): readonly number[] =>
  (typeof n.licence === 'object' ? [...n.args, ...n.licence.scales] : n.args).map((a) => a.id)

/** Levels while they are set: arrays by node that the passes below fill in. */
type Draft = {
  readonly nodes: readonly FlatNode[]
  readonly kinds: readonly Kind[]
  readonly sizes: Float64Array
  readonly operands: readonly (readonly number[])[]
  readonly levels: Int32Array
  readonly cached: Uint8Array
  readonly cheap: (node: FlatNode) => boolean
}

const draftOf = (nodes: readonly FlatNode[], classify: Classify, cheap: (node: FlatNode) => boolean): Draft => {
  const kinds = nodes.map((n): Kind => (n.op === inputOp || n.op === constOp ? 'leaf' : classify(n)))
  return {
    nodes,
    kinds,
    cheap,
    sizes: Float64Array.from(nodes, (n, i) => loopSize(n, kinds[i])),
    operands: nodes.map(operandsOf),
    levels: new Int32Array(nodes.length),
    cached: new Uint8Array(nodes.length),
  }
}

/** Can the two share a loop? */
const together = ({ kinds, sizes, cached }: Draft, from: number, to: number): boolean =>
  kinds[from] === 'map' &&
  (kinds[to] === 'map' || kinds[to] === 'reduce') &&
  sizes[from] === sizes[to] &&
  cached[from] === cached[to]

/** The first level at which `to` can stand behind its operand. */
const after = (d: Draft, operand: number, to: number): number => {
  if (d.kinds[operand] === 'leaf') return 1
  return together(d, operand, to) ? d.levels[operand] : d.levels[operand] + 1
}

/** Levels as early as possible, and what depends on fixed inputs alone; gives the last level. */
const setEarliest = (d: Draft, fixedInputs: ReadonlySet<number>): number => {
  const { levels, cached } = d
  let top = 0
  for (const { id: i, op } of d.nodes) {
    if (d.kinds[i] === 'leaf') {
      cached[i] = op === constOp || fixedInputs.has(i) ? 1 : 0
      continue
    }
    cached[i] = d.operands[i].every((a) => cached[a] === 1) && fixedInputs.size > 0 ? 1 : 0
    for (const a of d.operands[i]) levels[i] = Math.max(levels[i], after(d, a, i))
    levels[i] = Math.max(levels[i], 1)
    top = Math.max(top, levels[i])
  }
  return top
}

/** What changes the inputs of the next run comes after everything else that can fail; but what is read on the way stays. */
const setEnds = (d: Draft, late: ReadonlySet<number>, top: number): Uint8Array => {
  const count = d.nodes.length
  const able = Uint8Array.from(d.nodes, (_, i) => (d.kinds[i] === 'map' ? 1 : 0))
  const used = new Uint8Array(count)
  for (let i = count - 1; i >= 0; i--) {
    if (used[i] === 0 && !late.has(i)) able[i] = 0
    for (const a of d.operands[i]) {
      used[a] = 1
      if (able[i] === 0) able[a] = 0
    }
  }
  const ends = new Uint8Array(count)
  for (let i = 0; i < count; i++) {
    // What stands between two of them goes along.
    if (able[i] === 0 || !(late.has(i) || d.operands[i].some((a) => ends[a] === 1))) continue
    ends[i] = 1
    d.levels[i] = d.operands[i].reduce((l, a) => Math.max(l, after(d, a, i)), top + 1)
  }
  return ends
}

/** Does the node do more than a few operations an element? */
const isHeavy = ({ nodes, kinds, cheap }: Draft, i: number): boolean =>
  kinds[i] === 'reduce' || (kinds[i] === 'map' && !cheap(nodes[i]))

/**
 * For each node the level of the first other heavy one that reads the same memory, or Infinity: a heavy node stays with
 * those, for they share a loop.
 */
const companyOf = (d: Draft): ((i: number) => number) => {
  const { nodes, kinds, sizes, levels } = d
  const wholeReads = (i: number): readonly number[] =>
    nodes[i].args
      .map((a) => a.id)
      .filter(
        (a) => (kinds[a] === 'op' || nodes[a].op === inputOp) && sizeOf(nodes[a].shape) === sizes[i] && sizes[i] > 1,
      )
  const readers = new Map<number, number[]>()
  for (let i = 0; i < nodes.length; i++) {
    if (!isHeavy(d, i)) continue
    for (const a of wholeReads(i)) {
      const known = readers.get(a)
      if (known === undefined) readers.set(a, [i])
      else known.push(i)
    }
  }
  return (i) =>
    isHeavy(d, i)
      ? Math.min(...wholeReads(i).flatMap((a) => (readers.get(a) ?? []).filter((u) => u !== i).map((u) => levels[u])))
      : Infinity
}

/** What is made of a heavy result doesn't move away from it either: that would store the one to make the other. */
const pinsOf = (d: Draft, company: (i: number) => number): Float64Array => {
  const pins = new Float64Array(d.nodes.length).fill(Infinity)
  for (const { id: i, args } of d.nodes) {
    if (d.kinds[i] !== 'map') continue
    const own = company(i)
    pins[i] =
      isHeavy(d, i) && own < Infinity
        ? Math.max(d.levels[i], own)
        : Math.min(...args.map((a) => (together(d, a.id, i) ? pins[a.id] : Infinity)), Infinity)
  }
  return pins
}

/** May the node move to its users? A reduction may where that costs no other loop its operand: what it sums is in memory, or cheap to make. */
const isMovable = ({ nodes, kinds, sizes, cheap }: Draft, i: number): boolean => {
  const atHand = (a: number, depth: number): boolean =>
    kinds[a] !== 'map' ||
    (depth < 3 && cheap(nodes[a]) && nodes[a].args.every((b) => sizes[b.id] !== sizes[a] || atHand(b.id, depth + 1)))
  return (
    kinds[i] === 'map' ||
    (kinds[i] === 'reduce' && nodes[i].args.every((a) => sizeOf(a.shape) !== sizes[i] || atHand(a.id, 0)))
  )
}

/** Moves nodes as late as their users allow: what only the backward pass wants is computed there. */
const sink = (d: Draft): void => {
  const { levels, cached } = d
  const company = companyOf(d)
  const pins = pinsOf(d, company)
  const latest = new Int32Array(d.nodes.length).fill(-1)
  for (let i = d.nodes.length - 1; i >= 0; i--) {
    if (latest[i] > levels[i] && cached[i] === 0 && isMovable(d, i))
      levels[i] = Math.max(levels[i], Math.min(latest[i], company(i), pins[i]))
    for (const a of d.operands[i]) {
      const bound = together(d, a, i) ? levels[i] : levels[i] - 1
      latest[a] = latest[a] < 0 ? bound : Math.min(latest[a], bound)
    }
  }
}

/** Levels of all nodes. `late` are the nodes whose values replace inputs, `fixedInputs` those inputs that stay from run to run. */
export const levelsOf = (
  flat: Flat,
  classify: Classify,
  cheap: (node: FlatNode) => boolean,
  late: ReadonlySet<number>,
  fixedInputs: ReadonlySet<number>,
): Leveled => {
  const d = draftOf(flat.nodes, classify, cheap)
  const top = setEarliest(d, fixedInputs)
  const ends = setEnds(d, late, top)
  sink(d)
  return { flat, kinds: d.kinds, levels: d.levels, sizes: d.sizes, cached: d.cached, ends }
}
