/** Where the time goes, on the page: the table of steps, tinted nodes, selection in both directions. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser } from 'playwright-core'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { sceneOf, toHtml } from '../../viz/index.js'
import { sharesOf, timeClass } from '../../viz/overlays/time.js'
import { stepsAt } from '../../viz/scene/profile.js'
import { right } from '../graph/fixtures/programs.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { openHtml } from './open.js'

const test = suite('viz: profile')
let browser: Browser
test.before(async () => {
  browser = await launch()
})
test.after(async () => {
  await browser.close()
})

const net = q.chain({
  input: q.QuantIdentity({ returnQuantTensor: true }),
  conv: q.QuantConv2d({ inChannels: 1, outChannels: 4, kernelSize: 3 }),
  relu: q.QuantReLU({ returnQuantTensor: true }),
  sum: q.functionLayer('sum', (x: q.Value) => q.sum(q.mul(x, x))),
})
const program = right(q.grad(right(q.trace(net, q.tensorInput([4, 1, 8, 8]), { mode: 'train' }))))
const start = right(q.init(net, 1))
const args = {
  params: start.params,
  state: start.state,
  inputs: { shape: [4, 1, 8, 8], data: Float32Array.from({ length: 256 }, (_, i) => Math.sin(i * 1.7)) },
}
const profile = right(q.profile(program, args as never, { rounds: 3, warmUpMs: 5 }))
const scene = sceneOf(program as q.Program, { profile })
const plan = right(q.explainPlan(program, args as never))
const html = (): string => toHtml(program as q.Program, { title: 'profiled', profile, plan })

test('times of the steps add up to the total, shares to one, and every node of a step is a node of the program', () => {
  const p = scene.profile
  assert.ok(p !== undefined && p.steps.length === profile.rows.length)
  assert.ok(Math.abs(p.total - p.steps.reduce((t, s) => t + s.ms, 0)) < 1e-3 * p.total)
  assert.ok(Math.abs(p.steps.reduce((t, s) => t + s.share, 0) - 1) < 1e-2)
  const known = new Set(scene.nodes.map((n) => n.id))
  for (const s of p.steps) assert.ok(s.nodes.length > 0 && s.nodes.every((n) => known.has(n)), s.kernel)
  for (const s of p.steps) for (const n of s.nodes) assert.ok(stepsAt(scene, n).includes(s))
})

test('products say on what they run and why; the data of explainPlan says the same', () => {
  const told = scene.profile?.steps.flatMap((s) => (s.product === undefined ? [] : [s.product]))
  assert.equal(
    told,
    plan.products.map(({ runsOn, why }) => ({ runsOn, why })),
  )
  assert.ok(told !== undefined && told.length > 0)
})

test('a box has at least the share of each node in it, and no more than the whole', () => {
  const shares = sharesOf(scene)
  for (const n of scene.nodes)
    if (n.box !== '') assert.ok((shares.get(n.box) ?? 0) >= (shares.get(n.id) ?? 0) - 1e-9, n.id)
  for (const x of shares.values()) assert.ok(x >= 0 && x < 1.01)
  // A step that computes parts of several layers is counted once: side by side they have what all steps have.
  const side = [...scene.boxes.filter((b) => b.parent === ''), ...scene.nodes.filter((n) => n.box === '')]
  const ids = new Set(side.map((x) => x.id))
  const sum = [...ids].reduce((t, id) => t + (shares.get(id) ?? 0), 0)
  assert.ok(Math.abs(sum - (scene.profile?.steps ?? []).reduce((t, s) => t + s.share, 0)) < 1e-6, String(sum))
  assert.equal([0.005, 0.01, 0.05, 0.1, 0.2, 0.9].map(timeClass), [0, 1, 2, 3, 4, 5])
})

test('the steps of the plan are those of the profile, node by node, and its counts agree', async () => {
  const facts = sceneOf(program as q.Program, { plan }).plan
  assert.equal(
    facts?.steps.map((s) => [s.kernel, s.nodes]),
    scene.profile?.steps.map((s) => [s.kernel, s.nodes]),
  )
  assert.equal(facts?.passes, plan.passes)
  assert.is(plan.passes.loops + plan.passes.kernels + plan.passes.hostSteps, plan.steps.length)
  const { page, errors, close } = await openHtml(browser, html())
  try {
    assert.match(
      await page.locator('#panel').innerText(),
      new RegExp(
        `traced: ${plan.passes.programNodes} nodes[\\s\\S]*flattened: ${plan.passes.flatNodes} nodes[\\s\\S]*placed: `,
      ),
    )
    await page.locator('#times').click()
    await page.locator('#profile tbody button').first().click()
    assert.match(await page.locator('#panel').innerText(), /In the plan\s+Step \d+, level \d+/)
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

test('without a profile there is neither button nor table', () => {
  const bare = toHtml(program as q.Program)
  assert.not.match(bare, /id="times"|id="profile"|id="time-legend"/)
  assert.is(sceneOf(program as q.Program).plan, undefined)
})

test('the button tints and lists; heads sort, by key too; a row selects its nodes, a node marks its rows', async () => {
  const { page, errors, close } = await openHtml(browser, html())
  try {
    assert.is(await page.locator('#profile').isVisible(), false)
    await page.locator('#times').focus()
    await page.keyboard.press('Enter')
    assert.is(await page.locator('#profile tbody tr').count(), profile.rows.length)
    assert.ok((await page.locator('.item[class*=" time"]').count()) > 0)
    const steps = (): Promise<readonly number[]> =>
      page.locator('#profile tbody tr').evaluateAll((rows) => rows.map((r) => Number(r.getAttribute('data-step'))))
    const times = (await steps()).map((k) => profile.rows[k].ms)
    assert.ok(
      times.every((t, i) => i === 0 || Number(times[i - 1].toPrecision(4)) >= Number(t.toPrecision(4))),
      times.join(),
    )
    await page.locator('#profile th button', { hasText: 'Step' }).focus()
    await page.keyboard.press('Enter')
    assert.equal(
      await steps(),
      profile.rows.map((r) => r.step),
    )
    assert.is(await page.locator('#profile th[aria-sort]').getAttribute('aria-sort'), 'ascending')
    const conv = profile.rows.find((r) => r.product !== undefined)
    await page.locator(`#profile tr[data-step="${conv?.step}"] button`).focus()
    await page.keyboard.press('Enter')
    assert.is(await page.locator(`#profile tr[data-step="${conv?.step}"]`).getAttribute('class'), 'chosen')
    assert.match(await page.locator('#panel').innerText(), new RegExp(`Time\\s+Step ${conv?.step}, `))
    const loop = profile.rows.find((r) => r.nodes.length > 1)
    await page.locator(`#profile tr[data-step="${loop?.step}"] td`).nth(2).click()
    assert.match(await page.locator('#panel').innerText(), /shared with/)
    assert.ok((await page.locator('.item.lit').count()) > 0)
    await page.locator('#times').click()
    assert.is(await page.locator('#profile').isVisible(), false)
    assert.is(await page.locator('.item[class*=" time"]').count(), 0)
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

for (const dark of [false, true]) {
  test(`axe finds nothing to complain about, ${dark ? 'dark' : 'light'}`, async () => {
    const { page, close } = await openHtml(
      browser,
      html().replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, ''),
      { dark },
    )
    try {
      await page.evaluate(axe)
      await page.locator('#times').click()
      await page.locator('#profile tbody button').first().click()
      if (process.env.SHOT !== undefined)
        for (const width of [1280, 800]) {
          await page.setViewportSize({ width, height: 800 })
          await page.screenshot({ path: `/tmp/v-${dark ? 'dark' : 'light'}-${width}.png` })
        }
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
      if (process.env.SHOT !== undefined)
        for (const width of [1280, 800]) {
          await page.setViewportSize({ width, height: 800 })
          await page.screenshot({ path: `/tmp/v-${dark ? 'dark' : 'light'}-${width}.png` })
        }
    } finally {
      await close()
    }
  })
}

test.run()
