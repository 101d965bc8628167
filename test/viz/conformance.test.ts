/** The page of every metadata case says `carries` or `claimed` exactly where Brevitas gives a quant tensor. */
import * as assert from 'uvu/assert'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isRng, outputOf, readCase } from '../conformance/format.js'
import { pageOf } from '../conformance/html.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { openHtml, readBack } from './open.js'

const test = suite('viz: metadata cases')
const CASES = fileURLToPath(new URL('../conformance/cases/metadata', import.meta.url))

test(
  'every named value reads back as Brevitas found it',
  async () => {
    const browser = await launch()
    let compared = 0
    try {
      for (const file of readdirSync(CASES).map((f) => join(CASES, f))) {
        const page = pageOf(file)
        const c = readCase(file)
        if (page === null || isRng(c)) continue
        const opened = await openHtml(browser, page.html)
        const drawn = new Map(
          (await readBack(opened.page, '[data-value]')).map((v) => [v['data-value'], v['data-carry']] as const),
        )
        for (const [name, { kind }] of Object.entries(c.steps[0].expect?.values ?? {})) {
          const carry = drawn.get(name)
          assert.is(
            carry === 'carries' || carry === 'claimed',
            kind === 'quant',
            `${c.name}: ${name} is drawn as ${carry}, Brevitas gives a ${kind}`,
          )
          compared++
        }
        const last = outputOf(c)
        const y = c.steps[0].expect?.y
        if (y !== undefined) {
          const carry = drawn.get(last)
          assert.is(
            carry === 'carries' || carry === 'claimed',
            y.kind === 'quant',
            `${c.name}: ${last} is drawn as ${carry}, Brevitas gives a ${y.kind}`,
          )
          compared++
        }
        for (const name of Object.keys(c.steps[0].inputs))
          assert.ok(drawn.has(name), `${c.name}: the input ${name} is not drawn`)
        assert.equal(opened.errors, [], c.name)
        await opened.close()
      }
      assert.ok(compared > 120)
    } finally {
      await browser.close()
    }
  },
  { timeout: 240_000 },
)

test.run()
