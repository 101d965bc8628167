/** Pictures of the page, measured in Chromium with the font that is really drawn: large enough, uncovered, apart from each other. */
import type { Browser, Page } from 'playwright-core'
import * as assert from 'uvu/assert'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { openHtml } from './open.js'
import { pictures } from './support/pictures.js'
import { look } from './support/sight.js'

const test = suite('page: pictures')
let browser: Browser
test.before(async () => {
  browser = await launch()
})
test.after(async () => {
  await browser.close()
})

const pages = new Map<string, string>()
const htmlOf = (name: string): string => {
  const known = pages.get(name) ?? pictures[name]()
  pages.set(name, known)
  return known
}

/** A view of a page: its window, what is pressed in it one after another, each state looked at. */
type View = {
  readonly width?: number
  readonly height?: number
  readonly hash?: string
  readonly dark?: boolean
  readonly press?: readonly string[]
}

const seen = async (page: Page, where: string): Promise<void> => {
  await page.waitForTimeout(80)
  const { labels, faults } = await look(page)
  assert.equal([...faults].slice(0, 4), [], where)
  assert.ok(labels >= 3, `${where}: ${labels} words in sight`)
}

const visit = async (name: string, view: View): Promise<void> => {
  const { page, errors, close } = await openHtml(browser, htmlOf(name), view)
  const where = `${name} ${view.width ?? 1280}${view.hash ?? ''}${view.dark === true ? ' dark' : ''}`
  try {
    await seen(page, where)
    for (const press of view.press ?? []) {
      await page.locator(press).click()
      await seen(page, `${where}, after ${press}`)
    }
    assert.equal(errors, [], where)
  } finally {
    await close()
  }
}

const ALL = '#expand=all'
const LARGE = { width: 1920, height: 1080 }
const PHONE = { width: 390, height: 844 }
const NETS = [
  'first-values',
  'digits-eval',
  'residual2',
  'residual10',
  'concat',
  'mobile',
  'mlp',
  'recurrent',
  'chain50',
  'long-names',
  'pair',
  'hostile',
  'hostile-bidi',
]

NETS.forEach((name, i) => {
  test(
    `${name}: opened, and all of it`,
    async () => {
      await visit(name, { dark: i % 2 === 0 })
      await visit(name, { dark: i % 2 === 1, hash: ALL })
      await visit(name, i % 3 === 0 ? PHONE : { ...LARGE, hash: i % 2 === 0 ? ALL : '' })
    },
    { timeout: 60_000 },
  )
})

const OVERLAYS = ['[data-side=backward]', '[data-side=both]', '#errors', '[data-side=forward]', '#times', '#times']

for (const [name, dark] of [
  ['digits-full', false],
  ['residual2-full', true],
] as const)
  test(
    `${name}: both passes, errors, times`,
    async () => {
      await visit(name, { dark, press: OVERLAYS })
      await visit(name, { ...PHONE, dark: !dark })
    },
    { timeout: 60_000 },
  )

test('at the input, and a map where not all is seen; Fit tells when names are too small', async () => {
  const { page, close } = await openHtml(browser, htmlOf('residual2'), { hash: ALL })
  try {
    assert.ok(await page.locator('[data-value="input"]').isVisible())
    assert.ok(await page.locator('#minimap').isVisible())
    await page.mouse.move(300, 400)
    await page.mouse.wheel(0, -900)
    assert.match(await page.locator('#where').innerText(), /^in \S/)
    await page.locator('#fit').click()
    assert.match(await page.locator('#note').innerText(), /too small/i)
    assert.is(await page.locator('#canvas text:visible').count(), 0)
    await page.locator('#collapse').click()
    assert.is(await page.locator('#note').innerText(), '')
    assert.ok((await page.locator('#canvas text:visible').count()) > 8)
  } finally {
    await close()
  }
})

test('a scale keeps its colour when a layer opens, and on the time axis after backward and forward', async () => {
  const { page, close } = await openHtml(browser, htmlOf('residual2-full'))
  const colours = (): Promise<readonly (readonly [string, string])[]> =>
    page.evaluate(() =>
      [...document.querySelectorAll('.line.carries:not(.quiet)')].map((l): [string, string] => [
        l.getAttribute('data-scale-id') ?? '',
        `${/hue\d/.exec(l.getAttribute('class') ?? '')?.[0]} ${l.querySelector('.core')?.getAttribute('class') ?? ''}`,
      ]),
    )
  const tracks = (): Promise<readonly string[]> =>
    page.evaluate(() => [...document.querySelectorAll('#history .trace')].map((t) => t.getAttribute('class') ?? ''))
  try {
    const [before, traces] = [new Map(await colours()), await tracks()]
    await page.locator('#expand').click()
    const after = new Map(await colours())
    assert.ok(before.size > 0 && after.size > 8)
    for (const [scale, colour] of before) assert.is(after.get(scale), colour, scale)
    assert.ok(new Set(after.values()).size > 8, 'more than eight ways to draw a scale')
    await page.locator('#collapse').click()
    await page.locator('[data-side=backward]').click()
    await page.locator('[data-side=forward]').click()
    assert.equal(await tracks(), traces)
  } finally {
    await close()
  }
})

test.run()
