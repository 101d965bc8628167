/** Nodes of a scene, with metadata as text and numbers; branches of phases included. */
import { gridOf, isFloatGrid, isPlainInteger, type Grid } from '../../src/data/quant.js'
import { showFormat } from '../../src/data/minifloat.js'
import type { Graph, Node } from '../../src/graph/graph.js'
import { formula, showAttrs } from '../../src/graph/print.js'
import type { ProgramInput } from '../../src/graph/program.js'
import { constantOf, constOp, inputOp, scanOp } from '../../src/graph/structural.js'
import { identities } from './identity.js'
import { isLicence, productLicence, whyFloat } from '../../src/graph/licence.js'
import { estimatorOf } from './estimator.js'
import { backwardFlowOf, flowOf, isValueOperand } from './flow.js'
import { bodyFlow, bodyInputs, givenName, stateName, statesOf, type BodyInputs } from './loops.js'
import { backBox, boxOf, branchScope, homeOf, type Scope } from './names.js'
import { quantizes } from './quantizers.js'
import type { Meta, SceneBox, SceneEdge, SceneNode } from './scene.js'

/** Nodes, edges, and the boxes of phases. */
export type Parts = {
  readonly nodes: readonly SceneNode[]
  readonly edges: readonly SceneEdge[]
  readonly boxes: readonly SceneBox[]
}

/** What all nodes of one graph share while they are described. */
type Context = {
  readonly graph: Graph
  readonly scope: Scope
  readonly same: readonly number[]
  readonly flow: readonly boolean[]
  readonly backFlow: readonly boolean[]
  readonly side?: 'backward'
  /** In the body of a loop: how its inputs are divided, and what is on the way of the values of a step. */
  readonly loop?: BodyInputs
  readonly steps?: readonly boolean[]
  readonly boxes: ReadonlySet<string>
  readonly inputs: ReadonlyMap<number, ProgramInput>
  readonly formulas: Map<number, string>
}

const FORMULA_DEPTH = 2

const formulaOf = (c: Context, id: number): string => {
  const known = c.formulas.get(id)
  if (known !== undefined) return known
  const text = formula(c.graph, id, FORMULA_DEPTH).replace(
    /\bs(\d+)\b/g,
    (_, n: string) => `s${c.same[Number(n)] ?? n}`,
  )
  c.formulas.set(id, text)
  return text
}

const finite = (n: number): number => {
  if (Number.isFinite(n)) return n
  return n > 0 ? Number.MAX_VALUE : -Number.MAX_VALUE
}

/** The name of a kind of numbers: `e4m3`, `int8 · 32` where scales are those of groups of 32. */
const kindOf = (q: Grid): string => {
  const integers = `${q.signed ? '' : 'u'}int${q.bits}`
  const numbers = isFloatGrid(q) ? `${q.signed ? '' : 'u'}${showFormat(q.format)}` : integers
  const some = 'learned' in q ? `≤${numbers}` : numbers
  return q.group === undefined ? some : `${some} · ${q.group.size}`
}

const metaOf = (c: Context, node: Node): Meta => {
  const { carried } = node
  const q = gridOf(carried)
  return {
    carry: carried.tag,
    ...(q === null
      ? {}
      : {
          bits: q.bits,
          signed: q.signed,
          scale: `${c.scope.prefix}${c.same[q.scale]}`,
          formula: formulaOf(c, q.scale),
          ...(isPlainInteger(q) ? {} : { kind: kindOf(q) }),
          ...(isFloatGrid(q) || q.zero === 'zero' ? {} : { zeroPoint: formulaOf(c, q.zeroPoint) }),
          ...(isFloatGrid(q) ? {} : { lo: finite(q.lo), hi: finite(q.hi) }),
        }),
    ...('why' in carried ? { why: carried.why } : {}),
    ...(carried.tag === 'claimed' && carried.exact === true ? { calm: 'exact' as const } : {}),
  }
}

const labelOf = (node: Node): string => (node.op === constOp ? String(constantOf(node.attrs)) : node.op.name)

