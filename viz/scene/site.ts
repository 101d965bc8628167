/** A program as changes for it are sought: its graph with metadata, its layers as written, the numbers of a run. */
import { quantOf, type Quant } from '../../src/data/quant.js'
import { sizeOf } from '../../src/data/shape.js'
import { inputGrid } from '../../src/graph/licence.js'
import { computes } from '../../src/graph/op.js'
import { relu } from '../../src/ops/relu.js'
import { usersOf, type Graph, type Node } from '../../src/graph/graph.js'
import type { Program, ProgramLayer } from '../../src/graph/program.js'
import type { Scene } from './scene.js'
import { writtenOf, type Written } from './written.js'

/** A program while changes for it are sought. */
export type Site = {
  readonly graph: Graph
  readonly users: readonly (readonly number[])[]
  readonly results: ReadonlySet<number>
  readonly mode: Program['mode']
  readonly written: Written
  readonly observed: Scene['observed']
}

/** Looks at a program, and at the numbers of a run of it. */
export const siteOf = (program: Program, observed: Scene['observed']): Site => ({
  graph: program.graph,
  users: usersOf(program.graph),
  results: new Set(program.outputs.filter((o) => o.kind === 'result').map((o) => o.node)),
  mode: program.mode,
  written: writtenOf(program),
  observed,
})

const sized = (site: Site, id: number): number => sizeOf(site.graph.nodes[id].shape)
/** Has it one scale for all elements? */
export const perTensor = (site: Site, q: Quant): boolean => sized(site, q.scale) === 1 && sized(site, q.zeroPoint) === 1
/** Can a product take it as its input, as it is? */
export const ready = (site: Site, node: Node): boolean => typeof inputGrid(site.graph, node.id) === 'object'

/** Is a value never negative: by its grid, or in the run that was observed? */
const isPositive = (site: Site, node: Node): boolean => {
  const [q, x] = [quantOf(node.carried), site.observed[node.id]]
  return (
    (q !== null && q.zero === 'zero' && q.lo >= 0) ||
    (x !== undefined && x.count > 0 && x.nonfinite === 0 && x.min >= 0)
  )
}

/** Those that take a value, looking through steps that leave it as it is, or make it bare; without the backward pass. */
export const takersOf = (site: Site, id: number): readonly Node[] =>
  site.users[id]
    .map((i) => site.graph.nodes[i])
    .filter((n) => n.backwardOf === undefined)
    .flatMap((n) => (n.op.layout === 'view' ? takersOf(site, n.id) : [n]))

/** Do all that take a value cut off what is negative? A result is taken as it is. */
export const isCutOff = (site: Site, nodes: readonly Node[]): boolean => {
  const takers = nodes.flatMap((n) => takersOf(site, n.id))
  return takers.length > 0 && takers.every((n) => computes(n.op) === relu) && !nodes.some((n) => site.results.has(n.id))
}

/** The preset that quantizes a value as it comes, and as it is used. */
export const presetFor = (site: Site, node: Node): string =>
  isPositive(site, node) || isCutOff(site, [node]) ? 'Uint8ActPerTensorFloat' : 'Int8ActPerTensorFloat'

/** The layer that stands at a path. */
export const layerAt = (site: Site, path: string): ProgramLayer | undefined => site.written.get(path)
