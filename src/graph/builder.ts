/**
 * Builds a graph, node by node, into local arrays; `finish` freezes it. Equal nodes of one layer are emitted once
 * (hash-consing), which makes "the same scale" an equality of ids.
 */
import { freeze } from 'immer'
import type { Dtype } from '../data/dtype.js'
import {
  float,
  gridOf,
  isFloatGrid,
  isInteger,
  isPlainInteger,
  stripped,
  type Carried,
  type Grid,
  type NodeId,
} from '../data/quant.js'
import { failure, isFailure, type QuantError, type QuantErrors, type QuantFailure } from '../data/error.js'
import { isShape, nearestName, showGiven } from '../data/fields.js'
import type { Shape } from '../data/shape.js'
import { sameShape, showShape } from '../data/shape.js'
import { newAlike } from './alike.js'
import type { Graph, Node } from './graph.js'
import type { Attrs, Kit, Op, OpTable, PhaseSpec, Refusal, Value } from './op.js'
import { isRefusal, sameOp } from './op.js'
import { attrsKey } from './attributes.js'
import { misuse } from './signature.js'
import { constOp, constantAttrs, getOp, inputOp, phaseOp } from './structural.js'

/** How a graph is built. */
export type BuilderOptions = {
  readonly table: OpTable
  readonly mode: 'train' | 'eval'
  /** Paths that are traced as in `eval`, whatever the mode. */
  readonly frozen?: (path: string) => boolean
  readonly strict?: boolean
  /** Record the source location of every call (costly: a stack trace per node). */
  readonly locations?: boolean
  /** Compute metadata (off in backward passes, whose values never carry any). */
  readonly metadata?: boolean
}

/** A graph under construction. */
export type Builder = Kit & {
  readonly errors: QuantError[]
  input(kind: string, name: string, shape: Shape, carried?: Carried, dtype?: Dtype): Value
  /** Changes what a value carries; for inputs that are declared as quant tensors. */
  declare(value: Value, carried: Carried): Value
  /** Appends a node that is already there in another graph, ids mapped; used by graph passes. */
  copy(node: Node, inputs: readonly Value[]): Value
  /** Runs `body`; the nodes that it appends are said to be the backward pass of node `of`. */
  differentiating<A>(of: NodeId, body: () => A): A
  /** Says how a node is tied to others by differentiation. */
  tie(id: NodeId, ties: Pick<Node, 'backwardOf' | 'cotangent'>): void
  finish(outputs: readonly Value[]): Graph
  /** Identifies the content built so far; equal for equal sub-graphs. */
  fingerprint(): string
}

const NO_ATTRS: Attrs = {}
const INVALID = -1

const isObject = (x: unknown): x is object => typeof x === 'object' && x !== null
const hint = (near: string | undefined): string => (near === undefined ? '' : ` (${near}?)`)

/** The first metadata among operands that a rule which knows these kinds does not know. */
const oddGrid = (args: readonly Value[], known: Op['grids']): Grid | null => {
  if (known === 'all') return null
  const isKnown = known === 'learned' ? isInteger : isPlainInteger
  return args.map((a) => gridOf(a.carried)).find((g) => g !== null && !isKnown(g)) ?? null
}

/** What becomes of it where an op's rule knows plain integers only, as in Brevitas. */
const lostGrid = (op: Op, g: Grid): Carried =>
  stripped(
    g.group !== undefined
      ? `${op.name} of a tensor with scales of groups gives a plain tensor; quantize the result again`
      : isFloatGrid(g)
        ? `${op.name} of minifloats leaves their grid and gives a plain tensor; quantize the result again`
        : `the bit width of an operand of ${op.name} is learned, so that nothing is known of the result's`,
  )

/** Is this the value of an op that failed? Such values are passed on silently. */
export const isInvalid = (v: Value): boolean => v.id === INVALID

/** `file:line:column` of the first caller outside the library's own code, from a stack trace. */
export const callSite = (): string => {
  const lines = (new Error().stack ?? '').split('\n').slice(2)
  const outside =
    lines.find((l) => !/[\\/](src|dist[\\/]src)[\\/](graph|ops|nn|quantizers|autodiff|data)[\\/]/.test(l)) ??
    lines[lines.length - 1] ??
    ''
  return outside.trim().replace(/^at /, '')
}

