/**
 * What can be told of nodes by looking back through a graph under construction: which ones compute the same, and where metadata was
 * lost. Both are asked seldom, so they are worked out for all nodes up to the one that is asked for, once.
 */
import type { NodeId } from '../data/quant.js'
import { gridOf } from '../data/quant.js'
import { showShape, sizeOf, type Shape } from '../data/shape.js'
import type { Graph, Node } from './graph.js'
import { attrsKey } from './attributes.js'
import { inputOp } from './structural.js'

/** A shape without what broadcasting adds in front; empty for a single element. */
const trimmed = (shape: Shape): string => {
  const first = shape.findIndex((n) => n !== 1)
  return first < 0 || sizeOf(shape) === 1 ? '' : showShape(shape.slice(first))
}

/** What a branch computes of its inputs; two that are written alike are equal, in whatever layer. */
const written = (g: Graph): string =>
  [
    ...g.nodes.map((n) => `${n.op.name}|${n.inputs.join()}|${attrsKey(n.attrs)}|${n.shape.join()}|${within(n)}`),
    g.outputs.join(),
  ].join(';')

/** All that a node's branches compute. */
const within = (n: Node): string => (n.branches ?? []).map((g) => `{${written(g)}}`).join('')

/** Answers about the nodes of a list that only grows. */
export type Alike = {
  /** Do both hold the same numbers, laid out alike? */
  readonly same: (a: NodeId, b: NodeId) => boolean
  /** The node at which a plain value lost its metadata: the earliest on the way to it; null where it never had any. */
  readonly lostAt: (id: NodeId) => Node | null
  readonly whereIs: (id: NodeId) => string
  readonly whyPlain: (id: NodeId) => string
}

/** Works on the nodes as they are when it is asked. */
export const newAlike = (nodes: readonly Node[], base = 0): Alike => {
  const nodeAt = (id: NodeId): Node => nodes[id - base]
  /** Equal numbers for equal computations; an input is like itself only, and a node with branches like one whose branches are written alike. */
  const numbers: number[] = []
  const known = new Map<string, number>()
  const numberOf = (node: Node): number => {
    if (node.op.layout === 'view') return numbers[node.inputs[0] - base]
    if (node.op === inputOp) return node.id
    const operands = node.inputs.map((i) => `${numbers[i - base]}${trimmed(nodeAt(i).shape)}`)
    const key = `${node.op.name}|${operands.join()}|${attrsKey(node.attrs)}|${trimmed(node.shape)}|${within(node)}`
    const found = known.get(key)
    if (found !== undefined) return found
    known.set(key, node.id)
    return node.id
  }
  const roots: (NodeId | null)[] = []
  const rootOf = (node: Node): NodeId | null => {
    if (gridOf(node.carried) !== null) return null
    const before = node.inputs.map((i) => roots[i - base]).find((r) => r !== null)
    return before ?? (node.carried.tag === 'stripped' ? node.id : null)
  }
  const upTo = <A>(list: A[], id: NodeId, of: (node: Node) => A): A => {
    while (list.length <= id - base) list.push(of(nodes[list.length]))
    return list[id - base]
  }
  const lostAt = (id: NodeId): Node | null => {
    const root = upTo(roots, id, rootOf)
    return root === null ? null : nodeAt(root)
  }
  const whereIs = (id: NodeId): string => {
    const node = nodeAt(id)
    if (node.op === inputOp) return `the ${String(node.attrs.kind)} ${String(node.attrs.name) || 'input'}`
    return node.path === '' ? node.op.name : node.path
  }
  return {
    same: (a, b) =>
      a === b ||
      (trimmed(nodeAt(a).shape) === trimmed(nodeAt(b).shape) &&
        upTo(numbers, Math.max(a, b), numberOf) >= 0 &&
        numbers[a - base] === numbers[b - base]),
    lostAt,
    whereIs,
    whyPlain: (id) => {
      const lost = lostAt(id)
      if (lost !== null && lost.carried.tag === 'stripped')
        return `its metadata was lost at ${lost.op.name}${lost.path === '' ? '' : ` in ${lost.path}`}: ${lost.carried.why}`
      const node = nodeAt(id)
      return node.op === inputOp ? `it is ${whereIs(id)}, which has no metadata` : 'it never had metadata'
    },
  }
}
