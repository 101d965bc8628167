/** A graph under construction as its kit's functions share it: nodes in local arrays, and how one is appended. */
import type { Dtype } from '../data/dtype.js'
import { float, type Carried, type NodeId } from '../data/quant.js'
import type { QuantError } from '../data/error.js'
import type { Shape } from '../data/shape.js'
import type { Alike } from './alike.js'
import type { Builder, BuilderOptions } from './building.js'
import { callSite } from './callSite.js'
import type { Node } from './graph.js'
import type { Attrs, Op, Refusal, Value } from './op.js'
import { attrsKey } from './attributes.js'
import { constantAttrs, constantOf, constOp, inputOp } from './structural.js'

/** Ids of one level of loops. */
export const LEVEL = 2 ** 24

/** What a call without attributes has. */
export const NO_ATTRS: Attrs = {}
const INVALID = -1

/** What the functions of one kit share. Nobody else sees it, and it ends with the graph. */
export type GraphDraft = {
  readonly options: BuilderOptions
  /** The first id. */
  readonly base: number
  readonly nodes: Node[]
  /** Nodes by what they compute (hash-consing), and the keys in order. */
  readonly keys: Map<string, NodeId>
  readonly keyList: string[]
  readonly inputs: NodeId[]
  readonly errors: QuantError[]
  readonly opsByName: Map<string, Op>
  /** Nodes whose numbers are known to be whole, or 0 and 1. */
  readonly dtypes: Map<NodeId, Dtype>
  /** Captures by the id of what they capture, and the other way round; null until there is one. */
  captures: Map<NodeId, NodeId> | null
  origins: Map<NodeId, Value> | null
  path: string
  /** The body of a loop that is being traced. */
  inner: Builder | null
  backwardOf: NodeId | null
  /** Nodes that a rule of metadata emits compute metadata; they carry none, and lose none. */
  ruling: boolean
  /** Most traces never ask: made at the first question. */
  alike: Alike | null
  /** The kit of failed values, which says nothing more; made at the first failure, since most traces have none. */
  silent: Builder | null
  /** Set at once by whoever makes the draft. */
  kit: Builder
}

/** Is this the value of an op that failed? Such values are passed on silently. */
export const isInvalid = (v: Value): boolean => v.id === INVALID

/** A node by its id. */
export const nodeAt = (d: GraphDraft, id: NodeId): Node => d.nodes[id - d.base]

const dtypeOf = (d: GraphDraft, op: Op, ids: readonly NodeId[], attrs: Attrs): Dtype => {
  if (op === inputOp) return attrs.dtype === 'integer' || attrs.dtype === 'boolean' ? attrs.dtype : 'float'
  if (op.dtype !== 'same') return op.dtype ?? 'float'
  const first = d.dtypes.size === 0 ? undefined : d.dtypes.get(ids[0])
  if (first === undefined) return 'float'
  for (let i = 1; i < ids.length; i++) if (d.dtypes.get(ids[i]) !== first) return 'float'
  return first
}

/** A node as a value. */
export const valueOf = (d: GraphDraft, node: Node): Value => ({
  id: node.id,
  shape: node.shape,
  carried: node.carried,
  dtype: d.dtypes.size === 0 ? 'float' : (d.dtypes.get(node.id) ?? 'float'),
  kit: d.kit,
})

/** What a node computes, without where it stands and what it carries. */
export type Call = { readonly op: Op; readonly ids: readonly NodeId[]; readonly attrs: Attrs; readonly shape: Shape }

const withRest = (d: GraphDraft, node: Node, branches: Node['branches']): Node => ({
  ...node,
  ...(branches === undefined ? {} : { branches }),
  ...(d.options.locations === true ? { location: callSite() } : {}),
})

/** Appends a node; `key` tells what it computes, null where each is one of its own. */
export const append = (
  d: GraphDraft,
  key: string | null,
  { op, ids, attrs, shape }: Call,
  carried: Carried = float,
  branches?: Node['branches'],
): Value => {
  const { path, backwardOf } = d
  const id = d.base + d.nodes.length
  const node: Node =
    backwardOf === null
      ? { id, op, inputs: ids, attrs, shape, carried, path }
      : { id, op, inputs: ids, attrs, shape, carried, path, backwardOf }
  // Most nodes have none of the rest, and traces make many.
  d.nodes.push(branches === undefined && d.options.locations !== true ? node : withRest(d, node, branches))
  const dtype = op.dtype === undefined && op !== inputOp ? 'float' : dtypeOf(d, op, ids, attrs)
  if (dtype !== 'float') d.dtypes.set(id, dtype)
  if (key !== null) {
    d.keys.set(key, id)
    d.keyList.push(key)
  }
  return { id, shape, carried, dtype, kit: d.kit }
}

const constantKey = (d: GraphDraft, value: number, shape: Shape): string =>
  `${d.path}|const|${Object.is(value, -0) ? '-0' : value}|${shape.join()}`

/** What tells a call from all others of the layer that is being traced. */
export const keyOf = (d: GraphDraft, { op, ids, attrs, shape }: Call): string =>
  op === constOp
    ? constantKey(d, constantOf(attrs), shape)
    : `${d.path}|${op.name}|${ids.join()}|${attrs === NO_ATTRS ? '' : attrsKey(attrs)}`

/** A constant, filled into a shape. */
export const constant = (d: GraphDraft, value: number, shape: Shape = []): Value => {
  const rounded = Math.fround(value)
  const key = constantKey(d, rounded, shape)
  const known = d.keys.get(key)
  return known === undefined
    ? append(d, key, { op: constOp, ids: [], attrs: constantAttrs(rounded), shape })
    : valueOf(d, nodeAt(d, known))
}

/** How an input is told. */
export type Input = { readonly kind: string; readonly name: string; readonly shape: Shape; readonly dtype: Dtype }

/** Appends an input. */
export const input = (d: GraphDraft, { kind, name, shape, dtype }: Input, carried: Carried = float): Value => {
  const attrs: Attrs = { kind, name, ...(dtype === 'float' ? {} : { dtype }) }
  const v = append(d, null, { op: inputOp, ids: [], attrs, shape }, carried)
  d.inputs.push(v.id)
  return v
}

/** Changes what a value carries. */
export const declare = (d: GraphDraft, value: Value, carried: Carried): Value => {
  const node = { ...nodeAt(d, value.id), carried }
  d.nodes[value.id - d.base] = node
  return valueOf(d, node)
}

/** What follows from a failed value is no error of its own: its kit records none. */
export const invalid = (d: GraphDraft): Value => ({
  id: INVALID,
  shape: [],
  carried: float,
  dtype: 'float',
  kit: (d.silent ??= { ...d.kit, fail: () => invalid(d), failWith: () => invalid(d) }),
})

/** Records an error. */
export const failWith = (d: GraphDraft, error: QuantError): Value => {
  d.errors.push(error)
  return invalid(d)
}

/** Records a refusal. */
export const fail = (d: GraphDraft, e: Refusal & { readonly op: string }): Value => {
  const common = { path: d.path, message: `${e.op}: ${e.refuse}`, fix: e.fix }
  if (e.tag === 'MetadataError') return failWith(d, { tag: 'MetadataError', op: e.op, ...common })
  if (e.tag === 'ConfigError') return failWith(d, { tag: 'ConfigError', option: e.op, ...common })
  return failWith(d, { tag: 'ShapeError', op: e.op, ...common })
}
