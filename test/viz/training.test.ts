/** What a run and a training log add to the page: used bits, errors, first NaN, gradients, curves, the time axis. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser } from 'playwright-core'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import {
  addEvent,
  emptyLog,
  scaleProbe,
  sceneOf,
  toHtml,
  watch,
  type LogRecord,
  type SceneOptions,
  type TrainLog,
} from '../../viz/index.js'
import { partnersOf } from '../../viz/scene/sides.js'
import { indexOf } from '../../viz/scene/reach.js'
import { sqnrOf } from '../../viz/scene/observed.js'
import { alignColumns } from '../../viz/scene/align.js'
import { right } from '../graph/fixtures/programs.js'
import { launch } from '../support/browser.js'
import { suite } from '../support/suite.js'
import { openHtml } from './open.js'

const test = suite('viz: runs and training')
let browser: Browser
test.before(async () => {
  browser = await launch()
})
test.after(async () => {
  await browser.close()
})

const SHAPE = [4, 8]
const after = {
  quant: q.QuantIdentity({ returnQuantTensor: true, collectStatsSteps: 2 }),
  relu: q.functionLayer('relu', (x: q.Value) => q.relu(x)),
}
const fused = { act: q.QuantReLU({ returnQuantTensor: true, collectStatsSteps: 2 }) }
const sum = { sum: q.functionLayer('sum', (x: q.Value) => q.sum(q.mul(x, x))) }
const noise = (): q.Tensor => ({
  shape: SHAPE,
  data: Float32Array.from({ length: 32 }, (_, i) => Math.sin(i * 1.7) * 2),
})

/** A differentiated program, and what the page is given of a run of it. */
const ran = (
  layers: { readonly [name: string]: unknown },
  x = noise(),
): { readonly program: q.Program; readonly options: SceneOptions } => {
  const net = q.chain({ ...layers, ...sum } as never) as q.Layer<unknown, unknown>
  const program = right(q.grad(right(q.trace(net, q.tensorInput(SHAPE) as never, { mode: 'train' })))) as q.Program
  const start = right(q.init(net, 1))
  const args = { params: start.params, state: start.state, inputs: x }
  const w = watch(program, args)
  right(q.run(program, args as never, { observe: w.observe }))
  return { program, options: { values: w.values } }
}

test('quantizing before a ReLU wastes a bit, quantizing with it does not', () => {
  const one = ran(after)
  const scene = sceneOf(one.program, one.options)
  assert.equal(
    scene.wasted.map((w) => [scene.nodes[Number(w.node)].op, w.bits, w.used.toFixed(1)]),
    [['relu', 8, '7.0']],
  )
  assert.match(scene.sentence.map((p) => p.text).join(''), /relu uses 7\.0 of 8 bits/)
  assert.match(scene.wasted[0].advice[0].code ?? '', /QuantReLU/)
  const two = ran(fused)
  assert.equal(sceneOf(two.program, two.options).wasted, [])
})

test('the error of a quantizer is signal over what quantization changed; the first NaN is where operands are finite', () => {
  assert.is(sqnrOf(Float32Array.of(3, 4), Float32Array.of(3, 4)), null)
  assert.is(sqnrOf(Float32Array.of(10, 0), Float32Array.of(9, 0)), 20)
  const { program, options } = ran(fused)
  const quant = sceneOf(program, options).nodes.find((n) => n.op === 'quantize')
  assert.ok((sceneOf(program, options).observed[quant?.id ?? '']?.sqnr ?? 0) > 25)
  const bad = ran({ div: q.functionLayer('div', (x: q.Value) => q.div(q.sub(x, x), q.sub(x, x))), ...fused })
  const scene = sceneOf(bad.program, bad.options)
  assert.is(scene.nodes[Number(scene.nonfinite[0])].op, 'div')
  assert.match(scene.sentence[0].text, /NaN or ∞ first made at div/)
  const bound = (x: q.Value): q.Value => x.kit.constant(Infinity)
  const least = ran({ least: q.functionLayer('least', (x: q.Value) => q.minimum(x, bound(x))), ...fused })
  assert.equal(sceneOf(least.program, least.options).nonfinite, [], 'an infinite constant is written, not made')
  const lost = ran({ lost: q.functionLayer('lost', (x: q.Value) => q.mul(q.sub(x, x), bound(x))), ...fused })
  const where = sceneOf(lost.program, lost.options)
  assert.is(where.nodes[Number(where.nonfinite[0])].op, 'mul', 'what it makes a NaN of is')
})

