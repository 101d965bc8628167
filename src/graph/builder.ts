/**
 * Builds a graph, node by node, into local arrays; `finish` freezes it. Equal nodes of one layer are emitted once
 * (hash-consing), which makes "the same scale" an equality of ids.
 */
import { float, type NodeId } from '../data/quant.js'
import { failure, isFailure, type QuantErrors, type QuantFailure } from '../data/error.js'
import { newAlike, type Alike } from './alike.js'
import type { Builder, BuilderOptions } from './building.js'
import { capture, local } from './capture.js'
import * as draft from './draft.js'
import { isInvalid, LEVEL, type GraphDraft } from './draft.js'
import * as emission from './emission.js'
import { freezeGraph, fromZero } from './frozen.js'
import type { Node } from './graph.js'
import type { Attrs, Value } from './op.js'
import * as phases from './phase.js'
import { scanOn } from './scan.js'
import { inputOp, scanOp } from './structural.js'

export type { Builder, BuilderOptions } from './building.js'
export { callSite } from './callSite.js'
export { isInvalid } from './draft.js'

/** A failure whose errors say where they were thrown, unless they know better. */
const located = (errors: QuantErrors, path: string): QuantFailure =>
  failure(errors.map((e) => (e.path === '' ? { ...e, path } : e)))

const scoped = <A>(d: GraphDraft, name: string, body: () => A, home = d.path): A => {
  const outer = d.path
  if (home === '') d.path = name
  else d.path = name === '' ? home : `${home}.${name}`
  try {
    return body()
  } catch (e) {
    throw isFailure(e) ? located(e.errors, d.path) : e
  } finally {
    d.path = outer
  }
}

const alikeOf = (d: GraphDraft): Alike => (d.alike ??= newAlike(d.nodes, d.base))
const outerOf = (d: GraphDraft, id: NodeId) => (id < d.base ? d.options.outer : undefined)
const valueHere = (d: GraphDraft, id: NodeId): Value =>
  outerOf(d, id)?.value(id) ?? draft.valueOf(d, draft.nodeAt(d, id))
const whereIs = (d: GraphDraft, id: NodeId): string => outerOf(d, id)?.whereIs(id) ?? alikeOf(d).whereIs(id)
const whyPlain = (d: GraphDraft, v: Value): string =>
  isInvalid(v) ? 'it failed' : (outerOf(d, v.id)?.whyPlain(v) ?? alikeOf(d).whyPlain(v.id))

/** The graph of a branch of a phase: of nothing around it. */
const started = (d: GraphDraft) => (): Builder => {
  const { outer: _outer, ...own } = d.options
  return newBuilder({ ...own, locations: false })
}

/** Starts the body of a loop. */
const opened = (d: GraphDraft, at: string | undefined): Builder => {
  const child = newBuilder({
    ...d.options,
    locations: false,
    outer: {
      level: (d.options.outer?.level ?? 0) + 1,
      errors: d.errors,
      path: at ?? d.path,
      value: (id) => valueHere(d, id),
      whereIs: (id) => whereIs(d, id),
      whyPlain: (v) => whyPlain(d, v),
      capture: (v) => capture(d, v),
      at: (place, run) => {
        const before = d.path
        d.path = place
        try {
          return run({
            apply: (op, args, attrs) => emission.apply(d, op, args, attrs),
            constant: (value, shape) => draft.constant(d, value, shape),
            phase: (spec) => phases.phase(d, spec, started(d)),
          })
        } finally {
          d.path = before
        }
      },
    },
  })
  d.inner = child
  return child
}

/** Appends a node that is already there in another graph. */
const copied = (d: GraphDraft, node: Node, args: readonly Value[]): Value => {
  const before = d.path
  d.path = node.path
  const call = { op: node.op, ids: args.map((a) => a.id), attrs: node.attrs, shape: node.shape }
  const key = node.op === inputOp || node.branches !== undefined ? null : draft.keyOf(d, call)
  const v = draft.append(d, key, call, node.carried, node.branches)
  d.path = before
  if (node.op === inputOp) d.inputs.push(v.id)
  return v
}

const differentiating = <A>(d: GraphDraft, of: NodeId, body: () => A): A => {
  const before = d.backwardOf
  d.backwardOf = of
  try {
    return body()
  } finally {
    d.backwardOf = before
  }
}

const tie = (d: GraphDraft, id: NodeId, { backwardOf, cotangent }: Pick<Node, 'backwardOf' | 'cotangent'>): void => {
  if (backwardOf === undefined && cotangent === undefined) return
  const at = id - d.base
  if (d.nodes[at] === undefined) return
  if (backwardOf !== undefined) d.nodes[at] = { ...d.nodes[at], backwardOf }
  if (cotangent !== undefined) d.nodes[at] = { ...d.nodes[at], cotangent }
}

