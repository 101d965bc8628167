/** Programs of many nodes and of phases on WebAssembly against the reference, and workers that die. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { vjpProgram } from '../../src/autodiff/vjp.js'
import type { Kit } from '../../src/graph/op.js'
import { ops } from '../../src/ops/index.js'
import { run } from '../support/process.js'
import { suite } from '../support/suite.js'
import { numbers } from './support/kernels.js'
import { assertSame, get, programOfBody, runBoth } from './support/programs.js'

const test = suite('wasm: phases')

test('one quantizer called twice, from collecting to learned, compiled and in residence, as on the reference', () => {
  const act = q.QuantReLU({ collectStatsSteps: 3, returnQuantTensor: true })
  const twice = q.chain({ a: act, b: q.QuantIdentity({ collectStatsSteps: 2, returnQuantTensor: true }), c: act })
  const program = get(q.trace(twice, q.tensorInput([2, 7]), { mode: 'train' }))
  const { params, state: first } = get(q.init(twice, 0))
  const [compiled, own] = [get(q.compile(program, q.wasm)), get(q.compile(program, q.wasm))]
  const resident = get(own.resident({ params, state: first, inputs: q.zeros([2, 7]) }))
  let state = first
  for (let step = 0; step < 6; step++) {
    const args = { params, state, inputs: { shape: [2, 7], data: numbers(14, step, 'plain') } }
    const expected = get(q.run(program, args))
    assert.deepEqual(get(compiled.run(args)), expected, `step ${step}`)
    get(resident.load(args))
    get(resident.execute())
    assert.deepEqual(structuredClone(resident.results().state), expected.state, `step ${step} in residence`)
    assertSame(q.valueOf(resident.results().outputs), q.valueOf(expected.outputs), `step ${step} in residence`)
    state = expected.state
  }
  compiled.dispose()
  own.dispose()
})

const SHAPES = [[2, 3, 4], [3, 1], [4], [1, 3, 1], [], [2, 3, 4], [2, 1, 1]] as const
const BINARY = ['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'less', 'lessEqual', 'equal'] as const
const UNARY = [
  'neg',
  'abs',
  'sqrt',
  'round',
  'floor',
  'ceil',
  'dpuRound',
  'sign',
  'relu',
  'binarySign',
  'sigmoid',
] as const
type Pick = { readonly op: number; readonly a: number; readonly b: number; readonly c: number }

/** A program of random element-wise nodes; the last five are outputs, with an input, a constant, one node twice and a view. */
const dag = (picks: readonly Pick[]) =>
  programOfBody(SHAPES, (inputs, kit: Kit) => {
    const values: q.Value[] = [...inputs]
    for (const { op, a, b, c } of picks) {
      const [x, y, z] = [a, b, c].map((i) => values[values.length - 1 - (i % values.length)])
      const k = op % (BINARY.length + UNARY.length + 1)
      values.push(
        k < BINARY.length
          ? kit.emit(BINARY[k], [x, y])
          : k < BINARY.length + UNARY.length
            ? kit.emit(UNARY[k - BINARY.length], [x])
            : kit.emit('select', [x, y, z]),
      )
    }
    const last = kit.emit('add', [values[values.length - 1], inputs[0]])
    return [
      ...values.slice(-5),
      last,
      last,
      inputs[1],
      kit.constant(2.5, [3]),
      kit.emit('reshape', [last], { shape: [6, 4] }),
    ]
  })

test(
  'random element-wise programs with broadcasting operands give the bits of the reference',
  () => {
    const pick = fc.record({ op: fc.nat(100), a: fc.nat(12), b: fc.nat(12), c: fc.nat(12) })
    fc.assert(
      fc.property(
        fc.array(pick, { minLength: 1, maxLength: 25 }),
        fc.constantFrom('ties' as const, 'wild' as const, 'plain' as const),
        fc.nat(1000),
        (picks, kind, seed) => {
          const inputs = SHAPES.map((shape, i) => ({
            shape,
            data: numbers(
              shape.reduce<number>((p, n) => p * n, 1),
              seed + i,
              kind,
            ),
          }))
          runBoth(q.wasm, dag(picks), inputs).forEach(([a, b], i) => assertSame(b, a, `output ${i}`))
        },
      ),
      { numRuns: 120 },
    )
  },
  { timeout: 60_000 },
)

test('the gradient of a percentile times infinity is NaN beside its place, as on the reference', () => {
  const loss = programOfBody([[5], [5], [5]], ([x, y, z], kit) => {
    const both = kit.emit('add', [
      kit.emit('kthValue', [kit.emit('mul', [x, y])], { k: 4 }),
      kit.emit('sum', [kit.emit('mul', [x, z])], { dims: [0], keepdim: false }),
    ])
    return [both]
  })
  const program = get(vjpProgram(ops)(loss, { inputs: true, cotangent: 'one' }))
  const inputs = [
    [1, 2, 3, 4, 5],
    [1, 1, Infinity, 2, 1],
    [1, 2, 3, 4, 5],
  ].map((x) => q.tensorOf([5], x))
  const outs = runBoth(q.wasm, program, inputs)
  assert.ok(outs.some(([a]) => Number.isNaN(a.data[2])))
  outs.forEach(([a, b], i) => assertSame(b, a, `output ${i}`))
})

/** Keeps the workers of a backend, ends one just before a run, and tells of the runs. */
const DYING = `
  import wt from 'node:worker_threads'
  import { syncBuiltinESMExports } from 'node:module'
  const hands = []
  wt.Worker = class extends wt.Worker { constructor(...a) { super(...a); hands.push(this) } }
  syncBuiltinESMExports()
  const q = await import('./src/index.ts')
  const right = q.orThrow
  const backend = right(await q.createWasm({ threads: 2, splitAbove: 0 }))
  const layer = q.ReLU()
  const compiled = right(q.compile(right(q.trace(layer, q.tensorInput([100000]), { mode: 'train' })), backend))
  const x = q.full([100000], 2)
  const ran = () => { const r = compiled.run({ params: {}, state: {}, inputs: x }); return r._tag === 'Left' ? r.left[0].tag : q.valueOf(r.right.outputs).data.every((v) => v === 2) }
  console.log(hands.length, ran())
  hands[0].terminate()
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  const began = performance.now()
  const first = ran()
  console.log('then', first, ran(), ran(), 'after', Math.round(performance.now() - began))
`
test(
  'a worker that dies at work ends in a typed error, and the next run goes on with one thread',
  async () => {
    const ended = await run(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', DYING], {
      limit: 60_000,
    })
    assert.equal(ended.code, 0, ended.output)
    assert.match(ended.output, /1 true\nthen BackendError true true/)
    const [, ms] = /after (\d+)/.exec(ended.output) ?? []
    // 0.6 seconds on a quiet machine.
    assert.ok(Number(ms) < 1500, `it took ${ms} ms to notice`)
  },
  { timeout: 90_000 },
)

test.run()
