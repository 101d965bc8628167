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
  quantOf,
} from '../data/quant.js'
import { failure, isFailure, type QuantError, type QuantErrors, type QuantFailure } from '../data/error.js'
import { isShape, nearestName, showGiven } from '../data/fields.js'
import type { Shape } from '../data/shape.js'
import { sameShape } from '../data/shape.js'
import { newAlike } from './alike.js'
import type { Builder, BuilderOptions } from './building.js'
import type { Graph, Node } from './graph.js'
import type { Attrs, Kit, Op, PhaseSpec, Refusal, Value } from './op.js'
import { isRefusal, sameOp } from './op.js'
import { attrsKey } from './attributes.js'
import { misuse } from './signature.js'
import { scanOn } from './scan.js'
import { constantOf, constOp, constantAttrs, getOp, inputOp, phaseOp, scanOp } from './structural.js'

export type { Builder, BuilderOptions } from './building.js'

/** Ids of one level of loops. */
const LEVEL = 2 ** 24

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

/** A graph whose ids start at `base` with ids from 0 on. */
const fromZero = (graph: Graph, base: number): Graph => {
  if (base === 0) return graph
  const carriedHere = (c: Carried): Carried =>
    c.tag === 'carries' || c.tag === 'claimed'
      ? {
          ...c,
          quant: {
            ...c.quant,
            scale: c.quant.scale - base,
            zeroPoint: c.quant.zeroPoint - base,
            bitWidth: c.quant.bitWidth - base,
          },
        }
      : c
  return {
    nodes: graph.nodes.map((n) => ({
      ...n,
      id: n.id - base,
      inputs: n.inputs.map((i) => i - base),
      carried: carriedHere(n.carried),
      ...(n.backwardOf === undefined ? {} : { backwardOf: n.backwardOf - base }),
      ...(n.cotangent === undefined ? {} : { cotangent: n.cotangent - base }),
    })),
    inputs: graph.inputs.map((i) => i - base),
    outputs: graph.outputs.map((i) => i - base),
  }
}

