/** Loops, attention and embeddings in scenes and on pages: values over the steps of a loop, heads, indices and rows. */
import type { Browser } from 'playwright-core'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import type { Tensor, Value } from '../../src/index.js'
import { sceneOf, toHtml, watch } from '../../viz/index.js'
import { firstOpen } from '../../viz/scene/opening.js'
import { pack, unpack } from '../../viz/scene/pack.js'
import { piecesOf } from '../../viz/scene/text.js'
import { visibleOf, type Item } from '../../viz/scene/visible.js'
import { right } from '../graph/fixtures/programs.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { openHtml } from './open.js'

const test = suite('loops on the page')
let browser: Browser
test.before(async () => {
  browser = await launch()
})
test.after(async () => {
  await browser.close()
})

const T = 6
const x = q.randn([T, 2, 3])(q.manualSeed(1))[0]

/** A quantized recurrence, run and watched; `reverse`: from the last step to the first. */
const watched = (reverse = false) => {
  const act = q.QuantIdentity({ actQuant: q.Int8ActPerTensorFloat, collectStatsSteps: 2 })
  const net = q.model({ act }, (layers, params, state, v: Value) => {
    const start = { h: q.mean(v, 0), act: state.act }
    const [last, { y }] = q.scan(
      (c: typeof start, s: Value) => {
        const [h, next] = layers.act(params.act, c.act, q.tanh(q.add(c.h, s)))
        return [{ h, act: next }, { y: h }]
      },
      start,
      v,
      { reverse },
    )
    return [{ y, h: last.h }, { act: last.act }]
  })
  const program = right(q.trace(net, q.tensorInput([T, 2, 3]), { mode: 'train' }))
  const args = { ...q.orThrow(q.init(net, 0)), inputs: x }
  const seen = watch(program, args)
  const { observe, observeStep } = seen
  const { outputs } = q.orThrow(q.run(program, args, { observe, observeStep }))
  return { program, args, seen, outputs }
}
const stepOf = ({ data, shape }: Tensor, t: number): Float32Array => {
  const n = data.length / shape[0]
  return data.subarray(t * n, (t + 1) * n)
}
const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-3 * (1 + Math.abs(b))

