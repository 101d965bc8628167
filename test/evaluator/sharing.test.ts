/** Equal kernels share their code: the numbers of a module that has a copy for each, in a fraction of its bytes. */
import assert from 'node:assert/strict'
import * as q from '../../src/index.js'
import type { Tensor } from '../../src/data/tensor.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { load } from '../../src/evaluator/wasm/load.js'
import type { Plan } from '../../src/evaluator/wasm/placing.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import { suite } from '../support/suite.js'
import { assertSame, get, programOfBody, runOn } from './support/programs.js'

const test = suite('wasm: sharing')

const [STEPS, BATCH, FEATURES, HIDDEN] = [24, 3, 5, 7]
const SHAPES = [[BATCH, STEPS, FEATURES], [HIDDEN, FEATURES], [HIDDEN, HIDDEN], [HIDDEN]]

/** One cell, a step after the other, written out; every state, and its softmax. */
const program = programOfBody(SHAPES, ([x, w, u, b], kit) => {
  const states: q.Value[] = []
  for (let t = 0; t < STEPS; t++) {
    const slice = kit.emit('slice', [x], { dim: 1, start: t, end: t + 1 })
    const own = kit.emit('linear', [kit.emit('reshape', [slice], { shape: [BATCH, FEATURES] }), w])
    const before = states[t - 1]
    const sum = before === undefined ? own : kit.emit('add', [own, kit.emit('linear', [before, u])])
    states.push(kit.emit('tanh', [kit.emit('add', [sum, b])]))
  }
  return [...states, ...states.map((h) => kit.emit('softmax', [h], { dim: 1 }))]
})
const inputs = SHAPES.map((s, k) => q.randn(s)(q.manualSeed(k))[0])

const outputsOf = (plan: Plan, stages: boolean): { readonly outputs: readonly Tensor[]; readonly bytes: number } => {
  const loaded = get(load(program, plan, null, { stages }))
  inputs.forEach((t, i) => loaded.inputs[i].data.set(t.data))
  assert.equal(loaded.execute(true), null)
  const outputs = loaded.outputs.map((t) => ({ ...t, data: t.data.slice() }))
  loaded.dispose()
  return { outputs, bytes: loaded.assembled.bytes.length }
}

test('an unrolled loop: the same bits, in less than a third of the code', () => {
  const plan = planOf(program, (i) => inputs[i].data, [], newMath())
  const [copies, shared] = [true, false].map((stages) => outputsOf(plan, stages))
  shared.outputs.forEach((t, i) => assertSame(t, copies.outputs[i], `output ${i}`))
  assert.ok(shared.bytes < copies.bytes / 3, `${shared.bytes} of ${copies.bytes} bytes`)
})

test('each thread has bases of its own', async () => {
  const backend = get(await q.createWasm({ threads: 3, splitAbove: 0 }))
  try {
    const expected = get(runOn(q.wasm, program, inputs)).outputs
    for (let k = 0; k < 3; k++)
      get(runOn(backend, program, inputs)).outputs.forEach((t, i) => assertSame(t, expected[i], `output ${i}`))
  } finally {
    backend.dispose()
  }
})

test('equal ops whose attributes JSON writes alike keep kernels of their own', () => {
  const padded = programOfBody([[4]], ([v], kit) =>
    [0, -0, 1, -0, 0].map((value, k) => kit.emit('pad', [v], { pad: [[1 + k, 1]], mode: 'constant', value })),
  )
  const same = programOfBody([[4]], ([v], kit) =>
    [0, -0].map((value) => kit.emit('pad', [v], { pad: [[1, 1]], mode: 'constant', value })),
  )
  for (const p of [padded, same]) {
    const [ours, theirs] = [q.wasm, q.reference].map((b) => get(runOn(b, p, [q.zeros([4])])).outputs)
    ours.forEach((t, i) => assertSame(t, theirs[i], `pad ${i}`))
  }
})

test.run()