/** Starts an empty graph. */
export const newBuilder = (options: BuilderOptions): Builder => {
  const { table, frozen, strict = false, locations = false, metadata = true } = options
  const nodes: Node[] = []
  const keys = new Map<string, NodeId>()
  const inputs: NodeId[] = []
  const { outer } = options
  const base = (outer?.level ?? 0) * LEVEL
  const nodeAt = (id: NodeId): Node => nodes[id - base]
  const errors: QuantError[] = outer?.errors ?? []
  const keyList: string[] = []
  const opsByName = new Map<string, Op>()
  // Most traces never ask: made at the first question.
  let likeness: ReturnType<typeof newAlike> | null = null
  const alike = (): ReturnType<typeof newAlike> => (likeness ??= newAlike(nodes, base))
  let path = outer?.path ?? ''
  /** The body of a loop that is being traced. */
  let inner: Builder | null = null
  let backwardOf: NodeId | null = null

  /** Nodes whose numbers are known to be whole, or 0 and 1. */
  const dtypes = new Map<NodeId, Dtype>()
  const dtypeOf = (op: Op, ids: readonly NodeId[], attrs: Attrs): Dtype => {
    if (op === inputOp) return attrs.dtype === 'integer' || attrs.dtype === 'boolean' ? attrs.dtype : 'float'
    if (op.dtype !== 'same') return op.dtype ?? 'float'
    const first = dtypes.size === 0 ? undefined : dtypes.get(ids[0])
    if (first === undefined) return 'float'
    for (let i = 1; i < ids.length; i++) if (dtypes.get(ids[i]) !== first) return 'float'
    return first
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
    branches?: readonly Graph[],
  ): Value => {
    const id = base + nodes.length
    const plain: Node = { id, op, inputs: ids, attrs, shape, carried, path }
    // Most nodes have none of the rest, and traces make many.
    const isPlain = branches === undefined && !locations && backwardOf === null
    const node: Node = isPlain
      ? plain
      : {
          ...plain,
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

  const constantKey = (value: number, shape: Shape): string =>
    `${path}|const|${Object.is(value, -0) ? '-0' : value}|${shape.join()}`
  const keyOf = (op: Op, ids: readonly NodeId[], attrs: Attrs, shape: Shape): string =>
    op === constOp
      ? constantKey(constantOf(attrs), shape)
      : `${path}|${op.name}|${ids.join()}|${attrs === NO_ATTRS ? '' : attrsKey(attrs)}`

  /** What follows from a failed value is no error of its own: its kit records none. */
  let silent: Builder | null = null
  /** The kit of failed values, which says nothing more; made at the first failure, since most traces have none. */
  const muted = (): Builder => (silent ??= { ...kit, fail: invalid, failWith: invalid })
  const invalid = (): Value => ({ id: INVALID, shape: [], carried: float, dtype: 'float', kit: muted() })

  /** Captures by the id of what they capture, and the other way round. */
  const captures = new Map<NodeId, NodeId>()
  const origins = new Map<NodeId, Value>()
  const capture = (v: Value): Value | null => {
    if (v.kit === kit || isInvalid(v)) return v
    const own = outer?.capture(v) ?? null
    if (own === null || outer === undefined) return null
    const known = captures.get(own.id)
    if (known !== undefined) return valueOf(nodeAt(known))
    const made = input('branch', `outer${captures.size}`, own.shape, float, own.dtype)
    captures.set(own.id, made.id)
    origins.set(made.id, own)
    const q = quantOf(own.carried)
    if (q === null || (own.carried.tag !== 'carries' && own.carried.tag !== 'claimed')) return made
    const ids = { scale: local(q.scale), zeroPoint: local(q.zeroPoint), bitWidth: constant(q.bits).id }
    return declare(made, { ...own.carried, quant: { ...q, ...ids } })
  }
  /** The id here of a node that may stand around the loop. */
  const local = (id: NodeId): NodeId => (id >= base || outer === undefined ? id : (capture(outer.value(id))?.id ?? id))
  const input = (kind: string, name: string, shape: Shape, carried: Carried, dtype: Dtype): Value => {
    const attrs: Attrs = { kind, name, ...(dtype === 'float' ? {} : { dtype }) }
    const v = append(null, inputOp, [], attrs, shape, carried)
    inputs.push(v.id)
    return v
  }
  const declare = (value: Value, carried: Carried): Value => {
    nodes[value.id - base] = { ...nodeAt(value.id), carried }
    return valueOf(nodeAt(value.id))
  }
  /** Operands as values around the loop, if all are captures or constants and one is a capture; else null. */
  const outsideOf = (args: readonly Value[], around: Pick<Kit, 'constant'>): readonly Value[] | null => {
    const found = args.map((a) => {
      const { op, attrs, shape } = nodeAt(a.id)
      return origins.get(a.id) ?? (op === constOp ? around.constant(constantOf(attrs), shape) : null)
    })
    return args.some((a) => origins.has(a.id)) ? (found.every((v) => v !== null) ? found : null) : null
  }

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
  const ruled = (op: Op, args: readonly Value[], attrs: Attrs, shape: Shape): Carried => {
    ruling = true
    try {
      return op.carry(args, attrs, kit, shape)
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
    const said = ruled(op, args, attrs, shape)
    if (!isObject(said) || !('tag' in said)) {
      oddRule(op, 'carry', said)
      return float
    }
    const carried =
      said.tag === 'float' ? stripped(`${op.name} does not say what becomes of its operand's metadata`) : said
    return strict && carried.tag === 'claimed' ? stripped(`strict: ${carried.why}`) : carried
  }

  /** Are all of them values of this graph? Failed ones are of none. */
  const areOwn = (values: readonly Value[]): boolean => {
    for (let i = 0; i < values.length; i++) if (values[i].kit !== kit) return false
    return true
  }
  /** The same as values of this graph; null where one is of another trace. */
  const capturedAll = (values: readonly Value[]): readonly Value[] | 'invalid' | null => {
    if (values.some(isInvalid)) return 'invalid'
    const here = values.map(capture)
    const given = here.filter((v) => v !== null)
    return given.length < here.length ? null : given
  }

  const apply = (asked: Op, asGiven: readonly Value[], attrs: Attrs = NO_ATTRS): Value => {
    const given = areOwn(asGiven) ? asGiven : capturedAll(asGiven)
    if (given === 'invalid') return invalid()
    if (given === null)
      return failWith({
        tag: 'InputError',
        input: asked.name,
        path,
        message: `${asked.name} was given a value of another trace`,
        fix: 'use only values that this trace handed to you; pass others as inputs; what the body of a loop made leaves it as its carry or its result',
      })
    if (outer !== undefined) {
      const hoisted = outer.at(path, (around) => {
        const args = outsideOf(given, around)
        return args === null ? null : around.apply(asked, args, attrs)
      })
      if (hoisted !== null) return isInvalid(hoisted) ? invalid() : (capture(hoisted) ?? invalid())
    }
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
    if (known !== undefined) return valueOf(nodeAt(known))
    return append(key, op, ids, attrs, shape, carriedOf(op, args, attrs, shape))
  }

  const emit = (name: string, args: readonly Value[], ...given: readonly (Attrs | undefined)[]): Value => {
    if (inner !== null) return (inner.emit as typeof emit)(name, args, ...given)
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
    const rounded = Math.fround(value)
    const key = constantKey(rounded, shape)
    const known = keys.get(key)
    return known !== undefined ? valueOf(nodeAt(known)) : append(key, constOp, [], constantAttrs(rounded), shape, float)
  }

  const phase = (asGiven: PhaseSpec): readonly Value[] => {
    const [counter, ...operands] = [asGiven.counter, ...asGiven.args].map((v) => capture(v) ?? invalid())
    if (outer !== undefined) {
      const hoisted = outer.at(path, (around) => {
        const found = [counter, ...operands].some(isInvalid) ? null : outsideOf([counter, ...operands], around)
        return found === null ? null : around.phase({ ...asGiven, counter: found[0], args: found.slice(1) })
      })
      if (hoisted !== null) return hoisted.map((v) => capture(v) ?? invalid())
    }
    const spec: PhaseSpec = { ...asGiven, counter, args: operands }
    const branch = (
      body: PhaseSpec['collect'],
    ): { readonly graph: Graph; readonly key: string; readonly outs: readonly Value[] } => {
      const { outer: _outer, ...own } = options
      const child = newBuilder({ ...own, locations: false })
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
      return output(node, index, o.shape)
    })
  }

  const output = (node: NodeId, index: number, shape: Shape, carried: Carried = float): Value => {
    const key = keyOf(getOp, [node], { index }, shape)
    const got = keys.get(key)
    return got !== undefined ? valueOf(nodeAt(got)) : append(key, getOp, [node], { index }, shape, carried)
  }

  const open = (at?: string): Builder => {
    const child = newBuilder({
      ...options,
      locations: false,
      outer: {
        level: (outer?.level ?? 0) + 1,
        errors,
        path: at ?? path,
        value: (id) => valueHere(id),
        whereIs: (id) => whereIs(id),
        whyPlain: (v) => whyPlain(v),
        capture,
        at: (place, run) => {
          const before = path
          path = place
          try {
            return run({ apply, constant, phase })
          } finally {
            path = before
          }
        },
      },
    })
    inner = child
    return child
  }

  const valueHere = (id: NodeId): Value => (id < base && outer !== undefined ? outer.value(id) : valueOf(nodeAt(id)))
  const whereIs = (id: NodeId): string => (id < base && outer !== undefined ? outer.whereIs(id) : alike().whereIs(id))
  const whyPlain = (v: Value): string => {
    if (isInvalid(v)) return 'it failed'
    return v.id < base && outer !== undefined ? outer.whyPlain(v) : alike().whyPlain(v.id)
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
    mode: options.mode,
    strict,
    errors,
    emit,
    apply: (op, args, attrs) => (inner === null ? apply(op, args, attrs) : inner.apply(op, args, attrs)),
    constant: (value, shape) => (inner === null ? constant(value, shape) : inner.constant(value, shape)),
    fail: (e) => (inner === null ? fail(e) : inner.fail(e)),
    failWith,
    scoped: (name, body) => (inner === null ? scoped(name, body) : inner.scoped(name, body)),
    phase: (spec) => (inner === null ? phase(spec) : inner.phase(spec)),
    scan: (spec) => (inner === null ? scanOn(kit, spec) : inner.scan(spec)),
    depth: () => (inner === null ? (outer?.level ?? 0) : (inner.depth?.() ?? 0)),
    value: (id) => (inner === null ? valueHere(id) : inner.value(id)),
    emitted: () => (inner === null ? nodes : (inner.emitted?.() ?? [])),
    path: () => (inner === null ? path : inner.path()),
    same: (a, b) => (inner === null ? alike().same(local(a), local(b)) : inner.same(a, b)),
    whereIs: (id) => (inner === null ? whereIs(id) : inner.whereIs(id)),
    whyPlain: (v) => (inner === null ? whyPlain(v) : inner.whyPlain(v)),
    input: (kind, name, shape, carried = float, dtype = 'float') => input(kind, name, shape, carried, dtype),
    declare,
    copy: (node, args) => {
      const before = path
      path = node.path
      const ids = args.map((a) => a.id)
      const key =
        node.op === inputOp || node.branches !== undefined ? null : keyOf(node.op, ids, node.attrs, node.shape)
      const v = append(key, node.op, ids, node.attrs, node.shape, node.carried, node.branches)
      path = before
      if (node.op === inputOp) inputs.push(v.id)
      return v
    },
    differentiating: (of, body) => {
      const before = backwardOf
      backwardOf = of
      try {
        return body()
      } finally {
        backwardOf = before
      }
    },
    tie: (id, { backwardOf: of, cotangent }) => {
      if (nodeAt(id) !== undefined)
        nodes[id - base] = {
          ...nodeAt(id),
          ...(of === undefined ? {} : { backwardOf: of }),
          ...(cotangent === undefined ? {} : { cotangent }),
        }
    },
    finish: (outputs) => freezeGraph(fromZero({ nodes, inputs, outputs: outputs.map((o) => o.id) }, base)),
    fingerprint: () => keyList.join(';'),
    capture,
    captured: () => [...origins.values()],
    outside: (id) => origins.get(id) ?? null,
    open,
    close: () => {
      inner = null
    },
    appendLoop: (args, attrs, body) =>
      append(
        null,
        scanOp,
        args.map((a) => a.id),
        attrs,
        args[0]?.shape ?? [],
        float,
        [body],
      ),
    output,
  }
  // An accessor on every kit would give each a hidden class of its own, which holds its trace until the next full collection.
  if (frozen !== undefined)
    Object.defineProperty(kit, 'mode', {
      enumerable: true,
      get: () => (frozen(inner === null ? path : inner.path()) ? 'eval' : options.mode),
    })
  return kit
}
