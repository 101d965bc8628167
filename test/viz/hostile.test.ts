import * as fc from 'fast-check'
import type { Browser } from 'playwright-core'
import * as assert from 'uvu/assert'
import { toGexf, toGraphml, toHtml, toMermaid, toModelExplorer, toSvg } from '../../viz/index.js'
import { escapeJSON } from '../../viz/draw/mark.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { ATTACKS, hostile } from './attacks.js'
import { openHtml, readBack } from './open.js'

const test = suite('hostile names')
let browser: Browser
test.before(async () => {
  browser = await launch()
})
test.after(async () => {
  await browser.close()
})

for (const attack of ATTACKS) {
  test(`nothing runs and nothing is fetched: ${JSON.stringify(attack).slice(0, 40)}`, async () => {
    const program = hostile(attack)
    const { page, errors, requests, close } = await openHtml(browser, toHtml(program, { title: attack }), {
      hash: '#expand=all',
    })
    try {
      await page.keyboard.press('n')
      await page.keyboard.press('Escape')
      const clean = (s: string): string => s.replaceAll('\0', '\ufffd')
      const values = (await readBack(page, '[data-value]')).map((v) => clean(v['data-value'])).sort()
      assert.equal(values, [`x${attack}`, `y${attack}`].map(clean))
      assert.is(await page.evaluate(() => document.querySelectorAll('img,iframe,object,script:not(#scene)').length), 1)
      assert.equal(errors, [])
      assert.is(requests.length, 1)
    } finally {
      await close()
    }
  })
}

test('a drawing with such names is well-formed and has no handlers', async () => {
  const { page, errors, requests, close } = await openHtml(browser, '<!doctype html><title>t</title>')
  try {
    for (const attack of ATTACKS) {
      const svg = toSvg(hostile(attack), { title: attack, expand: 'all' })
      const found = await page.evaluate((text) => {
        const d = new DOMParser().parseFromString(text, 'image/svg+xml')
        return [
          d.querySelectorAll('parsererror,script,img,foreignObject').length,
          [...d.querySelectorAll('*')]
            .flatMap((e) => [...e.attributes])
            .filter((a) => a.name.startsWith('on') || a.name === 'href').length,
        ]
      }, svg)
      assert.equal(found, [0, 0])
      assert.not.match(toMermaid(hostile(attack)), /[<>](?!\||\s)(?!.*==>|.*->)|javascript:|onerror=/)
    }
    assert.equal(errors, [])
    assert.is(requests.length, 1)
  } finally {
    await close()
  }
})

test('graph files with such names are well-formed XML, and say the names as they are', async () => {
  const { page, errors, requests, close } = await openHtml(browser, '<!doctype html><title>t</title>')
  try {
    for (const attack of ATTACKS) {
      const texts = [toGraphml(hostile(attack), { title: attack }), toGexf(hostile(attack), { title: attack })]
      const found = await page.evaluate(
        (xmls) =>
          xmls.map((text) => {
            const d = new DOMParser().parseFromString(text, 'application/xml')
            const said = [...d.querySelectorAll('data,attvalue')].map(
              (e) => e.getAttribute('value') ?? e.textContent ?? '',
            )
            return { broken: d.querySelectorAll('parsererror,script,img,svg').length, said }
          }),
        texts,
      )
      for (const { broken, said } of found) {
        assert.is(broken, 0, attack)
        assert.ok(said.includes(attack.replace(/[\0\ufffe]/g, '\ufffd')), attack)
      }
      assert.ok(
        JSON.stringify(JSON.parse(toModelExplorer(hostile(attack), { title: attack }))).includes(
          JSON.stringify(attack),
        ),
      )
    }
    assert.equal(errors, [])
    assert.is(requests.length, 1)
  } finally {
    await close()
  }
})

test('any text survives the way through a script element, and can not end it', () => {
  fc.assert(
    fc.property(
      fc.anything({ values: [fc.string({ unit: 'binary' }), fc.constantFrom(...ATTACKS)], withNullPrototype: false }),
      (x) => {
        const json = JSON.stringify(x)
        if (json === undefined) return
        assert.not.match(escapeJSON(x), /[<>&\u2028\u2029]/)
        assert.equal(JSON.stringify(JSON.parse(escapeJSON(x))), json)
      },
    ),
  )
})

test.run()
