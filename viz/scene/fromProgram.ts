/** From a program to a scene. Pure; linear in the nodes, branches of phases included. */
import { isQuantTensor, type Output } from '../../src/data/quantTensor.js'
import { at } from '../../src/data/tree.js'
import type { Program } from '../../src/graph/program.js'
import { adviceFor } from './advice.js'
import { layerBoxes, top } from './names.js'
import { numbersOf } from './numbers.js'
import { partsOf } from './nodes.js'
import { indexOf } from './reach.js'
import type { Scene, SceneLoss, SceneNode, SceneNumbers, SceneValue } from './scene.js'
import { sentenceOf } from './sentence.js'

/** What may be said about a program besides itself. */
export type SceneOptions = {
  /** Title of the page (default: `quantrace`). */
  readonly title?: string
  /** The outputs of a run, as `run` gives them: fills in numbers. */
  readonly outputs?: unknown
  /** How named values are called, from their path (default: the path; `input` and `output` where it is empty). */
  readonly nameOf?: (path: string, role: 'input' | 'result') => string
}

const defaultName = (path: string, role: 'input' | 'result'): string => (path !== '' ? path : role === 'input' ? 'input' : 'output')

/** Named inputs and results; a result that is an input under its own name is not named twice. */
const valuesOf = (program: Program, nameOf: (path: string, role: 'input' | 'result') => string): readonly SceneValue[] => {
  const inputs = program.inputs.filter((i) => i.kind === 'data' && (i.part === 'tensor' || i.part === 'value'))
    .map((i): SceneValue => ({ name: nameOf(i.path, 'input'), node: String(i.node), role: 'input' }))
  const known = new Set(inputs.map((v) => JSON.stringify([v.name, v.node])))
  const results = program.outputs.filter((o) => o.kind === 'result')
    .map((o): SceneValue => ({ name: nameOf(o.path, 'result'), node: String(o.node), role: 'result' }))
  return [...inputs, ...results.filter((v) => !known.has(JSON.stringify([v.name, v.node])))]
}

const lossesOf = (nodes: readonly SceneNode[]): readonly SceneLoss[] => nodes.flatMap((n) =>
  (n.flow && (n.carry === 'stripped' || n.carry === 'claimed') ? [{ node: n.id, carry: n.carry, advice: adviceFor(n) }] : []))

const isOutput = (x: unknown): x is Output =>
  typeof x === 'object' && x !== null && (('data' in x && x.data instanceof Float32Array) || ('kind' in x && isQuantTensor(x as Output)))

const numbersIn = (program: Program, outputs: unknown, nameOf: (path: string, role: 'input' | 'result') => string): { readonly [name: string]: SceneNumbers } =>
  Object.fromEntries(program.outputs.flatMap((o) => {
    const x = o.kind === 'result' ? at(outputs, o.path) : undefined
    return isOutput(x) ? [[nameOf(o.path, 'result'), numbersOf(x)]] : []
  }))

/** The scene of a program. */
export const sceneOf = (program: Program, options: SceneOptions = {}): Scene => {
  const nameOf = options.nameOf ?? defaultName
  const layers = layerBoxes(program.graph.nodes.map((n) => n.path))
  const roots = program.outputs.filter((o) => o.kind === 'result').map((o) => o.node)
  const { nodes, edges, boxes } = partsOf(program.graph, top, roots, new Set(layers.map((b) => b.id)), program.inputs)
  const values = valuesOf(program, nameOf)
  const scene: Scene = {
    title: options.title ?? 'quantrace', mode: program.mode, nodes, edges, boxes: [...layers, ...boxes], values,
    losses: lossesOf(nodes), sentence: [], numbers: numbersIn(program, options.outputs, nameOf),
  }
  return { ...scene, sentence: sentenceOf(indexOf(scene)) }
}
