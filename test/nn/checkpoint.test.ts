/** Checkpoints from other hands: a right checksum over wrong contents is refused by a typed error, or gives equal numbers. */
import { readFileSync } from 'node:fs'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { crc32 } from '../../src/data/crc32.js'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { errorsOf, get, same, says } from './support.js'

const test = suite('nn: checkpoint')

/** All kinds of state: learned, half collected, shifted, computed once, a delay, running statistics, a binary weight. */
const netOf = (steps = 3, more = 30, options: q.QuantIdentityOptions = {}) =>
  q.chain({
    a: q.QuantIdentity({ ...options, collectStatsSteps: steps, returnQuantTensor: true }),
    bn: q.BatchNorm1d({ numFeatures: 2 }),
    s: q.QuantIdentity({
      actQuant: q.ShiftedUint8ActPerTensorFixedPoint,
      collectStatsSteps: steps - 1,
      quantDelaySteps: 1,
    }),
    b: q.QuantReLU({ collectStatsSteps: more }),
    fc: q.QuantLinear({ inFeatures: 2, outFeatures: 2, weightQuant: q.Int8WeightPerTensorFloatMSE }),
  })
const net = netOf()
const optimizer = q.adam({ lr: 0.01 })
const batch = (k: number) => ({ x: q.tensorOf([3, 2], [3, -2, 1, 4, -1, k / 2]), target: q.tensorOf([3], [0, 1, 1]) })
const trainerOf = (of: typeof net, start: Start) => {
  const inputs = { x: q.tensorInput([3, 2]), target: q.tensorInput([3]) }
  const program = get(
    q.grad(get(q.trace(q.withLoss(of, q.crossEntropy), inputs, { mode: 'train' })), { output: 'loss' }),
  )
  return get(q.trainer(program, optimizer, start, q.wasm))
}
const freshOf = (of: typeof net) => q.startTraining(get(q.init(of, 0)), optimizer)
type Start = ReturnType<typeof freshOf>
const like = freshOf(net)
const trained = (() => {
  const trainer = trainerOf(net, like)
  for (let k = 0; k < 6; k++) get(trainer.step(batch(k)))
  trainer.dispose()
  return { ...trainer.training(), position: { epoch: 2, batch: 70000 } }
})()
const bytes = q.checkpointToBytes(trained)

type Header = { tree: Record<string, unknown>; tensors: Record<string, unknown>[] }

/** The checkpoint with its header or its numbers changed, and a right checksum. */
const edited = (change: {
  header?: (h: Header) => unknown
  numbers?: (at: (path: string) => Float32Array) => void
}) => {
  const size = new DataView(bytes.buffer).getUint32(8, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(12, 12 + size))) as Header
  const payload = bytes.slice(12 + size, bytes.length - 4)
  change.numbers?.((path) => {
    const t = header.tensors.find((e) => e.path === path) as { offset: number; shape: number[] }
    return new Float32Array(
      payload.buffer,
      t.offset,
      t.shape.reduce((a, b) => a * b, 1),
    )
  })
  const text = new TextEncoder().encode(JSON.stringify(change.header?.(header) ?? header))
  const out = new Uint8Array(12 + text.length + payload.length + 4)
  out.set(bytes.subarray(0, 8))
  const view = new DataView(out.buffer)
  view.setUint32(8, text.length, true)
  out.set(text, 12)
  out.set(payload, 12 + text.length)
  view.setUint32(out.length - 4, crc32(out.subarray(0, out.length - 4)), true)
  return out
}
const parse = q.parseCheckpoint(like)
const refused = (b: Uint8Array): q.QuantError => {
  const [error] = errorsOf(parse(b))
  same(error.tag, 'ParseError')
  return error
}

test('gives back what was stored, marks included', () => {
  same(get(parse(bytes)), trained)
  same(get(q.parseCheckpoint(like, net)(bytes)), trained)
  same(get(parse(q.checkpointToBytes(like))), like)
})

test('counts that are no counts are refused, each by its name', () => {
  const names = ['step', 'optim.step', 'position.epoch', 'position.batch']
  names.forEach((name, i) => {
    for (const [high, low] of [
      [NaN, 0],
      [0, NaN],
      [-1, 0],
      [0, -1],
      [0, 0.5],
      [0.5, 0],
      [0, 65536],
      [Infinity, 0],
      [3e38, 0],
    ]) {
      const error = refused(
        edited({
          numbers: (at) => {
            at('counts')[2 * i] = high
            at('counts')[2 * i + 1] = low
          },
        }),
      )
      says(error.message, new RegExp(`${name.replace('.', '\\.')} is `))
    }
  })
})

