/** What a generated forward knows while it is written: which value has which name, and how others are computed. */
import { quantOf, type NodeId } from '../../../data/quant.js'
import type { QuantError } from '../../../data/error.js'
import { sameShape } from '../../../data/shape.js'
import type { Attr } from '../../../graph/attributes.js'
import type { Node } from '../../../graph/graph.js'
import type { Program } from '../../../graph/program.js'
import { constOp } from '../../../graph/structural.js'
import { glue, type Glued } from './glue.js'
import { numberLiteral, snake, submodule, tupleLiteral, variable } from './python.js'
import type { Import } from './quantizers.js'
import type { Frame } from './record.js'

/** The program that is read, and the same network traced for another number of samples, node by node alike; null where there is none. */
export type Read = { readonly program: Program; readonly other: Program | null }

/** A forward under construction. */
export type Scope = {
  readonly frame: Frame
  readonly read: Read
  /** Names that are taken. */
  readonly taken: Set<string>
  /** Values that have a name, or an expression that costs nothing. */
  readonly known: Map<NodeId, string>
  /** Scales, zero points and widths of values that have a name. */
  readonly fields: Map<NodeId, string>
  /** Of which value of this forward's own each scale and zero point is. */
  readonly owners: ReadonlyMap<NodeId, NodeId>
  readonly working: Set<NodeId>
  readonly params: ReadonlyMap<NodeId, string>
  readonly lines: string[]
  readonly imports: Import[]
  readonly refusals: QuantError[]
}

/** Is the node of this forward, not of a layer in it? */
const isOwn = (frame: Frame, { path }: Node): boolean => {
  if (path === frame.path) return true
  if (frame.path !== '' && !path.startsWith(`${frame.path}.`)) return false
  const [first] = path.slice(frame.path === '' ? 0 : frame.path.length + 1).split('.')
  return !Object.hasOwn(frame.layer?.source?.within ?? {}, first)
}

const ownersIn = (frame: Frame, nodes: readonly Node[]): ReadonlyMap<NodeId, NodeId> => {
  const owners = new Map<NodeId, NodeId>()
  for (const node of nodes) {
    const q = isOwn(frame, node) ? quantOf(node.carried) : null
    if (q !== null) for (const id of [q.scale, q.zeroPoint]) if (!owners.has(id)) owners.set(id, node.id)
  }
  return owners
}

/** A forward of which nothing is written. */
export const newScope = (frame: Frame, read: Read, args: readonly string[]): Scope => ({
  frame,
  read,
  taken: new Set(['self', ...args]),
  known: new Map(),
  fields: new Map(),
  owners: ownersIn(frame, read.program.graph.nodes),
  working: new Set(),
  params: new Map(read.program.inputs.filter((i) => i.kind === 'param').map((i) => [i.node, i.path] as const)),
  lines: [],
  imports: [],
  refusals: [],
})

const nodeOf = (s: Scope, id: NodeId): Node => s.read.program.graph.nodes[id]

/** Gives a value a name, and its scale, zero point and width theirs. */
export const bind = (s: Scope, id: NodeId, code: string): void => {
  s.known.set(id, code)
  const q = quantOf(nodeOf(s, id).carried)
  if (q === null) return
  for (const [name, field] of [
    ['scale', q.scale],
    ['zero_point', q.zeroPoint],
    ['bit_width', q.bitWidth],
  ] as const)
    if (!s.fields.has(field)) s.fields.set(field, `${code}.${name}`)
}

/** A name that is free from now on given away. */
export const newName = (s: Scope, asked: string): string => {
  const name = variable(asked, s.taken)
  s.taken.add(name)
  return name
}

const refuse = (s: Scope, { op, path }: Node, why: string, fix: string): string => {
  s.refusals.push({
    tag: 'ExportError',
    op: op.name,
    path,
    message: `${op.name} can't be written for Brevitas: ${why}`,
    fix,
  })
  return 'None'
}

/** Primitives that Python has operators for. */
const OPERATORS: readonly string[] = ['add', 'sub', 'mul', 'div', 'pow']

