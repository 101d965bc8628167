/** Overlays: values in one list, of which a page shows one at a time; the export's is drawn from a report. */
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser } from 'playwright-core'
import * as q from '../../src/index.js'
import { exportReport } from '../../src/interop/onnx/index.js'
import { sceneOf, toHtml, toSvg, watch, type Scene } from '../../viz/index.js'
import { CLASSES, overlays } from '../../viz/overlays/index.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { openHtml } from './open.js'

const test = suite('viz: overlays')
const get = q.orThrow
let browser: Browser
test.before(async () => {
  browser = await launch()
})
test.after(() => browser.close())

const quant = { returnQuantTensor: true } as const
const net = q.chain({
  input: q.QuantIdentity({ bitWidth: 12, ...quant }),
  tanh: q.Tanh(),
  fc1: q.QuantLinear({ inFeatures: 4, outFeatures: 4 }),
  act: q.QuantReLU({ floatToIntImplType: 'FLOOR', ...quant }),
  fc2: q.QuantLinear({ inFeatures: 4, outFeatures: 3, ...quant }),
})
const program = get(q.trace(net, q.tensorInput([2, 4]), { mode: 'eval' }))
const report = get(exportReport(program as q.Program, 'qcdq'))
const steps = [
  { step: 'calibrate', errors: [0.1, 0.2, 0.01].map((error, k) => ({ path: ['fc1', 'fc2', ''][k], error })) },
  {
    step: '<round>',
    errors: [
      { path: 'fc1', error: 0.001 },
      { path: 'fc2', error: 0 },
    ],
  },
]
const options = () => {
  const { params, state: first } = get(q.init(net, 0))
  const [inputs] = q.randn([2, 4])(q.manualSeed(1))
  const training = get(q.trace(net, q.tensorInput([2, 4]), { mode: 'train' }))
  const args = { params, state: get(q.run(training, { params, state: first, inputs })).state, inputs }
  const seen = watch(program, args)
  const { outputs } = get(q.run(program, args, { observe: seen.observe }))
  const profile = get(q.profile(program, args, { rounds: 2, warmUpMs: 1 }))
  return { outputs, values: seen.values, profile, exported: report, steps }
}
const full = options()
const scene: Scene = sceneOf(program as q.Program, full)

test('each overlay is whole: a name of its own, six colours in both themes, a class and words for each number', () => {
  assert.is(new Set(overlays.map((o) => o.id)).size, overlays.length)
  for (const o of overlays) {
    assert.match(o.id, /^[a-z]+$/)
    for (const list of [o.classes.light, o.classes.dark, o.legend.classes]) assert.is(list.length, CLASSES)
    assert.ok(o.knows(scene), o.id)
    assert.is(o.knows(sceneOf(program as q.Program)), false)
    const values = [...o.valueOf(scene)]
    assert.ok(values.length > 0, o.id)
    for (const [id, value] of values) {
      assert.ok(scene.nodes.some((n) => n.id === id) || scene.boxes.some((b) => b.id === id), id)
      const k = o.classOf(value)
      assert.ok(Number.isInteger(k) && k >= 0 && k < CLASSES)
      assert.ok(o.text(value).length <= o.longest.length && o.said(value) !== '')
      if (o.text(value) !== '') assert.is.not(o.legend.classes[k], '')
    }
  }
})

test('the export’s numbers are those of the report: the worst of each layer', () => {
  const values = overlays.find((o) => o.id === 'export')?.valueOf(scene)
  assert.equal(
    ['input', 'fc1', 'act', 'fc2'].map((id) => values?.get(id)),
    [2, 1, 0, 0],
  )
  const none = get(
    exportReport(
      get(q.trace(q.chain({ a: q.QuantIdentity(quant) }), q.tensorInput([2]), { mode: 'eval' })) as q.Program,
      'qcdq',
    ),
  )
  assert.equal(none.entries, [])
  assert.not.match(toHtml(program as q.Program, { exported: none }), /id="exports"/)
})

