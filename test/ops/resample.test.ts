/** Joining, cutting, padding and resizing against their definitions, their gradients, and what they do to metadata. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { quantOf } from '../../src/data/quant.js'
import { sizeOf } from '../../src/data/shape.js'
import { tensorOf, type Tensor } from '../../src/data/tensor.js'
import { hasVjp, type Attrs, type Op, type Value } from '../../src/graph/op.js'
import { concat } from '../../src/ops/concat.js'
import { pad } from '../../src/ops/pad.js'
import { padGrad } from '../../src/ops/padGrad.js'
import { pixelShuffle, pixelUnshuffle } from '../../src/ops/pixelShuffle.js'
import { slice } from '../../src/ops/slice.js'
import type { PadMode } from '../../src/ops/support/padding.js'
import type { LinearAttrs, ResizeAttrs } from '../../src/ops/support/resizing.js'
import { upsampleLinear, upsampleLinearGrad } from '../../src/ops/upsampleLinear.js'
import {
  upsampleNearest,
  upsampleNearestExact,
  upsampleNearestExactGrad,
  upsampleNearestGrad,
} from '../../src/ops/upsampleNearest.js'
import { suite } from '../support/suite.js'
import {
  at,
  builderWith,
  dot,
  evaluate,
  indices,
  isClose,
  quantInput,
  randomTensor,
  refusalOf,
  seeds,
  tagOf,
} from './direct.js'

const test = suite('resample')

const all: readonly Op[] = [
  concat,
  slice,
  pad,
  padGrad,
  upsampleNearest,
  upsampleNearestGrad,
  upsampleNearestExact,
  upsampleNearestExactGrad,
  upsampleLinear,
  upsampleLinearGrad,
]

const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)

/** `y·g = a·grad(g)`: the gradient of a linear op is its adjoint. */
const isAdjoint = (y: Tensor, g: Tensor, a: Tensor, da: Tensor): boolean => Math.abs(dot(y, g) - dot(a, da)) < 1e-4

// ---------------------------------------------------------------- concat and slice

test('slices of a concatenation are its members', () => {
  const shapes = fc.record({
    lead: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    tail: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    sizes: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 4 }),
    seed: seeds,
  })
  fc.assert(
    fc.property(shapes, ({ lead, tail, sizes, seed }) => {
      const dim = lead.length
      const members = sizes.map((n, i) => randomTensor([...lead, n, ...tail], seed + i))
      const y = evaluate(concat, members, { dim })
      let start = 0
      for (const m of members) {
        const end = start + m.shape[dim]
        assert.deepEqual(evaluate(slice, [y], { dim, start, end }), m)
        start = end
      }
      assert.equal(y.shape[dim], start)
    }),
    { numRuns: 100 },
  )
})

test('concat and slice refuse what does not fit', () => {
  assert.match(
    refusalOf(
      concat,
      [
        [2, 3],
        [2, 4],
      ],
      { dim: 0 },
    ) ?? '',
    /\[2,3\], \[2,4\] cannot be joined along axis 0/,
  )
  assert.match(refusalOf(concat, [[2, 3]], { dim: 2 }) ?? '', /no axis 2 in \[2,3\]/)
  assert.match(
    refusalOf(slice, [[2, 3]], { dim: 1, start: 1, end: 4 }) ?? '',
    /1 to 4 are no stretch of axis 1 of \[2,3\]/,
  )
})

type Member = Parameters<typeof quantInput>[6]

/** What two quant tensors joined carry, and the graph they are in. */
const join = (
  a: Member,
  b: Member,
  scaleShape: readonly number[] = [],
  bits = 4,
): { readonly value: Value; readonly ops: readonly string[]; readonly errors: readonly string[] } => {
  const graph = builderWith(all)
  const x = quantInput(graph, 'x', [1, 2], 4, true, scaleShape, a)
  const y = quantInput(graph, 'y', [1, 2], bits, true, scaleShape, b)
  const value = graph.apply(concat, [x, y], { dim: 0 })
  const ops = graph.errors.length > 0 ? [] : graph.finish([value]).nodes.map((n) => n.op.name)
  return { value, ops, errors: graph.errors.map((e) => e.message) }
}

