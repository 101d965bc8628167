/** Training on WebAssembly in a page, with and without threads, gives the same bits as in Node. */
import * as assert from 'uvu/assert'
import { bundle, openPage } from '../support/browser.js'
import { suite } from '../support/suite.js'

const test = suite('browser: wasm')

/** A few steps through collecting and learned; gives features, losses and the bytes of parameters and state. */
const PROGRAM = `
  import * as q from './src/index.js'
  export const compute = async (threads) => {
    const right = q.orThrow
    const net = q.chain({
      input: q.QuantIdentity({ returnQuantTensor: true, collectStatsSteps: 2 }),
      conv: q.QuantConv2d({ inChannels: 1, outChannels: 4, kernelSize: 3, padding: 1 }),
      act: q.QuantReLU({ returnQuantTensor: true, collectStatsSteps: 2 }),
      flat: q.Flatten(),
      fc: q.QuantLinear({ inFeatures: 256, outFeatures: 2 }),
    })
    const program = right(q.grad(right(q.trace(q.withLoss(net, q.crossEntropy), { x: q.tensorInput([2, 1, 8, 8]), target: q.tensorInput([2]) }, { mode: 'train' })), { output: 'loss' }))
    const backend = right(await q.createWasm({ threads, splitAbove: 0 }))
    const initial = right(q.init(net, 0))
    const adam = q.adam({ lr: 0.01 })
    const t = right(q.trainer(program, adam, q.startTraining(initial, adam), backend))
    const losses = []
    for (let i = 0; i < 4; i++) losses.push(q.valueOf(right(t.step({ x: q.randn([2, 1, 8, 8])(q.manualSeed(i))[0], target: q.tensorOf([2], [0, 1]) })).outputs.loss).data[0])
    const { params, state } = t.training()
    t.dispose()
    backend.dispose()
    return JSON.stringify({ threads: backend.features.threads, bits: [losses, [...q.tensorsToBytes({ params, state })]] })
  }
`
type Computed = { readonly threads: number; readonly bits: readonly unknown[] }

/** What a page computes, on its main thread or in a worker. */
const inPage = async (isolated: boolean, inWorker: boolean): Promise<Computed> => {
  const own = await bundle(
    `${PROGRAM}\n(async () => { globalThis.${inWorker ? 'postMessage(await compute(2))' : 'result = await compute(2)'} })()`,
  )
  const starter = `const w = new Worker('/work.js', { type: 'module' }); w.onmessage = (e) => { globalThis.result = e.data }; w.onerror = (e) => { throw new Error(e.message) }`
  const index = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>'
  const opened = await openPage({
    files: { '/index.html': index, '/main.js': inWorker ? starter : own, '/work.js': own },
    isolated,
  })
  try {
    await opened.page.waitForFunction('globalThis.result !== undefined', undefined, { timeout: 60_000 })
    assert.equal(opened.errors, [])
    return JSON.parse(await opened.page.evaluate<string>('globalThis.result')) as Computed
  } finally {
    await opened.close()
  }
}

const inNode = async (): Promise<Computed> => {
  const script = await bundle(`${PROGRAM}\nglobalThis.computeWasm = compute`)
  await import(`data:text/javascript,${encodeURIComponent(script)}`)
  const compute = Reflect.get(globalThis, 'computeWasm') as (threads: number) => Promise<string>
  return JSON.parse(await compute(1)) as Computed
}

test(
  'the same bits as in Node: with threads, without, and in a worker of an isolated page',
  async () => {
    const here = await inNode()
    const [threaded, alone, worker] = [await inPage(true, false), await inPage(false, false), await inPage(true, true)]
    assert.equal([threaded.threads, alone.threads, worker.threads], [2, 1, 2])
    assert.equal(threaded.bits, here.bits)
    assert.equal(alone.bits, here.bits)
    assert.equal(worker.bits, here.bits)
  },
  { timeout: 180_000 },
)

test.run()
