/** Partial loading: floats into quantized nets, other heads, other quantizers; and the account of it. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { errorsOf, get, same, says } from './support.js'

const test = suite('nn: partial loading')

const floats = q.chain({
  conv1: q.Conv2d({ inChannels: 1, outChannels: 2, kernelSize: 3 }),
  bn1: q.BatchNorm2d({ numFeatures: 2 }),
  relu1: q.ReLU(),
  flat: q.Flatten(),
  fc: q.Linear({ inFeatures: 8, outFeatures: 5 }),
})
const quantized = (classes: number) =>
  q.chain({
    input: q.QuantIdentity({ returnQuantTensor: true }),
    conv1: q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 3 }),
    bn1: q.BatchNorm2d({ numFeatures: 2 }),
    relu1: q.QuantReLU({ returnQuantTensor: true }),
    flat: q.Flatten(),
    fc: q.QuantLinear({ inFeatures: 8, outFeatures: classes }),
  })

const quantizer = (path: string) => ['counter', 'buffer', 'value'].map((leaf) => `${path}.actQuant.scale.${leaf}`)

test('a float network into a quantized one: weights and running statistics; quantizers start anew', () => {
  const from = get(q.init(floats, 1))
  const [runningMean] = q.randn([2])(q.manualSeed(2))
  const trained = {
    ...from,
    state: { ...from.state, bn1: { ...from.state.bn1, runningMean, numBatchesTracked: q.scalar(7) } },
  }
  const net = quantized(5)
  const fresh = get(q.init(net, 3))
  const done = get(q.loadPartial(net, fresh)(trained))
  same(done.params.conv1, trained.params.conv1)
  same(done.params.fc, trained.params.fc)
  same(done.state.bn1.runningMean, runningMean)
  same(done.state.bn1.numBatchesTracked.data[0], 7)
  same(done.state.input, fresh.state.input)
  same(
    done.missing.map((m) => [m.path, m.why, m.nearest]),
    [...quantizer('input'), ...quantizer('relu1')].map((path) => [path, 'it is not stored', null]),
  )
  same(done.leftOver, [])
  same(done.loaded.length, 9)
  says(q.showPartialLoad(done), /^loaded 9 of 15 leaves\nmissing input\.actQuant\.scale\.counter: it is not stored\n/)
  const program = get(q.trace(net, q.tensorInput([1, 1, 4, 4]), { mode: 'train' }))
  same(E.isRight(q.run(program, { params: done.params, state: done.state, inputs: q.zeros([1, 1, 4, 4]) })), true)
})

test('another head: its leaves keep their first numbers, and both sides are told', () => {
  const from = get(q.init(quantized(5), 1))
  const net = quantized(3)
  const fresh = get(q.init(net, 2))
  const done = get(q.loadPartial(net, fresh)(from))
  same(done.params.conv1, from.params.conv1)
  same(done.params.fc, fresh.params.fc)
  same(done.missing, [
    { path: 'fc.weight', why: 'it has shape [3,8] here, and [5,8] is stored', nearest: null },
    { path: 'fc.bias', why: 'it has shape [3] here, and [5] is stored', nearest: null },
  ])
  same(
    done.leftOver.map((l) => l.path),
    ['fc.weight', 'fc.bias'],
  )
})

test('other names: the nearest of the same shape is told; rename sends them there', () => {
  const net = q.chain({ backbone: q.chain({ conv1: q.Conv2d({ inChannels: 1, outChannels: 2, kernelSize: 3 }) }) })
  const fresh = get(q.init(net, 0))
  const from = get(q.init(q.chain({ conv1: q.Conv2d({ inChannels: 1, outChannels: 2, kernelSize: 3 }) }), 1))
  const none = get(q.loadPartial(net, fresh)(from))
  same(none.loaded, [])
  same(
    none.missing.map((m) => [m.path, m.nearest]),
    [
      ['backbone.conv1.weight', 'conv1.weight'],
      ['backbone.conv1.bias', 'conv1.bias'],
    ],
  )
  same(none.leftOver[0], { path: 'conv1.weight', nearest: 'backbone.conv1.weight' })
  const all = get(q.loadPartial(net, fresh, { rename: (path) => `backbone.${path}` })(from))
  same([all.missing, all.leftOver], [[], []])
  same(all.params.backbone.conv1, from.params.conv1)
  const without = q.loadPartial(net, fresh, { rename: (p) => (p.endsWith('bias') ? null : `backbone.${p}`) })(from)
  same(
    get(without).missing.map((m) => m.path),
    ['backbone.conv1.bias'],
  )
  says(
    errorsOf(q.loadPartial(net, fresh, { rename: () => 'x' })(from))[0].message,
    /sends both conv1\.weight and conv1\.bias to x/,
  )
})

const x4 = q.tensorOf([4], [-1, 0.5, 2, 4])
const act = (options: q.QuantIdentityOptions = {}) =>
  q.QuantIdentity({ collectStatsSteps: 3, ...options, returnQuantTensor: true })
const trained = (options: q.QuantIdentityOptions, calls: number) => {
  const program = get(q.trace(act(options), q.tensorInput([4]), { mode: 'train' }))
  let { state } = get(q.init(act(options), 0))
  for (let k = 0; k < calls; k++) state = get(q.run(program, { params: {}, state, inputs: x4 })).state
  return { params: {}, state }
}
const scaleAfter = (options: q.QuantIdentityOptions, saved: unknown) => {
  const layer = act(options)
  const done = get(q.loadPartial(layer, get(q.init(layer, 0)))(saved))
  const program = get(q.trace(layer, q.tensorInput([4]), { mode: 'eval' }))
  const ran = get(q.run(program, { params: done.params, state: done.state, inputs: x4 }))
  return { threshold: 128 * (ran.outputs as q.QuantTensor).scale.data[0], warnings: ran.warnings.length, done }
}
const RANGE: q.QuantIdentityOptions = { actQuant: q.Int8ActPerTensorFloatMinMaxInit, minVal: -9, maxVal: 9 }

test('a learned scale goes into a quantizer that collects, and into one with a range, and back', () => {
  const learned = trained({}, 5)
  same(
    [scaleAfter({ collectStatsSteps: 9 }, learned)].map((r) => [r.threshold, r.warnings]),
    [[4, 0]],
  )
  const ranged = scaleAfter(RANGE, learned)
  same([ranged.threshold, ranged.done.missing, ranged.done.leftOver], [4, [], []])
  const back = scaleAfter({}, { params: {}, state: ranged.done.state })
  same([back.threshold, back.warnings, back.done.missing], [4, 0, []])
})

test('a scale that was still collecting goes on collecting, and into a range it does not go', () => {
  const half = trained({}, 2)
  same(scaleAfter({ collectStatsSteps: 9 }, half).done.state, half.state)
  const ranged = scaleAfter(RANGE, half)
  same(ranged.threshold, 9)
  says(ranged.done.missing[0].why, /still collecting .*finishCollection/)
  const finished = get(q.finishCollection(act())(half.state))
  same(scaleAfter(RANGE, { params: {}, state: finished }).threshold, 4)
})

test('a scale whose number means something else is left out whole, and told', () => {
  const fixed = scaleAfter({ actQuant: q.Int8ActPerTensorFixedPoint }, trained({}, 5))
  same(fixed.threshold, 1)
  same(fixed.done.loaded, [])
  same(fixed.done.missing.length, 3)
  says(fixed.done.missing[0].why, /stored as a threshold, but here it is the log2 of a threshold, rounded up/)
  const half = scaleAfter({ scalingStatsOp: 'MAX' }, trained({}, 2))
  same(half.done.loaded, [])
  same(scaleAfter({ scalingStatsOp: 'MAX' }, trained({}, 5)).threshold, 4)
})

test('a weight that was computed once goes to one that is told its threshold, and a float weight into a binary layer and back', () => {
  const size = { inFeatures: 2, outFeatures: 2 }
  const once = q.QuantLinear({ ...size, weightScalingImplType: 'PARAMETER_FROM_STATS' })
  const told = q.QuantLinear({ ...size, weightScalingImplType: 'PARAMETER', weightScalingInit: 9 })
  const program = get(q.trace(once, q.tensorInput([1, 2]), { mode: 'eval' }))
  const first = get(q.init(once, 0))
  const { state } = get(q.run(program, { params: first.params, state: first.state, inputs: q.zeros([1, 2]) }))
  const value = (s: unknown): number =>
    (s as { weightQuant: { scale: { value: q.Tensor } } }).weightQuant.scale.value.data[0]
  const done = get(q.loadPartial(told, get(q.init(told, 1)))({ params: first.params, state }))
  same([value(done.state), done.missing, done.leftOver], [value(state), [], []])
  const back = get(q.loadPartial(once, get(q.init(once, 1)))(done))
  same([back.state, back.missing], [state, []])
  const unready = get(q.loadPartial(told, get(q.init(told, 1)))(first))
  same([value(unready.state), unready.missing.length], [9, 1])

  const binary = q.QuantLinear({ ...size, weightQuant: q.SignedBinaryWeightPerTensorConst })
  const linear = q.Linear(size)
  const floatNet = get(q.init(linear, 4))
  const into = get(q.loadPartial(binary, get(q.init(binary, 5)))(floatNet))
  same([into.missing, into.leftOver], [[], []])
  same(into.state.weight?.data, floatNet.params.weight?.data)
  same((into.state.weight as { learned?: boolean } | undefined)?.learned, true)
  same(get(q.loadPartial(linear, floatNet)(into)).params, floatNet.params)
})

test('from a checkpoint by parseTensors, and what is no network is refused', () => {
  const net = quantized(5)
  const optimizer = q.adam({ lr: 0.1 })
  const start = q.startTraining(get(q.init(net, 0)), optimizer)
  const fresh = get(q.init(net, 1))
  const done = get(E.chain(q.loadPartial(net, fresh))(q.parseTensors(q.checkpointToBytes(start))))
  same([done.params, done.state, done.missing, done.leftOver], [start.params, start.state, [], []])
  for (const wrong of [null, 5, {}, [], start.params, q.init(net, 0)])
    same(errorsOf(q.loadPartial(net, fresh)(wrong))[0].tag, 'InputError')
  says(errorsOf(q.loadPartial(net, fresh, { renam: 1 } as never)(start))[0].fix, /rename/)
})

test('wrong calls of the loaders are answered by errors of the library', () => {
  const js: { readonly [name: string]: (...a: readonly unknown[]) => unknown } = q as never
  const net = act()
  const start = q.startTraining(get(q.init(net, 0)), q.sgd({ lr: 1 }))
  const bytes = q.checkpointToBytes(start)
  const call = (f: unknown, x: unknown): unknown => (f as (x: unknown) => unknown)(x)
  const junk: readonly unknown[] = [undefined, null, 5, 'x', [], {}, q.QuantIdentity, q.init(net, 0), q.zeros([2])]
  const refused = (f: () => unknown): void => {
    try {
      same(errorsOf(f() as never).length > 0, true)
    } catch (e) {
      same((e as Error).name, 'QuantFailure')
    }
  }
  for (const x of junk) {
    refused(() => call(js.finishCollection(x), start.state))
    refused(() => call(js.finishCollection(net), x))
    refused(() => call(js.parseNetwork(x), bytes))
    refused(() => call(js.parseNetwork(net), x))
    refused(() => call(js.parseCheckpoint(x), bytes))
    refused(() => call(js.parseCheckpoint(start), x))
    if (x !== undefined) refused(() => call(js.parseCheckpoint(start, x), bytes))
    refused(() => js.checkpointToBytes(x))
    refused(() => call(js.loadPartial(x, start), start))
    refused(() => call(js.loadPartial(net, x), start))
    refused(() => call(js.loadPartial(net, start), x))
  }
})

test('old files: what version 1 leaves open is decided by this network, or left out', () => {
  const learned = trained({}, 5)
  const untold = (steps: number) =>
    ({
      params: {},
      state: {
        actQuant: {
          scale: {
            counter: q.scalar(steps + 1),
            buffer: q.scalar(4),
            value: { ...q.scalar(4), learned: true, means: 'not said (a file of version 1)' },
          },
        },
        inputQuant: {},
      },
    }) as unknown
  same(scaleAfter({}, untold(3)).done.state, learned.state)
  const other = scaleAfter({}, untold(8))
  same(other.done.loaded, [])
  says(other.done.missing[0].why, /version 1, .* here that is 3, which does not fit/)
  assert.is(scaleAfter(RANGE, untold(3)).threshold, 9)
})

test.run()
