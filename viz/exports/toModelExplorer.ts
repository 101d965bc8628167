/**
 * A program in the JSON format of Model Explorer (google-ai-edge/model-explorer, `input_graph.ts`): a collection of graphs,
 * whose first one is the program; each branch of a phase is a graph of its own, to which the phase's node leads.
 */
import type { Program } from '../../src/graph/program.js'
import { demandScene } from '../border.js'
import { lineLabel, lookOf } from '../draw/words.js'
import { sceneOf, type SceneOptions } from '../scene/fromProgram.js'
import type { Scene, SceneBox, SceneEdge, SceneNode, SceneValue } from '../scene/scene.js'
import { groupBy } from '../scene/visible.js'

type KeyValue = { readonly key: string; readonly value: string }
type Incoming = {
  readonly sourceNodeId: string
  readonly sourceNodeOutputId: string
  readonly targetNodeInputId: string
  readonly metadata: { readonly [key: string]: string }
}
type Metadata = { readonly id: string; readonly attrs: readonly KeyValue[] }

/** A node of Model Explorer. All values are text, as its format wants them. */
export type ModelExplorerNode = {
  readonly id: string
  readonly label: string
  readonly namespace: string
  readonly attrs: readonly KeyValue[]
  readonly incomingEdges: readonly Incoming[]
  readonly outputsMetadata: readonly Metadata[]
  readonly subgraphIds?: readonly string[]
  readonly style?: { readonly borderColor: string }
}
/** A graph of Model Explorer. */
export type ModelExplorerGraph = {
  readonly id: string
  readonly nodes: readonly ModelExplorerNode[]
  readonly groupNodeAttributes?: { readonly [namespace: string]: { readonly [key: string]: string } }
}
/** What Model Explorer opens. */
export type ModelExplorerCollection = { readonly label: string; readonly graphs: readonly ModelExplorerGraph[] }

const BORDER: { readonly [carry: string]: string } = { stripped: '#b3261e', claimed: '#c97a00' }

const pairs = (values: { readonly [key: string]: string | number | boolean | undefined }): readonly KeyValue[] =>
  Object.entries(values).flatMap(([key, v]) => (v === undefined || v === '' ? [] : [{ key, value: String(v) }]))

const metadata = (n: SceneNode): readonly KeyValue[] =>
  pairs({
    carry: n.carry,
    bits: n.bits,
    signed: n.signed,
    scale: n.scale,
    formula: n.formula,
    zeroPoint: n.zeroPoint,
    lo: n.lo,
    hi: n.hi,
    why: n.why,
  })

/** Slashes part the levels of a namespace, so those inside a name become a look-alike. */
const namespaceOf = (scene: Scene): ((box: string) => string) => {
  const boxes = new Map(scene.boxes.map((b) => [b.id, b]))
  const known = new Map<string, string>([['', '']])
  const find = (id: string): string => {
    const box = boxes.get(id)
    if (box === undefined || box.kind === 'branch') return ''
    const own = box.label.replaceAll('/', '\u2215') || '(unnamed)'
    const found = known.get(id) ?? [find(box.parent), own].filter((t) => t !== '').join('/')
    known.set(id, found)
    return found
  }
  return find
}

/** The branch in which a node stands: the part of its id before the last dot; the empty string at the top. */
const graphOf = (id: string): string => id.slice(0, Math.max(0, id.lastIndexOf('.')))

type Context = {
  readonly namespace: (box: string) => string
  readonly into: ReadonlyMap<string, readonly SceneEdge[]>
  readonly nodes: ReadonlyMap<string, SceneNode>
  readonly branches: ReadonlyMap<string, readonly SceneBox[]>
  readonly values: ReadonlyMap<string, readonly SceneValue[]>
}

const incoming = (c: Context, n: SceneNode): readonly Incoming[] =>
  (c.into.get(n.id) ?? []).map((e) => {
    const source = c.nodes.get(e.from)
    const meta = source === undefined ? [] : metadata(source)
    return {
      sourceNodeId: e.from,
      sourceNodeOutputId: '0',
      targetNodeInputId: String(e.slot),
      metadata: Object.fromEntries(meta.map((m) => [m.key, m.value])),
    }
  })

const runsOn = (integer: boolean | undefined): string | undefined => {
  if (integer === undefined) return undefined
  return integer ? 'on integers' : 'in float'
}

const nodeOf = (c: Context, n: SceneNode): ModelExplorerNode => {
  const branches = (c.branches.get(n.id) ?? []).map((b) => b.id)
  const names = c.values.get(n.id) ?? []
  const shape = n.shape.length === 0 ? 'scalar' : n.shape.join('×')
  return {
    id: n.id,
    label: n.label,
    namespace: n.id.includes('.') ? '' : c.namespace(n.box),
    attrs: [
      ...pairs({
        op: n.op,
        ...(n.attrs === undefined ? {} : { attributes: n.attrs }),
        origin: n.origin,
        location: n.location,
        runs: runsOn(n.integer),
        input: names.find((v) => v.role === 'input')?.name,
        result: names
          .filter((v) => v.role === 'result')
          .map((v) => v.name)
          .join(', '),
      }),
      ...metadata(n),
    ],
    incomingEdges: incoming(c, n),
    outputsMetadata: [
      { id: '0', attrs: [{ key: 'shape', value: shape }, ...pairs({ type: lineLabel(n) }), ...metadata(n)] },
    ],
    ...(branches.length === 0 ? {} : { subgraphIds: branches }),
    ...(n.flow && Object.hasOwn(BORDER, lookOf(n)) ? { style: { borderColor: BORDER[lookOf(n)] } } : {}),
  }
}

/** A program as a collection that Model Explorer opens; `JSON.stringify` makes the file. */
export const modelExplorerCollection = (program: Program, options: SceneOptions = {}): ModelExplorerCollection => {
  demandScene('modelExplorerCollection', program, options)
  const scene = sceneOf(program, options)
  const c: Context = {
    namespace: namespaceOf(scene),
    into: groupBy(scene.edges, (e) => e.to),
    nodes: new Map(scene.nodes.map((n) => [n.id, n])),
    branches: groupBy(
      scene.boxes.filter((b) => b.kind === 'branch'),
      (b) => b.parent,
    ),
    values: groupBy(scene.values, (v) => v.node),
  }
  const graphs = groupBy(scene.nodes, (n) => graphOf(n.id))
  const about = { '': { mode: scene.mode, metadata: scene.sentence.map((p) => p.text).join('') } }
  return {
    label: scene.title,
    graphs: [...graphs].map(([id, nodes]) => ({
      id: id === '' ? 'program' : id,
      nodes: nodes.map((n) => nodeOf(c, n)),
      ...(id === '' ? { groupNodeAttributes: about } : {}),
    })),
  }
}

/** A program as a file for Model Explorer (`*.json`), metadata on every node and edge; lost and claimed nodes have a coloured border. */
export const toModelExplorer = (program: Program, options: SceneOptions = {}): string => {
  demandScene('toModelExplorer', program, options)
  return `${JSON.stringify(modelExplorerCollection(program, options))}\n`
}
