/** Brings a value onto integers because somebody needs them: the grid that its metadata say, or the line that it is. */
import type { NodeId } from '../../data/quant.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import { integerBias } from '../ops/sums.js'
import { INT32, narrow, rangeOf } from '../values.js'
import { classesOf, compressed, evaluator, filled, root as rootExpr, type Expr, type Grid } from './chain.js'
import { gridOf, sameNumbers, single, uniform, whyPlain } from './grids.js'
import { mapped } from './map.js'
import { isUnmapped, type Unmapped } from './forms.js'
import { append, constantOf, prevented, type Integer, type Lowered, type Session } from './session.js'
import type { Node } from '../../graph/graph.js'

const SAMPLES = 257
/** How far a value may be from a line, in steps of the integer, to count as on it. */
const STRAIGHT = 0.05

/** Slope and height per class of a function that is a line, or null. */
const lineOf = (
  root: Integer,
  expr: Expr,
): { readonly slope: Float32Array; readonly height: Float64Array; readonly grid: Grid } | null => {
  const classes = classesOf(root.value.shape, [root.grid], [expr])
  const total = sizeOf(classes)
  const { lo, hi } = root.range
  const points = new Float64Array(total * SAMPLES)
  for (let i = 0; i < points.length; i++) points[i] = lo + Math.round(((i % SAMPLES) * (hi - lo)) / (SAMPLES - 1))
  const values = evaluator({ grid: root.grid, expr, classes })(points, SAMPLES)
  const own = filled(compressed(root.grid.scale), classes).data
  const slope = new Float32Array(total)
  const height = new Float64Array(total)
  for (let c = 0; c < total; c++) {
    const at = c * SAMPLES
    // Of a single integer any line will do: that of the root's own steps.
    const m = hi === lo ? own[c] : (values[at + SAMPLES - 1] - values[at]) / (hi - lo)
    const zero = values[at] - m * lo
    for (let k = at; k < at + SAMPLES; k++) {
      const rounding = 2 ** -21 * Math.max(Math.abs(values[at]), Math.abs(values[at + SAMPLES - 1]))
      if (!(Math.abs(values[k] - (m * points[k] + zero)) <= STRAIGHT * Math.abs(m) + rounding)) return null
    }
    if (m === 0 || !Number.isFinite(m)) return null
    slope[c] = m
    height[c] = zero / m
  }
  const scale: Tensor = { shape: classes, data: slope }
  return { slope, height, grid: { scale, zeroPoint: single(0) } }
}

/** The root with the line's height as an integer bias: at most half a step of the accumulator from the float value. */
const onLine = (s: Session, root: Integer, expr: Expr, path: string): Integer | Unmapped => {
  const line = lineOf(root, expr)
  if (line === null)
    return {
      why: 'it has no metadata and is no line of the integer behind it, so that no integer stands for it',
      fix: 'quantize it here, with a QuantIdentity, or give its layer returnQuantTensor: true',
    }
  const bias = line.height.map((h) => Math.round(h))
  const grid = line.grid
  if (bias.every((b) => b === 0)) return { ...root, grid }
  const added = rangeOf(bias)
  const range = { lo: root.range.lo + added.lo, hi: root.range.hi + added.hi }
  if (range.lo < INT32.lo || range.hi > INT32.hi)
    return {
      why: `with its bias it reaches ${range.lo} … ${range.hi}, more than 32 bits hold`,
      fix: 'use fewer bits, or a smaller bias',
    }
  const shape = uniform({ shape: [], data: Float32Array.from(bias) }) === null ? grid.scale.shape : []
  const b = constantOf(s, path, narrow(shape, shape.length === 0 ? [bias[0]] : bias))
  return { value: append(s, path, integerBias, [root.value, b], range), range, grid }
}

/** Is this grid the one that the integer has already? */
const already = (root: Integer, expr: Expr, grid: Grid): boolean =>
  expr.tag === 'root' && sameNumbers(root.grid.scale, grid.scale) && sameNumbers(root.grid.zeroPoint, grid.zeroPoint)

