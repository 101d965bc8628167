/** The page that quantizes an ONNX model, in headless Chromium: dropped, seen, quantized, downloaded, and nothing left the machine. */
import { readFileSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import * as assert from 'uvu/assert'
import { buildSite } from '../../examples/demo/build.js'
import { serveSite, type Serving } from '../../examples/demo/server.js'
import * as q from '../../src/index.js'
import { npzToBytes } from '../../src/interop/arrays/index.js'
import { exportOnnx, importOnnx } from '../../src/interop/onnx/index.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'

const test = suite('examples: quantize page')
const patient = { timeout: 120_000 }

const net = q.chain({
  conv: q.Conv2d({ inChannels: 1, outChannels: 4, kernelSize: 3, padding: 1 }),
  norm: q.BatchNorm2d({ numFeatures: 4 }),
  relu: q.ReLU(),
  flat: q.Flatten(),
  fc: q.Linear({ inFeatures: 144, outFeatures: 3 }),
})
const numbers = q.orThrow(q.init(net, 2))
const traced = (n: number) => q.orThrow(q.trace(net, q.tensorInput([n, 1, 6, 6]), { mode: 'eval' }))
const model = q.orThrow(exportOnnx(traced(1) as q.Program, numbers))
const [samples] = q.randn([24, 1, 6, 6])(q.manualSeed(1))
const stored = npzToBytes({ input: { shape: [...samples.shape], data: samples.data, type: 'F32' } })
const files = {
  model: { name: 'small.onnx', mimeType: 'application/octet-stream', buffer: Buffer.from(model) },
  samples: { name: 'samples.npz', mimeType: 'application/octet-stream', buffer: Buffer.from(stored) },
}

let [browser, server]: [Browser | null, Serving | null] = [null, null]
test.before(async () => {
  server = await serveSite(await buildSite())
  browser = await launch()
})
test.after(async () => {
  await browser?.close()
  await server?.close()
})

const open = async () => {
  if (browser === null || server === null) throw new Error('no browser')
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  const page = await context.newPage()
  const [errors, addresses]: [string[], string[]] = [[], []]
  page.on('pageerror', (e) => void errors.push(String(e)))
  page.on('console', (m) => void (['error', 'warning'].includes(m.type()) && errors.push(m.text())))
  page.on('request', (r) => void addresses.push(r.url()))
  await page.goto(`${server.url}quantize.html`)
  return { page, errors, addresses, url: server.url, close: () => context.close() }
}

const until = (page: Page, status: string): Promise<unknown> =>
  page.waitForFunction((s) => document.body.dataset.status === s, status, { timeout: 90_000 })
const words = async (page: Page): Promise<string> => (await page.locator('#status').textContent()) ?? ''

test(
  'a model and samples are dropped, seen, quantized and downloaded; every address is of this page',
  async () => {
    const { page, errors, addresses, url, close } = await open()
    try {
      await page.locator('#samples').setInputFiles(files.samples)
      await page.locator('#file').setInputFiles(files.model)
      await until(page, 'opened')
      assert.match(await words(page), /quantrace, opset 17, float: \d+ nodes; inputs input \[1, 1, 6, 6\]/)
      await page.frameLocator('#drawing').locator('#canvas .item').first().waitFor()
      await page.locator('#go').click()
      await until(page, 'quantized')
      assert.match(await words(page), '2 of 2 products run on integers')
      assert.match(
        (await page.locator('#report').textContent()) ?? '',
        /conv: Conv2d → QuantConv2d, inputQuant Int8Act/,
      )
      // Float and quantized side by side.
      await page.frameLocator('#drawing').locator('[data-program="1"]').first().waitFor()
      const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#save').click()])
      assert.is(download.suggestedFilename(), 'small-quantized.onnx')
      const made = q.orThrow(importOnnx(readFileSync(await download.path()), { inputs: { input: [24, 1, 6, 6] } }))
      assert.is(made.format, 'qcdq')
      const run = (layer: q.Layer<unknown, unknown>, own: { readonly params: unknown; readonly state: unknown }) =>
        q.valueOf(
          q.orThrow(
            q.run(q.orThrow(q.trace(layer, q.tensorInput([24, 1, 6, 6]), { mode: 'eval' })), {
              ...own,
              inputs: samples,
            }),
          ).outputs as q.Output,
        ).data
      const [float, now] = [run(net as never, numbers), run(made.layer as never, q.orThrow(q.init(made.layer, 0)))]
      float.forEach((x, i) => assert.ok(Math.abs(x - now[i]) < 0.05, `${now[i]}, not ${x}`))
      assert.equal(
        addresses.filter((a) => !a.startsWith(url) && !a.startsWith('blob:') && !a.startsWith('data:')),
        [],
      )
      assert.equal(errors, [])
    } finally {
      await close()
    }
  },
  patient,
)

test(
  'a file that is dropped on the page is read; without samples noise is drawn; what is wrong is said',
  async () => {
    const { page, errors, close } = await open()
    try {
      const drop = (name: string, bytes: readonly number[]): Promise<void> =>
        page.evaluate(
          ([n, b]) => {
            const data = new DataTransfer()
            data.items.add(new File([Uint8Array.from(b)], n))
            dispatchEvent(new DragEvent('drop', { dataTransfer: data, cancelable: true }))
          },
          [name, bytes] as const,
        )
      await drop('broken.onnx', Array.from(model.subarray(0, 100)))
      await until(page, 'failed')
      assert.match(await words(page), /fix: /)
      assert.is(await page.locator('#go').isDisabled(), true)
      await drop('small.onnx', [...model])
      await until(page, 'opened')
      await page.locator('#scheme').selectOption('w4a8')
      await page.locator('#go').click()
      await until(page, 'quantized')
      assert.match((await page.locator('#report').textContent()) ?? '', /at 4 bits/)
      await page.locator('#shapes').fill('inputs=1,1,6,6')
      await page.locator('#shapes').blur()
      await until(page, 'failed')
      assert.match(await words(page), 'there is no input "inputs"')
      assert.equal(errors, [])
    } finally {
      await close()
    }
  },
  patient,
)

test(
  'the other page leads here, and back',
  async () => {
    const { page, close } = await open()
    try {
      await page.locator('nav a').click()
      await page.locator('#transport nav a').click()
      await page.locator('#desk').waitFor()
    } finally {
      await close()
    }
  },
  patient,
)

test.run()