test('concat of quant tensors: one scale is carried, two are checked in eval and averaged in training', () => {
  const graph = builderWith(all)
  const x = quantInput(graph, 'x', [1, 2], 4, true)
  const y = graph.apply(pad, [x], {
    pad: [
      [1, 0],
      [0, 0],
    ],
    mode: 'constant',
    value: 0,
  })
  const same = graph.apply(concat, [x, y], { dim: 0 })
  assert.equal(same.carried.tag, 'carries')
  assert.equal(quantOf(same.carried)?.scale, quantOf(x.carried)?.scale)
  assert.deepEqual(graph.apply(concat, [x], { dim: 0 }).carried, x.carried)
  assert.match(
    tagOf(graph.apply(concat, [x, graph.input('data', 'plain', [1, 2])], { dim: 0 }).carried),
    /^stripped: member 1 is a plain tensor/,
  )

  const held = join({}, {})
  assert.match(tagOf(held.value.carried), /^claimed: two scales/)
  assert.equal(held.ops.filter((n) => n === 'checkClose').length, 1)
  const trained = join({ training: true }, {})
  assert.match(tagOf(trained.value.carried), /^claimed: two scales.*their mean/)
  assert.deepEqual(
    trained.ops.filter((n) => ['checkClose', 'add', 'div'].includes(n)),
    ['add', 'div'],
  )
  const later = join({}, { training: true })
  assert.deepEqual(
    later.ops.filter((n) => ['checkClose', 'add', 'div'].includes(n)),
    ['checkClose', 'add', 'div'],
  )
  assert.equal(quantOf(later.value.carried)?.training, true)
})

test('concat refuses different widths and signs, and claims per-channel scales', () => {
  assert.match(join({}, {}, [], 5).errors.join(), /Bit widths are different/)
  assert.match(join({}, { signed: false }).errors.join(), /Signs are different/)
  const graph = builderWith(all)
  const x = quantInput(graph, 'x', [1, 2], 4, true, [1, 2])
  assert.match(tagOf(graph.apply(concat, [x, x], { dim: 1 }).carried), /^claimed: per-channel/)
})

test('concat checks zero points that may differ', () => {
  const graph = builderWith(all)
  const x = quantInput(graph, 'x', [1, 2], 4, false, [], {
    zero: 'integer',
    zeroPoint: graph.input('data', 'zx', []).id,
  })
  const qx = quantOf(x.carried)
  assert.ok(qx !== null)
  const zeroPoint = graph.input('data', 'zy', []).id
  const y = quantInput(graph, 'y', [1, 2], 4, false, [], { zero: 'integer', scale: qx.scale, zeroPoint })
  const joined = graph.apply(concat, [x, y], { dim: 0 })
  assert.equal(joined.carried.tag, 'carries')
  const checks = graph.finish([joined]).nodes.filter((n) => n.op.name === 'checkClose')
  assert.deepEqual(
    checks.map((n) => [n.attrs['message'], n.inputs.slice(1)]),
    [['Zero points are different', [qx.zeroPoint, zeroPoint]]],
  )
  const moved = quantInput(graph, 'm', [1, 2], 4, false, [], {
    zero: 'any',
    scale: qx.scale,
    zeroPoint: graph.input('data', 'zm', []).id,
  })
  assert.match(tagOf(graph.apply(concat, [x, moved], { dim: 0 }).carried), /^claimed: two zero points/)
})

// ---------------------------------------------------------------- pad

/** One axis padded, by hand. */
const padded = (x: readonly number[], before: number, after: number, mode: PadMode, value: number): readonly number[] =>
  range(before + x.length + after).map((i) => {
    const n = x.length
    const p = i - before
    if (p >= 0 && p < n) return x[p]
    if (mode === 'constant') return value
    if (mode === 'replicate') return x[p < 0 ? 0 : n - 1]
    return mode === 'circular' ? x[(p + n) % n] : x[p < 0 ? -p : n - 1 - (p - n + 1)]
  })

