/**
 * Can what a stored node claims to carry be true? The rules of ops are not asked again; but ids must name nodes that can
 * be what they are said to be, and numbers must be within what the width and the sign allow. Backends rely on that.
 */
import {
  gridOf,
  intMax,
  intMin,
  isFloatGrid,
  nodesOfGrid,
  type Carried,
  type Grid,
  type NodeId,
} from '../data/quant.js'
import { broadcastShapes, sameShape, showShape, sizeOf, type Shape } from '../data/shape.js'
import { largestOf, showFormat, WIDEST_EXPONENT, WIDEST_MANTISSA, type FloatFormat } from '../data/minifloat.js'
import { groupedShape } from '../data/groups.js'
import type { Node } from './graph.js'
import { constantOf, constOp, inputOp, phaseOp } from './structural.js'

/** Beyond this width, `2^bits` is no number. */
const WIDEST = 1023

/** A format whose numbers float32 can hold, and whose largest is one. */
const badFormat = (f: FloatFormat): string | null =>
  f.exponentBits < 1 ||
  f.exponentBits > WIDEST_EXPONENT ||
  f.mantissaBits > WIDEST_MANTISSA ||
  !(largestOf(f) < Infinity)
    ? `minifloats ${showFormat(f)}, which float32 can not hold`
    : null

const badNumbers = (q: Grid, carries: boolean): string | null => {
  if (q.bits > WIDEST) return `a width of ${q.bits} bits`
  if (q.group !== undefined && q.group.size < 1) return `groups of ${q.group.size}`
  if (isFloatGrid(q)) return badFormat(q.format)
  if (q.learned === true && carries) return 'a learned width, of which nothing is known'
  if (!(q.lo <= q.hi)) return `integers from ${q.lo} to ${q.hi}`
  if (q.slack < 0) return `a slack of ${q.slack}`
  if (!carries) return null
  if (q.bits < 2) return `${q.bits} bits, which nothing is known to lie on`
  return q.lo >= intMin(q.bits, q.signed) && q.hi <= intMax(q.bits, q.signed)
    ? null
    : `integers from ${q.lo} to ${q.hi}, which do not fit ${q.bits} ${q.signed ? 'signed' : 'unsigned'} bits`
}

const fits = (part: Shape, whole: Shape): boolean =>
  sizeOf(part) === 1 || sameShape(broadcastShapes(part, whole) ?? [-1], whole)

const badNodes = (nodes: readonly Node[], { shape }: Node, q: Grid, carries: boolean): string | null => {
  const [scale, zeroPoint, bitWidth] = [nodes[q.scale], nodes[q.zeroPoint], nodes[q.bitWidth]]
  if (scale === undefined || zeroPoint === undefined || bitWidth === undefined) return 'a node that is not there'
  if (scale.op === phaseOp || zeroPoint.op === phaseOp) return 'a phase as its scale or zero point'
  const learned = !isFloatGrid(q) && q.learned === true
  if (!learned && (bitWidth.op !== constOp || constantOf(bitWidth.attrs) !== q.bits))
    return `node ${q.bitWidth} as its bit width, which is no constant ${q.bits}`
  const whole = q.group === undefined ? shape : groupedShape(shape, q.group)
  if (whole === null) return `groups along axis ${q.group?.dim}, which ${showShape(shape)} does not have`
  const odd = carries ? [scale, zeroPoint].find((n) => !fits(n.shape, whole)) : undefined
  return odd === undefined
    ? null
    : `node ${odd.id} of shape ${showShape(odd.shape)} as its scale or zero point, which does not fit ${showShape(shape)}`
}

/** What is wrong with the metadata that a node claims, or null. */
export const claimProblem = (nodes: readonly Node[], node: Node): string | null => {
  const q = gridOf(node.carried)
  if (q === null) return null
  const carries = node.carried.tag === 'carries'
  if (node.op !== inputOp && latestNamed(node.carried) >= node.id)
    return `the metadata names node ${latestNamed(node.carried)}, which does not stand before it`
  const bad = badNumbers(q, carries) ?? badNodes(nodes, node, q, carries)
  return bad === null ? null : `the metadata names ${bad}`
}

/** The latest of the nodes that metadata names: whoever uses the value must stand behind it. */
export const latestNamed = (carried: Carried): NodeId => {
  const q = gridOf(carried)
  return q === null ? -1 : Math.max(...nodesOfGrid(q))
}