test('curves are the op itself: stairs forward, 1 and 0 handed on', () => {
  const { program } = ran({ act: q.QuantReLU({ bitWidth: 3, returnQuantTensor: true }) })
  const scene = sceneOf(program)
  const curve = scene.curves[scene.nodes.find((n) => n.op === 'quantize')?.curve ?? -1]
  assert.equal([...new Set(curve.forward)].sort(), [0, 1, 2, 3, 4, 5, 6, 7])
  assert.equal([...new Set(curve.gradient)].sort(), [0, 1])
})

test('partners are mutual, and each side has the other', () => {
  const { program } = ran(after)
  const scene = sceneOf(program)
  const partners = partnersOf(indexOf(scene))
  const quant = scene.nodes.find((n) => n.op === 'quantize')?.id ?? ''
  assert.ok(partners.of(quant).some((id) => scene.nodes[Number(id)].op === 'quantizeGradScale'))
  for (const n of scene.nodes) for (const p of partners.of(n.id)) assert.ok(partners.of(p).includes(n.id))
  assert.equal(partners.of('quant'), ['∂quant'])
  assert.equal(partners.of('∂quant'), ['quant'])
})

test('columns that are set level keep their order, and pairs meet', () => {
  const [a, b] = alignColumns(
    [
      [0, 10],
      [20, 30],
    ],
    [
      [0, 10],
      [40, 50],
      [60, 90],
    ],
    [[25, 45]],
  )
  assert.is(a(25), b(45))
  assert.is(a(5), 5)
  assert.ok(b(60) > b(50) && b(40) > b(10))
})

/** Events as training tells them, of one quantizer that collects for 30 steps. */
const logOf = (steps: number): { readonly log: readonly LogRecord[]; readonly reads: number } => {
  const add = addEvent<unknown, unknown>({
    most: 80,
    scales: () => ({ 'quant.actQuant': { scale: 0.01, zeroPoint: 0 } }),
  })
  let [log, reads, buffer]: [TrainLog, number, number] = [emptyLog, 0, 1]
  for (let step = 1; step <= steps; step++) {
    const statistic = 2 + step / 100
    if (step <= 30) buffer = step === 1 ? statistic : 0.9 * buffer + 0.1 * statistic
    const state = {
      quant: {
        actQuant: {
          scale: {
            counter: q.scalar(Math.min(31, step)),
            buffer: { shape: [], data: Float32Array.of(buffer) },
            value: q.scalar(buffer),
          },
        },
      },
    }
    const training = {
      params: {},
      get state() {
        reads++
        return state
      },
    }
    log = add(log, {
      tag: 'step',
      step,
      epoch: Math.floor(step / 100),
      lr: 0.1,
      loss: 1 / step,
      accuracy: step / steps,
      training,
    })
  }
  return { log: log.records, reads }
}

test('a log is short, reads state seldom, and finds the statistic of a batch in two states', () => {
  const { log, reads } = logOf(500)
  assert.ok(log.length <= 80 && reads < 110, `${log.length} ${reads}`)
  assert.is(log[0].step, 1)
  assert.is(log[log.length - 1].step, 500)
  assert.is(
    log.reduce((n, r) => n + r.over, 0),
    500,
  )
  for (const r of log) {
    const { statistic } = r.quantizers['quant.actQuant']
    if (statistic !== undefined) assert.ok(Math.abs(statistic - (2 + r.step / 100)) < 1e-4, `${r.step}: ${statistic}`)
  }
  assert.ok(log.filter((r) => r.quantizers['quant.actQuant'].statistic !== undefined).length > 5)
})