const settledChain = (s: Session, node: Node, root: Integer, expr: Expr): Integer | Unmapped => {
  const target = gridOf(s, node)
  if (target === null) return onLine(s, root, expr, node.path)
  if (already(root, expr, target.grid)) return { ...root, grid: target.grid }
  return mapped(s, { path: node.path, root, expr, target: target.grid, rounding: 'ROUND' })
}

/** The integers of a value, or null where an error has been recorded (or was, further up). */
export const settle = (s: Session, id: NodeId, asked: Node): Integer | null => {
  const known = s.settled.get(id)
  if (known !== undefined) return known
  const lowered = s.lowered.get(id)
  const made = lowered === undefined ? null : settledOf(s, lowered, asked)
  if (made !== null) s.settled.set(id, made)
  return made
}

/**
 * The integers of a result that is a plain tensor. Where floats were added to an accumulator, metadata would keep its integers and move the zero point by fractions; whoever
 * compares results wants the integers moved, by whole steps.
 */
export const settlePlain = (s: Session, id: NodeId, asked: Node): Integer | null => {
  const lowered = s.lowered.get(id)
  if (lowered?.tag !== 'chain') return settle(s, id, asked)
  const made = onLine(s, lowered.root, lowered.expr, lowered.node.path)
  return isUnmapped(made) ? settle(s, id, asked) : made
}

/**
 * The integers of a value for a rule that sums them: their zero points are whole numbers. Where floats were added to an accumulator they are not, and its integers
 * are moved by whole steps instead, at most half a step of the accumulator from the float value.
 */
export const settleWhole = (s: Session, id: NodeId, asked: Node): Integer | null => {
  const x = settle(s, id, asked)
  if (x === null || x.grid.zeroPoint.data.every((z) => Number.isInteger(z))) return x
  const made = onLine(s, x, rootExpr, asked.path)
  return isUnmapped(made) ? x : made
}

const settledOf = (s: Session, lowered: Lowered, asked: Node): Integer | null => {
  if (lowered.tag === 'integer') return lowered.integer
  if (lowered.tag === 'lost') return null
  if (lowered.tag === 'entry') {
    prevented(
      s,
      asked,
      'its input is a plain tensor of floats, which no quantizer has made integers of yet',
      'quantize the input: put a QuantIdentity({ returnQuantTensor: true }) in front, or give the layer an inputQuant',
    )
    return null
  }
  if (lowered.tag === 'fixed') return constantInteger(s, lowered.node, lowered.tensor, asked)
  const made = settledChain(s, lowered.node, lowered.root, lowered.expr)
  if (!isUnmapped(made)) return made
  prevented(s, lowered.node, `${made.why}${whyPlain(lowered.node)}`, made.fix)
  return null
}

/** The integers behind a weight, less their zero point: `value / scale`, which float32 keeps within a hair of a whole number. */
export const weightIntegers = (value: Tensor, grid: Grid): Float64Array => {
  const out = new Float64Array(value.data.length)
  const scale = filled(grid.scale, value.shape).data
  for (let i = 0; i < out.length; i++) out[i] = Math.round(value.data[i] / scale[i]) + 0
  return out
}

/** A known tensor with metadata as constants of the integer program. */
const constantInteger = (s: Session, node: Node, tensor: Tensor, asked: Node): Integer | null => {
  const known = gridOf(s, node)
  if (known === null) {
    prevented(
      s,
      asked,
      `it is given floats that are not quantized, ${node.path === '' ? 'a constant' : `those of ${node.path}`}`,
      'quantize the weight: leave weightQuant to its default, or name a preset',
    )
    return null
  }
  const data = weightIntegers(tensor, known.grid)
  const value = constantOf(s, node.path, narrow(tensor.shape, data))
  return { value, range: rangeOf(data), grid: { scale: known.grid.scale, zeroPoint: single(0) } }
}
