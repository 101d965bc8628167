/** A program as a GEXF 1.3 file, for Gephi and its kin; written by graphology's own package. */
import { write } from 'graphology-gexf'
import type { Program } from '../../src/graph/program.js'
import { demandScene } from '../border.js'
import { sceneOf, type SceneOptions } from '../scene/fromProgram.js'
import { sceneGraph, type Scalars } from './graph.js'

/** No name of ours asks for a colour or a position: all but the label are plain attributes. */
const format = (
  _key: string,
  { label, ...attributes }: Scalars,
): { readonly label?: string; readonly attributes: Scalars } => ({
  ...(label === undefined || label === '' ? {} : { label: String(label) }),
  attributes,
})

/** A program as GEXF: every node with its op, layer, shape and metadata (carry, bits, signed, scale, why …), every edge with those of the value that flows. */
export const toGexf = (program: Program, options: SceneOptions = {}): string => {
  demandScene('toGexf', program, options)
  return `${write(sceneGraph(sceneOf(program, options)), { version: '1.3', formatNode: format, formatEdge: format })}\n`
}
