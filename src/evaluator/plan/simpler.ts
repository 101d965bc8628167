/** Nodes that are another op of the same operands, which backends do at once. */
import { sizeOf } from '../../data/shape.js'
import { computes } from '../../graph/op.js'
import { abs } from '../../ops/abs.js'
import { add } from '../../ops/add.js'
import { addBias } from '../../ops/addBias.js'
import { exp2, log2 } from '../../ops/exponentials.js'
import { maxLast } from '../../ops/largest.js'
import { floor } from '../../ops/rounding.js'
import { unmoved } from './along.js'
import type { FlatNode } from './flatten.js'
import { maxAlongOp, powerBelowOp } from './internalOps.js'

type Simpler = Omit<FlatNode, 'id'> | null

/** `|x|`, of a surrogate too. */
export const isMagnitude = (node: FlatNode): boolean => computes(node.op) === abs

/** The largest of rows whose axis was moved to the end to take it: where they lay before. */
const largestAlong = (nodes: readonly FlatNode[], node: FlatNode): Simpler => {
  if (node.op !== maxLast) return null
  const [x] = node.args
  const magnitudes = isMagnitude(nodes[x.id])
  const rows = magnitudes ? { id: nodes[x.id].args[0].id, shape: x.shape } : x
  const whole = unmoved(nodes, rows, x.shape[x.shape.length - 1])
  return whole === null
    ? null
    : { ...node, op: maxAlongOp, args: [whole], attrs: { abs: magnitudes, inner: whole.shape[2] } }
}

/** `2^floor(log2(x))` is one op. */
const powerBelow = (nodes: readonly FlatNode[], node: FlatNode): Simpler => {
  if (node.op !== exp2) return null
  const whole = nodes[node.args[0].id]
  if (computes(whole.op) !== floor) return null
  const logarithm = nodes[whole.args[0].id]
  return logarithm.op === log2 ? { ...node, op: powerBelowOp, args: logarithm.args } : null
}

/** A bias along an axis is a sum with what has 1 along all others. */
const biased = (node: FlatNode): Simpler => {
  if (node.op !== addBias) return null
  const [y, b] = node.args
  const along = y.shape.map((_, i) => (i === node.attrs.axis ? sizeOf(b.shape) : 1))
  return { ...node, op: add, attrs: {}, args: [y, { id: b.id, shape: along }] }
}

/** The op that does what a node does, or null. */
export const simplerOf = (nodes: readonly FlatNode[], node: FlatNode): Simpler =>
  largestAlong(nodes, node) ?? powerBelow(nodes, node) ?? biased(node)
