/** The WebAssembly backend as a whole: phases, threads, failures. What the reference computes is the law. */
import assert from 'node:assert/strict'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { run as runProcess } from '../support/process.js'
import { suite } from '../support/suite.js'
import { get, programOfBody, runOn } from './support/programs.js'

const test = suite('wasm: backend')
const patient = { timeout: 120_000 }

const net = q.chain({
  input: q.QuantIdentity({ collectStatsSteps: 3, returnQuantTensor: true }),
  conv: q.QuantConv2d({ inChannels: 1, outChannels: 5, kernelSize: 3, padding: 1 }),
  act: q.QuantReLU({ collectStatsSteps: 3, returnQuantTensor: true }),
  flat: q.Flatten(),
  fc: q.QuantLinear({ inFeatures: 180, outFeatures: 3 }),
})
const task = q.withLoss(net, q.crossEntropy)
const program = get(E.chain((p: ReturnType<typeof traced>) => q.grad(p, { output: 'loss' }))(E.right(traced())))
function traced() {
  return get(q.trace(task, { x: q.tensorInput([3, 1, 6, 6]), target: q.tensorInput([3]) }, { mode: 'train' }))
}
const batch = (seed: number) => ({
  x: q.randn([3, 1, 6, 6])(q.manualSeed(seed))[0],
  target: q.tensorOf([3], [0, 1, 2]),
})
const initial = get(q.init(task, 2))
const adam = q.adam({ lr: 0.01 })

/** Losses and the state after seven steps: collecting, the switch, learned. */
const trained = (backend: q.Backend) => {
  const t = get(q.trainer(program, adam, q.startTraining(initial, adam), backend))
  try {
    const losses = [1, 2, 3, 4, 5, 6, 7].map((seed) => q.valueOf(get(t.step(batch(seed))).outputs.loss).data[0])
    return { losses, bytes: [...q.tensorsToBytes({ p: t.training().params, s: t.training().state })] }
  } finally {
    t.dispose()
  }
}

test('a trainer through collecting, switch and learned follows the reference, step by step', () => {
  const [a, b] = [trained(q.reference), trained(q.wasm)]
  a.losses.forEach((x, i) =>
    assert.ok(
      Math.abs(x - b.losses[i]) <= 1e-3 * (1 + Math.abs(x)),
      `step ${i + 1}: ${b.losses[i]}, the reference gives ${x}`,
    ),
  )
})

test(
  'forward, backward and updates give the same bits on 1, 2 and 3 threads',
  async () => {
    const one = trained(q.wasm)
    for (const threads of [1, 2, 3]) {
      const backend = get(await q.createWasm({ threads, splitAbove: 0 }))
      try {
        assert.equal(backend.features.threads, threads)
        assert.deepEqual(trained(backend), one)
      } finally {
        backend.dispose()
      }
    }
  },
  patient,
)

test('a failed step leaves the training as it was', () => {
  const t = get(q.trainer(program, adam, q.startTraining(initial, adam), q.wasm))
  get(t.step(batch(1)))
  const before = t.training()
  assert.ok(E.isLeft(t.step({ x: q.zeros([1]), target: q.tensorOf([3], [0, 1, 2]) })))
  const bad = t.step({ ...batch(2), target: q.tensorOf([3], [0, 1, 9]) })
  assert.equal(E.isLeft(bad) && bad.left[0].tag, 'CheckFailed')
  assert.deepEqual(t.training(), before)
  const other = get(q.trainer(program, adam, before, q.wasm))
  assert.deepEqual(get(t.step(batch(2))).outputs, get(other.step(batch(2))).outputs)
  t.dispose()
  other.dispose()
})

test('more than 4 GiB of values is a typed error', () => {
  const big = programOfBody([[]], ([x], kit) =>
    [1, 2, 3, 4, 5].map((k) => kit.emit('broadcastTo', [kit.emit('add', [x, kit.constant(k)])], { shape: [2 ** 28] })),
  )
  const ran = runOn(q.wasm, big, [q.scalar(1)])
  assert.equal(E.isLeft(ran) && ran.left[0].tag, 'BackendError')
})

test('threads that are no whole number from 1 on are refused', async () => {
  for (const threads of [0, -1, 1.5, NaN, Infinity]) {
    const made = await q.createWasm({ threads })
    assert.equal(E.isLeft(made) && made.left[0].tag, 'ConfigError')
  }
})

const child = async (source: string): Promise<string> => {
  const ended = await runProcess(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
    limit: 60_000,
  })
  assert.equal(ended.code, 0, `${ended.signal ?? ''} ${ended.output}`)
  return ended.output
}

test(
  'without shared memory there is one thread, and a note; without SIMD the reference runs',
  async () => {
    const features = `const made = await (await import('./src/index.ts')).createWasm({ threads: 2 }); console.log(JSON.stringify(made.right.features))`
    assert.match(
      await child(`delete globalThis.SharedArrayBuffer; ${features}`),
      /"threads":1,"level":"simd","notes":\["no shared memory/,
    )
    assert.match(
      await child(`WebAssembly.validate = () => false; ${features}`),
      /"threads":1,"level":"plain","notes":\["no WebAssembly SIMD/,
    )
  },
  patient,
)

test(
  'a process that forgets to dispose of its threads ends by itself',
  async () => {
    const out = await child(`
    const q = await import('./src/index.ts')
    const backend = (await q.createWasm({ threads: 3, splitAbove: 0 })).right
    const layer = q.QuantReLU({})
    const program = q.trace(layer, q.tensorInput([40000]), { mode: 'train' }).right
    const { params, state } = q.init(layer, 0).right
    const ran = q.compile(program, backend).right.run({ params, state, inputs: q.full([40000], 1) })
    console.log(ran._tag)
  `)
    assert.match(out, /Right/)
  },
  patient,
)

test.run()
