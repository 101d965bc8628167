/**
 * Rewrites of the flat program that a backend asks for: pairs of ops that one kernel does at once, and ops whose work
 * shrinks when an index is known. Each new op has a reference of its own, so every rewrite can be checked.
 */
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Attrs, Op } from '../../graph/op.js'
import { constantOf, constOp } from '../../graph/structural.js'
import { add } from '../../ops/add.js'
import { gatherLast, scatterLast } from '../../ops/gatherLast.js'
import { gatherRows, scatterRows } from '../../ops/gatherRows.js'
import { scatterToFirst } from '../../ops/kthValue.js'
import { mul } from '../../ops/mul.js'
import { select } from '../../ops/select.js'
import { sumTo } from '../../ops/sumTo.js'
import { movedBack, unmoved } from './along.js'
import { exactText } from './exactText.js'
import { isMagnitude, simplerOf } from './simpler.js'
import {
  addAtOp,
  checkClassesOp,
  checkRowsOp,
  firstIndexOp,
  gatherAtOp,
  gatherColumnOp,
  rowLength,
  scatterAtOp,
  scatterColumnOp,
  termOf,
} from './internalOps.js'
import { withoutDead, type Flat, type FlatNode, type Ref } from './flatten.js'

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

/** Applies the rewrites; ids stay in an order in which operands come first. */
export const rewrite = (flat: Flat, rules: RewriteRules): Flat => {
  const nodes: FlatNode[] = []
  const to = new Int32Array(flat.nodes.length)
  const checked = new Set<string>()
  const moved = (r: Ref): Ref => ({ id: to[r.id], shape: r.shape })
  const push = (node: Omit<FlatNode, 'id'>): number => nodes.push({ ...node, id: nodes.length }) - 1
  const checkOnce = (op: Op, of: Ref, attrs: Attrs, { origin, path }: FlatNode): void => {
    const key = `${op.name} ${of.id} ${exactText(attrs)}`
    if (!checked.has(key)) push({ op, args: [of], attrs, shape: of.shape, origin, path })
    checked.add(key)
  }
  for (const old of flat.nodes) {
    const node: FlatNode = {
      ...old,
      args: old.args.map(moved),
      ...(typeof old.licence === 'object'
        ? { licence: { ...old.licence, scales: [moved(old.licence.scales[0]), moved(old.licence.scales[1])] as const } }
        : {}),
    }
    // A row of one element has no place to look for; a loop over such rows has no axis for them either.
    if (node.op === scatterToFirst && rowLength(node.shape, node.args[2].shape) > 1) {
      const [g, x, chosen] = node.args
      const magnitudes = isMagnitude(nodes[x.id])
      const rows = magnitudes ? { id: nodes[x.id].args[0].id, shape: x.shape } : x
      const whole = unmoved(nodes, rows, rowLength(node.shape, chosen.shape))
      const index = push({
        op: firstIndexOp,
        args: [whole ?? rows, chosen],
        attrs: { abs: magnitudes, inner: whole?.shape[2] ?? 1 },
        shape: chosen.shape,
        origin: node.origin,
        path: node.path,
      })
      to[old.id] = push({
        op: scatterAtOp,
        args: [asRows(g, chosen.shape), { id: index, shape: [...chosen.shape, 1] }],
        attrs: { row: rowLength(node.shape, chosen.shape) },
        shape: node.shape,
        origin: node.origin,
        path: node.path,
      })
      continue
    }
    if ((node.op === gatherLast || node.op === scatterLast) && sizeOf(node.shape) > 0) {
      // Bad classes are found before anything runs; then both are plain arithmetic on columns.
      const [x, classes] = node.args
      const gathers = node.op === gatherLast
      const columns = gathers ? x.shape[1] : node.shape[1]
      checkOnce(checkClassesOp, classes, { columns }, node)
      to[old.id] = push({
        ...node,
        op: gathers ? gatherColumnOp : scatterColumnOp,
        args: [gathers ? x : asColumn(x), asColumn(classes)],
        attrs: { ...node.attrs, columns },
      })
      continue
    }
    if ((node.op === gatherRows || node.op === scatterRows) && sizeOf(node.args[1].shape) > 0) {
      // Bad indices are found apart, too.
      const [table, indices] = node.args
      const [rows] = node.op === gatherRows ? table.shape : node.shape
      checkOnce(checkRowsOp, indices, { rows }, node)
    }
    const simpler = simplerOf(nodes, node)
    if (simpler !== null) {
      to[old.id] = push(simpler)
      continue
    }
    if (rules.keepsInner(node)) {
      // Terms are an element-wise loop as any other; their sums over other axes than the innermost have a kernel.
      const terms = push({ ...node, op: termOf(node.op), shape: node.args[0].shape })
      const ref = { id: terms, shape: node.args[0].shape }
      to[old.id] = push({ ...node, op: sumTo, args: [ref], attrs: { shape: node.shape } })
      continue
    }
    const first = node.args[0] === undefined ? undefined : nodes[node.args[0].id]
    if (first !== undefined && isMagnitude(first) && rules.absorbsAbs(node, node.args[0])) {
      to[old.id] = push({
        ...node,
        args: [{ id: first.args[0].id, shape: node.args[0].shape }, ...node.args.slice(1)],
        absolute: true,
      })
      continue
    }
    to[old.id] = push(node)
  }
  return withoutDead({
    nodes,
    inputs: flat.inputs.map((i) => (i < 0 ? -1 : to[i])),
    outputs: flat.outputs.map(moved),
    tests: flat.tests.map((t) => ({ ...t, counter: moved(t.counter) })),
  })
}

