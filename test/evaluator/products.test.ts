/** Kernels of products against the reference ops: any geometry, any split into units, numbers on integer grids. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { sizeOf, type Shape } from '../../src/data/shape.js'
import { tensor, type Tensor } from '../../src/data/tensor.js'
import { productKernel } from '../../src/evaluator/wasm/kernels/products/index.js'
import { isRefusal, type Attrs } from '../../src/graph/op.js'
import { ops } from '../../src/ops/index.js'
import { convOfTranspose, convShape } from '../../src/ops/support/convShape.js'
import { randomIntegers, randomTensor, seeds } from '../ops/direct.js'
import { suite } from '../support/suite.js'
import { instantiate, type RunnableStage } from './support/instantiate.js'

const test = suite('product kernels')

type Call = { readonly op: string; readonly attrs: Attrs; readonly shapes: readonly Shape[] }

const shapeOf = ({ op, attrs, shapes }: Call): Shape => {
  const shape = ops[op].shape(shapes, attrs)
  if (isRefusal(shape)) throw new Error(shape.refuse)
  return shape
}

const reference = (call: Call, args: readonly Tensor[]): Tensor => {
  const shape = shapeOf(call)
  const out = tensor(shape, new Float32Array(sizeOf(shape)).fill(NaN))
  const failure = ops[call.op].evaluate(args, call.attrs, out)
  if (failure !== null) throw new Error(failure)
  return out
}

const prepared = (call: Call, args: readonly Tensor[]) => {
  const shape = shapeOf(call)
  const kernel = productKernel({ ...call, shape }, null)
  if (kernel === null) throw new Error(`no kernel for ${call.op}`)
  const made = instantiate(
    kernel,
    args.map((a) => a.data.length),
    [sizeOf(shape)],
  )
  args.forEach((a, i) => made.args[i].set(a.data))
  return { kernel, made }
}

/** Units one by one, the last first. */
const scattered = (stage: RunnableStage): void => {
  for (let u = stage.units - 1; u >= 0; u--) stage.run(u, u + 1)
}

/** Integers are summed exactly; other numbers within what float32 sums may round, for factors up to 1. */
const agrees = (call: Call, seed: number): void => {
  const whole = call.shapes.map((s, i) => randomIntegers(s, -8, 7, seed + i))
  const exact = prepared(call, whole)
  exact.made.run()
  const name = `${exact.kernel.name} ${JSON.stringify(call)}`
  assert.deepEqual(
    exact.made.outs[0].map((x) => x + 0),
    reference(call, whole).data.map((x) => x + 0),
    name,
  )
  const args = call.shapes.map((s, i) => randomTensor(s, seed + i))
  args.forEach((a, i) => exact.made.args[i].set(a.data))
  exact.made.outs[0].fill(NaN)
  exact.made.run()
  assert.ok(!exact.made.fellBack(), `${name} fell back`)
  const once = exact.made.outs[0].slice()
  const expected = reference(call, args).data
  const size = exact.kernel.flops / 2 / Math.max(1, expected.length)
  const most = 4e-6 * (1 + Math.sqrt(size))
  once.forEach((x, i) => assert.ok(Math.abs(x - expected[i]) <= most, `${name}: ${x} at ${i}, not ${expected[i]}`))
  exact.made.outs[0].fill(NaN)
  exact.made.run(scattered)
  assert.deepEqual(exact.made.outs[0], once, `${name} depends on the split`)
}

/** Numbers of which some are NaN or infinite, and some 0, as the reference has them: where NaN, where infinite, and the rest near. */
const goesWhereItGoes = (call: Call, seed: number): void => {
  const wild = (t: Tensor, k: number, few: number): Tensor => {
    const data = t.data.map((x) => (Math.abs(x) < 0.1 ? 0 : x))
    for (let i = 0; i < few; i++)
      data[(seed * 31 + 17 * i * (k + 1)) % data.length] = [NaN, Infinity, -Infinity][(seed + i + k) % 3]
    return tensor(t.shape, data)
  }
  const few = [
    [1, 0],
    [0, 1],
    [3, 2],
  ][seed % 3]
  const args = call.shapes.map((s, k) => wild(randomTensor(s, seed + k), k, few[k]))
  const { kernel, made } = prepared(call, args)
  const expected = reference(call, args).data
  made.outs[0].fill(7)
  made.run(seed % 2 === 0 ? undefined : scattered)
  made.outs[0].forEach((x, i) => {
    const same = Object.is(x, expected[i]) || Math.abs(x - expected[i]) <= 1e-3
    assert.ok(same, `${kernel.name} ${JSON.stringify(call)}, ${few.join()}: ${x} at ${i}, not ${expected[i]}`)
  })
}

