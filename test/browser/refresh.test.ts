/** A page that is refreshed in the middle of its training goes on, and ends with the bits of one that was not. */
import * as assert from 'uvu/assert'
import { isLeft } from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { bundle, openPage } from '../support/browser.js'
import { suite } from '../support/suite.js'

const test = suite('browser: refresh')
const STEPS = 40

/** Trains up to a step; keeps a checkpoint each five steps where it may; stops in between where it is told. */
const PROGRAM = `
  import * as q from './src/index.js'
  const right = q.orThrow
  const net = q.chain({
    a: q.QuantIdentity({ collectStatsSteps: 8, returnQuantTensor: true }),
    fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2 }),
    act: q.QuantReLU({ collectStatsSteps: 8 }),
  })
  const adam = q.adam({ lr: 0.05 })
  const batch = (k) => ({ x: q.randn([4, 3])(q.manualSeed(k))[0], target: q.tensorOf([4], [k % 2, 0, 1, 1]) })
  export const train = async (stop, keeps) => {
    const fresh = q.startTraining(right(q.init(net, 0)), adam)
    const kept = keeps ? right(await q.keptInPage('refresh')) : null
    const start = kept === null ? fresh : right(q.parseCheckpoint(fresh, net)(kept))
    const inputs = { x: q.tensorInput([4, 3]), target: q.tensorInput([4]) }
    const loss = right(q.grad(right(q.trace(q.withLoss(net, q.crossEntropy), inputs, { mode: 'train' })), { output: 'loss' }))
    const t = right(q.trainer(loss, adam, start))
    for (let k = start.step; k < stop; k++) {
      right(t.step(batch(k)))
      if (keeps && (k + 1) % 5 === 0) right(await q.keepInPage('refresh', q.checkpointToBytes(t.training())))
    }
    t.dispose()
    return JSON.stringify([start.step, [...q.checkpointToBytes(t.training())]])
  }
`

test(
  'the training goes on where it was kept',
  async () => {
    const script = await bundle(`${PROGRAM}\nglobalThis.train = train`)
    const index = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>'
    const opened = await openPage({ files: { '/index.html': index, '/main.js': script } })
    try {
      const ready = () => opened.page.waitForFunction('globalThis.train !== undefined')
      await ready()
      await opened.page.evaluate<string>('globalThis.train(23, true)')
      await opened.page.reload()
      await ready()
      const [from, after] = JSON.parse(await opened.page.evaluate<string>(`globalThis.train(${STEPS}, true)`))
      const [, whole] = JSON.parse(await opened.page.evaluate<string>(`globalThis.train(${STEPS}, false)`))
      assert.is(from, 20)
      assert.equal(after, whole)
      assert.equal(opened.errors, [])
    } finally {
      await opened.close()
    }
  },
  { timeout: 120_000 },
)

test('where there is no IndexedDB, that is said', async () => {
  for (const made of [await q.keepInPage('x', new Uint8Array(1)), await q.keptInPage('x'), await q.forgetInPage('x')])
    assert.is(isLeft(made) && made.left[0].tag, 'FileError')
})

test.run()
