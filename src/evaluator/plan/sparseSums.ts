/**
 * Sums whose second operand is 0 but for one element of each row (the gradient of a percentile): they become the first one
 * with a number added there, so that the loop which makes the first needs not wait for that number.
 */
import { sizeOf } from '../../data/shape.js'
import { constantOf, constOp } from '../../graph/structural.js'
import { add } from '../../ops/add.js'
import { mul } from '../../ops/mul.js'
import { select } from '../../ops/select.js'
import { movedBack, unmoved } from './along.js'
import type { Flat, FlatNode, Ref } from './flatten.js'
import { addAtOp, gatherAtOp, rowLength, scatterAtOp } from './internalOps.js'
import { rebuilt, type Push } from './rebuilt.js'
import type { RewriteRules } from './rewrite.js'

const MOST_GATHERED = 6

type Context = { readonly nodes: readonly FlatNode[]; readonly rules: RewriteRules; readonly push: Push }

/** Rows of `size` elements all in all, of each of which one is wanted: which, and how far apart a row's elements lie. */
type Wanted = { readonly index: Ref; readonly size: number; readonly inner: number }

/** One element of each row, picked from what is computed already. */
const pickedFrom = ({ nodes, push }: Context, r: Ref, { index, size, inner }: Wanted): Ref => {
  const { origin, path } = nodes[r.id]
  const { shape } = index
  const n = size / sizeOf(shape)
  const whole = inner === 1 ? unmoved(nodes, r, n) : null
  const id = push({
    op: gatherAtOp,
    args: [whole ?? { id: r.id, shape: [...shape, n] }, index],
    attrs: { inner: whole?.shape[2] ?? inner },
    shape,
    origin,
    path,
  })
  return { id, shape }
}

/** What one element of each row would be: elements are picked first, and the ops applied to these alone. Null where a row is none. */
const picked = (c: Context, r: Ref, wanted: Wanted, depth = 0): Ref | null => {
  const { index, size } = wanted
  if (sizeOf(r.shape) === 1) return r
  if (sizeOf(r.shape) !== size) return null
  const node = c.nodes[r.id]
  const { shape } = index
  if (node.op === scatterAtOp) return node.args[1].id === index.id ? { ...node.args[0], shape } : null
  if (!c.rules.isMap(node) || depth >= MOST_GATHERED) return pickedFrom(c, r, wanted)
  const args = node.args.map((a) => picked(c, a, wanted, depth + 1))
  if (args.some((a) => a === null)) return null
  const { op, attrs, origin, path } = node
  return { id: c.push({ op, args: args.filter((a): a is Ref => a !== null), attrs, shape, origin, path }), shape }
}

/** The place that a value is 0 outside of: a scatter, or its product with what is finite for any operand. */
const placeInRow = (nodes: readonly FlatNode[], r: Ref): Ref | null => {
  const node = nodes[r.id]
  if (node.op === scatterAtOp) return node.args[1]
  if (node.op !== mul || node.args.some((a) => sizeOf(a.shape) !== sizeOf(r.shape))) return null
  const [a, b] = node.args
  return (
    (nodes[b.id].op.bounded === true ? placeInRow(nodes, a) : null) ??
    (nodes[a.id].op.bounded === true ? placeInRow(nodes, b) : null)
  )
}

type Place = { readonly place: Ref; readonly rows: Ref; readonly inner: number }

/** The same where rows lie along another axis than the last: there `rows` were moved to. */
const placeOf = (nodes: readonly FlatNode[], r: Ref): Place | null => {
  const own = placeInRow(nodes, r)
  if (own !== null) return { place: own, rows: r, inner: 1 }
  const back = movedBack(nodes, r)
  const place = back === null ? null : placeInRow(nodes, back.rows)
  const fits =
    back !== null && place !== null && back.rows.shape[1] === rowLength(nodes[r.id].shape, place.shape.slice(0, -1))
  return fits ? { place, ...back } : null
}

/** A sum that was taken apart: all of it but the numbers that are added in places, and these. */
type Sum = { readonly dense: Ref; readonly sparse: Ref; readonly place: Ref; readonly inner: number }

const pushSum = (push: Push, { dense, sparse, place, inner }: Sum, { shape, origin, path }: FlatNode): number =>
  push({ op: addAtOp, args: [dense, sparse, place], attrs: { inner }, shape, origin, path })

/** A sum with an operand that is 0 but for one element of each row, in parts. */
const partsOf = (c: Context, node: FlatNode): Sum | null => {
  if (node.op !== add) return null
  const [a, b] = node.args
  const size = sizeOf(node.shape)
  if ([a, b].some((r) => r === undefined || sizeOf(r.shape) !== size)) return null
  const ofSecond = placeOf(c.nodes, b)
  const found = ofSecond ?? placeOf(c.nodes, a)
  if (found === null) return null
  const place: Ref = { id: found.place.id, shape: found.place.shape.slice(0, -1) }
  const sparse = picked(c, found.rows, { index: place, size, inner: 1 })
  return sparse === null ? null : { dense: ofSecond !== null ? a : b, sparse, place, inner: found.inner }
}

/** A mask behind such a sum, which only it reads: it is applied to both parts, so that the sum stays last. */
const maskedParts = (c: Context, node: FlatNode, sums: ReadonlyMap<number, Sum>): Sum | null => {
  if (node.op !== select) return null
  const [condition, value, otherwise] = node.args
  if (c.nodes[otherwise.id].op !== constOp || constantOf(c.nodes[otherwise.id].attrs) !== 0) return null
  const sum = sums.get(value.id)
  const size = sizeOf(node.shape)
  if (sum === undefined || sizeOf(condition.shape) !== size) return null
  const { place, inner } = sum
  const mask = picked(c, condition, { index: place, size, inner })
  if (mask === null) return null
  const dense = c.push({ ...node, args: [condition, { ...sum.dense, shape: value.shape }, otherwise] })
  const sparse = c.push({ ...node, args: [mask, sum.sparse, otherwise], shape: place.shape })
  return {
    dense: { id: dense, shape: node.shape },
    sparse: { id: sparse, shape: place.shape },
    place,
    inner,
  }
}

/** Takes such sums apart. */
export const sparseSums = (flat: Flat, rules: RewriteRules): Flat => {
  if (!flat.nodes.some((n) => n.op === scatterAtOp)) return flat
  const users = new Map<number, number>()
  const use = (r: Ref): void => void users.set(r.id, (users.get(r.id) ?? 0) + 1)
  for (const n of flat.nodes) for (const a of n.args) use(a)
  flat.outputs.forEach(use)
  return rebuilt(flat, (nodes, push) => {
    const context = { nodes, rules, push }
    const sums = new Map<number, Sum>()
    return (node, old) => {
      const sum = partsOf(context, node)
      if (sum !== null) {
        const id = pushSum(push, sum, node)
        if ((users.get(old.id) ?? 0) === 1) sums.set(id, sum)
        return id
      }
      const masked = maskedParts(context, node, sums)
      return masked === null ? push(node) : pushSum(push, masked, node)
    }
  })
}