/** Operands on grids: integers, their scales (one for x; one or one per channel for w) and the products. */
const onGrids = (call: Call, seed: number, perChannel: boolean) => {
  const [xs, ws] = call.shapes
  const [x, w] = [randomIntegers(xs, -128, 127, seed), randomIntegers(ws, -127, 127, seed + 1)]
  const sx = Math.fround(0.003 + (seed % 97) * 0.01)
  const sw = Float32Array.from({ length: perChannel ? ws[0] : 1 }, (_, o) => 0.001 + ((seed + o * 31) % 53) * 0.02)
  const per = sizeOf(ws.slice(1))
  const scaleOf = (o: number): number => sw[perChannel ? o : 0]
  const [xf, wf] = [x.data.map((q) => q * sx), w.data.map((q, i) => q * scaleOf(Math.floor(i / per)))]
  const shape = shapeOf(call)
  const [axis, count] = call.op === 'linear' ? [1, ws[0]] : [sizeOf(shape.slice(2)), shape[1]]
  const expected = reference(call, [x, w]).data.map(
    (y, i) => y * Math.fround(sx * scaleOf(Math.floor(i / axis) % count)),
  )
  return { x: xf, w: wf, sx, sw, expected, shape }
}

/** `cropped`: some numbers of x are not read at all, so that what is wrong with them needn't be noticed. */
const onIntegers = (call: Call, seed: number, perChannel: boolean, cropped = false): void => {
  const { x, w, sx, sw, expected, shape } = onGrids(call, seed, perChannel)
  const kernel = productKernel(
    { ...call, shape },
    { x: { lo: -128, hi: 127 }, w: { lo: -127, hi: 127 }, weightScales: sw.length, declared: false },
  )
  if (kernel?.fallback === undefined) throw new Error('no integer kernel')
  const made = instantiate(kernel, [x.length, w.length, 1, sw.length], [sizeOf(shape)])
  const set = (xs: Float32Array, ws: Float32Array, scale: number): void =>
    [xs, ws, Float32Array.of(scale), sw].forEach((v, i) => made.args[i].set(v))
  const name = `${kernel.name} ${JSON.stringify(call)}`
  for (const split of [undefined, scattered]) {
    set(x, w, sx)
    made.outs[0].fill(NaN)
    made.run(split)
    assert.ok(!made.fellBack(), `${name} fell back`)
    assert.deepEqual(made.outs[0], expected, name)
  }
  const float = instantiate(kernel.fallback.kernel, [x.length, w.length, 1, sw.length], [sizeOf(shape)])
  // What the grid doesn't hold goes to the float kernel: an element, or a scale.
  const spoilt = [NaN, Infinity, -Infinity, 300 * sx].flatMap(
    (bad) =>
      [
        [x.with(seed % x.length, bad), w, sx],
        [x, w.with(seed % w.length, bad * 1e3), sx],
      ] as const,
  )
  for (const [xs, ws, scale] of [...(cropped ? [] : spoilt), [x, w, 0], [x, w, NaN], [x, w, Infinity]] as const) {
    set(xs, ws, scale)
    made.run(scattered)
    float.args[0].set(xs)
    float.args[1].set(ws)
    float.run()
    assert.ok(made.fellBack(), `${name} did not fall back`)
    assert.deepEqual(made.outs[0], float.outs[0], name)
  }
}

const axis = fc.record({
  size: fc.integer({ min: 1, max: 9 }),
  kernel: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 3 }),
  before: fc.integer({ min: -1, max: 3 }),
  after: fc.integer({ min: -1, max: 3 }),
  dilation: fc.integer({ min: 1, max: 2 }),
})
const widths = fc.constantFrom(1, 1, 2, 3, 4, 5, 7, 8, 11, 16, 17, 21)
const geometries = fc
  .record({
    axes: fc.array(axis, { minLength: 1, maxLength: 3 }),
    n: fc.integer({ min: 1, max: 3 }),
    groups: fc.constantFrom(1, 1, 2, 3),
    c: widths,
    o: widths,
    long: fc.constantFrom(0, 0, 13, 30),
  })
  .map(({ axes, n, groups, c, o, long }) => {
    const sizes = axes.map((a, d) => (d === axes.length - 1 ? a.size + long : a.size))
    return {
      x: [n, c * groups, ...sizes],
      w: [o * groups, c, ...axes.map((a) => a.kernel)],
      attrs: {
        stride: axes.map((a) => a.stride),
        padding: axes.map((a) => [a.before, a.after] as const),
        dilation: axes.map((a) => a.dilation),
        groups,
      },
    }
  })
  .filter(({ x, w, attrs }) => !isRefusal(convShape(x, w, attrs)) && sizeOf(x) < 20_000)

