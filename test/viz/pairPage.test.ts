/** The page of two programs in headless Chromium: each half keeps the contract, what differs can be read back, keys and pointer work. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser } from 'playwright-core'
import * as assert from 'uvu/assert'
import { pairOf, toHtml } from '../../viz/index.js'
import { twinsOf } from '../../viz/pair/twins.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { ATTACKS, hostile } from './attacks.js'
import { attributesOf, expectedOf } from './expected.js'
import { openHtml, readBack } from './open.js'
import { layers, programs, residual, stripped } from './programs.js'

const test = suite('page of two programs')
let browser: Browser
test.before(async () => {
  browser = await launch()
})
test.after(async () => {
  await browser.close()
})

const sorted = (xs: readonly unknown[]): readonly string[] =>
  xs.map((x) => JSON.stringify(x, Object.keys(x ?? {}).sort())).sort()

/** Notes, in the page, how often named values entered the document, and whether before `load`. */
const watchValues = (): void => {
  const seen = { batches: 0, late: 0, loaded: false }
  Object.assign(globalThis, { seen })
  window.addEventListener('load', () => {
    seen.loaded = true
  })
  new MutationObserver((records) => {
    const entered = records.filter((r) =>
      [...r.addedNodes].some(
        (n) => n instanceof Element && (n.matches('[data-value]') || n.querySelector('[data-value]') !== null),
      ),
    )
    seen.batches += entered.length
    if (seen.loaded) seen.late += entered.length
  }).observe(document, { childList: true, subtree: true })
}

const PAIRS = [
  ['train and eval', 'net', 'eval'],
  ['stripped and residual', 'stripped', 'residual'],
  ['named and shared', 'named', 'shared'],
  ['forward and gradient', 'net', 'grad'],
] as const

for (const [title, a, b] of PAIRS) {
  test(`${title}: each half is what its program says, edge by edge; what differs reads back`, async () => {
    const both = [programs[a](), programs[b]()] as const
    const twins = twinsOf(pairOf(both))
    const { page, errors, requests, close } = await openHtml(browser, toHtml(both), {
      hash: '#expand=all',
      before: watchValues,
    })
    try {
      for (const side of [0, 1] as const) {
        const { nodes, edges } = expectedOf(both[side])
        const half = `[data-program="${side}"]`
        const drawn = (await readBack(page, `${half} [data-from][data-to]`)).map(
          ({ 'data-scale-id': _, 'data-line': __, ...rest }) => rest,
        )
        assert.equal(sorted(drawn), sorted(edges.map(attributesOf)))
        const items = await readBack(page, `${half} [data-node]`)
        assert.equal(
          new Map(
            items
              .filter((n) => !['layer', 'branch'].includes(n['data-op']))
              .map((n): [string, string] => [n['data-node'], n['data-op']])
              .sort(),
          ),
          new Map([...nodes].sort()),
        )
        for (const n of items)
          assert.equal(
            [n['data-pair'], n['data-partner']],
            [twins[side].status.get(n['data-node']), twins[side].partner.get(n['data-node'])],
            n['data-node'],
          )
        const results = both[side].outputs
          .filter((o) => o.kind === 'result')
          .map((o) => `${o.path || 'output'} ${both[side].graph.nodes[o.node].carried.tag}`)
        const values = (await readBack(page, `${half} [data-value]`)).map(
          (v) => `${v['data-value']} ${v['data-carry']}`,
        )
        assert.ok(results.every((r) => values.includes(r)))
      }
      assert.equal(await page.evaluate(() => Reflect.get(globalThis, 'seen')), { batches: 1, loaded: true, late: 0 })
      assert.equal(errors, [])
      assert.is(requests.length, 1)
    } finally {
      await close()
    }
  })
}

