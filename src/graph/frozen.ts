/** A finished graph as one deeply frozen value, whose ids start at 0. */
import { freeze } from 'immer'
import type { Carried } from '../data/quant.js'
import type { Attrs } from './attributes.js'
import type { Graph, Node } from './graph.js'

/** Attributes are mostly a few numbers and words, of which nothing is deep. */
const freezeAttrs = (attrs: Attrs): void => {
  if (Object.isFrozen(attrs)) return
  for (const name in attrs)
    if (typeof attrs[name] === 'object') {
      freeze(attrs, true)
      return
    }
  Object.freeze(attrs)
}

const freezeCarried = (carried: Carried): void => {
  if (Object.isFrozen(carried)) return
  if (carried.tag === 'carries' || carried.tag === 'claimed') freeze(carried, true)
  else Object.freeze(carried)
}

/** Freezes what a node owns. Ops are mostly shared and frozen already. */
const freezeNode = (node: Node): Node => {
  if (!Object.isFrozen(node.op)) freeze(node.op, true)
  freezeAttrs(node.attrs)
  freezeCarried(node.carried)
  Object.freeze(node.inputs)
  Object.freeze(node.shape)
  if (node.branches !== undefined) freeze(node.branches, true)
  return Object.freeze(node)
}

/**
 * The graph as one deeply frozen value: collected in local arrays and entered at once (an immer draft per node would be
 * quadratic).
 */
export const freezeGraph = (graph: Graph): Graph =>
  Object.freeze<Graph>({
    nodes: Object.freeze(graph.nodes.map(freezeNode)),
    inputs: Object.freeze([...graph.inputs]),
    outputs: Object.freeze(graph.outputs),
  })

const carriedFrom = (c: Carried, base: number): Carried => {
  if (c.tag !== 'carries' && c.tag !== 'claimed') return c
  const { scale, zeroPoint, bitWidth } = c.quant
  return {
    ...c,
    quant: { ...c.quant, scale: scale - base, zeroPoint: zeroPoint - base, bitWidth: bitWidth - base },
  }
}

/** A graph whose ids start at `base` with ids from 0 on. */
export const fromZero = (graph: Graph, base: number): Graph => {
  if (base === 0) return graph
  return {
    nodes: graph.nodes.map((n) => ({
      ...n,
      id: n.id - base,
      inputs: n.inputs.map((i) => i - base),
      carried: carriedFrom(n.carried, base),
      ...(n.backwardOf === undefined ? {} : { backwardOf: n.backwardOf - base }),
      ...(n.cotangent === undefined ? {} : { cotangent: n.cotangent - base }),
    })),
    inputs: graph.inputs.map((i) => i - base),
    outputs: graph.outputs.map((i) => i - base),
  }
}
