/** Laws of random layers under random schedules: quantizers and layers of quantrace/testing, stored forms, backends, and a naive model of collection. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { isTensor } from '../../src/data/tensor.js'
import { leaves } from '../../src/data/tree.js'
import { fromStateDict, toStateDict } from '../../src/interop/brevitas/index.js'
import {
  hardTensorArb,
  layerArb,
  playSchedule,
  quantizerArb,
  scheduleArb,
  tensorArb,
  type Played,
  type ScheduleStep,
} from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('laws: layers')
const RUNS = Number(process.env.QUANTRACE_LAYERS ?? 25)

const SIZES = { inFeatures: 4, outFeatures: 2, bias: false } as const

/** Every leaf with its path, in an order of its own: that of names in a tree means nothing. */
const bits = (x: unknown): string =>
  leaves(isTensor, x)
    .map(
      ({ path, leaf }) =>
        `${path} [${leaf.shape.join()}] ${Array.from(leaf.data, (n) => (Object.is(n, -0) ? '-0' : String(n))).join()}`,
    )
    .toSorted()
    .join('\n')

test('a drawn layer prints as the code that makes it', () => {
  const [{ code }] = fc.sample(layerArb({ rank: 2, presets: true }), { numRuns: 1, seed: 4 })
  assert.match(code, /^chain\(\{ l0: \w+\(/)
  const details = fc.check(
    fc.property(layerArb({ rank: 2 }), () => false),
    { seed: 4, numRuns: 1 },
  )
  assert.match(fc.defaultReportMessage(details) ?? '', 'chain({ l0: ')
})

test('every preset for activations and weights is drawn, and each composition is one that layers accept', () => {
  for (const use of ['act', 'weight'] as const) {
    const drawn = fc.sample(quantizerArb(use), { numRuns: 600, seed: 1 })
    assert.ok(new Set(drawn.map((d) => d.name)).size >= 20)
    for (const quantizer of drawn.slice(0, 60)) {
      const layer =
        use === 'act'
          ? q.QuantIdentity({ actQuant: quantizer })
          : q.QuantLinear({ ...SIZES, inputQuant: q.Int8ActPerTensorFloat, weightQuant: quantizer })
      const traced = q.trace(layer as q.Layer, q.tensorInput([2, 4]), { mode: 'train' })
      assert.is(traced._tag === 'Left' ? q.explainAll(traced.left) : '', '')
    }
  }
  assert.throws(() => quantizerArb('acts' as never), /one of "act"/)
  assert.throws(() => layerArb({ depth: 3 } as never), /depth/)
})

/** A layer with a schedule for it that begins with a step of training: searched weights are set by the first forward, of whatever mode. */
const played = (most: number) =>
  layerArb().chain((net) =>
    fc.record({
      net: fc.constant(net),
      steps: fc
        .tuple(hardTensorArb(net.declared.shape), scheduleArb(net.declared, most))
        .map(([inputs, steps]): readonly ScheduleStep[] => [{ do: 'train', inputs }, ...steps]),
    }),
  )

const last = (steps: readonly Played[]): Played | undefined => steps.at(-1)

test('saving and loading anywhere in a schedule changes nothing', () => {
  fc.assert(
    fc.property(played(6), ({ net, steps }) => {
      const without = steps.filter((s) => s.do !== 'store')
      const stored = without.flatMap((s): readonly ScheduleStep[] => [{ do: 'store' }, s])
      const [plain, saved] = [without, stored].map((all) => q.orThrow(playSchedule(net.layer, net.declared, all)))
      assert.is(bits(last(saved)), bits(last(plain)))
    }),
    { numRuns: RUNS },
  )
})

test('evaluations anywhere in a schedule change nothing', () => {
  fc.assert(
    fc.property(played(6), ({ net, steps }) => {
      const without = steps.filter((s) => s.do !== 'eval')
      const [all, fewer] = [steps, without].map((list) => q.orThrow(playSchedule(net.layer, net.declared, list)))
      const [a, b] = [all, fewer].map(last)
      assert.is(bits([a?.params, a?.state]), bits([b?.params, b?.state]))
    }),
    { numRuns: RUNS },
  )
})

test('a schedule is a fold: played in two parts it ends as played at once', () => {
  fc.assert(
    fc.property(played(6), ({ net, steps }) => {
      const whole = q.orThrow(playSchedule(net.layer, net.declared, steps))
      const half = q.orThrow(playSchedule(net.layer, net.declared, steps.slice(0, Math.ceil(steps.length / 2))))
      assert.is(bits(last(half)), bits(whole[half.length - 1]))
    }),
    { numRuns: RUNS },
  )
})

test('a state dict of learned quantizers, read into a fresh network, is the network', () => {
  // What only collects is in no state dict, Brevitas' included: collection is ended first.
  fc.assert(
    fc.property(played(4), ({ net: { layer, declared }, steps }) => {
      const end = last(q.orThrow(playSchedule(layer, declared, steps)))
      const trees = { params: end?.params, state: q.orThrow(q.finishCollection(layer)(end?.state)) }
      const read = q.orThrow(fromStateDict(layer, q.orThrow(toStateDict(layer, trees)), { strict: true }))
      const program = q.orThrow(q.trace(layer, declared, { mode: 'eval' }))
      const [first] = steps
      const inputs = first.do === 'store' ? null : first.inputs
      const forward = (of: { readonly params: unknown; readonly state: unknown }): string =>
        bits(q.orThrow(q.run(program, { ...of, inputs } as never)).outputs)
      assert.is(forward(read), forward(trees))
    }),
    { numRuns: RUNS },
  )
})

/** What `QuantIdentity` with Int8ActPerTensorFloat does, said once more in plain loops: collect, switch over, evaluate (SEMANTICS 6). */
type Model = { readonly counter: number; readonly buffer: number; readonly value: number }
const percentile = (x: Float32Array): number => {
  const sorted = Array.from(x, Math.abs).toSorted((a, b) => a - b)
  return sorted[Math.floor(0.01 * 99.999 * x.length + 0.5) - 1]
}
const collected = (m: Model, x: Float32Array, limit: number): { readonly next: Model; readonly threshold: number } => {
  if (m.counter > limit) return { next: m, threshold: m.value }
  if (m.counter === limit) return { next: { ...m, counter: limit + 1, value: m.buffer }, threshold: m.buffer }
  const now = Math.max(percentile(x), Math.fround(1e-10))
  const mixed = Math.fround(Math.fround(m.buffer * Math.fround(0.9)) + Math.fround(Math.fround(0.1) * now))
  return { next: { ...m, counter: m.counter + 1, buffer: m.counter === 0 ? now : mixed }, threshold: now }
}
const nearest = (x: number): number => {
  const below = Math.floor(x)
  if (x - below !== 0.5) return Math.round(x)
  return below % 2 === 0 ? below : below + 1
}
const quantized = (x: Float32Array, threshold: number): readonly number[] => {
  const scale = Math.fround(threshold / 128)
  return Array.from(x, (v) => Math.fround(Math.max(-128, Math.min(127, nearest(Math.fround(v / scale)))) * scale) + 0)
}

test('collect, switch over, evaluate, save, load: as a naive model says', () => {
  const declared = q.tensorInput([7])
  const inputs = tensorArb([7]).filter((t) => t.data.some((v) => v !== 0))
  const steps = fc.array(
    fc.oneof(
      inputs.map((x): ScheduleStep => ({ do: 'train', inputs: x })),
      inputs.map((x): ScheduleStep => ({ do: 'eval', inputs: x })),
      fc.constant<ScheduleStep>({ do: 'store' }),
    ),
    { minLength: 1, maxLength: 12 },
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), steps, (limit, all) => {
      const layer = q.QuantIdentity({ collectStatsSteps: limit, returnQuantTensor: true })
      const done = q.orThrow(playSchedule(layer as never, declared, all))
      let model: Model = { counter: 0, buffer: 1, value: 1 }
      for (const [i, step] of all.entries()) {
        if (step.do === 'store') continue
        const x = (step.inputs as q.Tensor).data
        const held = model.counter > limit ? model.value : model.buffer
        const { next, threshold } = step.do === 'train' ? collected(model, x, limit) : { next: model, threshold: held }
        model = next
        assert.equal(
          Array.from(q.valueOf(done[i].outputs as q.Output).data, (v) => v + 0),
          quantized(x, threshold),
        )
      }
    }),
    { numRuns: 60 },
  )
})

test.run()
