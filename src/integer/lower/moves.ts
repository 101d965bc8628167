/** Rules of ops that move elements, and of those that choose the largest. */
import { sameShape, sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Node } from '../../graph/graph.js'
import { computes } from '../../graph/op.js'
import type { MaxPoolAttrs } from '../../ops/maxPool.js'
import { moves } from '../ops/moves.js'
import { FLOAT_WHOLE } from '../values.js'
import { classesOf, evaluator, mapFixed, type Expr } from './chain.js'
import { axesOf, moved, uniform } from './grids.js'
import type { Rule } from './products.js'
import { settle } from './settle.js'
import { ANEW, integer, moveInteger } from './shared.js'
import { append, prevented, type Integer, type Lowered, type Session } from './session.js'

/** Does a chain never fall? Then the largest of several results is the result of the largest integer. */
const rises = (root: Integer, expr: Expr): boolean => {
  const classes = classesOf(root.value.shape, [root.grid], [expr])
  const [n, total] = [1024, sizeOf(classes)]
  const { lo, hi } = root.range
  const points = Float64Array.from({ length: n * total }, (_, i) => lo + Math.round(((i % n) * (hi - lo)) / (n - 1)))
  const values = evaluator({ grid: root.grid, expr, classes })(points, n)
  return values.every((v, i) => i % n === 0 || v >= values[i - 1])
}

/** A max pool in front of a chain instead of behind it, where the chain never falls. */
const pooledFirst = (s: Session, node: Node, spatial: number): Lowered | null => {
  const x = s.lowered.get(node.inputs[0])
  if (x === undefined || x.tag !== 'chain' || !sameShape(x.root.value.shape, x.node.shape)) return null
  const rank = x.node.shape.length
  const axes = classesOf(x.root.value.shape, [x.root.grid], [x.expr]).flatMap((n, d) => (n > 1 ? [d] : []))
  if (axes.some((d) => d >= rank - spatial) || !rises(x.root, x.expr)) return null
  const root = { ...x.root, value: moveInteger(s, node, x.root.value, x.root.range) }
  return { tag: 'chain', root, expr: x.expr, node }
}

const largest =
  (spatialOf: (node: Node) => number): Rule =>
  (s, node) => {
    const spatial = spatialOf(node)
    const early = pooledFirst(s, node, spatial)
    if (early !== null) return early
    const x = settle(s, node.inputs[0], node)
    if (x === null) return { tag: 'lost' }
    const rank = x.value.shape.length
    if (axesOf(x.grid, rank).some((d) => d >= rank - spatial) || x.grid.scale.data.some((v) => v < 0))
      return prevented(
        s,
        node,
        'the largest value is not the largest integer: scales vary within a window, or one is negative',
        ANEW,
      )
    if (Math.max(-x.range.lo, x.range.hi) >= FLOAT_WHOLE)
      return prevented(s, node, `its integers reach ${x.range.lo} … ${x.range.hi}`, ANEW)
    return integer(moveInteger(s, node, x.value, x.range), x.range, x.grid)
  }

export const maxPool: Rule = largest((node) => (node.attrs as MaxPoolAttrs).kernel.length)
export const adaptiveMaxPool: Rule = largest((node) => (node.attrs.outputSize as readonly number[]).length)

/** Ops that move elements: the same of integers, of a chain's root, and of grids. */
export const move: Rule = (s, node) => {
  const op = computes(node.op)
  const x = s.lowered.get(node.inputs[0])
  if (x === undefined || x.tag === 'lost') return { tag: 'lost' }
  if (x.tag === 'chain') {
    const from = x.node.shape
    const through = (t: Tensor): Tensor => moved(op, node.attrs, [t], [from])
    const grid = { scale: through(x.root.grid.scale), zeroPoint: through(x.root.grid.zeroPoint) }
    const value = moveInteger(s, node, x.root.value, x.root.range)
    return { tag: 'chain', root: { ...x.root, value, grid }, expr: mapFixed(x.expr, through), node }
  }
  const known = settle(s, node.inputs[0], node)
  if (known === null) return { tag: 'lost' }
  const through = (t: Tensor): Tensor => moved(op, node.attrs, [t], [known.value.shape])
  return integer(moveInteger(s, node, known.value, known.range), known.range, {
    scale: through(known.grid.scale),
    zeroPoint: through(known.grid.zeroPoint),
  })
}

export const pad: Rule = (s, node) => {
  const x = settle(s, node.inputs[0], node)
  if (x === null) return { tag: 'lost' }
  const [scale, zero] = [uniform(x.grid.scale), uniform(x.grid.zeroPoint)]
  if (scale === null || zero === null) return prevented(s, node, 'it has a scale or zero point per channel', ANEW)
  const steps = Number(node.attrs.value) / scale + zero
  const value = Math.round(steps)
  if (!(Math.abs(steps - value) < 0.01))
    return prevented(
      s,
      node,
      `the value ${String(node.attrs.value)} that is filled in lies on no integer of its grid`,
      'pad with 0, or with a multiple of the scale',
    )
  const range = { lo: Math.min(x.range.lo, value), hi: Math.max(x.range.hi, value) }
  return integer(append(s, node.path, moves.pad.integer, [x.value], { ...node.attrs, value, ...range }), range, x.grid)
}
