/** Ops that exist only inside plans: what a rewrite puts in the place of others. Each has a reference of its own. */
import { exp2, log2 } from '../../data/math.js'
import { float } from '../../data/quant.js'
import { broadcastStrides, sizeOf, type Shape } from '../../data/shape.js'
import type { Attrs, Op } from '../../graph/op.js'
import { gatherLast, scatterLast } from '../../ops/gatherLast.js'
import { badIndices } from '../../ops/gatherRows.js'
import { walk } from '../../ops/support/elementwise.js'

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

/** One result of a loop: the loop writes it, and nothing is left to do. */
export const loopResultOp: Op = internal(
  'loopResult',
  'A result of a loop.',
  () => 'internal: a loop writes its results',
)

const words = (data: Float32Array): Int32Array => new Int32Array(data.buffer, data.byteOffset, data.length)
/** Elements of a row of `x`, of as many rows as `rows` has elements. */
export const rowLength = (x: Shape, rows: Shape): number => sizeOf(x) / Math.max(1, sizeOf(rows))

/** Rows lie along an axis behind which there are `inner` elements: how many are there? */
const innerOf = ({ inner }: Attrs): number => (typeof inner === 'number' ? inner : 1)

/** The place of element `k` of row `row`, of rows of `n` elements that lie `inner` apart. */
const placeIn = (row: number, k: number, n: number, inner: number): number =>
  (Math.floor(row / inner) * n + k) * inner + (row % inner)

/** The elements of a row, or their magnitudes. */
const rowOf = (x: Float32Array, row: number, n: number, attrs: Attrs): Float32Array => {
  const own = Float32Array.from({ length: n }, (_, k) => x[placeIn(row, k, n, innerOf(attrs))])
  return attrs.abs === true ? own.map(Math.abs) : own
}

/** The largest of each row, where rows lie along an axis which is not the last: `maxLast` of a permutation that is not made. Attributes: `inner`, `abs`. */
export const maxAlongOp: Op = {
  ...internal('maxAlong', 'Largest of each row along an axis that is not the last.', ([x], attrs, out) => {
    const n = rowLength(x.shape, out.shape)
    for (let r = 0; r < out.data.length; r++) {
      const row = rowOf(x.data, r, n, attrs)
      out.data[r] = row.some(Number.isNaN) ? NaN : row.reduce((m, v) => (v > m ? v : m), -Infinity)
    }
    return null
  }),
  exact: 'zeros',
}

/** The place in its row (as the bits of an int32) of the first element (with `abs`: magnitude) that equals the chosen one; NaN equals NaN. */
export const firstIndexOp: Op = internal(
  'firstIndex',
  'Place of the first element of each row that equals the chosen one, as int32 bits.',
  ([x, chosen], attrs, out) => {
    const [n, to] = [rowLength(x.shape, chosen.shape), words(out.data)]
    for (let r = 0; r < chosen.data.length; r++) {
      const c = chosen.data[r]
      const row = rowOf(x.data, r, n, attrs)
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
  ([x, index], attrs, out) => {
    const [n, at] = [rowLength(x.shape, index.shape), words(index.data)]
    for (let r = 0; r < at.length; r++)
      out.data[r] = at[r] >= 0 && at[r] < n ? x.data[placeIn(r, at[r], n, innerOf(attrs))] : 0
    return null
  },
)

/** x with a number added at one place of each row. */
export const addAtOp: Op = internal(
  'addAt',
  'x with a number added at one place of each row.',
  ([x, value, index], attrs, out) => {
    const [n, at] = [rowLength(x.shape, index.shape), words(index.data)]
    out.data.set(x.data)
    for (let r = 0; r < at.length; r++)
      if (at[r] >= 0 && at[r] < n) out.data[placeIn(r, at[r], n, innerOf(attrs))] += value.data[r]
    return null
  },
)

/** The terms of an op that sums, element by element. */
export const termOf = (op: Op): Op => ({
  ...internal(`${op.name}, its terms`, `The terms of ${op.name} before they are summed.`, (args, attrs, out) => {
    // An element alone has its own term as its sum.
    const places = args.map((a) => broadcastStrides(a.shape, out.shape))
    const one = out.shape.map(() => 1)
    let failure: string | null = null
    walk(out.shape, places, (i, own) => {
      const single = { shape: one, data: new Float32Array(1) }
      const alone = args.map((a, k) => ({ shape: one, data: Float32Array.of(a.data[own[k]]) }))
      failure ??= op.evaluate(alone, attrs, single)
      out.data[i] = single.data[0]
    })
    return failure
  }),
  ...(op.reduces?.term === undefined ? {} : { lanes: op.reduces.term }),
})

/** The distance of float32 numbers above 1, and by how many powers of two subnormal ones are lifted to have their own power. */
const [STEP, SCALED] = [2 ** -23, 24]

/**
 * `2^floor(log2(x))`, as the three ops make it, with no logarithm: the power of two in x; but where x is so near to the next one, 2^K, that
 * float32 rounds the logarithm up to K, that one. It does where x is j steps below 2^K, and j/ln 2 less than half the distance of the
 * float32 numbers before K, in the same steps of 2^-24: then x and as many steps less a half are 2^K, rounded.
 */
export const powerBelowOp: Op = {
  ...internal('powerBelow', '2^floor(log2 x), the power of two in a number.', ([x], _attrs, out) => {
    for (let i = 0; i < x.data.length; i++) out.data[i] = exp2(Math.floor(Math.fround(log2(x.data[i]))))
    return null
  }),
  lanes: (e, [x]) => {
    const constant = e.constant
    // Subnormal numbers have no power of their own.
    const small = e.lt(x, constant(2 ** -126))
    const y = e.fround(e.mul(x, e.select(small, constant(2 ** SCALED), e.one)))
    const next = e.fround(e.sub(e.exponent(y), e.select(small, constant(SCALED - 1), constant(-1))))
    // Before a power of two as K, numbers are half as far apart as behind it; before a negative K, as behind its size.
    const size = e.power(e.pmax(e.fround(e.sub(next, constant(0.5))), e.neg(next)))
    const steps = e.fround(e.sub(e.fround(e.mul(size, constant(Math.fround(Math.LN2 * STEP)))), constant(STEP / 2)))
    const lifted = e.fround(e.add(y, e.fround(e.mul(e.power(y), e.pmax(steps, e.zero)))))
    const found = e.fround(e.mul(e.power(lifted), e.select(small, constant(2 ** -SCALED), e.one)))
    return e.select(e.ge(x, e.zero), found, constant(NaN))
  },
}

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

/** Fails, as `gatherRows` and `scatterRows` do, on an index that is no row. */
export const checkRowsOp: Op = {
  ...internal('checkRows', 'Fails on an index that is no row.', ([indices], { rows }) =>
    badIndices(indices.data, Number(rows)),
  ),
  guards: true,
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