test('counts of layers and of optimizers too', () => {
  for (const path of [
    'state.a.actQuant.scale.counter',
    'state.s.actQuant.zeroPoint.counter',
    'state.s.actQuant.delay.remaining',
    'state.bn.numBatchesTracked',
    'state.fc.weightQuant.scale.initDone',
  ])
    for (const bad of [NaN, -1, 0.5, Infinity])
      says(refused(edited({ numbers: (at) => at(path).fill(bad) })).message, /it counts, and holds/)
  const names = Object.keys(trained.optim.slots)
  const step = names.findIndex((n) => n.startsWith('step:'))
  for (const bad of [NaN, -1, 0.5])
    says(refused(edited({ numbers: (at) => at(`slots.${step}`).fill(bad) })).message, /it counts, and holds/)
})

test('marks that were removed are those of the network; marks that were changed are refused', () => {
  const without = (mark: string) =>
    edited({ header: (h) => ({ ...h, tensors: h.tensors.map(({ [mark]: _, ...t }) => t) }) })
  same(get(parse(without('learned'))), trained)
  same(get(parse(without('means'))), trained)
  const other = edited({
    header: (h) => ({ ...h, tensors: h.tensors.map((t) => (t.means === 'a threshold' ? { ...t, means: 'x' } : t)) }),
  })
  says(refused(other).message, /a\.actQuant\.scale\.value was stored as x, but here it is a threshold/)
})

test('the optimizer slots are those of leaves, once each', () => {
  const named = (change: (names: string[]) => void) => {
    const names = Object.keys(trained.optim.slots)
    change(names)
    const slots = Object.values(trained.optim.slots)
    return q.checkpointToBytes({
      ...trained,
      optim: { ...trained.optim, slots: Object.fromEntries(names.map((n, i) => [n, slots[i]])) },
    })
  }
  says(refused(named((n) => (n[0] = 'exp_avg:param.nowhere'))).message, /no such leaf/)
  says(refused(named((n) => (n[0] = 'nothing'))).message, /none of an optimizer/)
  says(
    refused(named((n) => (n[n.indexOf('exp_avg:param.fc.weight')] = 'other:param.fc.bias'))).message,
    /slot other:param\.fc\.bias: it has shape/,
  )
  says(refused(edited({ numbers: (at) => at('slotNames').fill(0.5) })).message, /unreadable/)
})

test('any field of the header, removed or replaced: a typed error or equal numbers', () => {
  const junk: readonly unknown[] = [null, 0, -1, 1.5, 1e300, '', 'x', true, [], {}, [1], [[1]], { a: 0 }, '__proto__']
  const size = new DataView(bytes.buffer).getUint32(8, true)
  const header: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(12, 12 + size)))
  /** Every path inside the header. */
  const places = (x: unknown, at: readonly string[] = []): readonly (readonly string[])[] =>
    typeof x === 'object' && x !== null
      ? [...(at.length > 0 ? [at] : []), ...Object.entries(x).flatMap(([k, v]) => places(v, [...at, k]))]
      : [at]
  const changed = (x: unknown, at: readonly string[], to: unknown): unknown => {
    if (at.length === 0) return to
    const [key, ...rest] = at
    const from = x as Record<string, unknown>
    if (Array.isArray(x)) return x.map((v: unknown, i) => (String(i) === key ? changed(v, rest, to) : v))
    const { [key]: old, ...others } = from
    return rest.length === 0 && to === undefined ? others : { ...from, [key]: changed(old, rest, to) }
  }
  fc.assert(
    fc.property(fc.constantFrom(...places(header)), fc.constantFrom(undefined, ...junk), (at, to) => {
      const e = parse(edited({ header: () => changed(header, at, to) }))
      if (E.isRight(e)) assert.equal(e.right, trained, at.join('.'))
      else assert.ok(e.left.every((x) => x.tag === 'ParseError' && x.fix !== ''))
    }),
    { numRuns: 1500 },
  )
})

test('a checkpoint of another kind of quantizer is refused, naming layer, what was stored and what is there', () => {
  const fixed = netOf(3, 30, { actQuant: q.Int8ActPerTensorFixedPoint })
  const stored = q.checkpointToBytes(trained)
  const into = errorsOf(q.parseCheckpoint(freshOf(fixed))(stored))
  same(into.length, 1)
  same(into[0].path, 'a.actQuant.scale.value')
  says(into[0].message, /stored as a threshold, but here it is the log2 of a threshold, rounded up/)
  const back = errorsOf(parse(q.checkpointToBytes(freshOf(fixed))))
  says(back[0].message, /stored as the log2 of a threshold, rounded up to a power of two, but here it is a threshold/)
  same(E.isRight(q.parseCheckpoint(freshOf(netOf(9, 2)))(stored)), true)
})

