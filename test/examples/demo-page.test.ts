/** The page that trains, in headless Chromium: built, served and used as a reader would. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import * as assert from 'uvu/assert'
import { buildSite, type Site } from '../../examples/demo/build.js'
import { serveSite, type Serving } from '../../examples/demo/server.js'
import { launch, serve } from '../support/browser.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'

const test = suite('examples: demo page')
const patient = { timeout: 120_000 }
/** Few digits in small batches: 40 steps, of which 30 collect statistics. */
const SMALL = '?limit=160&held=16&batch=8&epochs=2&threads=2'
/** The same without an end in sight. */
const ENDLESS = '?limit=160&held=16&batch=8&epochs=1000&threads=2'

let [browser, site, server]: [Browser | null, Site, Serving | null] = [null, {}, null]
test.before(async () => {
  site = await buildSite()
  server = await serveSite(site)
  browser = await launch()
})
test.after(async () => {
  await browser?.close()
  await server?.close()
})

type Opened = { readonly page: Page; readonly errors: readonly string[]; readonly close: () => Promise<void> }

const openAt = async (address: string, o: { readonly dark?: boolean } = {}): Promise<Opened> => {
  if (browser === null) throw new Error('no browser')
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    colorScheme: o.dark === true ? 'dark' : 'light',
    reducedMotion: o.dark === true ? 'reduce' : 'no-preference',
    bypassCSP: o.dark !== undefined,
  })
  const page = await context.newPage()
  const errors: string[] = []
  page.on('pageerror', (e) => {
    errors.push(String(e))
  })
  page.on('console', (m) => {
    if (['error', 'warning'].includes(m.type())) errors.push(m.text())
  })
  await page.goto(address)
  return { page, errors, close: () => context.close() }
}
const open = (query: string, o: { readonly dark?: boolean } = {}): Promise<Opened> =>
  openAt(`${server?.url ?? ''}${query}`, o)

const untilStep = (page: Page, step: number): Promise<unknown> =>
  page.waitForFunction((s) => Number(document.body.dataset.step ?? -1) >= s, step, { timeout: 90_000 })
const untilStatus = (page: Page, status: string): Promise<unknown> =>
  page.waitForFunction((s) => document.body.dataset.status === s, status, { timeout: 90_000 })
const stepOf = (page: Page): Promise<number> => page.evaluate(() => Number(document.body.dataset.step))
const textOf = (page: Page, selector: string): Promise<string> => page.locator(selector).first().innerText()
const scaleOf = async (page: Page, path: string): Promise<number> =>
  Number(await page.locator(`[data-quantizer="${path}"]`).getAttribute('data-scale'))

test(
  'it trains: loss falls, scales move, statistics become learned values, nothing complains',
  async () => {
    const { page, errors, close } = await open(`${SMALL}&paused`)
    try {
      assert.is(await page.evaluate(() => crossOriginIsolated), true)
      for (const k of [1, 2, 3]) {
        await untilStep(page, k - 1)
        await page.locator('#step').click()
      }
      await untilStep(page, 3)
      const [loss, scale] = [Number(await textOf(page, '#loss-now')), await scaleOf(page, 'conv2.weightQuant')]
      assert.match(await textOf(page, '[data-quantizer="relu1.actQuant"] .phase'), /statistics \d+ of 30/)
      assert.match((await page.locator('.label .now').first().textContent()) ?? '', /^ ≈ 0\.00/)
      await page.locator('#go').click()
      await untilStatus(page, 'finished')
      assert.is(await stepOf(page), 40)
      assert.ok(Number(await textOf(page, '#loss-now')) < loss - 0.05, `${loss} → ${await textOf(page, '#loss-now')}`)
      assert.is.not(await scaleOf(page, 'conv2.weightQuant'), scale)
      assert.match(await textOf(page, '[data-quantizer="relu1.actQuant"] .phase'), /learned/)
      assert.match((await page.locator('.label .now').first().textContent()) ?? '', /^ = 0\.00/)
      assert.match((await page.locator('#accuracy').textContent()) ?? '', /held out \d/)
      assert.is(await page.locator('#accuracy circle.held').count(), 2)
      assert.match((await page.locator('#scales').textContent()) ?? '', /learned|statistics/)
      assert.equal(errors, [])
    } finally {
      await close()
    }
  },
  patient,
)

