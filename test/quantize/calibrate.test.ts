/** `calibrate`: statistics over samples, resumed bit for bit, and what is refused before anything runs. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import {
  chain,
  Conv2d,
  Dropout,
  evaluate,
  explainAll,
  finish,
  Flatten,
  init,
  Int8ActPerTensorFloat,
  LEARNED,
  Linear,
  orThrow,
  ReLU,
  run,
  tensorInput,
  trace,
  type Tensor,
} from '../../src/index.js'
import { calibrate, quantize, schemes, showQuantize, type Progress } from '../../src/quantize/index.js'
import { isTensor } from '../../src/data/tensor.js'
import { leaves } from '../../src/data/tree.js'
import { suite } from '../support/suite.js'

const test = suite('quantize: calibrate')

const net = chain({
  conv: Conv2d({ inChannels: 1, outChannels: 4, kernelSize: 3, padding: 1 }),
  relu: ReLU(),
  drop: Dropout({ p: 0.5 }),
  flat: Flatten(),
  fc: Linear({ inFeatures: 4 * 36, outFeatures: 3 }),
})
const inputs = tensorInput([1, 1, 6, 6])
const trained = orThrow(init(net, 1))
const samples: Tensor = { shape: [20, 1, 6, 6], data: Float32Array.from({ length: 720 }, (_, i) => Math.sin(i * 1.7)) }
const fresh = orThrow(quantize(net, inputs, trained, schemes.int8))

const rows = (from: number, to: number): Tensor => ({
  shape: [to - from, 1, 6, 6],
  data: samples.data.slice(from * 36, to * 36),
})

test('scales are learned from the samples, parameters stay, dropout is off', () => {
  const q = orThrow(calibrate(fresh, samples, { batchSize: 8 }))
  assert.equal(q.params, fresh.params)
  const state = q.state as {
    conv: { inputQuant: { scale: { counter: Tensor; value: Tensor } } }
    drop: { step: Tensor }
  }
  assert.is(state.conv.inputQuant.scale.counter.data[0], LEARNED)
  assert.ok(Math.abs(state.conv.inputQuant.scale.value.data[0] - 1) < 0.01)
  assert.is(state.drop.step.data[0], 0)
  const out = (n: typeof q.float) =>
    orThrow(run(orThrow(trace(n.net, tensorInput([20, 1, 6, 6]), { mode: 'eval' })), { ...n, inputs: samples }))
      .outputs as Tensor
  const float = out(q.float).data
  out(q).data.forEach((x, i) => assert.ok(Math.abs(x - float[i]) < 0.02, `${x} ${float[i]}`))
})

test('a collection goes on where it stopped, and batches may come from anywhere', () => {
  const whole = orThrow(calibrate(fresh, samples, { batchSize: 5 }))
  const half = orThrow(calibrate(fresh, rows(0, 10), { batchSize: 5, finish: false }))
  assert.equal(orThrow(calibrate(half, rows(10, 20), { batchSize: 5 })).state, whole.state)
  const batches = [0, 5, 10, 15].map((k) => rows(k, k + 5))
  assert.equal(orThrow(calibrate(fresh, batches)).state, whole.state)
  const told: Progress[] = []
  orThrow(calibrate(fresh, batches, { batches: 2, onProgress: (p) => told.push(p) }))
  assert.equal(told, [
    { batch: 1, total: 2, samples: 5 },
    { batch: 2, total: 2, samples: 10 },
  ])
})

test('a ragged last batch gets its own program', async () => {
  const q = orThrow(calibrate(fresh, samples, { batchSize: 8 }))
  const end = orThrow(
    await finish(
      evaluate((n) => trace(q.net, tensorInput([n, 1, 6, 6]), { mode: 'eval' }), [rows(0, 8), rows(8, 11)], {
        params: q.params,
        state: q.state,
        inputs: (x: Tensor) => x,
      }),
    ),
  )
  assert.is(end.samples, 11)
})

const refused = (data: unknown, options: unknown = {}): string => {
  const got = calibrate(fresh, data as never, options as never)
  if (E.isRight(got)) throw new Error('was not refused')
  return explainAll(got.left)
}

test('a quantizer that saw nothing but zeros is named, with what to do about it', () => {
  const zeros = { ...samples, data: new Float32Array(720) }
  const notes = orThrow(calibrate(fresh, zeros)).report.notes ?? []
  assert.ok(notes.some((n) => n.path === 'conv.inputQuant' && n.why.includes('nothing but zeros')))
  assert.match(showQuantize(orThrow(calibrate(fresh, zeros)).report), 'conv.inputQuant: it was given nothing but zeros')
  assert.equal(orThrow(calibrate(fresh, samples)).report.notes, [])
  // An open collection says nothing yet: zeros may be followed by others.
  const open = orThrow(calibrate(fresh, zeros, { finish: false }))
  assert.equal(open.report.notes, [])
  assert.equal(orThrow(calibrate(open, samples)).report.notes, [])
})

test('ranges are those of the float network, whatever bits there are; on request those of what is quantized already', () => {
  const rangesAt = (bits: number, collect: 'float' | 'quantized'): readonly number[] => {
    const rules = [...schemes.int8, { to: { weightBitWidth: bits, actBitWidth: bits } }]
    const { net: few, state } = orThrow(calibrate(orThrow(quantize(net, inputs, trained, rules)), samples, { collect }))
    assert.equal(Object.keys(state), Object.keys(orThrow(init(few, 0)).state))
    return leaves(isTensor, state).flatMap(({ path, leaf }) => (path.endsWith('scale.value') ? [...leaf.data] : []))
  }
  assert.ok(rangesAt(8, 'float').length >= 2)
  assert.equal(rangesAt(2, 'float'), rangesAt(8, 'float'))
  assert.not.equal(rangesAt(2, 'quantized'), rangesAt(8, 'quantized'))
  // The first quantizer has none before it.
  assert.is(rangesAt(2, 'quantized')[0], rangesAt(2, 'float')[0])
})

test('what counts as zero is the least statistic of the quantizer itself', () => {
  const rules = [...schemes.int8, { to: { actQuant: { ...Int8ActPerTensorFloat, scalingMinVal: 0.125 } } }]
  const coarse = orThrow(quantize(net, inputs, trained, rules))
  const faint = { ...samples, data: samples.data.map((x) => x / 10) }
  const notesAt = (q: typeof fresh, data: Tensor) =>
    (orThrow(calibrate(q, data)).report.notes ?? []).some((n) => n.path === 'conv.inputQuant')
  assert.is(notesAt(coarse, faint), true)
  assert.is(notesAt(coarse, samples), false)
  assert.is(notesAt(fresh, faint), false)
})

test('batches of a list are all looked at before the first one runs', () => {
  const bad = { ...rows(5, 10), data: rows(5, 10).data.map((x, i) => (i === 40 ? Infinity : x)) }
  const told: Progress[] = []
  const onProgress = (p: Progress): number => told.push(p)
  const got = calibrate(fresh, [rows(0, 5), bad], { onProgress })
  assert.match(E.isLeft(got) ? explainAll(got.left) : '', 'batch 2: calibrate: sample 1 of data holds Infinity')
  assert.equal(told, [])
  // Of those that are not asked for nobody cares; and an iterable is only known as it comes.
  assert.ok(E.isRight(calibrate(fresh, [rows(0, 5), bad], { batches: 1 })))
  assert.ok(E.isLeft(calibrate(fresh, new Set([rows(0, 5), bad]), { onProgress })))
  assert.is(told.length, 1)
})

test('samples that do not fit are refused before anything runs', () => {
  assert.match(
    refused({ shape: [4, 1, 5, 6], data: new Float32Array(120) }),
    '[n,1,6,6], and was given one of [4,1,5,6]',
  )
  assert.match(refused({ shape: [1, 6, 6], data: new Float32Array(36) }), 'axis of samples in front')
  const bad = { ...samples, data: samples.data.slice() }
  bad.data[80] = NaN
  assert.match(refused(bad), 'sample 2 of data holds NaN')
  assert.match(refused([rows(0, 5), bad]), 'holds NaN')
  assert.match(refused([]), 'no batches')
  assert.match(refused(7), 'as a tensor')
  assert.match(refused(samples, { batchs: 3 }), 'did you mean batches?')
  assert.match(refused(samples, { batches: 0 }), 'above 0')
  const got = calibrate({} as never, samples)
  assert.match(E.isLeft(got) ? explainAll(got.left) : '', 'orThrow(quantize(…))')
})

test.run()
