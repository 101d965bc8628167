/**
 * May a product run on integers, or why not: one rule, which plans, descriptions of plans and pages read. It looks at
 * metadata alone; that an evaluator takes floats because integers would not pay (few rows) is the evaluator's to say.
 */
import { quantOf, showKind, type NodeId, type Quant } from '../data/quant.js'
import { sizeOf } from '../data/shape.js'
import type { Graph, Node } from './graph.js'

/** The widest grid whose numbers products multiply as integers. */
export const WIDEST_INTEGER = 8
/** Sums of products of integers stay below this. */
const SUMS_END = 2 ** 31

/** Both factors lie on integer grids with zero point 0. */
export type ProductLicence = {
  readonly x: Quant
  readonly w: Quant
  /** Is a quant input of the program behind them? Its numbers may be a little off the grid: they are looked at one by one. */
  readonly declared: boolean
}

/** What stands in the way: of one factor, or of the product itself. `why` of a factor begins with `it`. */
export type Obstacle = { readonly factor: 'input' | 'weight' | null; readonly node: NodeId; readonly why: string }

/** A licence, or all that stands in its way (at least one obstacle). */
export type Licensed = ProductLicence | readonly Obstacle[]

type Nodes = Pick<Graph, 'nodes' | 'inputs'>

/** Is it a licence? */
export const isLicence = (l: Licensed): l is ProductLicence => !Array.isArray(l)

const integersIn = (node: Node | undefined): Quant | string => {
  if (node === undefined) return 'it is not known'
  const c = node.carried
  if (c.tag !== 'carries') return c.tag === 'float' ? 'it never had metadata' : `it is ${c.tag}: ${c.why}`
  const q = quantOf(c)
  if (q === null) return `it carries ${showKind(c.quant)}, which are no integers with a scale per tensor or channel`
  if (q.zero !== 'zero') return 'it has a zero point that may not be 0'
  return q.bits <= WIDEST_INTEGER ? q : `it has ${q.bits} bits, more than ${WIDEST_INTEGER}`
}

/** The grid of a product's first factor, or why it can not be multiplied as integers. */
export const inputGrid = (graph: Nodes, id: NodeId): Quant | string => {
  const q = integersIn(graph.nodes[id])
  return typeof q === 'string' || sizeOf(graph.nodes[q.scale].shape) === 1 ? q : 'it has a scale per channel'
}

/** The grid of a product's second factor, whose first axis is that of the output channels, or why it can not be multiplied as integers. */
export const weightGrid = (graph: Nodes, id: NodeId): Quant | string => {
  const q = integersIn(graph.nodes[id])
  if (typeof q === 'string') return q
  const [channels, scale] = [graph.nodes[id].shape[0], graph.nodes[q.scale].shape]
  const n = sizeOf(scale)
  return n === 1 || (n === channels && scale[0] === channels)
    ? q
    : 'it has a scale that is neither one number nor one per output channel'
}

const reach = ({ lo, hi }: Quant): number => Math.max(-lo, hi, 0)

/** Can sums of so many products of two grids leave 32 bits? */
const overflows = (x: Quant, w: Quant, terms: number): boolean => reach(x) * reach(w) * terms >= SUMS_END

/** May a product run on integers? Null for ops that are no products, and in a backward pass, whose values carry nothing. */
export const productLicence = (graph: Nodes, node: Node): Licensed | null => {
  const { product } = node.op
  if (product === undefined || node.backwardOf !== undefined) return null
  const [xId, wId] = node.inputs
  const [x, w] = [inputGrid(graph, xId), weightGrid(graph, wId)]
  const obstacles: readonly Obstacle[] = [
    ...(product.integers ? [] : [{ factor: null, node: node.id, why: `${node.op.name} is computed in floats` }]),
    ...(typeof x === 'string' ? [{ factor: 'input' as const, node: xId, why: x }] : []),
    ...(typeof w === 'string' ? [{ factor: 'weight' as const, node: wId, why: w }] : []),
  ]
  if (obstacles.length > 0 || typeof x === 'string' || typeof w === 'string') return obstacles
  const { shape } = graph.nodes[wId]
  const terms = sizeOf(shape.slice(1))
  return overflows(x, w, terms)
    ? [{ factor: null, node: node.id, why: `sums of ${terms} products of its integers do not fit 32 bits` }]
    : { x, w, declared: graph.inputs.some((id) => graph.nodes[id].carried.tag !== 'float') }
}

/** The first obstacle in words, with the factor as a node of the program: `weight %5: it never had metadata`. */
export const obstacleText = ([first]: readonly Obstacle[]): string =>
  first.factor === null ? first.why : `${first.factor} %${first.node}: ${first.why}`

/** All obstacles in words: `its input never had metadata`. */
export const whyFloat = (obstacles: readonly Obstacle[]): string => {
  const own = obstacles.filter((o) => o.factor === null)
  return (own.length > 0 ? own : obstacles)
    .map((o) => (o.factor === null ? o.why : `its ${o.factor}${o.why.slice('it'.length)}`))
    .join(', and ')
}