/** `Kit.emit` without the types of the attributes, which the table has looked at by then. */
type Emit = (name: string, args: readonly Value[], attrs?: Attrs) => Value

const emitOf =
  (d: GraphDraft): Emit =>
  (name, args, attrs) =>
    d.inner === null ? emission.emit(d, name, args, attrs) : (d.inner.emit as Emit)(name, args, attrs)

/** What is emitted while the body of a loop is traced goes into it. */
const kitOf = (d: GraphDraft): Builder => ({
  mode: d.options.mode,
  strict: d.options.strict ?? false,
  errors: d.errors,
  emit: emitOf(d) as Builder['emit'],
  apply: (op, args, attrs) => (d.inner === null ? emission.apply(d, op, args, attrs) : d.inner.apply(op, args, attrs)),
  constant: (value, shape) => (d.inner === null ? draft.constant(d, value, shape) : d.inner.constant(value, shape)),
  fail: (e) => (d.inner === null ? draft.fail(d, e) : d.inner.fail(e)),
  failWith: (e) => draft.failWith(d, e),
  scoped: (name, body, home) => (d.inner === null ? scoped(d, name, body, home) : d.inner.scoped(name, body, home)),
  phase: (spec) => (d.inner === null ? phases.phase(d, spec, started(d)) : d.inner.phase(spec)),
  scan: (spec) => (d.inner === null ? scanOn(d.kit, spec) : d.inner.scan(spec)),
  depth: () => (d.inner === null ? (d.options.outer?.level ?? 0) : (d.inner.depth?.() ?? 0)),
  value: (id) => (d.inner === null ? valueHere(d, id) : d.inner.value(id)),
  emitted: () => (d.inner === null ? d.nodes : (d.inner.emitted?.() ?? [])),
  path: () => (d.inner === null ? d.path : d.inner.path()),
  same: (a, b) => (d.inner === null ? alikeOf(d).same(local(d, a), local(d, b)) : d.inner.same(a, b)),
  whereIs: (id) => (d.inner === null ? whereIs(d, id) : d.inner.whereIs(id)),
  whyPlain: (v) => (d.inner === null ? whyPlain(d, v) : d.inner.whyPlain(v)),
  input: (kind, name, shape, carried = float, dtype = 'float') => draft.input(d, { kind, name, shape, dtype }, carried),
  declare: (value, carried) => draft.declare(d, value, carried),
  copy: (node, args) => copied(d, node, args),
  differentiating: (of, body) => differentiating(d, of, body),
  tie: (id, ties) => tie(d, id, ties),
  finish: (outputs) =>
    freezeGraph(fromZero({ nodes: d.nodes, inputs: d.inputs, outputs: outputs.map((o) => o.id) }, d.base)),
  fingerprint: () => d.keyList.join(';'),
  capture: (v) => capture(d, v),
  captured: () => [...(d.origins?.values() ?? [])],
  outside: (id) => d.origins?.get(id) ?? null,
  open: (at) => opened(d, at),
  close: () => {
    d.inner = null
  },
  appendLoop: (args, attrs, body) =>
    draft.append(d, null, { op: scanOp, ids: args.map((a) => a.id), attrs, shape: args[0]?.shape ?? [] }, float, [
      body,
    ]),
  output: (of, index, shape, carried) => phases.output(d, of, index, shape, carried),
})

/** Starts an empty graph. */
export const newBuilder = (options: BuilderOptions): Builder => {
  const { frozen, outer } = options
  const fresh: Omit<GraphDraft, 'kit'> = {
    options,
    base: (outer?.level ?? 0) * LEVEL,
    nodes: [],
    keys: new Map(),
    keyList: [],
    inputs: [],
    errors: outer?.errors ?? [],
    opsByName: new Map(),
    dtypes: new Map(),
    captures: null,
    origins: null,
    path: outer?.path ?? '',
    inner: null,
    backwardOf: null,
    ruling: false,
    alike: null,
    silent: null,
  }
  const d = fresh as GraphDraft
  d.kit = kitOf(d)
  // An accessor on every kit would give each a hidden class of its own, which holds its trace until the next full collection.
  if (frozen !== undefined)
    Object.defineProperty(d.kit, 'mode', {
      enumerable: true,
      get: () => (frozen(d.kit.path()) ? 'eval' : options.mode),
    })
  return d.kit
}