/** An input of the body of a loop: a state, and what of the step before it is; a slice of a sequence; or what all steps share. */
const bodyInput = ({ loop, graph, scope }: Context, node: Node): Pick<SceneNode, 'label' | 'origin'> | null => {
  const place = loop === undefined ? -1 : graph.inputs.indexOf(node.id)
  if (loop === undefined || place < 0) return null
  const { carries, xs } = loop
  if (place < carries) {
    const from = `${scope.prefix}${graph.outputs[place]}`
    const name = stateName(graph, place)
    return { label: name, origin: `${name}: what ${from} of the step before gave` }
  }
  const slice = givenName(node) ?? `slice ${place - carries}`
  return place < carries + xs
    ? { label: slice, origin: `${slice}: this step's part of operand ${place} of the loop` }
    : { label: 'shared', origin: `shared by all steps: operand ${place} of the loop` }
}

/** Where a node stands and what it is called. */
const placeOf = (c: Context, node: Node): Pick<SceneNode, 'box' | 'label' | 'origin'> => {
  const input = c.inputs.get(node.id)
  if (input === undefined) {
    const own = node.backwardOf === undefined ? boxOf(node.path) : backBox(node.path)
    return {
      box: c.scope.prefix === '' ? own : c.scope.box,
      label: labelOf(node),
      ...bodyInput(c, node),
    }
  }
  const name = `${input.path}${input.part === 'tensor' ? '' : `${input.path === '' ? '' : '.'}${input.part}`}`
  const [box, label] = input.kind === 'data' ? ['', name] : homeOf(c.boxes, name)
  return { box, label: label === '' ? 'input' : label, origin: `${input.kind} ${name}`.trim() }
}

/** How differentiation ties a node to others. */
const tiesOf = (c: Context, node: Node): Pick<SceneNode, 'side' | 'backwardOf' | 'cotangent' | 'estimator'> => {
  const estimator = estimatorOf(node)
  return {
    ...(node.backwardOf === undefined ? {} : { backwardOf: `${c.scope.prefix}${node.backwardOf}` }),
    ...(node.backwardOf === undefined && c.side === undefined ? {} : { side: 'backward' as const }),
    ...(node.cotangent === undefined ? {} : { cotangent: `${c.scope.prefix}${node.cotangent}` }),
    ...(estimator === undefined ? {} : { estimator }),
  }
}

/** Of a product: whether it may run on integers, by the rule that plans go by. */
const productPart = (c: Context, node: Node): Pick<SceneNode, 'product' | 'integer' | 'whyFloat'> => {
  const licensed = productLicence(c.graph, node)
  if (licensed === null) return {}
  return {
    ...(node.op.product === undefined ? {} : { product: node.op.product.called }),
    ...(isLicence(licensed) ? { integer: true } : { integer: false, whyFloat: whyFloat(licensed) }),
  }
}

/** What an input holds that is no float, and of what a node picks rows: said by the roles of its operands. */
const kindPart = (c: Context, { op, attrs, inputs }: Node): Pick<SceneNode, 'dtype' | 'rows'> => {
  if (op === inputOp) return attrs.dtype === 'integer' || attrs.dtype === 'boolean' ? { dtype: attrs.dtype } : {}
  const [of, by] = Array.isArray(op.operands) ? op.operands : []
  return of === 'table' && by === 'indices' ? { rows: c.graph.nodes[inputs[0]].shape[0] } : {}
}

const quantizerPart = (node: Node): Pick<SceneNode, 'quantizes'> => {
  const onto = quantizes(node)
  return onto === undefined ? {} : { quantizes: onto }
}

const describe = (c: Context, node: Node): SceneNode => {
  const { why: _, ...shown } = node.attrs
  const attrs = node.op === constOp ? '' : showAttrs(shown)
  return {
    id: `${c.scope.prefix}${node.id}`,
    op: node.op.name,
    ...placeOf(c, node),
    ...metaOf(c, node),
    shape: node.shape,
    flow: c.flow[node.id] || c.backFlow[node.id],
    ...(c.steps?.[node.id] === true ? { step: true } : {}),
    ...(attrs === '' ? {} : { attrs }),
    ...quantizerPart(node),
    ...kindPart(c, node),
    ...productPart(c, node),
    ...(node.location === undefined ? {} : { location: node.location }),
    ...tiesOf(c, node),
  }
}