test('all that does not fit is told, and left over leaves with the nearest name', () => {
  const small = q.chain({ fc1: q.QuantLinear({ inFeatures: 2, outFeatures: 2 }) })
  const wide = q.chain({ fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2 }) })
  const start = q.startTraining(get(q.init(small, 0)), optimizer)
  const errors = errorsOf(
    q.parseCheckpoint(start)(q.checkpointToBytes(q.startTraining(get(q.init(wide, 0)), optimizer))),
  )
  same(
    errors.map((e) => e.path),
    ['fc1.weight', 'fc1.bias', 'fc.weight', 'fc.bias'],
  )
  says(errors[2].message, /fc\.weight is stored, but this network has no such leaf \(the nearest is fc1\.weight\)/)
})

/** Written by the version before marks: six steps of `net`; then one more step gave these weights. */
const v1 = new Uint8Array(readFileSync(new URL('./fixtures/checkpoint-v1.bin', import.meta.url)))

test('a checkpoint of version 1 goes on with the same bits, once the network is given', () => {
  const back = get(q.parseCheckpoint(like, net)(v1))
  const counters = [back.state.a, back.state.s, back.state.b].map(
    (s) => (s.actQuant as { scale: { counter: q.Tensor } }).scale.counter.data[0],
  )
  same(counters, [q.LEARNED, q.LEARNED, 6])
  const eval_ = get(q.trace(net, q.tensorInput([3, 2]), { mode: 'eval' }))
  const x = q.tensorOf([3, 2], [3, -2, 1, 4, -1, 0.5])
  const ran = get(q.run(eval_, { params: back.params, state: back.state, inputs: x }))
  same(
    [...q.valueOf(ran.outputs).data],
    [-0.262040913105011, -0.558768093585968, 0.10794711112976074, -0.586489737033844, -0.33203125, 0.2493019551038742],
  )
  const trainer = trainerOf(net, back)
  get(trainer.step({ x, target: q.tensorOf([3], [0, 1, 1]) }))
  same(
    [...(trainer.training().params.fc.weight as q.Tensor).data],
    [0.06476598232984543, 0.310531884431839, -0.6202912926673889, -0.4515964388847351],
  )
  trainer.dispose()
  // Stored anew it is of this version, and fits networks of other steps.
  same(get(parse(q.checkpointToBytes(back))), back)
  same(E.isRight(q.parseCheckpoint(freshOf(netOf(9, 2)))(q.checkpointToBytes(back))), true)
  same(get(q.parseNetwork(net)(v1)), { params: back.params, state: back.state })
})

test('a checkpoint of version 1 is refused in a sentence where its counters could mean either', () => {
  const [alone] = errorsOf(parse(v1))
  says(alone.message, /version 1, where a counter meant collecting or learned by the collectStatsSteps of the network/)
  says(alone.fix, /parseCheckpoint\(like, layer\)/)
  const other = netOf(9, 2)
  const [steps] = errorsOf(q.parseCheckpoint(freshOf(other), other)(v1))
  says(steps.message, /a\.actQuant\.scale\.counter is 4 .* here that is 9, which does not fit/)
  says(steps.fix, /collectStatsSteps with which it was trained/)
})

test('a state of version 1 that came past the loader is refused where it is used', () => {
  const tree = get(q.parseTensors(v1)) as unknown as Pick<Start, 'params' | 'state'>
  const program = get(q.trace(net, q.tensorInput([3, 2]), { mode: 'eval' }))
  const errors = errorsOf(q.run(program, { ...tree, inputs: q.zeros([3, 2]) }))
  says(errors[0].message, /a\.actQuant\.scale\.value is a threshold, but it does not say whether it was learned/)
  says(errors[0].fix, /parseNetwork/)
})

test('parseNetwork reads a checkpoint of any optimizer without its memory, and bare params and state', () => {
  const only = { params: trained.params, state: trained.state }
  same(get(q.parseNetwork(net)(bytes)), only)
  same(get(q.parseNetwork(q.withLoss(net, q.crossEntropy))(q.tensorsToBytes(only))), only)
  const broken = edited({ header: (h) => ({ ...h, tree: { ...h.tree, slots: undefined } }) })
  same(errorsOf(q.parseNetwork(net)(broken))[0].tag, 'ParseError')
  same(
    errorsOf(q.parseNetwork(q.chain({ a: q.QuantIdentity() }))(bytes)).every((e) => e.tag === 'ParseError'),
    true,
  )
})

test.run()
