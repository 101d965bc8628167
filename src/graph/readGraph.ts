/**
 * Nodes and graphs of stored programs. Every field is checked: ids must name earlier nodes, each call must fit the op's
 * record, each shape is derived again by the op's own rule, and what metadata claims must be possible.
 */
import { claimed, type Carried, type Grid, type NodeId } from '../data/quant.js'
import { sameShape, showShape, sizeOf, type Shape } from '../data/shape.js'
import type { Attrs } from './attributes.js'
import { claimProblem, latestNamed } from './claims.js'
import type { Graph, Node } from './graph.js'
import { confirmed, type TracedHow } from './confirm.js'
import { isRefusal, type Op, type OpTable } from './op.js'
import {
  DEEPEST,
  readAttrs,
  readFormat,
  readGroup,
  ZERO_POINTS,
  type Doubts,
  type Raw,
  type Read,
  type Readers,
} from './readers.js'
import { misuse, shapeOfCall, type Misuse } from './signature.js'
import { getOp, inputOp, phaseOp, scanOp, structuralOps } from './structural.js'

const readQuant = (r: Readers, x: unknown, where: string): Grid => {
  const q = r.record(x, where)
  const id = (key: string): NodeId => r.whole(q[key], `${where}.${key}`)
  const parts = {
    scale: id('scale'),
    zeroPoint: id('zeroPoint'),
    bitWidth: id('bitWidth'),
    bits: r.whole(q.bits, `${where}.bits`),
    signed: r.flag(q.signed, `${where}.signed`),
    training: r.flag(q.training, `${where}.training`),
  }
  const group = readGroup(r, q.group, `${where}.group`)
  if (q.format !== undefined) return { ...parts, format: readFormat(r, q.format, `${where}.format`), ...group }
  return {
    ...parts,
    zero: r.oneOf([...ZERO_POINTS, 'equalScales'])(q.zero, `${where}.zero`),
    lo: r.number(q.lo, `${where}.lo`),
    hi: r.number(q.hi, `${where}.hi`),
    slack: r.number(q.slack, `${where}.slack`),
    ...(q.learned === true ? { learned: true } : {}),
    ...group,
  }
}

const readCarried = (r: Readers, x: unknown, where: string): Carried => {
  if (x === undefined) return { tag: 'float' }
  const c = r.record(x, where)
  const tag = r.oneOf(['float', 'carries', 'claimed', 'stripped'])(c.tag, `${where}.tag`)
  if (tag === 'float') return { tag }
  if (tag === 'carries') return { tag, quant: readQuant(r, c.quant, `${where}.quant`) }
  const why = r.text(c.why, `${where}.why`)
  if (tag === 'stripped') return { tag, why }
  const quant = readQuant(r, c.quant, `${where}.quant`)
  return c.exact === undefined ? { tag, quant, why } : { tag, quant, why, exact: r.flag(c.exact, `${where}.exact`) }
}

/** What is wrong with a node, and where in it. */
type Fault = { readonly at: string; readonly message: string }
const fault = (message: string, at = ''): Fault => ({ at, message })
const isFault = (x: Shape | Fault): x is Fault => 'message' in x
const faultOf = (op: Op, { refuse, attribute }: Misuse): Fault =>
  fault(`${op.name}: ${refuse}`, attribute === undefined ? '' : `.attrs.${attribute}`)

/** The shape of one output of a phase. */
const outputShape = ([phase]: readonly Node[], attrs: Attrs): Shape | Fault => {
  const [graph] = phase.branches ?? []
  const out = graph?.outputs[Number(attrs.index)]
  if (graph === undefined || out === undefined)
    return fault('get has a phase or a scan as its only operand, and the index of one of its outputs')
  const own = graph.nodes[out].shape
  return phase.op === scanOp && Number(attrs.index) >= Number(phase.attrs.carries)
    ? [Number(phase.attrs.length), ...own]
    : own
}

/** The shape of a phase: that of its first output. Its branches must take its operands and agree in what they give. */
const phaseShape = ([counter, ...args]: readonly Node[], branches: readonly Graph[]): Shape | Fault => {
  const takes = (g: Graph): boolean =>
    g.inputs.length === args.length && g.inputs.every((id, i) => sameShape(g.nodes[id].shape, args[i].shape))
  const [collect, learned] = branches.map((g) => g.outputs.map((id) => g.nodes[id].shape))
  const agree =
    branches.length === 2 &&
    branches.every(takes) &&
    collect.length > 0 &&
    collect.length === learned.length &&
    collect.every((s, i) => sameShape(s, learned[i]))
  return agree && sizeOf(counter.shape) === 1
    ? collect[0]
    : fault('a phase has a counter, and two branches that take its operands and return the same shapes')
}

