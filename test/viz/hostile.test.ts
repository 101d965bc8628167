import * as fc from 'fast-check'
import type { Browser } from 'playwright-core'
import * as assert from 'uvu/assert'
import { chain, functionLayer, parseProgram, ops, programToJSON, quantInput, relu, sigmoid, trace, type Program, type Value } from '../../src/index.js'
import { toHtml, toMermaid, toSvg } from '../../viz/index.js'
import { escapeJSON } from '../../viz/draw/mark.js'
import { right } from '../graph/fixtures/programs.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { openHtml, readBack } from './open.js'

const test = suite('hostile names')
let browser: Browser
test.before(async () => { browser = await launch() })
test.after(async () => { await browser.close() })

const ATTACKS = [
  '</script><img src=https://evil.invalid/a.png onerror=alert(1)>', '"><script>alert(2)</script>', "' onload='alert(3)", '<!--<script>', ']]><svg onload=alert(4)>',
  '&lt;img src=x onerror=alert(5)&gt;', 'javascript:alert(6)', '\u2028alert(7)\u0000\ufffe', '</style><style>@import url(https://evil.invalid/b.css)', '__proto__', '${alert(8)}', '`', '1.collect',
]

/** A program whose layers, inputs, results and reasons are called so, through a JSON file as a stranger would send it. */
const hostile = (name: string): Program => {
  const safe = name.replaceAll('.', ' ')
  const layer = chain({ [`a${safe}`]: functionLayer(name, (x: Value) => relu(x)), [safe === '__proto__' ? 'p' : safe]: functionLayer(name, (x: Value) => sigmoid(x)) })
  const wrapped = functionLayer(name, (x: { readonly [k: string]: Value }) => ({ [`y${name}`]: (layer.apply({} as never, { [`a${safe}`]: {}, [safe]: {} } as never, x[`x${name}`] as never, x[`x${name}`].kit) as unknown as readonly [Value])[0] }))
  const program = right(trace(wrapped as never, { [`x${name}`]: quantInput([2], { bits: 8, signed: true }) } as never, { mode: 'eval' })) as Program
  const mark = (p: Program): Program => ({ ...p, graph: { ...p.graph, nodes: p.graph.nodes.map((n) => (n.carried.tag === 'stripped' ? { ...n, carried: { tag: 'stripped', why: name } } : n)) } })
  return right(parseProgram(ops)(programToJSON(mark(program)))) as Program
}

for (const attack of ATTACKS) {
  test(`nothing runs and nothing is fetched: ${JSON.stringify(attack).slice(0, 40)}`, async () => {
    const program = hostile(attack)
    const { page, errors, requests, close } = await openHtml(browser, toHtml(program, { title: attack }), { hash: '#expand=all' })
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
        return [d.querySelectorAll('parsererror,script,img,foreignObject').length, [...d.querySelectorAll('*')].flatMap((e) => [...e.attributes]).filter((a) => a.name.startsWith('on') || a.name === 'href').length]
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

test('any text survives the way through a script element, and can not end it', () => {
  fc.assert(fc.property(fc.anything({ values: [fc.string({ unit: 'binary' }), fc.constantFrom(...ATTACKS)], withNullPrototype: false }), (x) => {
    const json = JSON.stringify(x)
    if (json === undefined) return
    assert.not.match(escapeJSON(x), /[<>&\u2028\u2029]/)
    assert.equal(JSON.stringify(JSON.parse(escapeJSON(x))), json)
  }))
})

test.run()