test(
  'pause holds, step does one step, go on goes on, restart begins anew',
  async () => {
    const { page, errors, close } = await open(ENDLESS)
    try {
      await untilStep(page, 2)
      await page.locator('#go').click()
      await untilStatus(page, 'paused')
      await page.waitForTimeout(400)
      const held = await stepOf(page)
      await page.waitForTimeout(600)
      assert.is(await stepOf(page), held)
      for (const k of [1, 2]) {
        await page.locator('#step').click()
        await untilStep(page, held + k)
        assert.is(await stepOf(page), held + k)
      }
      assert.is(await textOf(page, '#go'), 'Go on')
      await page.locator('#go').click()
      await untilStep(page, held + 20)
      await page.locator('#go').click()
      await untilStatus(page, 'paused')
      await page.locator('#restart').click()
      await page.waitForFunction(() => document.body.dataset.step === '0')
      assert.is(await textOf(page, '#loss-now'), '')
      assert.equal(errors, [])
    } finally {
      await close()
    }
  },
  patient,
)

test(
  'other bits: metadata is redrawn at once, by keyboard too, and training goes on',
  async () => {
    const { page, errors, close } = await open(`${SMALL}&paused`)
    try {
      await page.waitForFunction(() => document.body.dataset.step === '0')
      assert.is(await page.locator('[data-line][data-bits="3"]').count(), 0)
      const sentence = await textOf(page, '#sentence')
      const drawn = await page.evaluate(() => {
        const select = document.querySelector<HTMLSelectElement>('select[aria-label="Bits of relu1"]')
        if (select === null) return -1
        select.focus()
        select.value = '3'
        select.dispatchEvent(new Event('change'))
        return document.querySelectorAll('[data-line][data-bits="3"]').length
      })
      // What leaves relu1, and what leaves pool1.
      assert.is(drawn, 2)
      assert.is.not(await textOf(page, '#sentence'), sentence)
      assert.is(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), 'Bits of relu1')
      await page.waitForFunction(() =>
        /of 3 bits used/.test(document.querySelector('[data-quantizer="relu1.actQuant"]')?.textContent ?? ''),
      )
      await page.locator('select[aria-label="Bits of relu1"]').press('ArrowUp')
      await page.waitForFunction(() => document.querySelectorAll('[data-line][data-bits="2"]').length === 2)
      await page.locator('select[aria-label="Bits of all layers"]').selectOption('4')
      assert.is(await page.locator('[data-line][data-carry="carries"][data-bits="8"]').count(), 0)
      await page.locator('#step').click()
      await untilStep(page, 1)
      await page.locator('#quantizers button', { hasText: 'relu2' }).click()
      assert.match(await textOf(page, '#panel'), /relu2[\s\S]*uint4, integers 0 … 15[\s\S]*of 4 bits used/)
      assert.equal(errors, [])
    } finally {
      await close()
    }
  },
  patient,
)

/** Longest task of the page's main thread in a trace: on the clock, and of processor time, in ms. */
const longestTask = (trace: string): { readonly clock: number; readonly cpu: number } => {
  const {
    traceEvents,
  }: {
    readonly traceEvents: readonly {
      readonly name: string
      readonly ph: string
      readonly pid: number
      readonly tid: number
      readonly dur?: number
      readonly tdur?: number
      readonly args: { readonly name?: string }
    }[]
  } = JSON.parse(trace)
  const main = new Set(
    traceEvents
      .filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain')
      .map((e) => `${e.pid} ${e.tid}`),
  )
  const tasks = traceEvents.filter((e) => e.ph === 'X' && e.name.endsWith('RunTask') && main.has(`${e.pid} ${e.tid}`))
  assert.ok(tasks.length > 50, `${tasks.length} tasks were traced`)
  return {
    clock: Math.max(...tasks.map((t) => (t.dur ?? 0) / 1000)),
    cpu: Math.max(...tasks.map((t) => (t.tdur ?? t.dur ?? 0) / 1000)),
  }
}

