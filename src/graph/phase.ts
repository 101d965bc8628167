/** Two sub-graphs of which a counter says which one runs: while statistics collect, and once they are learned. */
import { float, type Carried, type NodeId } from '../data/quant.js'
import { sameShape, type Shape } from '../data/shape.js'
import type { Builder } from './building.js'
import { capture, outsideOf } from './capture.js'
import { append, fail, invalid, isInvalid, keyOf, nodeAt, valueOf, type GraphDraft } from './draft.js'
import type { Graph } from './graph.js'
import type { Attrs, PhaseSpec, Value } from './op.js'
import { getOp, phaseOp } from './structural.js'

/** One output of a node with sub-graphs. */
export const output = (d: GraphDraft, node: NodeId, index: number, shape: Shape, carried: Carried = float): Value => {
  const call = { op: getOp, ids: [node], attrs: { index }, shape }
  const key = keyOf(d, call)
  const got = d.keys.get(key)
  return got === undefined ? append(d, key, call, carried) : valueOf(d, nodeAt(d, got))
}

type Branch = { readonly graph: Graph; readonly key: string; readonly outs: readonly Value[] }

const branch = (d: GraphDraft, spec: PhaseSpec, body: PhaseSpec['collect'], started: () => Builder): Branch => {
  const child = started()
  const outs = child.scoped(d.path, () =>
    body(
      spec.args.map((a, i) => child.input('branch', String(i), a.shape)),
      child,
    ),
  )
  d.errors.push(...child.errors)
  return { graph: child.finish(outs), key: `${child.fingerprint()}>${outs.map((o) => o.id).join()}`, outs }
}

/** The first output in which two branches differ; none: -1. */
const difference = (a: readonly Value[], b: readonly Value[]): number => {
  const odd = a.findIndex((o, i) => b[i] === undefined || !sameShape(o.shape, b[i].shape))
  return odd < 0 && b.length > a.length ? a.length : odd
}

/** Both branches over values of this graph. */
const chosen = (d: GraphDraft, spec: PhaseSpec, started: () => Builder): readonly Value[] => {
  if (isInvalid(spec.counter) || spec.args.some(isInvalid)) return [invalid(d), invalid(d), invalid(d), invalid(d)]
  const collect = branch(d, spec, spec.collect, started)
  const learned = branch(d, spec, spec.learned, started)
  if (collect.outs.some(isInvalid) || learned.outs.some(isInvalid)) return collect.outs.map(() => invalid(d))
  const odd = difference(collect.outs, learned.outs)
  if (odd >= 0)
    return collect.outs.map(() =>
      fail(d, {
        op: 'phase',
        refuse: `the branches differ in output ${odd}`,
        fix: 'return values of the same shapes from both branches',
      }),
    )
  const ids = [spec.counter.id, ...spec.args.map((a) => a.id)]
  const attrs: Attrs = { limit: spec.limit, warnSteps: spec.warnSteps }
  const call = { op: phaseOp, ids, attrs, shape: collect.outs[0].shape }
  const key = `${keyOf(d, call)}{${collect.key}}{${learned.key}}`
  const node = d.keys.get(key) ?? append(d, key, call, float, [collect.graph, learned.graph]).id
  return collect.outs.map((o, index) => output(d, node, index, o.shape))
}

const isOwn = (d: GraphDraft, { counter, args }: PhaseSpec): boolean => {
  for (const v of args) if (v.kit !== d.kit) return false
  return counter.kit === d.kit
}

/** A phase; `started` starts the graph of a branch. */
export const phase = (d: GraphDraft, asGiven: PhaseSpec, started: () => Builder): readonly Value[] => {
  if (d.options.outer === undefined && isOwn(d, asGiven)) return chosen(d, asGiven, started)
  const [counter, ...args] = [asGiven.counter, ...asGiven.args].map((v) => capture(d, v) ?? invalid(d))
  const { outer } = d.options
  const hoisted = outer?.at(d.path, (around) => {
    const found = [counter, ...args].some(isInvalid) ? null : outsideOf(d, [counter, ...args], around)
    return found === null ? null : around.phase({ ...asGiven, counter: found[0], args: found.slice(1) })
  })
  if (hoisted !== undefined && hoisted !== null) return hoisted.map((v) => capture(d, v) ?? invalid(d))
  return chosen(d, { ...asGiven, counter, args }, started)
}