/** A failure whose errors say where they were thrown, unless they know better. */
const located = (errors: QuantErrors, path: string): QuantFailure =>
  failure(errors.map((e) => (e.path === '' ? { ...e, path } : e)))

/** Freezes what a node owns. Its op, attributes and metadata are mostly shared and frozen already, which `freeze` sees at once. */
const freezeNode = (node: Node): Node => {
  freeze(node.op, true)
  freeze(node.attrs, true)
  freeze(node.carried, true)
  Object.freeze(node.inputs)
  Object.freeze(node.shape)
  if (node.branches !== undefined) freeze(node.branches, true)
  return Object.freeze(node)
}

/** The graph as one deeply frozen value: collected in local arrays and entered at once (an immer draft per node would be quadratic). */
const freezeGraph = (graph: Graph): Graph =>
  Object.freeze<Graph>({
    nodes: Object.freeze(graph.nodes.map(freezeNode)),
    inputs: Object.freeze([...graph.inputs]),
    outputs: Object.freeze(graph.outputs),
  })

/** Starts an empty graph. */
export const newBuilder = (options: BuilderOptions): Builder => {
  const { table, frozen, strict = false, locations = false, metadata = true } = options
  const nodes: Node[] = []
  const keys = new Map<string, NodeId>()
  const inputs: NodeId[] = []
  const errors: QuantError[] = []
  const keyList: string[] = []
  const opsByName = new Map<string, Op>()
  const alike = newAlike(nodes)
  let path = ''
  let backwardOf: NodeId | null = null

  /** Nodes whose numbers are known to be whole, or 0 and 1. */
  const dtypes = new Map<NodeId, Dtype>()
  const dtypeOf = (op: Op, ids: readonly NodeId[], attrs: Attrs): Dtype => {
    if (op === inputOp) return attrs.dtype === 'integer' || attrs.dtype === 'boolean' ? attrs.dtype : 'float'
    if (op.dtype !== 'same') return op.dtype ?? 'float'
    const [first = 'float', ...others] = ids.map((id) => dtypes.get(id) ?? 'float')
    return others.every((d) => d === first) ? first : 'float'
  }

  const valueOf = (node: Node): Value => ({
    id: node.id,
    shape: node.shape,
    carried: node.carried,
    dtype: dtypes.get(node.id) ?? 'float',
    kit,
  })

  const append = (
    key: string | null,
    op: Op,
    ids: readonly NodeId[],
    attrs: Attrs,
    shape: Shape,
    carried: Carried,
    branches?: readonly [Graph, Graph],
  ): Value => {
    const node: Node = {
      id: nodes.length,
      op,
      inputs: ids,
      attrs,
      shape,
      carried,
      path,
      ...(branches === undefined ? {} : { branches }),
      ...(locations ? { location: callSite() } : {}),
      ...(backwardOf === null ? {} : { backwardOf }),
    }
    nodes.push(node)
    const dtype = dtypeOf(op, ids, attrs)
    if (dtype !== 'float') dtypes.set(node.id, dtype)
    if (key !== null) {
      keys.set(key, node.id)
      keyList.push(key)
    }
    return valueOf(node)
  }

  const keyOf = (op: Op, ids: readonly NodeId[], attrs: Attrs, shape: Shape): string =>
    `${path}|${op.name}|${ids.join()}|${attrs === NO_ATTRS ? '' : attrsKey(attrs)}|${op === constOp ? showShape(shape) : ''}`

  /** What follows from a failed value is no error of its own: its kit records none. */
  let silent: Builder | null = null
  /** The kit of failed values, which says nothing more; made at the first failure, since most traces have none. */
  const muted = (): Builder => (silent ??= { ...kit, fail: invalid, failWith: invalid })
  const invalid = (): Value => ({ id: INVALID, shape: [], carried: float, dtype: 'float', kit: muted() })

  const failWith = (error: QuantError): Value => {
    errors.push(error)
    return invalid()
  }

  const fail = (e: Refusal & { readonly op: string }): Value => {
    const common = { path, message: `${e.op}: ${e.refuse}`, fix: e.fix }
    return failWith(
      e.tag === 'MetadataError'
        ? { tag: 'MetadataError', op: e.op, ...common }
        : e.tag === 'ConfigError'
          ? { tag: 'ConfigError', option: e.op, ...common }
          : { tag: 'ShapeError', op: e.op, ...common },
    )
  }

  // Nodes that a rule of metadata emits compute metadata; they carry none, and lose none.
  let ruling = false
  const ruled = (rule: () => Carried): Carried => {
    ruling = true
    try {
      return rule()
    } finally {
      ruling = false
    }
  }

  /** A rule of an op of anyone's making has answered with what is no answer. */
  const oddRule = (op: Op, rule: string, said: unknown): Value =>
    failWith({
      tag: 'ConfigError',
      option: op.name,
      path,
      message: `the ${rule} rule of ${op.name} returned ${showGiven(said)}`,
      fix:
        rule === 'shape'
          ? 'return a list of whole numbers, or refuse(why, fix)'
          : "return strips('why')(), or the metadata that the result carries",
    })

  const carriedOf = (op: Op, args: readonly Value[], attrs: Attrs, shape: Shape): Carried => {
    if (!metadata || ruling || (op.births !== true && args.every((a) => gridOf(a.carried) === null))) return float
    const odd = op.births === true ? null : oddGrid(args, op.grids)
    if (odd !== null) return lostGrid(op, odd)
    const said = ruled(() => op.carry(args, attrs, kit, shape))
    if (!isObject(said) || !('tag' in said)) {
      oddRule(op, 'carry', said)
      return float
    }
    const carried =
      said.tag === 'float' ? stripped(`${op.name} does not say what becomes of its operand's metadata`) : said
    return strict && carried.tag === 'claimed' ? stripped(`strict: ${carried.why}`) : carried
  }

  const apply = (asked: Op, given: readonly Value[], attrs: Attrs = NO_ATTRS): Value => {
    if (given.some(isInvalid)) return invalid()
    const foreign = given.find((a) => a.kit !== kit)
    if (foreign !== undefined)
      return failWith({
        tag: 'InputError',
        input: asked.name,
        path,
        message: `${asked.name} was given a value of another trace`,
        fix: 'use only values that this trace handed to you; pass others as inputs',
      })
    const op = opsByName.get(asked.name) ?? (Object.hasOwn(table, asked.name) ? table[asked.name] : asked)
    if (!sameOp(op, asked))
      return failWith({
        tag: 'ConfigError',
        option: op.name,
        path,
        message: `two different ops are named ${op.name}: prints, stored programs and the sharing of equal nodes tell ops apart by their names`,
        fix: 'make the op once, outside the traced function, or give each a name of its own',
      })
    opsByName.set(op.name, op)
    const bad = misuse(op, given.length, attrs)
    if (bad !== null) return fail({ ...bad, op: op.name })
    const args =
      metadata && op.guard !== undefined && given.some((a) => gridOf(a.carried) !== null)
        ? op.guard(given, attrs, kit)
        : given
    if (isRefusal(args)) return fail({ ...args, op: op.name })
    if (args.some(isInvalid)) return invalid()
    const shape = op.shape(
      args.map((a) => a.shape),
      attrs,
    )
    if (!isShape(shape))
      return isObject(shape) && isRefusal(shape) ? fail({ ...shape, op: op.name }) : oddRule(op, 'shape', shape)
    const ids = args.map((a) => a.id)
    const key = keyOf(op, ids, attrs, shape)
    const known = keys.get(key)
    if (known !== undefined) return valueOf(nodes[known])
    return append(key, op, ids, attrs, shape, carriedOf(op, args, attrs, shape))
  }

  const emit = (name: string, args: readonly Value[], ...given: readonly (Attrs | undefined)[]): Value => {
    const op = Object.hasOwn(table, name) ? table[name] : undefined
    if (op === undefined)
      return failWith({
        tag: 'ConfigError',
        option: 'op',
        path,
        message: `there is no op named ${showGiven(name)}`,
        fix: `name one of the table${hint(nearestName(String(name), Object.keys(table)))}, or apply an op of your own`,
      })
    return apply(op, args, given[0])
  }

  const constant = (value: number, shape: Shape = []): Value => {
    const attrs = constantAttrs(Math.fround(value))
    const key = keyOf(constOp, [], attrs, shape)
    const known = keys.get(key)
    return known !== undefined ? valueOf(nodes[known]) : append(key, constOp, [], attrs, shape, float)
  }

  const phase = (spec: PhaseSpec): readonly Value[] => {
    const branch = (
      body: PhaseSpec['collect'],
    ): { readonly graph: Graph; readonly key: string; readonly outs: readonly Value[] } => {
      const child = newBuilder({ ...options, locations: false })
      const outs = child.scoped(path, () =>
        body(
          spec.args.map((a, i) => child.input('branch', String(i), a.shape)),
          child,
        ),
      )
      errors.push(...child.errors)
      return { graph: child.finish(outs), key: `${child.fingerprint()}>${outs.map((o) => o.id).join()}`, outs }
    }
    if ([spec.counter, ...spec.args].some(isInvalid)) return [invalid(), invalid(), invalid(), invalid()]
    const collect = branch(spec.collect)
    const learned = branch(spec.learned)
    if (collect.outs.some(isInvalid) || learned.outs.some(isInvalid)) return collect.outs.map(invalid)
    const odd = collect.outs.findIndex(
      (o, i) => learned.outs[i] === undefined || !sameShape(o.shape, learned.outs[i].shape),
    )
    if (odd >= 0 || collect.outs.length !== learned.outs.length)
      return collect.outs.map(() =>
        fail({
          op: 'phase',
          refuse: `the branches differ in output ${odd}`,
          fix: 'return values of the same shapes from both branches',
        }),
      )
    const ids = [spec.counter.id, ...spec.args.map((a) => a.id)]
    const attrs: Attrs = { limit: spec.limit, warnSteps: spec.warnSteps }
    const key = `${keyOf(phaseOp, ids, attrs, [])}{${collect.key}}{${learned.key}}`
    const known = keys.get(key)
    const node =
      known ?? append(key, phaseOp, ids, attrs, collect.outs[0].shape, float, [collect.graph, learned.graph]).id
    return collect.outs.map((o, index) => {
      const getKey = keyOf(getOp, [node], { index }, o.shape)
      const got = keys.get(getKey)
      return got !== undefined ? valueOf(nodes[got]) : append(getKey, getOp, [node], { index }, o.shape, float)
    })
  }

  const scoped = <A>(name: string, body: () => A): A => {
    const outer = path
    path = outer === '' ? name : name === '' ? outer : `${outer}.${name}`
    try {
      return body()
    } catch (e) {
      throw isFailure(e) ? located(e.errors, path) : e
    } finally {
      path = outer
    }
  }

  const kit: Builder = {
    get mode() {
      return frozen?.(path) === true ? 'eval' : options.mode
    },
    strict,
    errors,
    emit,
    apply,
    constant,
    fail,
    failWith,
    scoped,
    phase,
    value: (id) => valueOf(nodes[id]),
    path: () => path,
    same: alike.same,
    whereIs: alike.whereIs,
    whyPlain: (v) => (isInvalid(v) ? 'it failed' : alike.whyPlain(v.id)),
    input: (kind, name, shape, carried = float, dtype = 'float') => {
      const attrs: Attrs = { kind, name, ...(dtype === 'float' ? {} : { dtype }) }
      const v = append(null, inputOp, [], attrs, shape, carried)
      inputs.push(v.id)
      return v
    },
    declare: (value, carried) => {
      nodes[value.id] = { ...nodes[value.id], carried }
      return valueOf(nodes[value.id])
    },
    copy: (node, args) => {
      const outer = path
      path = node.path
      const ids = args.map((a) => a.id)
      const key =
        node.op === inputOp || node.branches !== undefined ? null : keyOf(node.op, ids, node.attrs, node.shape)
      const v = append(key, node.op, ids, node.attrs, node.shape, node.carried, node.branches)
      path = outer
      if (node.op === inputOp) inputs.push(v.id)
      return v
    },
    differentiating: (of, body) => {
      const outer = backwardOf
      backwardOf = of
      try {
        return body()
      } finally {
        backwardOf = outer
      }
    },
    tie: (id, { backwardOf: of, cotangent }) => {
      if (nodes[id] !== undefined)
        nodes[id] = {
          ...nodes[id],
          ...(of === undefined ? {} : { backwardOf: of }),
          ...(cotangent === undefined ? {} : { cotangent }),
        }
    },
    finish: (outputs) => freezeGraph({ nodes, inputs, outputs: outputs.map((o) => o.id) }),
    fingerprint: () => keyList.join(';'),
  }
  return kit
}
