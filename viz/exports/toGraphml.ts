/** A program as a GraphML file, for yEd, NetworkX, igraph and Cytoscape. graphology's package reads the format but does not write it. */
import type { Program } from '../../src/graph/program.js'
import { demandScene } from '../border.js'
import { escapeText } from '../draw/mark.js'
import { sceneOf, type SceneOptions } from '../scene/fromProgram.js'
import { sceneGraph, type Scalars } from './graph.js'

type Kind = 'graph' | 'node' | 'edge'
/** A declared attribute: `id` stands in `data`, `name` is what readers see. */
type Key = { readonly kind: Kind; readonly id: string; readonly name: string; readonly type: string }

const NAMESPACE = 'http://graphml.graphdrawing.org/xmlns'
const TYPES: { readonly [type: string]: string } = { string: 'string', number: 'double', boolean: 'boolean' }

/** One key per attribute name; none of ours has two types. */
const keysOf = (kind: Kind, all: readonly Scalars[]): readonly Key[] => {
  const types = new Map(
    all.flatMap((a) => Object.entries(a).map(([name, v]): [string, string] => [name, TYPES[typeof v]])),
  )
  return [...types].map(([name, type]) => ({ kind, id: `${kind}.${name}`, name, type }))
}

const dataOf = (kind: Kind, attributes: Scalars): string =>
  Object.entries(attributes)
    .map(([name, v]) => `<data key="${kind}.${name}">${escapeText(String(v))}</data>`)
    .join('')

const declare = (k: Key): string => `<key id="${k.id}" for="${k.kind}" attr.name="${k.name}" attr.type="${k.type}"/>`

/** A program as GraphML: every node with its op, layer, shape and metadata (carry, bits, signed, scale, why …), every edge with those of the value that flows. */
export const toGraphml = (program: Program, options: SceneOptions = {}): string => {
  demandScene('toGraphml', program, options)
  const graph = sceneGraph(sceneOf(program, options))
  const nodes = graph.mapNodes((id, a) => ({ id, a }))
  const edges = graph.mapEdges((id, a, from, to) => ({ id, a, from, to }))
  const keys = [
    ...keysOf('graph', [graph.getAttributes()]),
    ...keysOf(
      'node',
      nodes.map((n) => n.a),
    ),
    ...keysOf(
      'edge',
      edges.map((e) => e.a),
    ),
  ]
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<graphml xmlns="${NAMESPACE}">`,
    ...keys.map(declare),
    '<graph edgedefault="directed">',
    dataOf('graph', graph.getAttributes()),
    ...nodes.map(({ id, a }) => `<node id="${escapeText(id)}">${dataOf('node', a)}</node>`),
    ...edges.map(
      ({ id, a, from, to }) =>
        `<edge id="${escapeText(id)}" source="${escapeText(from)}" target="${escapeText(to)}">${dataOf('edge', a)}</edge>`,
    ),
    '</graph>',
    '</graphml>',
    '',
  ].join('\n')
}