type Geometry = {
  readonly x: Shape
  readonly w: Shape
  readonly attrs: Attrs & { readonly groups: number }
}

const runs = { numRuns: 60 }

/** A convolution, its gradients, and a transposed convolution that it is the gradient of. */
const callsOf = ({ x, w, attrs }: Geometry): readonly Call[] => {
  const y = shapeOf({ op: 'conv', attrs, shapes: [x, w] })
  return [
    { op: 'conv', attrs, shapes: [x, w] },
    { op: 'convInputGrad', attrs: { ...attrs, inputShape: x }, shapes: [y, w] },
    { op: 'convWeightGrad', attrs: { ...attrs, weightShape: w }, shapes: [x, y] },
  ]
}

for (const [k, name] of ['conv', 'convInputGrad', 'convWeightGrad'].entries())
  test(name, () => {
    fc.assert(
      fc.property(geometries, seeds, (g, seed) => {
        const call = callsOf(g)[k]
        agrees(call, seed)
        goesWhereItGoes(call, seed)
      }),
      runs,
    )
  })

test('convTranspose', () => {
  const calls = fc
    .tuple(geometries, fc.integer({ min: 0, max: 1 }))
    .map(([{ x, w, attrs }, extra]) => ({
      op: 'convTranspose',
      attrs: {
        stride: attrs.stride,
        padding: attrs.padding.map(([p]) => Math.max(0, p)),
        outputPadding: attrs.stride.map((s) => Math.min(s - 1, extra)),
        dilation: attrs.dilation,
        groups: attrs.groups,
      },
      shapes: [[x[0], w[0], ...x.slice(2)], w],
    }))
    .filter(
      (call) =>
        !isRefusal(ops['convTranspose'].shape(call.shapes, call.attrs)) && convOfTranspose(call.attrs).groups >= 1,
    )
  fc.assert(
    fc.property(calls, seeds, (call, seed) => {
      agrees(call, seed)
      goesWhereItGoes(call, seed)
    }),
    runs,
  )
})

test('depthwise, and planes of more than one chunk of positions', () => {
  const depthwise = {
    stride: [1, 1],
    padding: [
      [1, 1],
      [1, 1],
    ],
    dilation: [1, 1],
    groups: 19,
  }
  const big = {
    stride: [1, 1],
    padding: [
      [1, 1],
      [1, 1],
    ],
    dilation: [1, 1],
    groups: 1,
  }
  const cases: readonly (readonly [Shape, Shape, Attrs & { readonly groups: number }])[] = [
    [[2, 19, 11, 14], [19, 1, 3, 3], depthwise],
    [[2, 19, 11, 14], [38, 1, 3, 3], { ...depthwise, stride: [2, 2] }],
    [[2, 3, 41, 39], [5, 3, 3, 3], big],
    [[3, 2, 17, 19], [18, 2, 3, 3], big],
    [[9, 1, 12, 12], [20, 1, 5, 5], big],
  ]
  for (const [x, w, attrs] of cases) {
    const y = shapeOf({ op: 'conv', attrs, shapes: [x, w] })
    agrees({ op: 'conv', attrs, shapes: [x, w] }, 1)
    agrees({ op: 'convInputGrad', attrs: { ...attrs, inputShape: x }, shapes: [y, w] }, 2)
    agrees({ op: 'convWeightGrad', attrs: { ...attrs, weightShape: w }, shapes: [x, y] }, 3)
  }
})

test('planes are placed image by image, just before they are multiplied: the last unit may have fewer images', () => {
  const attrs = { stride: [1, 1], padding: [[1, 1] as const, [1, 0] as const], dilation: [1, 1], groups: 1 }
  for (const [n, c, o] of [
    [50, 3, 5],
    [67, 5, 3],
    [81, 2, 6],
  ]) {
    const g = { x: [n, c, 9, 8], w: [o, c, 3, 3], attrs }
    for (const call of callsOf(g).slice(0, 2)) {
      const stages = productKernel({ ...call, shape: shapeOf(call) }, null)?.stages ?? []
      const { pieces, units } = stages[stages.length - 1]
      assert.ok(!stages.some(({ label }) => label === 'place planes') && units > 1, JSON.stringify(stages))
      assert.ok(pieces === undefined, 'a joined stage tells no pieces')
      agrees(call, n)
      goesWhereItGoes(call, n)
    }
  }
})

