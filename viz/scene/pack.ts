/** Scenes as small JSON: whatever occurs often stands once in a table. `unpack(pack(scene))` equals the scene. */
import type { Meta, Scene, SceneEdge, SceneNode } from './scene.js'

/** A node as indices into the table: op, label, box, shape, metadata, and the rest. */
type Row = readonly [
  id: string | number,
  op: number,
  label: number,
  box: number,
  shape: number,
  meta: number,
  rest: number,
]
type Rest = Pick<
  SceneNode,
  'flow' | 'attrs' | 'integer' | 'origin' | 'location' | 'side' | 'gradientOf' | 'estimator' | 'curve'
>
type Ties = Pick<SceneNode, 'backwardOf' | 'cotangent'>

/** A scene with its nodes and edges as numbers. Edges are four each: from, to, slot, flow (1) and step (2); ties three: node, backwardOf, cotangent (-1: none). */
export type Packed = Omit<Scene, 'nodes' | 'edges'> & {
  readonly table: readonly unknown[]
  readonly nodes: readonly Row[]
  readonly edges: readonly number[]
  readonly ties: readonly number[]
}

/** Numbers that are written as such are ids of the top level. */
const packId = (id: string): string | number => (/^(0|[1-9]\d{0,8})$/.test(id) ? Number(id) : id)

/** Splits a node in what is packed apart. */
const split = ({
  id,
  op,
  label,
  box,
  shape,
  flow,
  attrs,
  integer,
  origin,
  location,
  side,
  gradientOf,
  estimator,
  curve,
  backwardOf: _,
  cotangent: __,
  ...meta
}: SceneNode): readonly [
  id: string,
  op: string,
  label: string,
  box: string,
  shape: readonly number[],
  meta: Meta,
  rest: Rest,
] => [
  id,
  op,
  label,
  box,
  shape,
  meta,
  {
    flow,
    ...(attrs === undefined ? {} : { attrs }),
    ...(integer === undefined ? {} : { integer }),
    ...(origin === undefined ? {} : { origin }),
    ...(location === undefined ? {} : { location }),
    ...(side === undefined ? {} : { side }),
    ...(gradientOf === undefined ? {} : { gradientOf }),
    ...(estimator === undefined ? {} : { estimator }),
    ...(curve === undefined ? {} : { curve }),
  },
]

const flowCode = ({ flow, step }: SceneEdge): number => (flow ? 1 : 0) + (step === true ? 2 : 0)

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
  const at = (id: string | undefined): number => (id === undefined ? -1 : (place.get(id) ?? -1))
  const ties = nodes.flatMap((n, i) =>
    n.backwardOf === undefined && n.cotangent === undefined ? [] : [i, at(n.backwardOf), at(n.cotangent)],
  )
  return {
    ...others,
    table,
    nodes: rows,
    ties,
    edges: edges.flatMap((e) => [place.get(e.from) ?? -1, place.get(e.to) ?? -1, e.slot, flowCode(e)]),
  }
}

/** Makes a packed scene whole. The page trusts its own data. */
export const unpack = ({ table, nodes: rows, edges: flat, ties, ...others }: Packed): Scene => {
  const tied = new Map<number, Ties>()
  const idAt = (i: number): string => String(rows[i][0])
  for (let i = 0; i < ties.length; i += 3)
    tied.set(ties[i], {
      ...(ties[i + 1] < 0 ? {} : { backwardOf: idAt(ties[i + 1]) }),
      ...(ties[i + 2] < 0 ? {} : { cotangent: idAt(ties[i + 2]) }),
    })
  const nodes = rows.map(
    ([id, op, label, box, shape, meta, rest], i) =>
      ({
        id: String(id),
        op: table[op],
        label: table[label],
        box: table[box],
        shape: table[shape],
        ...(table[meta] as Meta),
        ...(table[rest] as Rest),
        ...tied.get(i),
      }) as SceneNode,
  )
  const edges: SceneEdge[] = []
  for (let i = 0; i < flat.length; i += 4)
    edges.push({
      from: nodes[flat[i]].id,
      to: nodes[flat[i + 1]].id,
      slot: flat[i + 2],
      flow: (flat[i + 3] & 1) === 1,
      ...((flat[i + 3] & 2) === 0 ? {} : { step: true as const }),
    })
  return { ...others, nodes, edges }
}
