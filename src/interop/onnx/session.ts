/** Nodes on their way into a model: names, errors, and what was said by other means than the program's. */
import type { NodeId } from '../../data/quant.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Graph, Node } from '../../graph/graph.js'
import { usersOf } from '../../graph/graph.js'
import type { Specialized } from '../../graph/specialize.js'
import { constOp, inputOp } from '../../graph/structural.js'
import type { ExportOptions } from './options.js'
import { nameOf } from './model.js'
import { biased, rules } from './ops/index.js'
import { computed, isUnsupported, type ExportError, type Exporting, type Remark } from './rule.js'
import { newWriter, type Name } from './writer.js'

/** A sum whose first operand is a product with nobody else, and whose second is a bias: both become one node. */
const biasesOf = (graph: Graph, tensor: (id: NodeId) => Tensor | undefined): ReadonlyMap<NodeId, Node> => {
  const users = usersOf(graph)
  const results = new Set(graph.outputs)
  const out = new Map<NodeId, Node>()
  for (const node of graph.nodes) {
    if (node.op.name !== 'add' && node.op.name !== 'addBias') continue
    const [product, bias] = node.inputs.map((id) => graph.nodes[id])
    if (biased[product.op.name] === undefined || users[product.id].length !== 1 || results.has(product.id)) continue
    const axis = product.op.name === 'linear' ? product.shape.length - 1 : 1
    const along =
      node.op.name === 'addBias'
        ? Number(node.attrs.axis) === axis
        : bias.shape.every((n, i) => n === 1 || i === axis - (product.shape.length - bias.shape.length))
    if (tensor(bias.id) !== undefined && sizeOf(bias.shape) === product.shape[axis] && along) out.set(product.id, node)
  }
  return out
}

const UNSAID = 'unsaid'

/** `rows`: the nodes whose first axis is an open batch. */
export type Session = {
  readonly x: Exporting
  readonly names: Map<NodeId, Name>
  readonly errors: ExportError[]
  readonly remarks: Remark[]
  readonly rows: ReadonlySet<NodeId>
}

/** A session before its first node. */
export const sessionOf = (fixed: Specialized, options: ExportOptions, rows: ReadonlySet<NodeId> | null): Session => {
  const { program, valueOf } = fixed
  const nodes = program.graph.nodes
  const users = usersOf(program.graph)
  const taken = [...program.inputs.filter((i) => i.kind === 'data'), ...program.outputs].map((e) =>
    nameOf(options, e.path, 'node' in e && 'part' in e ? 'input' : 'output'),
  )
  const w = newWriter(taken)
  const names = new Map<NodeId, Name>()
  const remarks: Remark[] = []
  const name = (id: NodeId): Name => {
    const known = names.get(id)
    if (known !== undefined) return known
    const t = valueOf(id)
    if (t === undefined) throw new Error(`internal: node ${id} has no name yet`)
    const made = w.floats(t, `${nodes[id].path === '' ? 'constant' : nodes[id].path}_${id}`)
    names.set(id, made)
    return made
  }
  const x: Exporting = {
    format: options.format ?? 'qcdq',
    opset: options.opset ?? 17,
    int4: options.int4 === true,
    openBatch: rows !== null,
    w,
    name,
    tensor: valueOf,
    node: (id) => nodes[id],
    shape: (id) => nodes[id].shape,
    users: (id) => users[id].map((u) => nodes[u]),
    remark: ({ path, op }, said) => void remarks.push({ path, op: op.name, ...said }),
    emit: (node, opType, inputs, attributes) =>
      w.node(opType, inputs, attributes, {
        path: node.path,
        hint: `${node.path === '' ? opType : node.path}_${node.id}`,
      }),
  }
  return { x, names, errors: [], remarks, rows: rows ?? new Set() }
}

const refusal = (node: Node, why: { readonly unsupported: string; readonly fix: string }): ExportError => ({
  tag: 'ExportError',
  op: node.op.name,
  path: node.path,
  message: `${node.op.name}: ${why.unsupported}`,
  fix: why.fix,
})

/** Writes one node, unless it is a constant or part of another. */
const write = (s: Session, node: Node, own: ExportOptions['rules'], sums: ReadonlyMap<NodeId, Node>): void => {
  if (node.op === inputOp || node.op === constOp || sums.has(node.id) || s.names.has(node.id)) return
  // What can't be said gets a name all the same, so that all that follows is tried too; the model is thrown away.
  s.names.set(node.id, UNSAID)
  const op = computed(node.op)
  const rule = own?.[node.op.name] ?? rules[op]
  if (rule === undefined || typeof rule !== 'function') {
    s.errors.push(
      refusal(
        node,
        rule ?? { unsupported: 'no rule says it in ONNX', fix: `give one: rules: { ${node.op.name}: (x, node) => … }` },
      ),
    )
    return
  }
  const made = rule(s.x, node)
  if (isUnsupported(made)) s.errors.push(refusal(node, made))
  else s.names.set(node.id, made)
}

/** A bias as the vector that Conv and Gemm take: known numbers, or a quantizer's result. */
const biasName = (s: Session, bias: Node, channels: number): Name => {
  const known = s.x.tensor(bias.id)
  if (known === undefined || s.names.has(bias.id)) return s.x.name(bias.id)
  return s.x.w.floats({ shape: [channels], data: known.data }, `${bias.path === '' ? 'bias' : bias.path}_bias`)
}

/** Writes all nodes that a result needs. */
export const writeAll = (s: Session, graph: Graph, own: ExportOptions['rules']): void => {
  const sums = biasesOf(graph, s.x.tensor)
  const bySum = new Map([...sums].map(([product, sum]) => [sum.id, graph.nodes[product]] as const))
  const needed = neededBy(graph)
  for (const node of graph.nodes) {
    if (needed[node.id] === 0) continue
    const product = bySum.get(node.id)
    const rule = product === undefined ? undefined : biased[product.op.name]
    if (product === undefined || rule === undefined) {
      write(s, node, own, sums)
      continue
    }
    const bias = graph.nodes[node.inputs[1]]
    s.names.set(node.id, rule(s.x, product, biasName(s, bias, sizeOf(bias.shape)), node))
  }
}

/** Which nodes a result needs; metadata that nothing computes with is not written. */
const neededBy = (graph: Graph): Uint8Array => {
  const needed = new Uint8Array(graph.nodes.length)
  for (const id of graph.outputs) needed[id] = 1
  for (let i = graph.nodes.length - 1; i >= 0; i--)
    if (needed[i] === 1) for (const id of graph.nodes[i].inputs) needed[id] = 1
  return needed
}