/** A number where an operator takes one beside a tensor; else a tensor of its shape. */
const constant = (s: Scope, node: Node, user: Node | null): string => {
  const code = numberLiteral(Number(node.attrs.value), true)
  const beside = user?.inputs.map((id) => nodeOf(s, id)).find((n) => n.op !== constOp)
  const fits = beside !== undefined && (node.shape.length === 0 || sameShape(beside.shape, node.shape))
  if (user !== null && OPERATORS.includes(user.op.name) && fits) return code.startsWith('-') ? `(${code})` : code
  if (node.shape.length === 0) return `torch.tensor(${code})`
  const other = s.read.other?.graph.nodes[node.id]
  return other === undefined || sameShape(other.shape, node.shape)
    ? `torch.full(${tupleLiteral(node.shape.map(String))}, ${code})`
    : refuse(s, node, 'a constant has as many rows as there are samples', 'give it a shape that broadcasts')
}

/** `self.fc.weight`: a parameter that the forward itself takes. */
const parameter = (s: Scope, path: string): string => {
  const parts = path.split('.').slice(s.frame.path === '' ? 0 : s.frame.path.split('.').length)
  const home = parts.slice(0, -1).reduce((code, name) => submodule(name).replace(/^self/, code), 'self')
  return `${home}.${snake(parts[parts.length - 1])}`
}

/** Sizes of which the one that follows the number of samples is -1; null where several do. */
const open = (a: Attr | undefined, b: Attr | undefined): readonly number[] | null => {
  if (!Array.isArray(a)) return null
  const sizes = a.map((n: Attr, i: number) => (Array.isArray(b) && b[i] !== n ? -1 : Number(n)))
  return sizes.filter((n) => n === -1).length > 1 ? null : sizes
}

const sameAttrs = (a: Node, b: Node | undefined): boolean =>
  b === undefined || JSON.stringify(a.attrs) === JSON.stringify(b.attrs)

/** The expression of a primitive of this forward's own, or the refusal. */
const said = (s: Scope, node: Node): Glued => {
  const rule = glue[node.op.name]
  if (rule === undefined)
    return {
      no: 'there is nothing like it in torch or Brevitas',
      fix: 'make it of the functions of quantrace, or leave the network here',
    }
  const other = s.read.other?.graph.nodes[node.id]
  const isSized = node.op.name === 'reshape' || node.op.name === 'broadcastTo'
  if (!isSized && !sameAttrs(node, other))
    return {
      no: 'what it does depends on the number of samples',
      fix: 'write it so that any batch goes through',
    }
  return rule({
    node,
    inputs: node.inputs.map((id) => nodeOf(s, id)),
    sizes: (key) => open(node.attrs[key], other?.attrs[key]),
    arg: (i) => resolve(s, node.inputs[i], node),
    use: (...wanted) => void s.imports.push(wanted),
  })
}

const written = (s: Scope, node: Node): string => {
  const found = said(s, node)
  if (typeof found === 'object' && 'no' in found) return refuse(s, node, found.no, found.fix)
  if (typeof found === 'object') {
    bind(s, node.id, found.same)
    return found.same
  }
  const name = newName(s, snake(node.op.name.replace(/~.*/, '')))
  s.lines.push(`${name} = ${found}`)
  bind(s, node.id, name)
  return name
}

/** A scale, zero point or width by the value that it is of. */
const fieldOf = (s: Scope, id: NodeId): string | undefined => {
  const owner = s.owners.get(id)
  if (!s.fields.has(id) && owner !== undefined && owner !== id && !s.working.has(owner)) resolve(s, owner, null)
  return s.fields.get(id)
}

/** The expression of a value; what it needs is written first. `user` is the node that takes it. */
export const resolve = (s: Scope, id: NodeId, user: Node | null): string => {
  const node = nodeOf(s, id)
  const direct = s.known.get(id)
  if (direct !== undefined) return direct
  if (node.op === constOp) return constant(s, node, user)
  const param = s.params.get(id)
  if (param !== undefined) return parameter(s, param)
  const field = fieldOf(s, id)
  if (field !== undefined) return field
  if (!isOwn(s.frame, node))
    return refuse(s, node, 'a forward uses what lies inside another layer', 'use only what layers return')
  s.working.add(id)
  const code = written(s, node)
  s.working.delete(id)
  return code
}
