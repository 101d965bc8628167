/** Ops that exist only inside plans: what a rewrite puts in the place of others. Each has a reference of its own. */
import { float } from '../../data/quant.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Attrs, Op } from '../../graph/op.js'
import { gatherLast, scatterLast } from '../../ops/gatherLast.js'

const internal = (name: string, doc: string, evaluate: Op['evaluate']): Op => ({
  name,
  doc,
  evaluate,
  shape: (shapes) => shapes[0],
  carry: () => float,
  vjp: { none: `${name} exists only inside plans` },
  examples: [],
  smooth: false,
})

const words = (data: Float32Array): Int32Array => new Int32Array(data.buffer, data.byteOffset, data.length)
/** Elements of a row of `x`, of as many rows as `rows` has elements. */
export const rowLength = (x: Shape, rows: Shape): number => sizeOf(x) / Math.max(1, sizeOf(rows))

/** The place in its row (as the bits of an int32) of the first element (with `abs`: magnitude) that equals the chosen one; NaN equals NaN. */
export const firstIndexOp: Op = internal(
  'firstIndex',
  'Place of the first element of each row that equals the chosen one, as int32 bits.',
  ([x, chosen], { abs }, out) => {
    const [n, to] = [rowLength(x.shape, chosen.shape), words(out.data)]
    for (let r = 0; r < chosen.data.length; r++) {
      const c = chosen.data[r]
      const own = x.data.subarray(r * n, (r + 1) * n)
      const row = abs === true ? own.map(Math.abs) : own
      to[r] = Number.isNaN(c) ? row.findIndex(Number.isNaN) : row.indexOf(c)
    }
    return null
  },
)

/** Zeros but for g at one place of each row. */
export const scatterAtOp: Op = {
  ...internal('scatterAt', 'g at the given place of each row, else 0.', ([g, index], _attrs, out) => {
    const [n, at] = [rowLength(out.shape, index.shape), words(index.data)]
    out.data.fill(0)
    for (let r = 0; r < at.length; r++) if (at[r] >= 0) out.data[r * n + at[r]] = g.data[g.data.length === 1 ? 0 : r]
    return null
  }),
  lanes: (e, [g, index], { row }) => e.select(e.atColumn(Number(row), index), g, e.zero),
}

/** The element at the given place of each row. */
export const gatherAtOp: Op = internal(
  'gatherAt',
  'The element at the given place of each row.',
  ([x, index], _attrs, out) => {
    const [n, at] = [rowLength(x.shape, index.shape), words(index.data)]
    for (let r = 0; r < at.length; r++) out.data[r] = at[r] >= 0 && at[r] < n ? x.data[r * n + at[r]] : 0
    return null
  },
)

/** x with a number added at one place of each row. */
export const addAtOp: Op = internal(
  'addAt',
  'x with a number added at one place of each row.',
  ([x, value, index], _attrs, out) => {
    const [n, at] = [rowLength(x.shape, index.shape), words(index.data)]
    out.data.set(x.data)
    for (let r = 0; r < at.length; r++) if (at[r] >= 0 && at[r] < n) out.data[r * n + at[r]] += value.data[r]
    return null
  },
)

const columnsOf = (attrs: Attrs): number => Number(attrs.columns)

/** `gatherLast` behind `checkClasses`, its classes as a column: a sum of what stands in the class's column. Attribute: `columns`. */
export const gatherColumnOp: Op = {
  ...gatherLast,
  reduces: {
    join: 'sum',
    term: (e, [x, classes], attrs) => e.select(e.eq(e.column(columnsOf(attrs)), classes), x, e.zero),
    over: (_shapes, _attrs, shape) => [...shape, 1],
  },
}
/** `scatterLast` behind `checkClasses`, its operands as columns. Attribute: `columns`. */
export const scatterColumnOp: Op = {
  ...scatterLast,
  lanes: (e, [g, classes], attrs) => e.select(e.eq(e.column(columnsOf(attrs)), classes), g, e.zero),
}

/** Fails, as `gatherLast` and `scatterLast` do, on a class that isn't a whole number from 0 to `columns - 1`. */
export const checkClassesOp: Op = {
  ...internal('checkClasses', 'Fails on a class that is no column.', ([classes], { columns }) => {
    const c = Number(columns)
    const bad = classes.data.findIndex((k) => !(Number.isInteger(k) && k >= 0 && k < c))
    return bad < 0 ? null : `class ${classes.data[bad]} of row ${bad} is not a whole number from 0 to ${c - 1}`
  }),
  guards: true,
}
