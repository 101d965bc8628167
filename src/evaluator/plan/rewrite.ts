/**
 * Rewrites of the flat program that a backend asks for: pairs of ops that one kernel does at once, and ops whose work
 * shrinks when an index is known. Each new op has a reference of its own, so every rewrite can be checked.
 */
import { sizeOf, type Shape } from '../../data/shape.js'
import { float } from '../../data/quant.js'
import type { Op } from '../../graph/op.js'
import type { Flat, FlatNode, Ref } from './flatten.js'

const internal = (name: string, doc: string, evaluate: Op['evaluate']): Op => ({
  name, doc, evaluate, shape: (shapes) => shapes[0], carry: () => float, vjp: { none: `${name} exists only inside plans` }, examples: [], smooth: false,
})

const words = (data: Float32Array): Int32Array => new Int32Array(data.buffer, data.byteOffset, data.length)
const rowLength = (x: Shape, rows: Shape): number => sizeOf(x) / Math.max(1, sizeOf(rows))

/** The place in its row (as the bits of an int32) of the first element (with `abs`: magnitude) that equals the chosen one; NaN equals NaN. */
export const firstIndexOp: Op = internal('firstIndex', 'Place of the first element of each row that equals the chosen one, as int32 bits.', ([x, chosen], { abs }, out) => {
  const [n, to] = [rowLength(x.shape, chosen.shape), words(out.data)]
  for (let r = 0; r < chosen.data.length; r++) {
    const c = chosen.data[r]
    const own = x.data.subarray(r * n, (r + 1) * n)
    const row = abs === true ? own.map(Math.abs) : own
    to[r] = Number.isNaN(c) ? row.findIndex(Number.isNaN) : row.indexOf(c)
  }
  return null
})

/** Zeros but for g at one place of each row. */
export const scatterAtOp: Op = internal('scatterAt', 'g at the given place of each row, else 0.', ([g, index], _attrs, out) => {
  const [n, at] = [rowLength(out.shape, index.shape), words(index.data)]
  out.data.fill(0)
  for (let r = 0; r < at.length; r++) if (at[r] >= 0) out.data[r * n + at[r]] = g.data[g.data.length === 1 ? 0 : r]
  return null
})

/** What a backend's kernels can do at once. */
export type RewriteRules = {
  /** Can a kernel take the magnitudes of its operand on the fly? */
  readonly absorbsAbs: (node: FlatNode, operand: Ref) => boolean
}

const asRows = (g: Ref, rows: Shape): Ref => ({ id: g.id, shape: [...rows, 1] })

/** Applies the rewrites; ids stay in an order in which operands come first. */
export const rewrite = (flat: Flat, rules: RewriteRules): Flat => {
  const nodes: FlatNode[] = []
  const to = new Int32Array(flat.nodes.length)
  const moved = (r: Ref): Ref => ({ id: to[r.id], shape: r.shape })
  const push = (node: Omit<FlatNode, 'id'>): number => nodes.push({ ...node, id: nodes.length }) - 1
  for (const old of flat.nodes) {
    const node: FlatNode = { ...old, args: old.args.map(moved), ...(typeof old.licence === 'object' ? { licence: { ...old.licence, scales: [moved(old.licence.scales[0]), moved(old.licence.scales[1])] as const } } : {}) }
    if (node.op.name === 'scatterToFirst' && sizeOf(node.shape) > 0) {
      const [g, x, chosen] = node.args
      const magnitudes = nodes[x.id].op.name === 'abs'
      const searched = magnitudes ? { id: nodes[x.id].args[0].id, shape: x.shape } : x
      const index = push({ op: firstIndexOp, args: [searched, chosen], attrs: { abs: magnitudes }, shape: chosen.shape, origin: node.origin, path: node.path })
      to[old.id] = push({ op: scatterAtOp, args: [asRows(g, chosen.shape), { id: index, shape: [...chosen.shape, 1] }], attrs: { row: rowLength(node.shape, chosen.shape) }, shape: node.shape, origin: node.origin, path: node.path })
      continue
    }
    const first = node.args[0] === undefined ? undefined : nodes[node.args[0].id]
    if (first?.op.name === 'abs' && rules.absorbsAbs(node, node.args[0])) {
      to[old.id] = push({ ...node, args: [{ id: first.args[0].id, shape: node.args[0].shape }, ...node.args.slice(1)], absolute: true })
      continue
    }
    to[old.id] = push(node)
  }
  return { nodes, inputs: flat.inputs.map((i) => (i < 0 ? -1 : to[i])), outputs: flat.outputs.map(moved), tests: flat.tests.map((t) => ({ ...t, counter: moved(t.counter) })) }
}
