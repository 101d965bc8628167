/** A scene as a graphology graph with plain attributes: what GraphML and GEXF files are written from. */
import { MultiDirectedGraph } from 'graphology'
import type { Meta, Scene, SceneNode, SceneValue } from '../scene/scene.js'
import { groupBy } from '../scene/visible.js'

/** An attribute that every graph format knows. */
export type Scalar = string | number | boolean
/** Attributes by name; what is not there is left out. */
export type Scalars = { readonly [name: string]: Scalar }
/** Nodes by id, branches of phases included; edges by `node:slot`, from the operand to the node that uses it. */
export type ExportGraph = MultiDirectedGraph<Scalars, Scalars, Scalars>

const NOT_XML =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** XML has no control characters, no lone surrogates and no non-characters: they become replacement characters. */
export const xmlText = (text: string): string => text.replace(NOT_XML, '\ufffd')

const clean = (attributes: { readonly [name: string]: Scalar | undefined }): Scalars =>
  Object.fromEntries(
    Object.entries(attributes).flatMap(([k, v]) =>
      v === undefined ? [] : [[k, typeof v === 'string' ? xmlText(v) : v]],
    ),
  )

const metaAttributes = (m: Meta): { readonly [name: string]: Scalar | undefined } => ({
  carry: m.carry,
  bits: m.bits,
  signed: m.signed,
  kind: m.kind,
  scale: m.scale,
  formula: m.formula,
  zeroPoint: m.zeroPoint,
  lo: m.lo,
  hi: m.hi,
  why: m.why,
})

const nodeAttributes = (n: SceneNode, values: readonly SceneValue[]): Scalars =>
  clean({
    label: n.label,
    op: n.op,
    layer: n.box,
    shape: n.shape.join('×'),
    attrs: n.attrs,
    flow: n.flow,
    integer: n.integer,
    origin: n.origin,
    location: n.location,
    input: values.find((v) => v.role === 'input')?.name,
    result:
      values
        .filter((v) => v.role === 'result')
        .map((v) => v.name)
        .join(', ') || undefined,
    ...metaAttributes(n),
  })

/** Makes the graph. Linear in the scene. */
export const sceneGraph = (scene: Scene): ExportGraph => {
  const graph: ExportGraph = new MultiDirectedGraph<Scalars, Scalars, Scalars>()
  graph.replaceAttributes(
    clean({ title: scene.title, mode: scene.mode, sentence: scene.sentence.map((p) => p.text).join('') }),
  )
  const named = groupBy(scene.values, (v) => v.node)
  const nodes = new Map(scene.nodes.map((n) => [n.id, n]))
  for (const n of scene.nodes) graph.addNode(n.id, nodeAttributes(n, named.get(n.id) ?? []))
  for (const e of scene.edges) {
    const source = nodes.get(e.from)
    if (source !== undefined)
      graph.addDirectedEdgeWithKey(
        `${e.to}:${e.slot}`,
        e.from,
        e.to,
        clean({ slot: e.slot, flow: e.flow, ...metaAttributes(source) }),
      )
  }
  return graph
}
