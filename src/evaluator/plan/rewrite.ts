/**
 * Rewrites of the flat program that a backend asks for: pairs of ops that one kernel does at once, and ops whose work
 * shrinks when an index is known. Each new op has a reference of its own, so every rewrite can be checked.
 */
import { sameShape, sizeOf, type Shape } from '../../data/shape.js'
import { computes, type Attrs, type Op } from '../../graph/op.js'
import { constantAttrs, constantOf, constOp } from '../../graph/structural.js'
import { add } from '../../ops/add.js'
import { div } from '../../ops/div.js'
import { gatherLast, scatterLast } from '../../ops/gatherLast.js'
import { gatherRows, scatterRows } from '../../ops/gatherRows.js'
import { scatterToFirst } from '../../ops/kthValue.js'
import { mul } from '../../ops/mul.js'
import { sumTo } from '../../ops/sumTo.js'
import { unmoved } from './along.js'
import { exactText } from './exactText.js'
import { isMagnitude, simplerOf } from './simpler.js'
import {
  checkClassesOp,
  checkRowsOp,
  firstIndexOp,
  gatherColumnOp,
  rowLength,
  scatterAtOp,
  scatterColumnOp,
  termOf,
} from './internalOps.js'
import type { Flat, FlatNode, Ref } from './flatten.js'
import { rebuilt, type Push } from './rebuilt.js'

const asColumn = (r: Ref): Ref => ({ id: r.id, shape: [...r.shape, 1] })

/** What a backend's kernels can do at once. */
export type RewriteRules = {
  /** Is the node computed element by element? */
  readonly isMap: (node: FlatNode) => boolean
  /** Can a kernel take the magnitudes of its operand on the fly? */
  readonly absorbsAbs: (node: FlatNode, operand: Ref) => boolean
  /** Is it a sum of terms which no loop can end with, for it keeps the innermost axis? */
  readonly keepsInner: (node: FlatNode) => boolean
}

const asRows = (g: Ref, rows: Shape): Ref => ({ id: g.id, shape: [...rows, 1] })

/** What a rewrite works with: the nodes that are made so far, and a way to add one; gives its id. */
type Context = {
  readonly nodes: readonly FlatNode[]
  readonly rules: RewriteRules
  readonly push: Push
  /** Adds a check of an operand, where there is none like it yet. */
  readonly checkOnce: (op: Op, of: Ref, attrs: Attrs, from: FlatNode) => void
}

/** Rewrites a node whose operands are new already: gives the id of what stands for it, or null where it is another's turn. */
type Rewrite = (c: Context, node: FlatNode) => number | null

/** The gradient of a percentile: the place of the chosen element is looked for, and the cotangent scattered there. */
const scattered: Rewrite = ({ nodes, push }, node) => {
  // A row of one element has no place to look for; a loop over such rows has no axis for them either.
  if (node.op !== scatterToFirst || rowLength(node.shape, node.args[2].shape) <= 1) return null
  const [g, x, chosen] = node.args
  const { origin, path } = node
  const magnitudes = isMagnitude(nodes[x.id])
  const rows = magnitudes ? { id: nodes[x.id].args[0].id, shape: x.shape } : x
  const row = rowLength(node.shape, chosen.shape)
  const whole = unmoved(nodes, rows, row)
  const index = push({
    op: firstIndexOp,
    args: [whole ?? rows, chosen],
    attrs: { abs: magnitudes, inner: whole?.shape[2] ?? 1 },
    shape: chosen.shape,
    origin,
    path,
  })
  return push({
    op: scatterAtOp,
    args: [asRows(g, chosen.shape), { id: index, shape: [...chosen.shape, 1] }],
    attrs: { row },
    shape: node.shape,
    origin,
    path,
  })
}

/** Classes: bad ones are found before anything runs; then gathering and scattering are plain arithmetic on columns. */
const onColumns: Rewrite = ({ push, checkOnce }, node) => {
  if ((node.op !== gatherLast && node.op !== scatterLast) || sizeOf(node.shape) === 0) return null
  const [x, classes] = node.args
  const gathers = node.op === gatherLast
  const columns = gathers ? x.shape[1] : node.shape[1]
  checkOnce(checkClassesOp, classes, { columns }, node)
  return push({
    ...node,
    op: gathers ? gatherColumnOp : scatterColumnOp,
    args: [gathers ? x : asColumn(x), asColumn(classes)],
    attrs: { ...node.attrs, columns },
  })
}

