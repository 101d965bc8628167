/** Scenes as small JSON: whatever occurs often stands once in a table. `unpack(pack(scene))` equals the scene. */
import type { Meta, Scene, SceneEdge, SceneNode } from './scene.js'

/** A node as indices into the table: op, label, box, shape, metadata, and the rest. */
type Row = readonly [id: string | number, op: number, label: number, box: number, shape: number, meta: number, rest: number]
type Rest = Pick<SceneNode, 'flow' | 'attrs' | 'integer' | 'origin' | 'location'>

/** A scene with its nodes and edges as numbers. Edges are four each: from, to, slot, flow. */
export type Packed = Omit<Scene, 'nodes' | 'edges'> & { readonly table: readonly unknown[]; readonly nodes: readonly Row[]; readonly edges: readonly number[] }

/** Numbers that are written as such are ids of the top level. */
const packId = (id: string): string | number => (/^(0|[1-9]\d{0,8})$/.test(id) ? Number(id) : id)

/** Splits a node in what is packed apart. */
const split = ({ id, op, label, box, shape, flow, attrs, integer, origin, location, ...meta }: SceneNode): readonly [id: string, op: string, label: string, box: string, shape: readonly number[], meta: Meta, rest: Rest] =>
  [id, op, label, box, shape, meta, { flow, ...(attrs === undefined ? {} : { attrs }), ...(integer === undefined ? {} : { integer }), ...(origin === undefined ? {} : { origin }), ...(location === undefined ? {} : { location }) }]

/** Makes a scene small. */
export const pack = ({ nodes, edges, ...others }: Scene): Packed => {
  const known = new Map<string, number>()
  const table: unknown[] = []
  const intern = (x: unknown): number => {
    const key = JSON.stringify(x)
    const at = known.get(key) ?? table.push(x) - 1
    known.set(key, at)
    return at
  }
  const rows = nodes.map((n): Row => {
    const [id, op, label, box, shape, meta, rest] = split(n)
    return [packId(id), intern(op), intern(label), intern(box), intern(shape), intern(meta), intern(rest)]
  })
  const place = new Map(nodes.map((n, i) => [n.id, i]))
  return { ...others, table, nodes: rows, edges: edges.flatMap((e) => [place.get(e.from) ?? -1, place.get(e.to) ?? -1, e.slot, e.flow ? 1 : 0]) }
}

/** Makes a packed scene whole. The page trusts its own data. */
export const unpack = ({ table, nodes: rows, edges: flat, ...others }: Packed): Scene => {
  const nodes = rows.map(([id, op, label, box, shape, meta, rest]) => ({
    id: String(id), op: table[op], label: table[label], box: table[box], shape: table[shape], ...(table[meta] as Meta), ...(table[rest] as Rest),
  } as SceneNode))
  const edges: SceneEdge[] = []
  for (let i = 0; i < flat.length; i += 4) edges.push({ from: nodes[flat[i]].id, to: nodes[flat[i + 1]].id, slot: flat[i + 2], flow: flat[i + 3] === 1 })
  return { ...others, nodes, edges }
}