test(
  'the page stays responsive while it trains: no task of the main thread takes 50 ms of processor time',
  async () => {
    const { page, close } = await open(ENDLESS)
    try {
      await untilStep(page, 2)
      await browser?.startTracing(page, {
        categories: ['toplevel', 'disabled-by-default-devtools.timeline', 'devtools.timeline'],
      })
      for (const bits of ['4', '6']) {
        await page.locator('select[aria-label="Bits of relu1"]').selectOption(bits)
        await page.waitForTimeout(1500)
      }
      await page.locator('#quantizers button', { hasText: 'relu1' }).click()
      await page.waitForTimeout(1500)
      const trace = await browser?.stopTracing()
      const { clock, cpu } = longestTask(trace?.toString('utf8') ?? '')
      console.log(
        `longest task of the main thread while training: ${cpu.toFixed(1)} ms of processor time, ${clock.toFixed(1)} ms on the clock`,
      )
      assert.ok(cpu < 50, `${cpu} ms`)
    } finally {
      await close()
    }
  },
  patient,
)

test(
  'without isolation headers it trains on one thread and says so; leaving ends the worker',
  async () => {
    const plain = await serve({
      files: Object.fromEntries(Object.entries(site).map(([name, content]) => [`/${name}`, content])),
    })
    const { page, errors, close } = await openAt(`${plain.url}${ENDLESS}`)
    try {
      assert.is(await page.evaluate(() => crossOriginIsolated), false)
      await untilStep(page, 2)
      assert.match(await textOf(page, '#backend'), /1 thread.*no isolation headers/)
      assert.ok(page.workers().length >= 1)
      assert.equal(errors, [])
      await page.goto('about:blank')
      await page.waitForTimeout(200)
      assert.is(page.workers().length, 0)
    } finally {
      await close()
      await plain.close()
    }
  },
  patient,
)

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
type Checker = {
  readonly run: () => Promise<{
    readonly violations: readonly {
      readonly id: string
      readonly help: string
      readonly nodes: readonly { readonly html: string }[]
    }[]
  }>
}

for (const dark of [false, true]) {
  test(
    `axe finds nothing to complain about, ${dark ? 'dark and without motion' : 'light'}`,
    async () => {
      const { page, errors, close } = await open(`${SMALL}&paused`, { dark })
      try {
        await page.waitForFunction(() => document.body.dataset.step === '0')
        await page.evaluate(axe)
        for (const select of [null, 'relu1'] as const) {
          if (select !== null) await page.locator('#quantizers button', { hasText: select }).click()
          const { violations } = await page.evaluate(() => (Reflect.get(globalThis, 'axe') as Checker).run())
          assert.equal(
            violations.map((v) => `${v.id}: ${v.help}: ${v.nodes[0]?.html}`),
            [],
          )
        }
        assert.equal(errors, [])
      } finally {
        await close()
      }
    },
    patient,
  )
}

test(
  'the command: serves on the loopback interface with isolation headers until Ctrl-C; --build writes a folder',
  async () => {
    const script = join(root, 'examples/demo/main.ts')
    const child = spawn(process.execPath, ['--import', 'tsx', script], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exited = new Promise<number | null>((resolve) => {
      child.on('exit', (code) => resolve(code))
    })
    const url = await new Promise<string>((resolve) => {
      child.stdout.on('data', (d) => {
        resolve(String(d).split('\n')[0])
      })
    })
    try {
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/)
      const response = await fetch(url)
      assert.equal(
        [
          response.status,
          response.headers.get('cross-origin-opener-policy'),
          response.headers.get('cross-origin-embedder-policy'),
        ],
        [200, 'same-origin', 'require-corp'],
      )
      assert.is((await fetch(`${url}../package.json`)).status, 404)
    } finally {
      child.kill('SIGINT')
    }
    assert.is(await exited, 0)
    const folder = mkdtempSync(join(tmpdir(), 'quantrace-demo-'))
    try {
      const built = spawn(process.execPath, ['--import', 'tsx', script, '--build', join(folder, 'site')], {
        cwd: root,
        stdio: 'ignore',
      })
      assert.is(
        await new Promise((resolve) => {
          built.on('exit', resolve)
        }),
        0,
      )
      assert.equal(readdirSync(join(folder, 'site')).sort(), [
        'digits.bin',
        'index.html',
        'page.css',
        'page.js',
        'quantize-worker.js',
        'quantize.css',
        'quantize.html',
        'quantize.js',
        'worker.js',
      ])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
  patient,
)

test.run()