/** A network that learns its bits, with a penalty on them in the loss, and its log. */
const learnedBits = () => {
  const net = q.model(
    {
      act: q.QuantIdentity({ bitWidthImplType: 'PARAMETER', collectStatsSteps: 2, returnQuantTensor: true }),
      fc: q.QuantLinear({ inFeatures: 4, outFeatures: 2, weightQuant: q.Fp8e4m3OCPWeightPerTensorFloat }),
    },
    (layers, params, state, x: q.Value) => {
      const [a, act] = layers.act(params.act, state.act, x)
      const [y, fc] = layers.fc(params.fc, state.fc, a)
      const error = q.mul(y, y)
      const loss = q.add(
        q.apply(q.ops.mean, [error], { dims: [0, 1], keepdim: false }),
        q.mul(q.reshape(q.bitWidth(a), []), 0.1),
      )
      return [loss, { act, fc }]
    },
  )
  const [inputs] = q.randn([8, 4])(q.manualSeed(1))
  const forward = (mode: 'train' | 'eval') => q.orThrow(q.trace(net, q.tensorInput([8, 4]), { mode }))
  const probe = q.orThrow(scaleProbe(forward('eval'), inputs))
  const optimizer = q.adam({ lr: 0.2 })
  const program = q.orThrow(q.grad(forward('train')))
  const trainer = q.orThrow(q.trainer(program, optimizer, q.startTraining(q.orThrow(q.init(net, 0)), optimizer)))
  const add = addEvent({ scales: probe })
  let log: TrainLog = emptyLog
  for (let step = 1; step <= 60; step++) {
    q.orThrow(trainer.step(inputs))
    const event = {
      tag: 'step',
      step,
      epoch: 0,
      lr: 0.2,
      loss: 1,
      accuracy: null,
      training: trainer.training(),
    } as const
    log = add(log, event)
  }
  trainer.dispose()
  return { program: forward('eval'), log: log.records }
}

test('bits that are learned are in the log, fall under a penalty, and the page draws their curve', async () => {
  const { program, log } = learnedBits()
  const bits = log.map((r) => r.quantizers['act.actQuant']?.bits ?? NaN)
  assert.ok(bits.every(Number.isInteger))
  assert.ok(bits[0] === 8 && bits[bits.length - 1] < 8, bits.join())
  assert.ok((log[0].quantizers['fc.weightQuant'].scale ?? 0) > 0, 'scales of minifloats are probed too')
  assert.is(log[0].quantizers['fc.weightQuant'].bits, undefined)
  const scene = sceneOf(program, { log })
  assert.equal(scene.log?.tracks.find((t) => t.path === 'act.actQuant')?.bits, bits)
  const { page: p, errors, close } = await openHtml(browser, toHtml(program, { log }))
  try {
    for (const said of [/learned bits/, /8 bits/]) assert.match((await p.locator('#history').textContent()) ?? '', said)
    await p.locator('#step').focus()
    await p.keyboard.press('Home')
    assert.match((await p.locator('#history').textContent()) ?? '', /learned bitsact\.actQuant8/)
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

const page = (): string => {
  const { program, options } = ran(after)
  return toHtml(program, { ...options, log: logOf(200).log })
}

test('in the page: passes side by side, partners lit, errors coloured, steps scrubbed by keyboard', async () => {
  const { page: p, errors, close } = await openHtml(browser, page())
  try {
    assert.is(await p.locator('[data-node^="∂"]').count(), 0)
    await p.locator('[data-side=both]').click()
    assert.ok((await p.locator('[data-node="∂quant"]').count()) === 1)
    const [front, back] = [
      await p.locator('[data-node="quant"]').boundingBox(),
      await p.locator('[data-node="∂quant"]').boundingBox(),
    ]
    assert.ok(front !== null && back !== null && front.x < back.x)
    await p.locator('[data-node="quant"]').click()
    assert.match((await p.locator('[data-node="∂quant"]').getAttribute('class')) ?? '', /partner/)
    await p.locator('#errors').click()
    assert.match((await p.locator('#canvas').textContent()) ?? '', /dB/)
    assert.match((await p.locator('#canvas').textContent()) ?? '', /7\.0 of 8 bits used/)
    await p.locator('#step').focus()
    await p.keyboard.press('Home')
    assert.match((await p.locator('#at').textContent()) ?? '', /step 1,/)
    assert.match((await p.locator('#canvas').textContent()) ?? '', /= 0\.01000/)
    assert.match((await p.locator('#history').textContent()) ?? '', /learned from step/)
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

for (const dark of [false, true]) {
  test(`axe finds nothing with a log and both passes, ${dark ? 'dark' : 'light'}`, async () => {
    const { page: p, close } = await openHtml(
      browser,
      page().replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, ''),
      { dark },
    )
    try {
      await p.locator('[data-side=both]').click()
      await p.locator('#errors').click()
      await p.evaluate(axe)
      const { violations } = await p.evaluate(() =>
        (
          Reflect.get(globalThis, 'axe') as {
            readonly run: () => Promise<{
              readonly violations: readonly {
                readonly id: string
                readonly nodes: readonly { readonly html: string }[]
              }[]
            }>
          }
        ).run(),
      )
      assert.equal(
        violations.map((v) => `${v.id}: ${v.nodes[0]?.html}`),
        [],
      )
    } finally {
      await close()
    }
  })
}

test.run()