test('errors of steps: the last one colours layers, all stand in a table with what each gained, on pages of one and of two', async () => {
  const values = overlays.find((o) => o.id === 'drift')?.valueOf(scene)
  assert.is(Math.round(values?.get('fc1') ?? 0), 30)
  assert.is(values?.get('fc2'), Infinity)
  const pages = [
    toHtml(program as q.Program, { steps }),
    toHtml([program as q.Program, program as q.Program], {
      sides: [{ title: 'float' }, { title: 'quantized', steps }],
    }),
  ]
  for (const [k, html] of pages.entries()) {
    const { page, errors, close } = await openHtml(browser, html)
    try {
      assert.is(await page.locator('#steps').isVisible(), false)
      await page.locator('#drifts').click()
      const rows = await page.locator('#steps tr').allInnerTexts()
      assert.equal(
        rows.map((r) => r.split(/\s+/)),
        [
          ['Layer', 'calibrate', '<round>'],
          ['fc1', '10.0', '30.0', '+20.0'],
          ['fc2', '7.0', '∞'],
          ['results', '20.0'],
        ].map((r) => (r[0] === 'results' ? [...r, ''] : r)),
      )
      const half = k === 0 ? '' : '[data-program="1"] '
      assert.match((await page.locator(`${half}[data-item="fc1"]`).first().getAttribute('class')) ?? '', /drift3/)
      assert.match((await page.locator(`${half}[data-item="fc2"]`).first().innerHTML()) ?? '', /∞ dB/)
      await page.locator('[data-go="fc2"]').click()
      assert.match((await page.locator(`${half}[data-item="fc2"]`).first().getAttribute('class')) ?? '', /selected/)
      await page.locator('#drifts').click()
      assert.is(await page.locator('#steps').isVisible(), false)
      assert.is(await page.locator('.item[class*=" drift"]').count(), 0)
      assert.equal(errors, [])
    } finally {
      await close()
    }
  }
  assert.throws(() => toHtml(program as q.Program, { steps: [{ step: 'a' }] as never }), /a list of steps/)
})

test('one at a time: a second button takes over, the same one again ends it; its legend and its table come with it', async () => {
  const { page, errors, close } = await openHtml(browser, toHtml(program as q.Program, full))
  const pressed = (): Promise<readonly string[]> =>
    page
      .locator('[data-overlay][aria-pressed=true]')
      .evaluateAll((b) => b.map((e) => e.getAttribute('data-overlay') ?? ''))
  const beside = (): Promise<readonly string[]> =>
    page
      .locator('[data-with]:visible')
      .evaluateAll((b) => [...new Set(b.map((e) => e.getAttribute('data-with') ?? ''))])
  try {
    for (const { id } of [...overlays, ...overlays]) {
      await page.locator(`#${id}s`).click()
      assert.equal([await pressed(), await beside()], [[id], [id]])
      assert.ok((await page.locator(`.item[class*=" ${id}"]`).count()) > 0, id)
      for (const other of overlays.filter((o) => o.id !== id))
        assert.is(await page.locator(`.item[class*=" ${other.id}"]`).count(), 0)
    }
    const last = overlays[overlays.length - 1].id
    await page.locator(`#${last}s`).click()
    assert.equal([await pressed(), await beside()], [[], []])
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
for (const dark of [false, true])
  test(`the export’s overlay tells layers and says why in the panel; axe finds nothing, ${dark ? 'dark' : 'light'}`, async () => {
    const html = toHtml(program as q.Program, full).replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, '')
    const { page, close } = await openHtml(browser, html, { dark })
    try {
      assert.match(
        await page.locator('#panel').innerText(),
        /As QCDQ\s+1 refused, 2 in bare floats, 2 said by other means/,
      )
      await page.locator('#exports').click()
      assert.match((await page.locator('[data-item="input"]').first().getAttribute('class')) ?? '', /export5/)
      assert.match(
        (await page.locator('[data-item="fc1"]').first().getAttribute('aria-label')) ?? '',
        /the exported model has floats/,
      )
      await page.evaluate(axe)
      const found = await page.evaluate(async () => {
        const run: () => Promise<{ readonly violations: readonly { readonly id: string }[] }> = Reflect.get(
          Reflect.get(globalThis, 'axe'),
          'run',
        )
        return (await run()).violations.map((v) => v.id)
      })
      assert.equal(found, [])
      await page.locator('[data-item="act"]').first().click()
      assert.match(await page.locator('#panel').innerText(), /As QCDQ\s+it rounds by FLOOR[\s\S]*Instead: [\s\S]*Fix: /)
    } finally {
      await close()
    }
  })

test('a report that is none is told; drawings take one, too', () => {
  assert.throws(() => toHtml(program as q.Program, { exported: {} as never }), /exported/)
  assert.match(toSvg(program as q.Program, { exported: report }), /^<svg/)
})

test.run()
