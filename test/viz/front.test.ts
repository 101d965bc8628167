/** The picture of a search for bits: every plan a point at its cost and loss, the chosen one marked, values without a script, both themes. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser } from 'playwright-core'
import * as assert from 'uvu/assert'
import { toFrontHtml, toFrontSvg } from '../../viz/index.js'
import { pointsOf, type Found } from '../../viz/front/points.js'
import { frontOf } from '../../src/quantize/knapsack.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { openHtml, readBack } from './open.js'

const test = suite('viz: front')
let browser: Browser
test.before(async () => {
  browser = await launch()
})
test.after(() => browser.close())

const WIDTHS = [2, 3, 4, 8]
/** A search over layers that lose so much at each width, as `searchBits` gives one. */
const searched = (
  layers: readonly { path: string; weights: number; losses: readonly number[] }[],
  most: number,
): Found => {
  const front = frontOf(
    layers.map((l) =>
      l.losses.map((loss, k) => ({ bits: WIDTHS[k], cost: Math.ceil((l.weights * WIDTHS[k]) / 8), loss })),
    ),
  ).map((p) => ({ ...p, bits: Object.fromEntries(layers.map((l, k) => [l.path, p.bits[k]])) }))
  const chosen = front.filter((p) => p.cost <= most).at(-1) ?? front[0]
  const measured = layers.map(({ path, weights, losses }) => ({
    path,
    weights,
    multiplications: weights,
    actBits: 8,
    losses: losses.map((loss, k) => ({ bits: WIDTHS[k], loss })),
  }))
  return { ...chosen, front, sensitivity: { float: 0, layers: measured, kept: [] } }
}
const found = searched(
  [
    { path: 'conv', weights: 100, losses: [0.4, 0.05, 0.004, 0.0001] },
    { path: '<fc>', weights: 300, losses: [0.2, 0.03, 0.001, 0] },
  ],
  180,
)

test('each plan is a point; the chosen one lies on top, and equal bits stand beside', () => {
  const points = pointsOf(found, 'bytes')
  assert.is(points.at(-1)?.is, 'chosen')
  assert.is(points.at(-1)?.cost, found.cost)
  assert.equal(
    points.filter((p) => p.is === 'front').map((p) => [p.cost, p.loss]),
    found.front.filter((p) => p.cost !== found.cost).map((p) => [p.cost, p.loss]),
  )
  assert.equal(
    points.filter((p) => p.is === 'uniform').map((p) => [p.says, p.cost]),
    WIDTHS.map((w) => [`all layers ${w} bits`, Math.ceil((100 * w) / 8) + Math.ceil((300 * w) / 8)]),
  )
  // Nothing of equal bits beats the front.
  for (const u of points.filter((p) => p.is === 'uniform'))
    assert.ok(found.front.some((p) => p.cost <= u.cost && p.loss <= u.loss))
})

test('bits of activations are told with a plan; what they lose at the bits that they have counts beside equal bits', () => {
  const { sensitivity } = found
  const layers = sensitivity.layers.map((l) => ({ ...l, reads: 'act' }))
  const act = (bits: number) => ({ path: 'act', losses: [{ bits, loss: 0.25 }] })
  const at = (bits: number) =>
    pointsOf(
      { ...found, actBits: { act: 6 }, sensitivity: { ...sensitivity, layers, activations: [act(bits)] } },
      'bytes',
    )
  assert.match(at(8).at(-1)?.says ?? '', /^conv \d, <fc> \d; activations of act 6$/)
  const equal = (points: ReturnType<typeof at>) => points.filter((p) => p.is === 'uniform').map((p) => p.loss)
  const before = equal(pointsOf(found, 'bytes'))
  equal(at(8)).forEach((loss, k) => assert.ok(Math.abs(loss - 0.25 - before[k]) < 1e-9))
  assert.is(equal(at(8)).length, WIDTHS.length)
  assert.equal(equal(at(4)), [])
})

test('thousands of plans are as many points as can be told apart, one plan is a picture, too', () => {
  const front = Array.from({ length: 5000 }, (_, k) => ({ bits: { a: 2 }, cost: 100 + k, loss: 1 / (k + 1) }))
  const many = { ...found, ...front[70], front }
  const drawn = pointsOf(many, 'bytes').filter((p) => p.is !== 'uniform')
  assert.ok(drawn.length > 100 && drawn.length < 260)
  for (const end of [front[0], front[4999]]) assert.ok(drawn.some((p) => p.cost === end.cost))
  const [only] = found.front
  for (const loss of [only.loss, 0])
    assert.not.match(toFrontSvg({ ...found, ...only, loss, front: [{ ...only, loss }] }), /NaN|Infinity/)
  assert.not.match(toFrontSvg(many), /NaN|Infinity/)
})

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
for (const dark of [false, true])
  test(`the page tells values where the pointer or the focus is, without a script, ${dark ? 'dark' : 'light'}`, async () => {
    const html = toFrontHtml(found, { title: '<b>bits', unit: 'bytes' })
    assert.not.match(html, /<script|<b>|<fc>/)
    const { page, errors, requests, close } = await openHtml(browser, html, { dark })
    try {
      const points = await readBack(page, '.point')
      assert.is(points.length, pointsOf(found, 'bytes').length)
      assert.is(points.at(-1)?.['data-point'], 'chosen')
      assert.is(await page.locator('.tip:visible').count(), 0)
      await page.locator('[data-point=chosen]').hover()
      assert.match(
        await page
          .locator('.tip:visible')
          .allTextContents()
          .then((t) => t.join()),
        new RegExp(`cost ${found.cost}`),
      )
      await page.mouse.move(2, 2)
      await page.locator('[data-point=front]').first().focus()
      assert.match(
        await page
          .locator('.tip:visible')
          .allTextContents()
          .then((t) => t.join()),
        /conv \d, <fc> \d/,
      )
      assert.is(await page.locator('td.chosen').count(), 2)
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
      assert.is(background, dark ? 'rgb(20, 23, 27)' : 'rgb(251, 251, 250)')
      assert.equal([errors, requests.length], [[], 1])
    } finally {
      await close()
    }
    const free = await openHtml(browser, html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, ''), { dark })
    try {
      await free.page.evaluate(axe)
      const violations = await free.page.evaluate(async () => {
        const run: () => Promise<{ readonly violations: readonly { readonly id: string }[] }> = Reflect.get(
          Reflect.get(globalThis, 'axe'),
          'run',
        )
        return (await run()).violations.map((v) => v.id)
      })
      assert.equal(violations, [])
    } finally {
      await free.close()
    }
  })

test('what is no search is refused', () => {
  for (const wrong of [undefined, {}, { ...found, front: [{}] }, { ...found, sensitivity: null }])
    assert.throws(() => toFrontHtml(wrong as never), /what searchBits gave/)
  assert.throws(() => toFrontSvg(found, { unit: 'bits' as never }), /"bytes", "bitOperations"/)
  assert.throws(() => toFrontSvg(found, { units: 'bytes' } as never), /did you mean unit\?/)
})

test.run()