const padCases = fc
  .record({
    size: fc.integer({ min: 2, max: 5 }),
    rows: fc.integer({ min: 2, max: 3 }),
    pads: fc.array(fc.nat({ max: 4 }), { minLength: 4, maxLength: 4 }),
    mode: fc.constantFrom<PadMode[]>('constant', 'reflect', 'replicate', 'circular'),
    seed: seeds,
  })
  .map(({ size, rows, pads: [a, b, c, d], mode, seed }) => {
    const most = (n: number): number => (mode === 'reflect' ? n - 1 : mode === 'circular' ? n : 4)
    const fit = (k: number, n: number): number => Math.min(k, most(n))
    const pairs: readonly (readonly [number, number])[] = [
      [fit(a, rows), fit(b, rows)],
      [fit(c, size), fit(d, size)],
    ]
    return { x: [rows, size], attrs: { pad: pairs, mode, value: 0.5 }, seed }
  })

test('pad is its definition, axis by axis, and padGrad its adjoint', () => {
  fc.assert(
    fc.property(padCases, ({ x, attrs, seed }) => {
      const a = randomTensor(x, seed)
      const y = evaluate(pad, [a], attrs)
      const [[top, bottom], [left, right]] = attrs.pad
      const rows = range(x[0]).map((r) =>
        padded([...a.data.subarray(r * x[1], (r + 1) * x[1])], left, right, attrs.mode, attrs.value),
      )
      const columns = range(y.shape[1]).map((c) =>
        padded(
          rows.map((r) => r[c]),
          top,
          bottom,
          attrs.mode,
          attrs.value,
        ),
      )
      assert.deepEqual(
        [...y.data],
        range(y.shape[0]).flatMap((r) => columns.map((c) => c[r])),
      )
      const g = randomTensor(y.shape, seed + 1)
      assert.ok(
        isAdjoint(
          evaluate(pad, [a], { ...attrs, value: 0 }),
          g,
          a,
          evaluate(padGrad, [g], { ...attrs, inputShape: x }),
        ),
      )
    }),
    { numRuns: 150 },
  )
})

test('pad crops with negative numbers, and refuses what a mode cannot do', () => {
  const on = (p: readonly [number, number], mode: PadMode = 'constant', value = 9) => ({
    pad: [[0, 0], p] as const,
    mode,
    value,
  })
  assert.deepEqual([...evaluate(pad, [tensorOf([1, 4], [1, 2, 3, 4])], on([-1, 2])).data], [2, 3, 4, 9, 9])
  assert.match(
    refusalOf(pad, [[1, 4]], on([4, 0], 'reflect')) ?? '',
    /\[4,0\] of axis 1 of \[1,4\] is too wide for mode 'reflect'/,
  )
  assert.match(refusalOf(pad, [[1, 4]], on([-1, 0], 'circular')) ?? '', /crops, which mode 'circular' does not/)
  assert.match(refusalOf(pad, [[1, 4]], on([-3, -2])) ?? '', /crops more than there is/)
  assert.match(
    refusalOf(pad, [[1, 4]], on([1, 1], 'constant', -Infinity)) ?? '',
    /value is -Infinity; it must be a finite number/,
  )
  assert.match(refusalOf(pad, [[1, 2, 4]], on([1, 1])) ?? '', /2 pads do not fit the 3 axes of \[1,2,4\]/)
})

