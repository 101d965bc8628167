/** GraphML, GEXF and Model Explorer files say what the program says; the first two are read back by graphology's own parsers. */
import { MultiDirectedGraph } from 'graphology'
import { parse as parseGexf } from 'graphology-gexf'
import { parse as parseGraphml } from 'graphology-graphml'
import * as assert from 'uvu/assert'
import type { Program } from '../../src/index.js'
import { modelExplorerCollection, sceneOf, toGexf, toGraphml, toModelExplorer } from '../../viz/index.js'
import { sceneGraph, xmlText, type ExportGraph } from '../../viz/exports/graph.js'
import { suite } from '../support/suite.js'
import { expectedOf } from './expected.js'
import { programs, stripped } from './programs.js'

const test = suite('graph formats')

type Attributes = { readonly [name: string]: unknown }
/** What XML can't tell apart: an empty text from none; GEXF leaves both out. */
const solid = (a: Attributes): Attributes =>
  Object.fromEntries(
    Object.entries(a)
      .filter(([, v]) => v !== '')
      .sort(([x], [y]) => (x < y ? -1 : 1)),
  )
const described = (
  g: Pick<ExportGraph, 'mapNodes' | 'mapEdges'>,
): { readonly nodes: readonly unknown[]; readonly edges: readonly unknown[] } => ({
  nodes: g.mapNodes((id, a) => [id, solid(a)]),
  edges: g.mapEdges((_, a, from, to) => [from, to, solid(a)]),
})

for (const [name, make] of Object.entries(programs)) {
  test(`${name}: GraphML and GEXF read back as they were`, () => {
    const wanted = described(sceneGraph(sceneOf(make())))
    for (const [format, back] of [
      ['GraphML', parseGraphml(MultiDirectedGraph, toGraphml(make()))],
      ['GEXF', parseGexf(MultiDirectedGraph, toGexf(make()))],
    ] as const) {
      assert.equal(described(back), wanted, format)
    }
  })

  test(`${name}: every node, operand and reason of the program is in the files`, () => {
    const { nodes, edges } = expectedOf(make())
    const graph = sceneGraph(sceneOf(make()))
    assert.equal(new Map(graph.mapNodes((id, a) => [id, a.op])), nodes)
    for (const e of edges) {
      const a = graph.getEdgeAttributes(`${e.to}:${e.slot}`)
      const [quant, why] = [
        'quant' in e.carried ? e.carried.quant : null,
        'why' in e.carried ? e.carried.why : undefined,
      ]
      assert.equal(
        [graph.source(`${e.to}:${e.slot}`), a.carry, a.bits, a.signed, a.why],
        [e.from, e.carried.tag, quant?.bits, quant?.signed, why],
      )
    }
    assert.is(graph.size, edges.length)
  })

  test(`${name}: a Model Explorer collection is whole`, () => checkCollection(make()))
}

/** Ids are unique, edges and subgraphs lead somewhere, all values are text, metadata is that of the program. */
const checkCollection = (program: Program): void => {
  const { nodes, edges } = expectedOf(program)
  const { graphs } = modelExplorerCollection(program)
  const found = graphs.flatMap((g) => g.nodes)
  assert.equal(new Set(found.map((n) => n.id)), new Set(nodes.keys()))
  assert.is(new Set(graphs.map((g) => g.id)).size, graphs.length)
  assert.is(graphs[0].id, 'program')
  for (const g of graphs) {
    const own = new Map(g.nodes.map((n) => [n.id, n]))
    assert.is(own.size, g.nodes.length)
    for (const n of g.nodes) {
      assert.ok(
        n.incomingEdges.every((e) => own.has(e.sourceNodeId)),
        n.id,
      )
      assert.ok((n.subgraphIds ?? []).every((id) => graphs.some((x) => x.id === id)))
      assert.ok(
        [...n.attrs, ...n.outputsMetadata.flatMap((m) => m.attrs)].every(
          (a) => typeof a.key === 'string' && typeof a.value === 'string',
        ),
      )
    }
  }
  const drawn = new Map(
    found.flatMap((n) => n.incomingEdges.map((e) => [`${n.id}:${e.targetNodeInputId}`, e] as const)),
  )
  assert.is(drawn.size, edges.length)
  for (const e of edges) {
    const d = drawn.get(`${e.to}:${e.slot}`)
    assert.equal(
      [d?.sourceNodeId, d?.metadata.carry, d?.metadata.why],
      [e.from, e.carried.tag, 'why' in e.carried ? e.carried.why : undefined],
    )
  }
}

test('layers are namespaces, branches of phases are graphs, losses have a border', () => {
  const { graphs } = JSON.parse(toModelExplorer(stripped())) as ReturnType<typeof modelExplorerCollection>
  assert.ok(graphs[0].nodes.some((n) => n.namespace === 'conv1/weightQuant'))
  const phase = graphs[0].nodes.find((n) => n.label === 'phase')
  assert.equal(phase?.subgraphIds, [`${phase?.id}.collect`, `${phase?.id}.learned`])
  assert.ok(
    graphs[0].nodes.some(
      (n) =>
        n.style?.borderColor === '#b3261e' &&
        n.attrs.some((a) => a.key === 'why' && a.value.startsWith('QuantReLU does not return quant tensors')),
    ),
  )
})

test('XML gets no character that it forbids, and keeps all others', () => {
  assert.is(xmlText('a\u0000b\ud800c\ud83d\ude00d\udc00\tß'), 'a\ufffdb\ufffdc\ud83d\ude00d\ufffd\tß')
})

test.run()