for (const reverse of [false, true])
  test(`values over the steps of a loop are those of the steps, by their place in the sequence${reverse ? ', in reverse' : ''}`, () => {
    const { program, seen, outputs } = watched(reverse)
    const scene = sceneOf(program, { values: seen.values, overSteps: seen.overSteps })
    const stack = q.valueOf(outputs.y)
    const series = Object.entries(scene.series ?? {})
    assert.ok(series.length > 0 && series.every(([id]) => scene.nodes.some((n) => n.id === id && n.step)))
    // What the loop stacks is among them, step by step.
    const fits = series.filter(([, s]) =>
      s.mean.every((m, t) => {
        const row = stepOf(stack, t)
        return (
          near(m, row.reduce((a, b) => a + b, 0) / row.length) &&
          near(s.min[t], Math.min(...row)) &&
          near(s.max[t], Math.max(...row))
        )
      }),
    )
    assert.ok(fits.length > 0)
    // Slices are what the sequence holds, and a quantizer says what it cut off.
    const slice = scene.nodes.find((n) => /this step's part/.test(n.origin ?? ''))
    const own = scene.series?.[slice?.id ?? '']
    assert.ok(own !== undefined && own.max.every((m, t) => near(m, Math.max(...stepOf(x, t)))))
    const shares = series.flatMap(([, s]) => s.clipped ?? [])
    assert.is(shares.length, T)
    assert.ok(shares.every((c) => c >= 0 && c <= 1))
    assert.equal(unpack(JSON.parse(JSON.stringify(pack(scene)))), JSON.parse(JSON.stringify(scene)))
  })

test('a watched run has the numbers of any other, and what watch did not make is refused', () => {
  const { program, args, outputs } = watched()
  assert.equal(q.valueOf(outputs.y), q.valueOf(q.orThrow(q.run(program, args)).outputs.y))
  assert.throws(() => sceneOf(program, { overSteps: { '1': [] } as never }), /overSteps/)
  assert.throws(() => sceneOf(program, { overSteps: new Map([['1', { min: 1 }]]) as never }), /overSteps/)
})

/** Tokens through an embedding and an attention with a mask. */
const tokens = () => {
  const net = q.model(
    {
      embed: q.QuantEmbedding({ numEmbeddings: 20, embeddingDim: 8 }),
      attn: q.QuantMultiheadAttention({ embedDim: 8, numHeads: 4 }),
    },
    (layers, params, state, given: { readonly ids: Value; readonly mask: Value }) => {
      const [e, embed] = layers.embed(params.embed, state.embed, given.ids)
      const [out, attn] = layers.attn(params.attn, state.attn, { query: e, attnMask: given.mask })
      return [out.y, { embed, attn }]
    },
  )
  return sceneOf(right(q.trace(net, { ids: q.integerInput([5, 2]), mask: q.booleanInput([5, 5]) }, { mode: 'eval' })))
}

test('indices, masks, rows of a table and heads are said', () => {
  const scene = tokens()
  const v = visibleOf(scene, firstOpen(scene), false)
  const said = (of: (i: Item) => boolean): string =>
    [...v.at.values()]
      .filter(of)
      .map((i) =>
        piecesOf(i)
          .map((p) => p.text)
          .join(' · '),
      )
      .join()
  assert.is(
    said((i) => i.node?.origin === 'data ids'),
    'integers · 5×2',
  )
  assert.is(
    said((i) => i.node?.origin === 'data mask'),
    'booleans · 5×5',
  )
  const all = visibleOf(scene, new Set(scene.boxes.map((b) => b.id)), false)
  const [rows] = [...all.at.values()].filter((i) => i.node?.rows !== undefined)
  assert.is(piecesOf(rows)[0].text, 'rows of 20 · 5×2×8')
  const shut = visibleOf(scene, new Set(), false)
  assert.match(
    piecesOf(shut.at.get('attn') ?? rows)
      .map((p) => p.text)
      .join(),
    /4 heads/,
  )
})

test('products in the body of a loop count: the page says that they run in float, and the start that mends it does', () => {
  const said = (given: boolean): ReturnType<typeof sceneOf> => {
    const net = q.model({ lstm: q.QuantLSTM({ inputSize: 3, hiddenSize: 2 }) }, (layers, params, state, i: never) => {
      const { x: seq, h, c } = i as { readonly x: Value; readonly h: Value; readonly c: Value }
      const [out, lstm] = layers.lstm(params.lstm, state.lstm, given ? { x: seq, hx: h, cx: c } : { x: seq })
      return [out.y, { lstm }]
    })
    const states = q.tensorInput([1, 2, 2])
    const inputs = { x: q.tensorInput([T, 2, 3]), h: states, c: states }
    return sceneOf(right(q.trace(net as never, inputs as never, { mode: 'eval' })))
  }
  const text = (s: ReturnType<typeof sceneOf>): string => s.sentence.map((p) => p.text).join('')
  const [bare, mended] = [said(false), said(true)]
  assert.match(text(bare), /^4 of 8 linear layers run in float: loop %\d+\./)
  assert.is(bare.floats.length, 4)
  assert.ok(bare.floats.every((f) => /hx and cx/.test(f.advice[0].text)))
  assert.match(text(mended), /^All 8 linear layers run on integers/)
  assert.equal(mended.floats, [])
})

test('in a browser: losses of one layer that one change ends are one place to change', async () => {
  const net = q.model(
    { lstm: q.QuantLSTM({ inputSize: 3, hiddenSize: 2 }), head: q.QuantLinear({ inFeatures: 2, outFeatures: 2 }) },
    (layers, params, state, v: Value) => {
      const [out, lstm] = layers.lstm(params.lstm, state.lstm, { x: v })
      const [y, head] = layers.head(params.head, state.head, q.mean(out.y, 0))
      return [y, { lstm, head }]
    },
  )
  const program = right(q.trace(net, q.tensorInput([T, 2, 3]), { mode: 'eval' }))
  assert.ok(sceneOf(program).losses.length > 2)
  const { page, errors, close } = await openHtml(browser, toHtml(program))
  try {
    const rows = await page.locator('#panel .row').evaluateAll((all) => all.map((e) => e.textContent ?? ''))
    assert.is(rows.length, 2)
    assert.match(rows[0], /^Stripped at lstmSo head runs in float\.8 places of it\. Why/)
    assert.match(rows[1], /4 products of it\. Why/)
    assert.is(await page.locator('#panel h2').first().textContent(), '2 places to change')
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

test('in a browser: the body opens without scales, states lead back, and a node shows its strip', async () => {
  const { program, seen } = watched()
  const html = toHtml(program, { values: seen.values, overSteps: seen.overSteps })
  const { page, errors, requests, close } = await openHtml(browser, html)
  try {
    const loop = page.locator('[data-item]', { hasText: /^loop/ }).first()
    const id = (await loop.getAttribute('data-item')) ?? ''
    for (const box of [id, `${id}.body`]) {
      const item = page.locator(`[data-item="${box}"]`)
      if ((await item.getAttribute('aria-expanded')) !== 'true') await item.dispatchEvent('click')
      if ((await item.getAttribute('aria-expanded')) !== 'true') await page.keyboard.press('Enter')
    }
    assert.is(await page.locator('#details').getAttribute('aria-pressed'), 'false')
    const back = page.locator('[data-back]')
    assert.equal(await back.evaluateAll((all) => all.map((e) => e.getAttribute('data-back'))), ['h'])
    assert.match((await back.getAttribute('aria-label')) ?? '', /back to the next step as h/)
    await page.locator(`[data-item^="${id}.body."]`, { hasText: /^tanh/ }).first().dispatchEvent('click')
    const strip = page.locator('aside .strip')
    assert.match((await strip.getAttribute('aria-label')) ?? '', /^Values over 6 steps: /)
    assert.ok((await strip.locator('path').count()) === 2)
    assert.equal([errors, requests.filter((r) => !r.startsWith('file:'))], [[], []])
  } finally {
    await close()
  }
})

test.run()