test('pad keeps metadata where 0 is on the grid', () => {
  const graph = builderWith(all)
  const on = (x: Value, value: number, mode: PadMode = 'constant', first = 0): string =>
    tagOf(
      graph.apply(pad, [x], {
        pad: [
          [first, 0],
          [1, 1],
        ],
        mode,
        value,
      }).carried,
    )
  const x = quantInput(graph, 'x', [2, 3], 4, true)
  const fraction = quantInput(graph, 'f', [2, 3], 4, true, [], { zero: 'any' })
  const channels = quantInput(graph, 'c', [2, 3], 4, true, [2, 1])
  assert.equal(on(x, 0), 'carries')
  assert.match(on(x, 0.5), /^claimed: the value 0.5 is not on the grid/)
  assert.match(on(fraction, 0), /^claimed: its zero point/)
  assert.equal(on(fraction, 0, 'reflect'), 'carries')
  assert.equal(on(channels, 0), 'carries')
  assert.match(on(channels, 0, 'constant', 1), /^claimed: the scale \[2,1\] varies along padded axis 0/)
})

// ---------------------------------------------------------------- resizing

const resizeCases = fc
  .record({
    axes: fc.array(
      fc.record({
        size: fc.integer({ min: 1, max: 5 }),
        factor: fc.constantFrom(0.5, 1, 1.5, 2, 2.6),
        out: fc.integer({ min: 1, max: 7 }),
        byFactor: fc.boolean(),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    alignCorners: fc.boolean(),
    seed: seeds,
  })
  .map(({ axes, alignCorners, seed }) => ({
    x: [2, 2, ...axes.map((a) => a.size)],
    attrs: {
      size: axes.map((a) => (a.byFactor ? Math.max(1, Math.floor(a.size * a.factor)) : a.out)),
      scales: axes.map((a) => (a.byFactor ? a.factor : null)),
      alignCorners,
    },
    seed,
  }))

const step = (n: number, m: number, scale: number | null): number => Math.fround(scale === null ? n / m : 1 / scale)

const nearestNaive = (
  a: Tensor,
  shape: readonly number[],
  { scales }: ResizeAttrs,
  offset: number,
): readonly number[] =>
  indices(shape).map((p) =>
    at(
      a,
      p.map((i, d) =>
        d < 2
          ? i
          : Math.min(a.shape[d] - 1, Math.floor(Math.fround((i + offset) * step(a.shape[d], shape[d], scales[d - 2])))),
      ),
    ),
  )

test('nearest resizing is its definition, and its gradient adjoint', () => {
  fc.assert(
    fc.property(resizeCases, ({ x, attrs: { alignCorners: _, ...attrs }, seed }) => {
      const a = randomTensor(x, seed)
      const [y, z] = [evaluate(upsampleNearest, [a], attrs), evaluate(upsampleNearestExact, [a], attrs)]
      assert.deepEqual([...y.data], nearestNaive(a, y.shape, attrs, 0))
      assert.deepEqual([...z.data], nearestNaive(a, z.shape, attrs, 0.5))
      const g = randomTensor(y.shape, seed + 1)
      assert.ok(isAdjoint(y, g, a, evaluate(upsampleNearestGrad, [g], { ...attrs, inputShape: x })))
      assert.ok(isAdjoint(z, g, a, evaluate(upsampleNearestExactGrad, [g], { ...attrs, inputShape: x })))
    }),
    { numRuns: 150 },
  )
})

/** Interpolation in double: a sum over all elements, each weighted by its hat function along every axis. */
const linearNaive = (a: Tensor, shape: readonly number[], { scales, alignCorners }: LinearAttrs): readonly number[] =>
  indices(shape).map((p) =>
    indices(a.shape.slice(2)).reduce((sum, s) => {
      const weights = s.map((i, k) => {
        const [n, m] = [a.shape[k + 2], shape[k + 2]]
        if (n === m) return i === p[k + 2] ? 1 : 0
        const position = alignCorners
          ? m > 1
            ? (p[k + 2] * (n - 1)) / (m - 1)
            : 0
          : (p[k + 2] + 0.5) * (1 / (scales[k] ?? m / n)) - 0.5
        return Math.max(0, 1 - Math.abs(Math.min(Math.max(position, 0), n - 1) - i))
      })
      return sum + weights.reduce((w, v) => w * v, 1) * at(a, [p[0], p[1], ...s])
    }, 0),
  )

test('linear resizing is its definition, and its gradient adjoint', () => {
  fc.assert(
    fc.property(resizeCases, ({ x, attrs, seed }) => {
      const a = randomTensor(x, seed)
      const y = evaluate(upsampleLinear, [a], attrs)
      assert.ok(isClose(y, linearNaive(a, y.shape, attrs), 5))
      const g = randomTensor(y.shape, seed + 1)
      assert.ok(isAdjoint(y, g, a, evaluate(upsampleLinearGrad, [g], { ...attrs, inputShape: x })))
    }),
    { numRuns: 150 },
  )
})

test('small cases worked by hand', () => {
  const x = tensorOf([1, 1, 4], [1, 2, 3, 4])
  assert.deepEqual(
    [...evaluate(upsampleLinear, [x], { size: [8], scales: [2], alignCorners: false }).data],
    [1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4],
  )
  assert.deepEqual(
    [...evaluate(upsampleLinear, [x], { size: [7], scales: [null], alignCorners: true }).data],
    [1, 1.5, 2, 2.5, 3, 3.5, 4],
  )
  assert.deepEqual([...evaluate(upsampleNearest, [x], { size: [3], scales: [null] }).data], [1, 2, 3])
  assert.deepEqual([...evaluate(upsampleNearestExact, [x], { size: [3], scales: [null] }).data], [1, 3, 4])
})

test('nearest-exact reads where torch reads, also where a coordinate is an integer but for rounding', () => {
  // Recorded from torch 2.13: of 2 (or 4) elements resized to so many, the first index that reads the second one. Its general
  // kernel (lines, volumes, images of more than 128 rows and columns) and the other one differ by one there; its gradients
  // are the other one's always.
  const firsts: readonly (readonly [x: readonly number[], size: readonly number[], axis: number, first: number])[] = [
    [[1, 1, 2], [41], 0, 20],
    [[1, 1, 2], [47], 0, 23],
    [[1, 1, 2], [55], 0, 27],
    [[1, 1, 2], [83], 0, 41],
    [[1, 1, 2, 2], [41, 2], 0, 21],
    [[1, 1, 2, 2], [2, 41], 1, 21],
    [[1, 1, 2, 2], [41, 100], 0, 20],
    [[1, 1, 2, 2, 2], [41, 2, 2], 0, 20],
    [[1, 1, 2, 2, 2], [2, 2, 55], 2, 27],
    [[1, 1, 2], [40], 0, 20],
    [[1, 1, 2], [42], 0, 21],
  ]
  for (const [shape, size, axis, first] of firsts) {
    const n = shape[axis + 2]
    const inner = sizeOf(shape.slice(axis + 3))
    const x = { shape, data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.floor(i / inner) % n) }
    const attrs = { size, scales: size.map(() => null) }
    const y = evaluate(upsampleNearestExact, [x], attrs)
    const [m, step] = [size[axis], sizeOf(size.slice(axis + 1))]
    const along = Array.from({ length: m }, (_, i) => y.data[i * step])
    assert.equal(
      along.findIndex((v) => v === 1),
      first,
      `${shape.join()} to ${size.join()}`,
    )
    const g = { shape: y.shape, data: new Float32Array(y.data.length).fill(1) }
    const back = evaluate(upsampleNearestExactGrad, [g], { ...attrs, inputShape: shape })
    if (shape.length === 3) assert.deepEqual([...back.data], [Math.ceil(m / 2), Math.floor(m / 2)])
  }
})

test('resizing refuses what does not fit', () => {
  assert.match(refusalOf(upsampleNearest, [[3]], { size: [2], scales: [null] }) ?? '', /not \[3\]/)
  assert.match(refusalOf(upsampleNearest, [[1, 1, 3]], { size: [0], scales: [null] }) ?? '', /\[1,1,3\] to \[0\]/)
  assert.match(
    refusalOf(upsampleNearest, [[1, 1, 3]], { size: [6], scales: [-2] }) ?? '',
    /scales is \[-2\]; it must be a list, each entry a number above 0/,
  )
  assert.match(
    refusalOf(upsampleLinear, [[1, 1, 0]], { size: [6], scales: [null], alignCorners: false }) ?? '',
    /\[1,1,0\]: a resized axis is empty/,
  )
  assert.match(
    refusalOf(upsampleLinear, [[1, 1, 1, 1, 1]], {
      size: [1, 1, 1, 1],
      scales: [null, null, null, null],
      alignCorners: false,
    }) ?? '',
    /resizes 1 to 3 axes, not 4/,
  )
  assert.match(
    refusalOf(upsampleNearestGrad, [[1, 1, 5]], { size: [6], scales: [null], inputShape: [1, 1, 3] }) ?? '',
    /\[1,1,5\] does not belong to an input of \[1,1,3\], which gives \[1,1,6\]/,
  )
})

test('nearest keeps metadata, the other modes strip', () => {
  const graph = builderWith(all)
  const x = quantInput(graph, 'x', [1, 2, 3], 4, true, [1, 2, 1])
  const attrs = { size: [6], scales: [2] }
  assert.deepEqual(graph.apply(upsampleNearest, [x], attrs).carried, x.carried)
  assert.match(
    tagOf(graph.apply(upsampleNearest, [quantInput(graph, 'w', [1, 2, 3], 4, true, [3])], attrs).carried),
    /^claimed: the scale \[3\] varies along resized axis 2/,
  )
  assert.match(tagOf(graph.apply(upsampleNearestExact, [x], attrs).carried), /^stripped/)
  assert.match(tagOf(graph.apply(upsampleLinear, [x], { ...attrs, alignCorners: false }).carried), /^stripped/)
})

// ---------------------------------------------------------------- pixels

test('pixelShuffle is its definition, and pixelUnshuffle its inverse', () => {
  const sizes = fc.record({
    n: fc.integer({ min: 1, max: 2 }),
    c: fc.integer({ min: 1, max: 2 }),
    h: fc.integer({ min: 1, max: 3 }),
    w: fc.integer({ min: 1, max: 3 }),
    factor: fc.integer({ min: 1, max: 3 }),
    seed: seeds,
  })
  fc.assert(
    fc.property(sizes, ({ n, c, h, w, factor: r, seed }) => {
      const a = randomTensor([n, c * r * r, h, w], seed)
      const y = evaluate(pixelShuffle, [a], { factor: r })
      const expected = indices([n, c, h * r, w * r]).map(([b, k, i, j]) =>
        at(a, [b, k * r * r + (i % r) * r + (j % r), Math.floor(i / r), Math.floor(j / r)]),
      )
      assert.deepEqual([...y.data], expected)
      assert.deepEqual(evaluate(pixelUnshuffle, [y], { factor: r }), a)
    }),
    { numRuns: 60 },
  )
})

// ---------------------------------------------------------------- all

/** Gradient rules emit ops that exist and accept what they are given, twice over. */
const differentiates = <A extends Attrs>(op: Op<A>, shapes: readonly (readonly number[])[], attrs: A): void => {
  const graph = builderWith(all)
  const args = shapes.map((s, i) => graph.input('data', String(i), s))
  const y = graph.apply(op, args, attrs)
  const first = graph.finish([y]).nodes[y.id]
  assert.ok(hasVjp(first.op))
  const g = graph.input('data', 'g', y.shape)
  const grads = first.op.vjp({ g, args, attrs, out: () => y, needs: args.map(() => true), kit: graph })
  grads.forEach((d, i) => assert.deepEqual(d?.shape, shapes[i]))
  assert.deepEqual(graph.errors, [])
}

test("every example has gradients of its operands' shapes", () => {
  for (const op of all)
    for (const { args, attrs } of op.examples)
      differentiates(
        op,
        args.map((a) => a.shape),
        attrs,
      )
})

test.run()