/** The shape of a loop: that of its first carry. Its body must take carries, slices and what is shared, and hand the carries back. */
const scanShape = (operands: readonly Node[], attrs: Attrs, branches: readonly Graph[]): Shape | Fault => {
  const [carries, xs, length] = [attrs.carries, attrs.xs, attrs.length].map(Number)
  const [body] = branches
  if (branches.length !== 1 || carries + xs > operands.length || body.outputs.length < carries)
    return fault(
      'a scan has a body that hands back as many carries as it has, and an operand for each carry and sequence',
    )
  const own = (i: number): Shape => (i >= carries && i < carries + xs ? operands[i].shape.slice(1) : operands[i].shape)
  const takes =
    body.inputs.length === operands.length &&
    body.inputs.every((id, i) => sameShape(body.nodes[id].shape, own(i))) &&
    operands.slice(carries, carries + xs).every((x) => x.shape[0] === length) &&
    body.outputs.slice(0, carries).every((id, i) => sameShape(body.nodes[id].shape, own(i)))
  return takes
    ? (operands[0]?.shape ?? [])
    : fault('the body of a scan takes other shapes than its operands have, or hands back others')
}

/** The shape that a structural node must have; `stored` stands where nothing can be derived. */
const structuralShape = ({ op, inputs, attrs, branches, shape }: Call): Shape | Fault => {
  const wrong = misuse(op, inputs.length, attrs)
  if (wrong !== null) return faultOf(op, wrong)
  if (op === getOp) return outputShape(inputs, attrs)
  if (op === scanOp) return scanShape(inputs, attrs, branches)
  return op === phaseOp ? phaseShape(inputs, branches) : shape
}

const isStructural = (op: Op): boolean => Object.values(structuralOps).some((s) => s === op)

/** A node as it is stored: its op, operands and attributes, and the shape that it is said to have. */
type Call = {
  readonly op: Op
  readonly inputs: readonly Node[]
  readonly attrs: Attrs
  readonly branches: readonly Graph[]
  readonly shape: Shape
}

/** The shape that a node must have, or what is wrong with it. Rules of users' ops may trust their callers: one that throws has refused. */
const derivedShape = (call: Call): Shape | Fault => {
  const { op, inputs, attrs } = call
  if (isStructural(op)) return structuralShape(call)
  try {
    const shape = shapeOfCall(
      op,
      inputs.map((n) => n.shape),
      attrs,
    )
    if (Array.isArray(shape)) return shape
    return isRefusal(shape) ? faultOf(op, shape) : fault(`${op.name} does not fit its operands`)
  } catch {
    return fault(`${op.name} does not fit its operands and attributes`)
  }
}

/** Everything that reading a graph needs besides its text. */
export type Reading = {
  readonly r: Readers
  readonly doubts: Doubts
  /** The ops that it may use, and how it was traced. */
  readonly how: TracedHow
}

/** How a node is tied to others by differentiation. */
const readTies = (r: Readers, raw: Raw, where: string): Pick<Node, 'backwardOf' | 'cotangent'> => ({
  ...(raw.backwardOf === undefined ? {} : { backwardOf: r.whole(raw.backwardOf, `${where}.backwardOf`) }),
  ...(raw.cotangent === undefined ? {} : { cotangent: r.whole(raw.cotangent, `${where}.cotangent`) }),
})

/** What is wrong with the operands of node `id`, whatever its op makes of them. */
const operandFault = (op: Op, operands: readonly Node[], id: NodeId): string | null => {
  const phase = op === getOp ? undefined : operands.find((n) => n.branches !== undefined)
  if (phase !== undefined) return `node ${phase.id} is a ${phase.op.name}, whose outputs only get can read`
  const early = operands.find((n) => latestNamed(n.carried) >= id)
  return early === undefined
    ? null
    : `the metadata of operand ${early.id} names node ${latestNamed(early.carried)}, which does not stand before its user`
}

/** What a node says of itself: all but what it is computed from. */
const readSaid = (r: Readers, raw: Raw, where: string): Pick<Node, 'shape' | 'carried' | 'path'> & Partial<Node> => ({
  shape: r.shape(raw.shape, `${where}.shape`),
  carried: readCarried(r, raw.carried, `${where}.carried`),
  path: raw.path === undefined ? '' : r.text(raw.path, `${where}.path`),
  ...(raw.location === undefined ? {} : { location: r.text(raw.location, `${where}.location`) }),
  ...readTies(r, raw, where),
})