const edgesOf = (c: Context, node: Node): readonly SceneEdge[] =>
  node.inputs.map((from, slot) => ({
    from: `${c.scope.prefix}${from}`,
    to: `${c.scope.prefix}${node.id}`,
    slot,
    flow: (c.flow[node.id] && isValueOperand(node, slot)) || (c.backFlow[node.id] && c.backFlow[from]),
    ...(c.steps?.[node.id] === true && isValueOperand(node, slot) ? { step: true } : {}),
  }))

const branchesOf = (c: Context, node: Node): readonly Parts[] => {
  const id = `${c.scope.prefix}${node.id}`
  return (node.branches ?? []).map((graph, i) => {
    const scope = branchScope(id, node, i)
    const place = { scope, boxes: c.boxes, ...sidePart(sideOf(c, node)), ...bodyPart(c, node, graph) }
    const inside = partsOf(graph, { ...place, roots: [], inputs: [] })
    return {
      ...inside,
      boxes: [
        {
          id: scope.box,
          label: scope.box.slice(id.length + 1),
          parent: id,
          kind: 'branch' as const,
          ...loopPart(node),
          ...(node.op === scanOp ? { states: statesOf(node, graph, scope.prefix) } : {}),
          ...sidePart(sideOf(c, node)),
        },
        ...inside.boxes,
      ],
    }
  })
}

const sideOf = (c: Context, node: Node): 'backward' | undefined => (node.backwardOf === undefined ? c.side : 'backward')
const sidePart = (side: 'backward' | undefined): Pick<SceneBox, 'side'> => (side === undefined ? {} : { side })

/** Of the body of a loop: how its inputs are divided, and what is on the way of its values. */
const bodyPart = (c: Context, node: Node, body: Graph): Pick<Context, 'loop' | 'steps'> => {
  const loop = bodyInputs(node)
  return loop === undefined ? {} : { loop, steps: bodyFlow(c.graph, node, body, c.steps ?? c.flow) }
}

/** Of a loop: its steps, and the states that go round. */
const loopPart = ({ op, attrs }: Node): Pick<SceneBox, 'loop'> =>
  op === scanOp
    ? { loop: { steps: Number(attrs.length), states: Number(attrs.carries), reverse: attrs.reverse === true } }
    : {}

const phaseBox = (node: SceneNode, of: Node): SceneBox => ({
  id: node.id,
  label: of.op === scanOp ? 'loop' : node.op,
  parent: node.box,
  kind: 'phase',
  ...loopPart(of),
  ...sidePart(node.side),
})

/** Where a graph stands in a program. */
export type Within = Pick<Context, 'scope' | 'boxes' | 'side' | 'loop' | 'steps'> & {
  /** Where its values end: none in a branch, which only computes scales. */
  readonly roots: readonly number[]
  readonly inputs: readonly ProgramInput[]
}

/** Describes a graph. */
export const partsOf = (graph: Graph, { roots, inputs, ...within }: Within): Parts => {
  const flow = flowOf(graph, roots)
  const c: Context = {
    graph,
    ...within,
    same: identities(graph),
    flow,
    backFlow: backwardFlowOf(graph, flow),
    inputs: new Map(inputs.map((i) => [i.node, i])),
    formulas: new Map(),
  }
  const own = graph.nodes.map((node) => describe(c, node))
  const inner = graph.nodes.flatMap((node) => branchesOf(c, node))
  return {
    nodes: [...own, ...inner.flatMap((p) => p.nodes)],
    edges: [...graph.nodes.flatMap((node) => edgesOf(c, node)), ...inner.flatMap((p) => p.edges)],
    boxes: [
      ...own.flatMap((n, i) => (graph.nodes[i].branches === undefined ? [] : [phaseBox(n, graph.nodes[i])])),
      ...inner.flatMap((p) => p.boxes),
    ],
  }
}