const planeAxis = fc.record({
  size: fc.integer({ min: 1, max: 21 }),
  kernel: fc.constantFrom(1, 2, 3, 3, 4, 5, 7),
  stride: fc.constantFrom(1, 1, 2, 2, 3),
  before: fc.integer({ min: -2, max: 4 }),
  after: fc.integer({ min: -2, max: 4 }),
  dilation: fc.constantFrom(1, 1, 1, 2, 3),
})

test('planes with a kernel each, of any size, stride, margin and dilation', () => {
  const cases = fc
    .record({
      axes: fc.array(planeAxis, { minLength: 1, maxLength: 2 }),
      n: fc.constantFrom(1, 2, 3, 5, 40),
      channels: fc.constantFrom(1, 2, 5, 16, 33),
      long: fc.constantFrom(0, 0, 16, 31, 60),
    })
    .map(({ axes, n, channels, long }) => ({
      x: [n, channels, ...axes.map((a, d) => (d === axes.length - 1 ? a.size + long : a.size))],
      w: [channels, 1, ...axes.map((a) => a.kernel)],
      attrs: {
        stride: axes.map((a) => a.stride),
        padding: axes.map((a) => [a.before, a.after] as const),
        dilation: axes.map((a) => a.dilation),
        groups: channels,
      },
    }))
    .filter(({ x, w, attrs }) => !isRefusal(convShape(x, w, attrs)) && sizeOf(x) < 30_000)
  const went = new Map<string, number>()
  fc.assert(
    fc.property(cases, seeds, fc.boolean(), (g, seed, perChannel) => {
      for (const call of callsOf(g)) {
        const name = productKernel({ ...call, shape: shapeOf(call) }, null)?.name ?? ''
        if (name.includes('depthwise')) went.set(call.op, (went.get(call.op) ?? 0) + 1)
        agrees(call, seed)
        goesWhereItGoes(call, seed)
      }
      onIntegers(
        { op: 'conv', attrs: g.attrs, shapes: [g.x, g.w] },
        seed,
        perChannel,
        g.attrs.padding.flat().some((p) => p < 0),
      )
    }),
    { numRuns: 150 },
  )
  assert.ok(Math.min(...went.values()) > 40 && went.size === 3, JSON.stringify([...went]))
})

const sides = fc.constantFrom(1, 2, 3, 4, 5, 6, 9, 16, 17, 30, 33, 64)
const deep = fc.constantFrom(1, 2, 3, 4, 7, 16, 33, 128, 700)

test('linear and its gradients', () => {
  fc.assert(
    fc.property(fc.array(sides, { maxLength: 2 }), deep, sides, seeds, (leading, ins, outs, seed) => {
      fc.pre(sizeOf(leading) * outs * ins < 500_000)
      agrees(
        {
          op: 'linear',
          attrs: {},
          shapes: [
            [...leading, ins],
            [outs, ins],
          ],
        },
        seed,
      )
      agrees(
        {
          op: 'linearWeightGrad',
          attrs: {},
          shapes: [
            [...leading, outs],
            [...leading, ins],
          ],
        },
        seed,
      )
      agrees(
        {
          op: 'linearWeightGrad',
          attrs: {},
          shapes: [
            [ins, outs],
            [ins, Math.min(outs, 20)],
          ],
        },
        seed,
      )
      agrees(
        {
          op: 'matmul',
          attrs: {},
          shapes: [
            [...leading, outs],
            [outs, ins],
          ],
        },
        seed,
      )
    }),
    runs,
  )
})

test('matmul with broadcast batches and vectors', () => {
  const batches = fc.constantFrom<readonly [Shape, Shape]>(
    [[], []],
    [[3], []],
    [[], [2]],
    [[2, 1], [3]],
    [
      [2, 3],
      [1, 3],
    ],
    [[4], [4]],
  )
  fc.assert(
    fc.property(batches, sides, deep, sides, seeds, ([p, q], rows, terms, columns, seed) => {
      fc.pre(rows * columns * terms < 100_000)
      agrees(
        {
          op: 'matmul',
          attrs: {},
          shapes: [
            [...p, rows, terms],
            [...q, terms, columns],
          ],
        },
        seed,
      )
      agrees({ op: 'matmul', attrs: {}, shapes: [[terms], [...q, terms, columns]] }, seed)
      agrees({ op: 'matmul', attrs: {}, shapes: [[...p, rows, terms], [terms]] }, seed)
    }),
    runs,
  )
})

