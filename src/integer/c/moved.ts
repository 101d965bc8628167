/**
 * Moves as C. From where an element comes is asked of the op's own rule; where that is a sum of one part per axis, as it is for all layouts and for resizing by
 * repetition, the parts are said as products or small tables.
 */
import { sizeOf, stridesOf, type Shape } from '../../data/shape.js'
import { attrsFor } from '../../graph/op.js'
import { moves, placesOf } from '../ops/moves.js'
import { placeIn, plus, sumOf, term, type Lines } from './code.js'
import type { Writing } from './heads.js'

/** The parts of a place along one axis, and the remaining constant; null where places are no such sum. */
const partsOf = (places: Int32Array, shape: Shape): readonly Int32Array[] | null => {
  const strides = stridesOf(shape)
  const parts = shape.map((n, d) => Int32Array.from({ length: n }, (_, i) => places[i * strides[d]] - places[0]))
  for (let i = 0; i < places.length; i++) {
    let sum = places[0]
    for (let d = 0; d < shape.length; d++) sum += parts[d][Math.floor(i / strides[d]) % shape[d]]
    if (sum !== places[i]) return null
  }
  return parts
}

const isEven = (part: Int32Array): boolean => part.every((v, i) => v === i * (part[1] ?? 0))

/** The place of the element, counted from 0, as an expression. */
const placeOf = (w: Writing, places: Int32Array): string => {
  const parts = partsOf(places, w.node.shape)
  const terms = parts?.map((part, d) => {
    if (part.length === 1) return null
    return isEven(part) ? term(w.at[d], part[1]) : `${w.table(part)}[${w.at[d]}]`
  })
  const first = places[0] - 1
  if (terms !== undefined) return sumOf([...terms, first === 0 ? null : String(first)])
  const strides = stridesOf(w.node.shape)
  const flat = sumOf(w.node.shape.map((n, d) => (n === 1 ? null : term(w.at[d], strides[d]))))
  return `${w.table(places.map((p) => p - 1))}[${flat}]`
}

/** A part of a join: its elements where the coordinate along the axis is below its end. */
const joined = (w: Writing): Lines => {
  const dim = Number(w.node.attrs.dim)
  let from = 0
  const lines = ['int32_t a;']
  w.shapes.forEach((s, k) => {
    const inner = from === 0 ? w.at[dim] : `(${w.at[dim]} - ${from})`
    const at = placeIn(
      s,
      w.at.map((i, d) => (d === dim ? inner : i)),
    )
    from += s[dim]
    const last = k === w.shapes.length - 1
    const otherwise = k === 0 ? '' : 'else '
    const head = last ? otherwise : `${otherwise}if (${w.at[dim]} < ${from}) `
    lines.push(`${head}a = ${w.read(k, at)};`)
  })
  return lines
}

/** Padding with one number. */
const filledIn = (w: Writing): Lines => {
  const [x] = w.shapes
  const pad = w.node.attrs.pad
  const before = Array.isArray(pad) ? pad.map((p) => (Array.isArray(p) ? Number(p[0]) : 0)) : []
  const strides = stridesOf(x)
  const moved = w.at.map((i, d) => (before[d] === 0 ? i : `(${plus(i, -before[d])})`))
  const tests = x.flatMap((n, d) => {
    const low = before[d] > 0 ? [`${w.at[d]} >= ${before[d]}`] : []
    const high = w.node.shape[d] - before[d] > n ? [`${w.at[d]} < ${before[d] + n}`] : []
    return [...low, ...high]
  })
  const at = sumOf(x.map((n, d) => (n === 1 ? null : term(moved[d], strides[d]))))
  const fill = `int32_t a = ${Number(w.node.attrs.value)};`
  return tests.length === 0
    ? [`int32_t a = ${w.read(0, at)};`]
    : [fill, `if (${tests.join(' && ')}) a = ${w.read(0, at)};`]
}

/** The element of a move. */
export const movedElement = (w: Writing): Lines => {
  const move = Object.values(moves).find((m) => m.integer.name === w.node.op.name)
  if (move === undefined) throw new Error(`internal: ${w.node.op.name} has no C`)
  if (move === moves.concat) return joined(w)
  if (move === moves.pad && w.node.attrs.mode === 'constant') return filledIn(w)
  if (sizeOf(w.node.shape) === 0) return ['int32_t a = 0;']
  const places = placesOf(move.float, attrsFor(move.float, w.node.attrs), w.shapes, w.node.shape)
  return [`int32_t a = ${w.read(0, placeOf(w, places))};`]
}