/** Rows of a table: bad indices are found apart, too. The node itself stays for those behind. */
const checkedRows: Rewrite = ({ checkOnce }, node) => {
  if ((node.op === gatherRows || node.op === scatterRows) && sizeOf(node.args[1].shape) > 0) {
    const [table, indices] = node.args
    const [rows] = node.op === gatherRows ? table.shape : node.shape
    checkOnce(checkRowsOp, indices, { rows }, node)
  }
  return null
}

const simplified: Rewrite = ({ nodes, push }, node) => {
  const simpler = simplerOf(nodes, node)
  return simpler === null ? null : push(simpler)
}

/** Terms are an element-wise loop as any other; their sums over other axes than the innermost have a kernel. */
const termsApart: Rewrite = ({ rules, push }, node) => {
  if (!rules.keepsInner(node)) return null
  const terms = push({ ...node, op: termOf(node.op), shape: node.args[0].shape })
  const ref = { id: terms, shape: node.args[0].shape }
  return push({ ...node, op: sumTo, args: [ref], attrs: { shape: node.shape } })
}

/** Magnitudes that a kernel takes on the fly. */
const ofMagnitudes: Rewrite = ({ nodes, rules, push }, node) => {
  const [operand, ...others] = node.args
  if (operand === undefined) return null
  const from = nodes[operand.id]
  if (!isMagnitude(from) || !rules.absorbsAbs(node, operand)) return null
  return push({ ...node, args: [{ id: from.args[0].id, shape: operand.shape }, ...others], absolute: true })
}

/** `x/x`: 1 or NaN, by which gradients of quantizers are multiplied. */
const isUnit = ({ op, args: [a, b] }: FlatNode): boolean =>
  computes(op) === div && a.id === b.id && sameShape(a.shape, b.shape)

const isZero = ({ op, attrs }: FlatNode): boolean => op === constOp && Object.is(constantOf(attrs), 0)

/** `y*u + 0` with a unit u is `y + 0*u`, whatever y is: where u has fewer elements than y that is an operation less for each. */
const unitOnZero: Rewrite = ({ nodes, push }, node) => {
  if (node.op !== add) return null
  const [product, zero] = isZero(nodes[node.args[0].id]) ? node.args.toReversed() : node.args
  const { op, args: factors, shape } = nodes[product.id]
  if (op !== mul || !isZero(nodes[zero.id]) || !sameShape(shape, product.shape)) return null
  const [y, unit] = isUnit(nodes[factors[0].id]) ? factors.toReversed() : factors
  if (!isUnit(nodes[unit.id]) || sizeOf(unit.shape) >= sizeOf(shape)) return null
  const small = { shape: unit.shape, origin: node.origin, path: node.path }
  const none = { id: push({ ...small, op: constOp, args: [], attrs: constantAttrs(0) }), shape: unit.shape }
  const noneOfUnit = { id: push({ ...small, op: mul, args: [none, unit], attrs: {} }), shape: unit.shape }
  return push({ ...node, args: [y, noneOfUnit] })
}

/** In the order in which they are asked. */
const REWRITES: readonly Rewrite[] = [
  scattered,
  onColumns,
  checkedRows,
  simplified,
  unitOnZero,
  termsApart,
  ofMagnitudes,
]

/** Applies the rewrites; ids stay in an order in which operands come first. */
export const rewrite = (flat: Flat, rules: RewriteRules): Flat =>
  rebuilt(flat, (nodes, push) => {
    const checked = new Set<string>()
    const checkOnce: Context['checkOnce'] = (op, of, attrs, { origin, path }) => {
      const key = `${op.name} ${of.id} ${exactText(attrs)}`
      if (!checked.has(key)) push({ op, args: [of], attrs, shape: of.shape, origin, path })
      checked.add(key)
    }
    const context = { nodes, rules, push, checkOnce }
    return (node) => {
      if (node.args.length === 0) return push(node)
      for (let i = 0; i < REWRITES.length; i++) {
        const id = REWRITES[i](context, node)
        if (id !== null) return id
      }
      return push(node)
    }
  })
