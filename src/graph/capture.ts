/** Values of the graph around a loop in the loop's body: each is an input of the body, made when it is first used. */
import { float, quantOf, type NodeId } from '../data/quant.js'
import { constant, declare, input, isInvalid, nodeAt, valueOf, type GraphDraft } from './draft.js'
import type { Kit, Value } from './op.js'
import { constantOf, constOp } from './structural.js'

/** A value of a graph around this one as an input of this one; null if it is of neither. */
export const capture = (d: GraphDraft, v: Value): Value | null => {
  if (v.kit === d.kit || isInvalid(v)) return v
  const { outer } = d.options
  const own = outer?.capture(v) ?? null
  if (own === null || outer === undefined) return null
  const captures = (d.captures ??= new Map<NodeId, NodeId>())
  const known = captures.get(own.id)
  if (known !== undefined) return valueOf(d, nodeAt(d, known))
  const made = input(d, { kind: 'branch', name: `outer${captures.size}`, shape: own.shape, dtype: own.dtype }, float)
  captures.set(own.id, made.id)
  const origins = (d.origins ??= new Map<NodeId, Value>())
  origins.set(made.id, own)
  const q = quantOf(own.carried)
  if (q === null || (own.carried.tag !== 'carries' && own.carried.tag !== 'claimed')) return made
  const ids = { scale: local(d, q.scale), zeroPoint: local(d, q.zeroPoint), bitWidth: constant(d, q.bits).id }
  return declare(d, made, { ...own.carried, quant: { ...q, ...ids } })
}

/** The id here of a node that may stand around the loop. */
export const local = (d: GraphDraft, id: NodeId): NodeId => {
  const { outer } = d.options
  return id >= d.base || outer === undefined ? id : (capture(d, outer.value(id))?.id ?? id)
}

/** The same values as those of this graph; null where one is of another trace. */
export const capturedAll = (d: GraphDraft, values: readonly Value[]): readonly Value[] | 'invalid' | null => {
  if (values.some(isInvalid)) return 'invalid'
  const given: Value[] = []
  for (const v of values) {
    const here = capture(d, v)
    if (here === null) return null
    given.push(here)
  }
  return given
}

/** Operands as values around the loop, if all are captures or constants and one is a capture; else null. */
export const outsideOf = (
  d: GraphDraft,
  args: readonly Value[],
  around: Pick<Kit, 'constant'>,
): readonly Value[] | null => {
  const { origins } = d
  if (origins === null || !args.some((a) => origins.has(a.id))) return null
  const found: Value[] = []
  for (const { id } of args) {
    const { op, attrs, shape } = nodeAt(d, id)
    const v = origins.get(id) ?? (op === constOp ? around.constant(constantOf(attrs), shape) : null)
    if (v === null) return null
    found.push(v)
  }
  return found
}
