/** From a program to a scene. Pure; linear in the nodes, branches of phases included. */
import { isQuantTensor, type Output } from '../../src/data/quantTensor.js'
import { at } from '../../src/data/tree.js'
import type { Program } from '../../src/graph/program.js'
import type { PlanDescription, Profile } from '../../src/evaluator/insight.js'
import type { ExportReport } from '../../src/interop/onnx/report.js'
import type { StepErrors } from '../../src/quantize/errors.js'
import type { LogRecord } from '../log.js'
import { demandScene } from '../border.js'
import { kindsOfLoss } from './causes.js'
import { exportOf } from './exported.js'
import { columnsOf } from './columns.js'
import { curveOf } from './curve.js'
import { onlyInTraining } from './doubts.js'
import { floatsOf, lossesOf } from './losses.js'
import { siteOf, type Site } from './site.js'
import { boxOf, layerBoxes, top } from './names.js'
import { numbersOf } from './numbers.js'
import { partsOf } from './nodes.js'
import { seriesOf, type OverSteps } from './overSteps.js'
import { firstNonfinite, observedOf, type Values } from './observed.js'
import { timesOf } from './profile.js'
import { planFacts } from './plan.js'
import { indexOf } from './reach.js'
import type { Scene, SceneBox, SceneCurve, SceneLoss, SceneNode, SceneNumbers, SceneValue } from './scene.js'
import { sentenceOf } from './sentence.js'
import { stepErrors } from './steps.js'
import { wastedOf } from './waste.js'

/** What may be said about a program besides itself. */
export type SceneOptions = {
  /** Title of the page (default: `quantrace`). */
  readonly title?: string
  /** The outputs of a run, as `run` gives them: fills in numbers. */
  readonly outputs?: unknown
  /**
   * Values of a run by node, as `watch` collects them: fills in histograms, clipped shares, quantization errors.
   */
  readonly values?: Values
  /** Values over the steps of loops, as `watch` collects them: fills in how they go from step to step. */
  readonly overSteps?: OverSteps
  /** A training log, as `addEvent` makes it: fills in the time axis. */
  readonly log?: readonly LogRecord[]
  /** Where the time of this program goes, as `profile` measures it: fills in the table of steps and colours nodes by time. */
  readonly profile?: Profile
  /** What the compiler made of this program, as `explainPlan` describes it: fills in counts after each pass, and what became of each node. */
  readonly plan?: PlanDescription
  /** What an exported model can't say of this program, as `exportReport` of `quantrace/onnx` tells it: colours layers, and stands in the panel. */
  readonly exported?: ExportReport
  /** Errors behind each step of a quantization, as `layerErrors` of `quantrace/quantize` measures them: colours layers, and stands in a table. */
  readonly steps?: readonly StepErrors[]
  /** How named values are called, from their path (default: the path; `input` and `output` where it is empty). */
  readonly nameOf?: (path: string, role: 'input' | 'result') => string
}

const defaultName = (path: string, role: 'input' | 'result'): string => {
  if (path !== '') return path
  return role === 'input' ? 'input' : 'output'
}

/** Named inputs and results; a result that is an input under its own name is not named twice. */
const valuesOf = (
  program: Program,
  nameOf: (path: string, role: 'input' | 'result') => string,
): readonly SceneValue[] => {
  const inputs = program.inputs
    .filter((i) => i.kind === 'data' && (i.part === 'tensor' || i.part === 'value'))
    .map((i): SceneValue => ({ name: nameOf(i.path, 'input'), node: String(i.node), role: 'input' }))
  const known = new Set(inputs.map((v) => JSON.stringify([v.name, v.node])))
  const results = program.outputs
    .filter((o) => o.kind === 'result')
    .map((o): SceneValue => ({ name: nameOf(o.path, 'result'), node: String(o.node), role: 'result' }))
  return [...inputs, ...results.filter((v) => !known.has(JSON.stringify([v.name, v.node])))]
}

/** Boxes of layers with their classes, where those are known. */
const classed = (site: Site, boxes: readonly SceneBox[]): readonly SceneBox[] => {
  const classes = new Map([...site.written.values()].map((l) => [boxOf(l.path), l]))
  return boxes.map((b) => {
    const written = b.side === undefined ? classes.get(b.id) : undefined
    if (written === undefined) return b
    const [, heads] = written.given.find(([option]) => option === 'numHeads') ?? []
    return { ...b, layer: written.layer, ...(heads === undefined ? {} : { heads: Number(heads) }) }
  })
}

/** Claims whose doubt is one of training alone: where it begins, and all that only inherit it. */
const calmed = (site: Site, nodes: readonly SceneNode[]): readonly SceneNode[] => {
  const calm = new Set<string>()
  const inherits = (n: SceneNode): boolean =>
    site.graph.nodes[Number(n.id)].inputs.some(
      (i) =>
        calm.has(String(i)) &&
        (n.why ?? '').replace(/^operand: /, '') === (nodes[i].why ?? '').replace(/^operand: /, ''),
    )
  for (const n of nodes) {
    if (n.carry !== 'claimed' || n.calm !== undefined || site.graph.nodes[Number(n.id)] === undefined) continue
    if (inherits(n) || onlyInTraining(site, site.graph.nodes[Number(n.id)], n.why ?? '')) calm.add(n.id)
  }
  return calm.size === 0 ? nodes : nodes.map((n): SceneNode => (calm.has(n.id) ? { ...n, calm: 'training' } : n))
}