const MOST_GATHERED = 6

/**
 * A sum whose second operand is 0 but for one element of each row (the gradient of a percentile) becomes the first one
 * with a number added there, so that the loop which makes the first needs not wait for that number.
 */
export const sparseSums = (flat: Flat, rules: RewriteRules): Flat => {
  if (!flat.nodes.some((n) => n.op === scatterAtOp)) return flat
  const users = new Map<number, number>()
  for (const n of flat.nodes) for (const a of n.args) users.set(a.id, (users.get(a.id) ?? 0) + 1)
  for (const o of flat.outputs) users.set(o.id, (users.get(o.id) ?? 0) + 1)
  const nodes: FlatNode[] = []
  const to = new Int32Array(flat.nodes.length)
  const moved = (r: Ref): Ref => ({ id: to[r.id], shape: r.shape })
  const push = (node: Omit<FlatNode, 'id'>): number => nodes.push({ ...node, id: nodes.length }) - 1
  /** What one element of each row would be: elements are picked first, and the ops applied to these alone. `inner`: how far apart a row's elements lie. */
  const picked = (r: Ref, index: Ref, size: number, inner: number, depth: number): Ref | null => {
    if (sizeOf(r.shape) === 1) return r
    if (sizeOf(r.shape) !== size) return null
    const node = nodes[r.id]
    if (node.op === scatterAtOp) return node.args[1].id === index.id ? { ...node.args[0], shape: index.shape } : null
    if (rules.isMap(node) && depth < MOST_GATHERED) {
      const args = node.args.map((a) => picked(a, index, size, inner, depth + 1))
      if (args.some((a) => a === null)) return null
      return {
        id: push({
          op: node.op,
          args: args.filter((a): a is Ref => a !== null),
          attrs: node.attrs,
          shape: index.shape,
          origin: node.origin,
          path: node.path,
        }),
        shape: index.shape,
      }
    }
    const n = size / sizeOf(index.shape)
    const whole = inner === 1 ? unmoved(nodes, r, n) : null
    return {
      id: push({
        op: gatherAtOp,
        args: [whole ?? { id: r.id, shape: [...index.shape, n] }, index],
        attrs: { inner: whole?.shape[2] ?? inner },
        shape: index.shape,
        origin: node.origin,
        path: node.path,
      }),
      shape: index.shape,
    }
  }
  /** The place that a value is 0 outside of: a scatter, or its product with what is finite for any operand. */
  const placeInRow = (r: Ref): Ref | null => {
    const node = nodes[r.id]
    if (node.op === scatterAtOp) return node.args[1]
    if (node.op !== mul || node.args.some((a) => sizeOf(a.shape) !== sizeOf(r.shape))) return null
    const [a, b] = node.args
    return (
      (nodes[b.id].op.bounded === true ? placeInRow(a) : null) ??
      (nodes[a.id].op.bounded === true ? placeInRow(b) : null)
    )
  }
  /** The same where rows lie along another axis than the last: there `rows` were moved to. */
  const placeOf = (r: Ref): { readonly place: Ref; readonly rows: Ref; readonly inner: number } | null => {
    const own = placeInRow(r)
    if (own !== null) return { place: own, rows: r, inner: 1 }
    const back = movedBack(nodes, r)
    const place = back === null ? null : placeInRow(back.rows)
    const fits =
      back !== null && place !== null && back.rows.shape[1] === rowLength(nodes[r.id].shape, place.shape.slice(0, -1))
    return fits ? { place, ...back } : null
  }
  const isZero = (r: Ref): boolean => nodes[r.id].op === constOp && constantOf(nodes[r.id].attrs) === 0
  const sums = new Map<
    number,
    { readonly dense: Ref; readonly sparse: Ref; readonly place: Ref; readonly inner: number }
  >()
  for (const old of flat.nodes) {
    const node = {
      ...old,
      args: old.args.map(moved),
      ...(typeof old.licence === 'object'
        ? { licence: { ...old.licence, scales: [moved(old.licence.scales[0]), moved(old.licence.scales[1])] as const } }
        : {}),
    }
    const from = { origin: node.origin, path: node.path }
    const [a, b] = node.args
    const same =
      a !== undefined &&
      b !== undefined &&
      sizeOf(a.shape) === sizeOf(node.shape) &&
      sizeOf(b.shape) === sizeOf(node.shape)
    const found = node.op === add && same ? (placeOf(b) ?? placeOf(a)) : null
    if (found !== null) {
      const { place, rows, inner } = found
      const dense = placeOf(b) !== null ? a : b
      const row: Ref = { id: place.id, shape: place.shape.slice(0, -1) }
      const value = picked(rows, row, sizeOf(node.shape), 1, 0)
      if (value !== null) {
        to[old.id] = push({ op: addAtOp, args: [dense, value, row], attrs: { inner }, shape: node.shape, ...from })
        if ((users.get(old.id) ?? 0) === 1) sums.set(to[old.id], { dense, sparse: value, place: row, inner })
        continue
      }
    }
    // A mask behind the sum is applied to both parts, so that the sum stays last.
    const masked = node.op === select && isZero(node.args[2]) ? sums.get(node.args[1].id) : undefined
    if (masked !== undefined && sizeOf(node.args[0].shape) === sizeOf(node.shape)) {
      const { inner } = masked
      const mask = picked(node.args[0], masked.place, sizeOf(node.shape), inner, 0)
      if (mask !== null) {
        const dense: Ref = {
          id: push({ ...node, args: [node.args[0], { ...masked.dense, shape: node.args[1].shape }, node.args[2]] }),
          shape: node.shape,
        }
        const value: Ref = {
          id: push({ ...node, args: [mask, masked.sparse, node.args[2]], shape: masked.place.shape }),
          shape: masked.place.shape,
        }
        to[old.id] = push({
          op: addAtOp,
          args: [dense, value, masked.place],
          attrs: { inner },
          shape: node.shape,
          ...from,
        })
        continue
      }
    }
    to[old.id] = push(node)
  }
  return withoutDead({
    nodes,
    inputs: flat.inputs.map((i) => (i < 0 ? -1 : to[i])),
    outputs: flat.outputs.map(moved),
    tests: flat.tests.map((t) => ({ ...t, counter: moved(t.counter) })),
  })
}
