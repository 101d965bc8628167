/** A program traced, differentiated and run in a page gives the same bits as in Node. */
import * as assert from 'uvu/assert'
import { bundle, openPage } from '../support/browser.js'
import { suite } from '../support/suite.js'

const test = suite('browser: quantrace')

/** Traces and trains a small network for a few steps; gives the bytes of all it computed as numbers. */
const PROGRAM = `
  import * as q from './src/index.js'
  export const compute = () => {
    const net = q.chain({
      input: q.QuantIdentity({ returnQuantTensor: true, collectStatsSteps: 2 }),
      conv: q.QuantConv2d({ inChannels: 1, outChannels: 3, kernelSize: 3, weightBitWidth: 4 }),
      act: q.QuantSigmoid({ bitWidth: 5, returnQuantTensor: true, collectStatsSteps: 2 }),
      flat: q.Flatten(),
      fc: q.QuantLinear({ inFeatures: 12, outFeatures: 2 }),
    })
    const right = q.orThrow
    const program = right(q.grad(right(q.trace(q.withLoss(net, q.crossEntropy), { x: q.tensorInput([2, 1, 4, 4]), target: q.tensorInput([2]) }, { mode: 'train' })), { output: 'loss' }))
    const sgd = q.sgd({ lr: 0.1, momentum: 0.9 })
    let { params, state, generator } = right(q.init(net, 0))
    let optim = sgd.init()
    const seen = []
    for (let i = 0; i < 5; i++) {
      const [x, next] = q.randn([2, 1, 4, 4])(generator)
      generator = next
      const ran = right(q.run(program, { params, state, inputs: { x, target: q.tensorOf([2], [0, 1]) } }))
      const updated = sgd.update(ran.grads, optim, params, ran.state)
      params = updated.params
      state = updated.state
      optim = updated.optim
      seen.push(q.valueOf(ran.outputs.loss).data[0])
    }
    return JSON.stringify([seen, [...q.tensorsToBytes({ params, state })]])
  }
`

test(
  'the same bits in the browser as in Node',
  async () => {
    const script = await bundle(`${PROGRAM}\nglobalThis.result = compute()`)
    const index = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>'
    const opened = await openPage({ files: { '/index.html': index, '/main.js': script } })
    try {
      await opened.page.waitForFunction('globalThis.result !== undefined')
      const inPage = await opened.page.evaluate<string>('globalThis.result')
      const here = await import(`data:text/javascript,${encodeURIComponent(script)}`).then(() =>
        Reflect.get(globalThis, 'result'),
      )
      assert.is(inPage, here)
      assert.ok(inPage.length > 1000)
      assert.equal(opened.errors, [])
    } finally {
      await opened.close()
    }
  },
  { timeout: 120_000 },
)

test.run()
