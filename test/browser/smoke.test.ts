/** The browser support itself: a bundled module runs in a cross-origin isolated page, and a number comes back. */
import * as assert from 'uvu/assert'
import { bundle, openPage } from '../support/browser.js'
import { suite } from '../support/suite.js'

/** The first start unpacks Chromium. */
const patient = { timeout: 120_000 }

const test = suite('browser')

test(
  'a bundled module runs in an isolated page, with shared memory',
  async () => {
    const script = await bundle(`
    import { exp2 } from './src/data/math.js'
    const shared = new Float32Array(new SharedArrayBuffer(4))
    shared[0] = exp2(5) + 10
    document.title = String(crossOriginIsolated && shared[0])
  `)
    const index = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>'
    const opened = await openPage({ files: { '/index.html': index, '/main.js': script }, isolated: true })
    try {
      await opened.page.waitForFunction('document.title !== ""')
      assert.is(await opened.page.title(), '42')
      assert.is(await opened.page.evaluate('crossOriginIsolated'), true)
      assert.is(await opened.page.evaluate<number>('6 * 7'), 42)
      assert.equal(opened.errors, [])
    } finally {
      await opened.close()
    }
  },
  patient,
)

test(
  'without the headers a page is not isolated, and its errors are seen',
  async () => {
    const index = '<!doctype html><link rel="icon" href="data:,"><script>throw new Error("seen")</script>'
    const opened = await openPage({ files: { '/index.html': index } })
    try {
      assert.is(await opened.page.evaluate('crossOriginIsolated'), false)
      assert.is(opened.errors.length, 1)
      assert.match(opened.errors[0], 'seen')
    } finally {
      await opened.close()
    }
  },
  patient,
)

test(
  'text has glyphs on a machine without fonts',
  async () => {
    const index = '<!doctype html><link rel="icon" href="data:,"><span>quantrace</span>'
    const opened = await openPage({ files: { '/index.html': index } })
    try {
      assert.ok((await opened.page.evaluate<number>('document.querySelector("span").offsetWidth')) > 20)
    } finally {
      await opened.close()
    }
  },
  patient,
)

test.run()