const lostOf = (nodes: readonly SceneNode[]): readonly SceneLoss[] =>
  nodes.flatMap((n) =>
    n.flow && (n.carry === 'stripped' || n.carry === 'claimed') ? [{ node: n.id, carry: n.carry, advice: [] }] : [],
  )

const isOutput = (x: unknown): x is Output =>
  typeof x === 'object' &&
  x !== null &&
  (('data' in x && x.data instanceof Float32Array) || ('kind' in x && isQuantTensor(x as Output)))

const numbersIn = (
  program: Program,
  outputs: unknown,
  nameOf: (path: string, role: 'input' | 'result') => string,
): { readonly [name: string]: SceneNumbers } =>
  Object.fromEntries(
    program.outputs.flatMap((o) => {
      const x = o.kind === 'result' ? at(outputs, o.path) : undefined
      return isOutput(x) ? [[nameOf(o.path, 'result'), numbersOf(x)]] : []
    }),
  )

/** Nodes at the top level with the curves of their estimators, and with the names of the gradients that they are. */
const withCurves = (
  program: Program,
  nodes: readonly SceneNode[],
): { readonly nodes: readonly SceneNode[]; readonly curves: readonly SceneCurve[] } => {
  const curves: SceneCurve[] = []
  const known = new Map<string, number | null>()
  const gradients = new Map(program.outputs.filter((o) => o.kind === 'grad').map((o) => [o.node, o.path || 'input']))
  const curveFor = (node: Program['graph']['nodes'][number]): number | null => {
    const key = JSON.stringify([node.op.name, node.attrs, node.inputs.length])
    const found = known.get(key)
    if (found !== undefined) return found
    const curve = curveOf(node)
    known.set(key, curve === null ? null : curves.push(curve) - 1)
    return known.get(key) ?? null
  }
  return {
    curves,
    nodes: nodes.map((n, i) => {
      const node = program.graph.nodes[i]
      if (node === undefined || String(node.id) !== n.id) return n
      const [curve, gradientOf] = [n.estimator === undefined ? null : curveFor(node), gradients.get(node.id)]
      return { ...n, ...(curve === null ? {} : { curve }), ...(gradientOf === undefined ? {} : { gradientOf }) }
    }),
  }
}

/** The boxes of layers: those of the forward pass, and their mirror images. */
const layersOf = ({ graph: { nodes } }: Program): readonly SceneBox[] => {
  const paths = (back: boolean): readonly string[] =>
    nodes.filter((n) => (n.backwardOf !== undefined) === back).map((n) => n.path)
  return [...layerBoxes(paths(false)), ...layerBoxes(paths(true), 'backward')]
}

/** What stands in a scene beside the program, because it was given. */
const givenParts = (
  program: Program,
  options: SceneOptions,
  nodes: readonly SceneNode[],
  boxes: readonly SceneBox[],
): Pick<Scene, 'log' | 'profile' | 'plan' | 'exported' | 'steps' | 'series'> => ({
  ...(options.overSteps === undefined ? {} : { series: seriesOf(options.overSteps, nodes) }),
  ...(options.log === undefined || options.log.length === 0 ? {} : { log: columnsOf(program, options.log) }),
  ...(options.profile === undefined ? {} : { profile: timesOf(options.profile) }),
  ...(options.plan === undefined ? {} : { plan: planFacts(options.plan) }),
  ...(options.exported === undefined ? {} : { exported: exportOf(options.exported, nodes, boxes) }),
  ...(options.steps === undefined ? {} : { steps: stepErrors(options.steps, boxes) }),
})

/** The scene of a program. */
export const sceneOf = (program: Program, options: SceneOptions = {}): Scene => {
  demandScene('sceneOf', program, options)
  const nameOf = options.nameOf ?? defaultName
  const layers = layersOf(program)
  const roots = program.outputs.filter((o) => o.kind === 'result').map((o) => o.node)
  const boxes = new Set(layers.map((b) => b.id))
  const parts = partsOf(program.graph, { scope: top, boxes, roots, inputs: program.inputs })
  const curved = withCurves(program, parts.nodes)
  const { curves } = curved
  const observed =
    options.values === undefined ? {} : observedOf(program, options.values, (id) => curved.nodes[id].flow)
  const site = siteOf(program, observed)
  const nodes = calmed(site, curved.nodes)
  const scene: Scene = {
    title: options.title ?? 'quantrace',
    mode: program.mode,
    nodes,
    edges: parts.edges,
    boxes: [...classed(site, layers), ...parts.boxes],
    values: valuesOf(program, nameOf),
    losses: lostOf(nodes),
    floats: [],
    sentence: [],
    numbers: numbersIn(program, options.outputs, nameOf),
    observed,
    nonfinite: firstNonfinite(program, observed),
    wasted: [],
    curves,
    ...givenParts(program, options, nodes, [...layers, ...parts.boxes]),
  }
  const index = indexOf(scene)
  const kinds = kindsOfLoss(index)
  const told = nodes.map((n): SceneNode => {
    const loss = kinds.get(n.id)
    return loss === undefined ? n : { ...n, loss }
  })
  const full: Scene = {
    ...scene,
    nodes: told,
    losses: lossesOf(site, index),
    floats: floatsOf(site, index),
    wasted: wastedOf(site, index),
  }
  return { ...full, sentence: sentenceOf(indexOf(full)) }
}
