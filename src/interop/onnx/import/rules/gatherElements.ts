/** GatherElements: each element of the result is read at its own place, but for one axis, along which an index says where. */
import { showShape, sizeOf, type Shape } from '../../../../data/shape.js'
import type { Value } from '../../../../graph/op.js'
import type { Importing, ImportRule } from '../entry.js'
import type { Host } from '../host.js'
import { axisAmong } from '../sizes.js'
import { numbersAs, typed } from '../values.js'

/** Places up to here are exact in float32. */
const MOST = 2 ** 24

const strideOf = (shape: Shape, axis: number): number => sizeOf(shape.slice(axis + 1))

/** Where each element of the result stands in the flat input, as if its index were 0. */
const starts = (from: Shape, to: Shape, axis: number): Float32Array => {
  const data = new Float32Array(sizeOf(to))
  for (let i = 0; i < data.length; i++) {
    let [rest, place] = [i, 0]
    for (let d = to.length - 1; d >= 0; d--) {
      if (d !== axis) place += (rest % to[d]) * strideOf(from, d)
      rest = Math.floor(rest / to[d])
    }
    data[i] = place
  }
  return data
}

/** Places of known indices, each looked at now. */
const knownPlaces = (x: Importing, { shape, data }: Host, from: Shape, axis: number): Value => {
  const n = from[axis]
  const indices = Array.from(data, (i) => (i < 0 ? i + n : i))
  if (!indices.every((i) => Number.isInteger(i) && i >= 0 && i < n))
    return x.refuse(`an index is not among the ${n} of axis ${axis}`, 'give indices within the axis')
  const [stride, begin] = [strideOf(from, axis), starts(from, shape, axis)]
  return numbersAs(
    x,
    'places',
    shape,
    begin.map((b, i) => b + indices[i] * stride),
  )
}

/** Places of computed indices; one beyond the axis is sent beyond the table, where the lookup refuses it. */
const computedPlaces = (x: Importing, at: Value, from: Shape, axis: number): Value => {
  const { kit } = x
  const n = from[axis]
  const number = (k: number): Value => kit.constant(k)
  const wrapped = kit.emit('select', [kit.emit('less', [at, number(0)]), kit.emit('add', [at, number(n)]), at])
  const isIn = kit.emit('mul', [kit.emit('less', [wrapped, number(n)]), kit.emit('less', [number(-1), wrapped])])
  const along = kit.emit('mul', [wrapped, number(strideOf(from, axis))])
  const places = kit.emit('add', [along, numbersAs(x, 'starts', at.shape, starts(from, at.shape, axis))])
  return kit.emit('select', [isIn, places, number(sizeOf(from))])
}

/** GatherElements, by known or by computed indices. */
export const gatherElements: ImportRule = (x) => {
  const v = x.plain(0)
  const axis = axisAmong(x, x.number('axis', 0), v.shape.length)
  const known = x.known(1)
  const shape = known?.shape ?? x.plain(1).shape
  const fits = shape.length === v.shape.length && shape.every((n, d) => d === axis || n <= v.shape[d])
  if (!fits)
    return x.refuse(
      `indices of ${showShape(shape)} don't fit ${showShape(v.shape)} along axis ${axis}`,
      'give indices of as many axes, none longer than that of the data but the one that is gathered along',
    )
  if (sizeOf(v.shape) > MOST)
    return x.refuse(`${showShape(v.shape)} has more elements than float32 can count`, 'cut the data into parts')
  const places = known === null ? computedPlaces(x, x.plain(1), v.shape, axis) : knownPlaces(x, known, v.shape, axis)
  const table = x.kit.emit('reshape', [v], { shape: [sizeOf(v.shape), 1] })
  const found = x.kit.emit('gatherRows', [table, places], { paddingIdx: null, scaleGradByFreq: false })
  return typed(x.kit.emit('reshape', [found], { shape }), x.type(0))
}
