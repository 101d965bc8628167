/** Loops inside the kernels before them: the same numbers as kernel and loop one after the other, piece by piece or not. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import type { Shape } from '../../src/data/shape.js'
import { chunkOf } from '../../src/evaluator/wasm/epilogue.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import type { Kit, Value } from '../../src/graph/op.js'
import { suite } from '../support/suite.js'
import { misplaced } from './support/placement.js'
import { assertSame, get, programOfBody, runOn } from './support/programs.js'

const test = suite('wasm: epilogue')

/** Bias, scale per channel, ReLU; and the sum of all, which ends in partial sums per unit. */
const after = (kit: Kit, y: Value, b: Value, s: Value): readonly Value[] => {
  const z = kit.emit('relu', [kit.emit('mul', [kit.emit('add', [y, b]), s])])
  return [z, kit.emit('sum', [z], { dims: [0, 1, 2, 3], keepdim: false })]
}

/** A unit of 8192 elements is summed in 8 float32 lanes, whose sums are added in double. */
const LANE_TERMS = 8192 / 8 + 2

type Made = {
  readonly shapes: readonly Shape[]
  readonly body: (kit: Kit, inputs: readonly Value[]) => Value
  readonly result: Shape
}

const conv = (n: number, ins: number, outs: number, size: number): Made => ({
  shapes: [
    [n, ins, size, size],
    [outs, ins, 3, 3],
  ],
  body: (kit, [x, w]) =>
    kit.emit('conv', [x, w], {
      stride: [1, 1],
      padding: [
        [1, 1],
        [1, 1],
      ],
      dilation: [1, 1],
      groups: 1,
    }),
  result: [n, outs, size, size],
})
const numbers = (shapes: readonly Shape[], seed: number): readonly q.Tensor[] =>
  shapes.map((s, i) => q.randn(s)(q.manualSeed(seed + i))[0])
const joinedSteps = (program: q.Program, inputs: readonly q.Tensor[]): number =>
  planOf(program, (i) => inputs[i].data, [], newMath()).steps.filter(
    (s) => s.step.kind === 'op' && s.step.behind !== undefined,
  ).length

/** A program that shows the kernel's result beside what the loop makes of it, and the loop alone. */
const programsOf = (made: Made, scale: Shape) => {
  const whole = programOfBody([...made.shapes, scale, scale], (inputs, kit) => {
    const y = made.body(kit, inputs)
    const [b, s] = inputs.slice(-2)
    return [y, ...after(kit, y, b, s)]
  })
  const alone = programOfBody([made.result, scale, scale], ([y, b, s], kit) => after(kit, y, b, s))
  return { whole, alone }
}

const checked = async (made: Made, scale: Shape, seed: number, threads: readonly q.WasmBackend[]): Promise<boolean> => {
  const { whole, alone } = programsOf(made, scale)
  const inputs = numbers([...made.shapes, scale, scale], seed)
  assert.deepEqual(
    misplaced(
      planOf(whole, (i) => inputs[i].data, [], newMath()),
      [],
    ),
    [],
  )
  const results = threads.map((b) => get(runOn(b, whole, inputs)).outputs)
  results.slice(1).forEach((r) => r.forEach((t, i) => assertSame(t, results[0][i], `output ${i} with more threads`)))
  const [y, z, sum] = results[0]
  const [z2, sum2] = get(runOn(q.reference, alone, [y, ...inputs.slice(-2)])).outputs
  assertSame(z, z2, 'the loop behind the kernel')
  assert.ok(
    Math.abs(sum.data[0] - sum2.data[0]) <= LANE_TERMS * 2 ** -24 * z2.data.reduce((t, x) => t + x, 0),
    `the sum over the loop is ${sum.data[0]}, the reference's ${sum2.data[0]}`,
  )
  return joinedSteps(whole, inputs) === 1
}

test('a kernel with a loop behind it gives the bits of both after one another, on any number of threads', async () => {
  const backends = [
    get(await q.createWasm({ threads: 1 })),
    get(await q.createWasm({ threads: 2, splitAbove: 0 })),
    get(await q.createWasm({ threads: 3, splitAbove: 0 })),
  ]
  const net = fc.oneof(
    fc
      .record({
        n: fc.integer({ min: 1, max: 20 }),
        ins: fc.integer({ min: 1, max: 3 }),
        outs: fc.integer({ min: 1, max: 9 }),
        size: fc.constantFrom(6, 8, 14, 15),
      })
      .map(({ n, ins, outs, size }) => conv(n, ins, outs, size)),
    fc
      .record({ n: fc.constantFrom(1, 16, 33), outs: fc.constantFrom(16, 32), size: fc.constantFrom(8, 14) })
      .map(({ n, outs, size }) => conv(n, 16, outs, size)),
  )
  let joined = 0
  try {
    await fc.assert(
      fc.asyncProperty(net, fc.boolean(), fc.nat(1e6), async (made, perChannel, seed) => {
        if (await checked(made, perChannel ? [1, made.result[1], 1, 1] : [], seed, backends)) joined++
      }),
      { numRuns: 60, includeErrorInReport: true },
    )
  } finally {
    backends.forEach((b) => b.dispose())
  }
  assert.ok(joined >= 20, `only ${joined} of 60 programs had a loop inside a kernel`)
})

const layers = q.chain({
  input: q.QuantIdentity({ returnQuantTensor: true }),
  conv: q.QuantConv2d({ inChannels: 1, outChannels: 4, kernelSize: 3, padding: 1 }),
  act: q.QuantReLU(),
})

test('the float kernel that takes over for numbers off the grid has the loop behind it too', () => {
  const shape = [4, 1, 16, 16]
  const start = get(q.init(layers, 0))
  const program = get(q.trace(layers, q.tensorInput(shape), { mode: 'eval' }))
  const x = q.randn(shape)(q.manualSeed(1))[0]
  const broken = { ...x, data: x.data.map((v, i) => (i === 300 ? NaN : v)) }
  assert.match(
    get(q.explainPlan(program, { ...start, inputs: x }))
      .steps.map((s) => s.kernel)
      .join(),
    /conv bytes i16 along \+ loop/,
  )
  for (const inputs of [x, broken, x]) {
    const [a, b] = [q.wasm, q.reference].map(
      (backend) => get(get(q.compile(program, backend)).run({ ...start, inputs })).outputs,
    )
    const [ours, theirs] = [a, b].map((t) => ('data' in t ? t.data : new Float32Array(0)))
    assert.ok(ours.length > 0)
    assert.deepEqual([...ours].map(Number.isNaN), [...theirs].map(Number.isNaN))
    const off = ours.filter((v, i) => Math.abs(v - theirs[i]) > 1e-5).length
    assert.ok(off <= ours.length / 100, `${off} of ${ours.length} differ by a step: more than rounding ties would`)
  }
})

test('a unit of a loop divides the piece, and is neither tiny nor larger than a first-level cache', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100_000 }), (piece) => {
      const chunk = chunkOf(piece)
      if (chunk === null) return
      assert.equal(piece % chunk, 0)
      assert.ok(chunk >= 512 && chunk <= 8192)
    }),
  )
  assert.equal(chunkOf(12_544), 6272)
  assert.equal(chunkOf(100), null)
})

test.run()
