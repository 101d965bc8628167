/** A finished graph as one deeply frozen value, whose ids start at 0. */
import { freeze } from 'immer'
import type { Carried } from '../data/quant.js'
import type { Graph, Node } from './graph.js'

/** Freezes plain data as deep as it goes, as immer does; what is frozen already is so in depth. */
export const frozen = <A>(x: A): A => {
  if (typeof x !== 'object' || x === null || Object.isFrozen(x)) return x
  if (Array.isArray(x)) {
    Object.freeze(x)
    for (let i = 0; i < x.length; i++) frozen(x[i])
    return x
  }
  // Neither what holds numbers in bulk, nor what has an inside of its own.
  if (Object.getPrototypeOf(x) !== Object.prototype) return freeze(x, true)
  Object.freeze(x)
  for (const name in x) frozen(x[name])
  return x
}

/** Freezes what a node owns. Ops are mostly shared and frozen already, and so are many attributes and metadata. */
const freezeNode = (node: Node): Node => {
  if (!Object.isFrozen(node.op)) frozen(node.op)
  if (!Object.isFrozen(node.attrs)) frozen(node.attrs)
  if (!Object.isFrozen(node.carried)) frozen(node.carried)
  Object.freeze(node.inputs)
  Object.freeze(node.shape)
  if (node.branches !== undefined) frozen(node.branches)
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