/** The branches of a phase or a scan, `depth` phases deep; none of others, which must have none. */
const readBranches = (reading: Reading, op: Op, raw: Raw, where: string, depth: number): readonly Graph[] => {
  const { r, doubts } = reading
  if ((op === phaseOp || op === scanOp) !== (raw.branches !== undefined))
    r.doubt(where, 'a phase or a scan, and nothing else, has branches')
  if (depth > DEEPEST) r.doubt(where, 'phases are nested too deeply')
  if (doubts.length > 0 || raw.branches === undefined) return []
  return r.list((g, at) => readGraph(reading, g, at, depth + 1))(raw.branches, `${where}.branches`)
}

/** What is wrong with a node, whose parts were read, beside those before it: where, and why. */
const nodeFault = (node: Node, earlier: readonly Node[]): Fault | null => {
  const { op, inputs, attrs, branches = [], shape, id } = node
  const operands = inputs.map((i) => earlier[i])
  const wrong = operandFault(op, operands, id)
  if (wrong !== null) return { at: '.in', message: wrong }
  const derived = derivedShape({ op, inputs: operands, attrs, branches, shape })
  if (isFault(derived)) return derived
  return sameShape(derived, shape)
    ? null
    : { at: '.shape', message: `${op.name} gives ${showShape(derived)}, but ${showShape(shape)} is stored` }
}

const readNode = (
  reading: Reading,
  x: unknown,
  where: string,
  earlier: readonly Node[],
  depth: number,
): Node | null => {
  const { r, doubts, how } = reading
  const raw = r.record(x, where)
  const id = earlier.length
  const name = r.text(raw.op, `${where}.op`)
  const table: OpTable = Object.hasOwn(structuralOps, name) ? structuralOps : how.table
  const op = Object.hasOwn(table, name) ? table[name] : null
  if (op === null) return (r.doubt(`${where}.op`, `no op named ${JSON.stringify(name)} is in the op table`), null)
  const inputs = r.list(r.whole)(raw.in, `${where}.in`)
  if (inputs.some((i) => i >= id)) r.doubt(`${where}.in`, `node ${id} uses a node that does not stand before it`)
  const attrs = readAttrs(r, raw.attrs, `${where}.attrs`)
  const said = readSaid(r, raw, where)
  // What a body is given is not looked at when a program runs: nothing there is more than claimed.
  const carried =
    op === inputOp && depth > 0 && said.carried.tag === 'carries'
      ? claimed(said.carried.quant, 'a stored loop says what its carries carry, which nothing confirms')
      : said.carried
  const branches = readBranches(reading, op, raw, where, depth)
  if (doubts.length > 0) return null
  const node: Node = { id, op, inputs, attrs, ...said, carried, ...(branches.length > 0 ? { branches } : {}) }
  const fault = nodeFault(node, earlier)
  return fault === null ? node : (r.doubt(`${where}${fault.at}`, fault.message), null)
}

/** A graph, `depth` phases deep. Empty where anything is wrong. */
export const readGraph = (reading: Reading, x: unknown, where: string, depth: number): Graph => {
  const { r, doubts, how } = reading
  const raw = r.record(x, where)
  const nodes: Node[] = []
  r.list((n, at) => {
    const node = readNode(reading, n, at, nodes, depth)
    if (node !== null) nodes.push(node)
  })(raw.nodes, `${where}.nodes`)
  const id: Read<NodeId> = (n, at) => {
    const i = r.whole(n, at)
    if (i >= nodes.length) r.doubt(at, `there is no node ${i}`)
    return i
  }
  const inputs = r.list(id)(raw.inputs, `${where}.inputs`)
  const outputs = r.list(id)(raw.outputs, `${where}.outputs`)
  if (doubts.length > 0) return { nodes: [], inputs: [], outputs: [] }
  const count = nodes.reduce((n, { op }) => n + (op === inputOp ? 1 : 0), 0)
  if (inputs.length !== count || new Set(inputs).size !== count || inputs.some((i) => nodes[i].op !== inputOp))
    r.doubt(`${where}.inputs`, 'the inputs are not the input nodes, each once')
  const phase = outputs.find((o) => nodes[o].branches !== undefined)
  if (phase !== undefined)
    r.doubt(`${where}.outputs`, `node ${phase} is a ${nodes[phase].op.name}, whose outputs only get can read`)
  for (const node of nodes) {
    const { id: at, backwardOf = 0, cotangent = 0 } = node
    if (Math.max(backwardOf, cotangent) >= nodes.length)
      r.doubt(`${where}.nodes[${at}]`, 'backwardOf or cotangent names a node that is not there')
    const claim = claimProblem(nodes, node)
    if (claim !== null) r.doubt(`${where}.nodes[${at}].carried`, claim)
  }
  return doubts.length > 0 ? { nodes, inputs, outputs } : confirmed({ nodes, inputs, outputs }, how)
}
