/** A page for each idea of the tutorial, with the numbers of a run; the page that leads to them; in a real browser. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import * as assert from 'uvu/assert'
import { writePages } from '../../examples/tutorial/index.js'
import { ideas, sentenceOf } from '../../examples/tutorial/pages.js'
import { launch } from '../support/browser.js'
import { orThrow } from '../../src/index.js'
import { suite } from '../support/suite.js'
import { openHtml } from '../viz/open.js'

const test = suite('pages of the tutorial')
let browser: Browser
const folder = mkdtempSync(join(tmpdir(), 'quantrace-pages-'))
test.before(async () => {
  browser = await launch()
})
test.after(async () => {
  await browser.close()
  rmSync(folder, { recursive: true, force: true })
})

const says = new Map(ideas().map((i) => [i.file, sentenceOf(i)]))

test('each idea is said by its sentence, from the programs and the numbers of their runs', () => {
  const wanted: { readonly [file: string]: RegExp } = {
    'two-styles':
      /^The same numbers: all 27 results are equal, bit by bit\. They part at conv .*Only “a layer of its own” has quant\.$/,
    'return-quant-tensor':
      /^The same numbers: .*In “returns plain” its product runs in float, in “returns quant” its product runs on integers/,
    'disabled-quantizer': /^The same numbers: .*disabled \(stripped ≠ int8\)/,
    'zero-point': /quant \(int8 ≠ uint8\), relu \(int8 ≠ uint8\)/,
    'wasted-bit': /The result output uses 7\.0 bits of its grid in “conv, quant, ReLU”, 8\.0 in “conv, QuantReLU”/,
    'collecting-learned': /results differ, by at most .*The programs are the same, node by node\.$/,
    'per-channel': /relu \(uint8 ≠ uint8\[3\]\)/,
    'two-scales': /add \(claimed int9 ≠ int9\)/,
  }
  assert.equal([...says.keys()].sort(), Object.keys(wanted).sort())
  for (const [file, pattern] of Object.entries(wanted)) assert.match(says.get(file) ?? '', pattern, file)
})

test(
  'all pages open without a complaint; the index leads to each; both panels show numbers',
  async () => {
    const [index, ...pages] = orThrow(writePages(folder))
    const { page, errors, requests, close } = await openHtml(browser, readFileSync(index, 'utf8'))
    const links = await page.evaluate(() =>
      [...document.querySelectorAll('a')].map((a) => a.getAttribute('href') ?? ''),
    )
    assert.equal(
      links.map((l) => join(folder, l)),
      [...pages],
    )
    assert.is(
      await page.evaluate(() => [...document.images].filter((i) => i.complete && i.naturalWidth > 0).length),
      2 * pages.length,
    )
    assert.equal(errors, [])
    assert.is(requests.filter((r) => !r.startsWith('data:')).length, 1)
    await close()
    for (const path of pages) {
      assert.ok(existsSync(path))
      const opened = await openHtml(browser, readFileSync(path, 'utf8'))
      assert.is(await opened.page.locator('[data-program]').count(), 2, path)
      assert.is(await opened.page.locator('#sentence').innerText(), says.get(path.slice(folder.length + 1, -5)))
      assert.equal(opened.errors, [], path)
      assert.is(opened.requests.length, 1)
      await opened.close()
    }
  },
  { timeout: 90_000 },
)

test('the wasted bit is seen: seven of eight bits beside eight, each over its grid', async () => {
  const { page, close } = await openHtml(browser, readFileSync(join(folder, 'wasted-bit.html'), 'utf8'))
  await page.locator('[data-program="0"] [data-result="output"]').click()
  assert.match(await page.locator('#panel-0').innerText(), /Bits used\s+7\.0 of 8[\s\S]*7\.0 of 8 bits used/)
  assert.match(await page.locator('#panel-1').innerText(), /Bits used\s+8\.0 of 8[\s\S]*8\.0 of 8 bits used/)
  assert.is(await page.locator('aside .chart:not(.curve)').count(), 2)
  await close()
})

test.run()