test('conv on integers: exact sums times the scale, and the float kernel where they are none', () => {
  fc.assert(
    fc.property(geometries, seeds, fc.boolean(), ({ x, w, attrs }, seed, perChannel) => {
      onIntegers(
        { op: 'conv', attrs, shapes: [x, w] },
        seed,
        perChannel,
        attrs.padding.flat().some((p) => p < 0),
      )
    }),
    runs,
  )
})

test('linear on integers', () => {
  fc.assert(
    fc.property(sides, deep, sides, seeds, fc.boolean(), (rows, ins, outs, seed, perChannel) => {
      fc.pre(rows > 3 || ins < 8)
      onIntegers(
        {
          op: 'linear',
          attrs: {},
          shapes: [
            [rows, ins],
            [outs, ins],
          ],
        },
        seed,
        perChannel,
      )
    }),
    runs,
  )
})

test(
  '3x3 convolutions with many channels go by Winograd: any height and batch, odd channels, any padding',
  () => {
    const cases = fc
      .record({
        n: fc.integer({ min: 1, max: 5 }),
        many: fc.boolean(),
        high: fc.integer({ min: 2, max: 13 }),
        wide: fc.integer({ min: 4, max: 11 }),
        c: fc.integer({ min: 16, max: 40 }),
        o: fc.integer({ min: 8, max: 36 }),
        before: fc.integer({ min: -1, max: 2 }),
        after: fc.integer({ min: -1, max: 2 }),
      })
      .map(({ n, many, high, wide, c, o, before, after }) => ({
        x: [many ? Math.ceil(512 / (2 * high * wide)) : n, c, high - before + 1, 2 * wide - before - after + 2],
        w: [o, c, 3, 3],
        attrs: {
          stride: [1, 1],
          padding: [
            [before, 1],
            [before, after],
          ],
          dilation: [1, 1],
          groups: 1,
        },
      }))
    const went = { float: 0, integer: 0, weight: 0 }
    fc.assert(
      fc.property(cases, seeds, fc.boolean(), ({ x, w, attrs }, seed, perChannel) => {
        const call = { op: 'conv', attrs, shapes: [x, w] }
        const y = shapeOf(call)
        const name = (licence: Parameters<typeof productKernel>[1]): string =>
          productKernel({ ...call, shape: y }, licence)?.name ?? ''
        if (name(null).includes('winograd')) went.float++
        if (
          name({ x: { lo: -128, hi: 127 }, w: { lo: -127, hi: 127 }, weightScales: 1, declared: false }).includes(
            'winograd',
          )
        )
          went.integer++
        const gradient = { op: 'convWeightGrad', attrs: { ...attrs, weightShape: w }, shapes: [x, y] }
        if (productKernel({ ...gradient, shape: w }, null)?.name.includes('winograd') === true) went.weight++
        for (const each of callsOf({ x, w, attrs })) {
          agrees(each, seed)
          goesWhereItGoes(each, seed)
        }
        onIntegers(
          call,
          seed,
          perChannel,
          attrs.padding.flat().some((p) => p < 0),
        )
      }),
      { numRuns: 25 },
    )
    assert.ok(went.float > 10 && went.integer > 5 && went.weight > 4, JSON.stringify(went))
  },
  { timeout: 60_000 },
)

test('a licence is no use where few rows meet a weight that is read once: linear stays float', () => {
  const spec = {
    op: 'linear',
    attrs: {},
    shapes: [
      [2, 64],
      [30, 64],
    ],
    shape: [2, 30],
  }
  const kernel = productKernel(spec, {
    x: { lo: -128, hi: 127 },
    w: { lo: -127, hi: 127 },
    weightScales: 1,
    declared: false,
  })
  assert.equal(kernel?.fallback, undefined)
  assert.equal(kernel?.name, 'linear f32 dots')
})

test('of nothing: empty batches give empty results, empty sums give zeros', () => {
  agrees(
    {
      op: 'conv',
      attrs: { stride: [1], padding: [[1, 1]], dilation: [1], groups: 1 },
      shapes: [
        [0, 2, 5],
        [3, 2, 3],
      ],
    },
    1,
  )
  agrees(
    {
      op: 'linear',
      attrs: {},
      shapes: [
        [0, 4],
        [3, 4],
      ],
    },
    1,
  )
  agrees(
    {
      op: 'linearWeightGrad',
      attrs: {},
      shapes: [
        [0, 4],
        [0, 3],
      ],
    },
    1,
  )
  agrees(
    {
      op: 'matmul',
      attrs: {},
      shapes: [
        [2, 0],
        [0, 3],
      ],
    },
    1,
  )
})

test.run()