test('keyboard: n walks the differences, both panels answer; arrows cross to the twin; Enter opens both sides', async () => {
  const { page, errors, close } = await openHtml(browser, toHtml([stripped(), residual()]))
  const panel = (side: number): Promise<string> => page.locator(`#panel-${side}`).innerText()
  try {
    const chips = await page.locator('.chip').count()
    assert.ok(chips > 2)
    const heard = new Set<string>()
    for (let i = 0; i < chips; i++) {
      await page.keyboard.press('n')
      heard.add(`${await panel(0)}|${await panel(1)}`)
    }
    assert.is(heard.size, chips)
    await page.keyboard.press('Escape')
    assert.match(await panel(0), /left[\s\S]*(places? to change|Nothing needs to change)/)
    await page.locator('[data-program="0"] [data-node="input"]').focus()
    await page.keyboard.press('ArrowRight')
    assert.equal(
      await page.evaluate(() => [
        document.activeElement?.closest('[data-program]')?.getAttribute('data-program'),
        document.activeElement?.getAttribute('data-node'),
      ]),
      ['1', 'input'],
    )
    await page.keyboard.press('Enter')
    assert.equal(await page.locator('[data-node="input"][aria-expanded="true"]').count(), 2)
    await page.keyboard.press('Enter')
    assert.equal(await page.locator('[data-node="input"][aria-expanded="false"]').count(), 2)
    await page.keyboard.press('ArrowDown')
    assert.is(await page.evaluate(() => document.activeElement?.getAttribute('data-from')), 'input')
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

test('pointer: a note selects both, a phrase lights what it names, a button opens all', async () => {
  const { page, errors, close } = await openHtml(
    browser,
    toHtml([stripped(), residual()], { sides: [{ title: 'plain net' }, { title: 'residual net' }] }),
  )
  try {
    await page.locator('.chip.only').first().click()
    const texts = await Promise.all([0, 1].map((s) => page.locator(`#panel-${s}`).innerText()))
    assert.is(texts.filter((t) => t.includes('Nothing here corresponds to it')).length, 1)
    await page.locator('#sentence button').last().click()
    assert.ok((await page.locator('.lit, .selected').count()) > 0)
    await page.locator('#expand').click()
    assert.is(await page.locator('[data-program="0"] [data-from]').count(), expectedOf(stripped()).edges.length)
    await page.locator('#collapse').click()
    assert.ok((await page.locator('[data-program="0"] [data-from]').count()) < expectedOf(stripped()).edges.length)
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

test(
  'names and reasons of strangers stay text in both halves',
  async () => {
    for (const attack of ATTACKS) {
      const html = toHtml([hostile(attack), hostile(`${attack}x`)], {
        title: attack,
        sides: [{ title: attack }, { title: `${attack}y` }],
      })
      const { page, errors, requests, close } = await openHtml(browser, html, { hash: '#expand=all' })
      try {
        await page.keyboard.press('n')
        const clean = (s: string): string => s.replaceAll('\0', '\ufffd')
        for (const [side, name] of [attack, `${attack}x`].entries()) {
          const values = (await readBack(page, `[data-program="${side}"] [data-value]`))
            .map((v) => clean(v['data-value']))
            .sort()
          assert.equal(values, [`x${name}`, `y${name}`].map(clean))
        }
        assert.is(
          await page.evaluate(() => document.querySelectorAll('img,iframe,object,script:not(#scene)').length),
          1,
        )
        assert.equal(errors, [], attack)
        assert.is(requests.length, 1, attack)
      } finally {
        await close()
      }
    }
  },
  { timeout: 60_000 },
)

test(
  'two networks of 50 layers: small enough, and drawn in time',
  async () => {
    const html = toHtml([layers(50), layers(50)])
    assert.ok(html.length <= 900_000, String(html.length))
    const times: number[] = []
    for (let i = 0; i < 3; i++) {
      const { errors, loadMs, close } = await openHtml(browser, html)
      times.push(loadMs)
      assert.equal(errors, [])
      await close()
    }
    assert.ok(Math.min(...times) < 5000, times.join())
  },
  { timeout: 60_000 },
)

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

for (const [dark, width] of [
  [false, 1280],
  [true, 1280],
  [false, 700],
] as const) {
  test(`axe finds nothing to complain about, ${dark ? 'dark' : 'light'}, ${width} wide`, async () => {
    // Only the page's policy would keep the checker out.
    const html = toHtml([stripped(), residual()]).replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, '')
    const { page, close } = await openHtml(browser, html, { dark, width })
    try {
      await page.evaluate(axe)
      for (const key of ['Escape', 'n', 'n', 'ArrowDown']) {
        await page.keyboard.press(key)
        const { violations } = await page.evaluate(() =>
          (
            Reflect.get(globalThis, 'axe') as {
              readonly run: () => Promise<{
                readonly violations: readonly {
                  readonly id: string
                  readonly help: string
                  readonly nodes: readonly { readonly html: string }[]
                }[]
              }>
            }
          ).run(),
        )
        assert.equal(
          violations.map((v) => `${v.id}: ${v.help}: ${v.nodes[0]?.html}`),
          [],
        )
      }
    } finally {
      await close()
    }
  })
}

test.run()
