/** `quantize`: which layers get which quantizers, what is refused, and that the result is an ordinary layer of the same numbers. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import {
  AdaptiveAvgPool2d,
  BatchNorm2d,
  chain,
  Conv2d,
  explainAll,
  Flatten,
  GELU,
  init,
  Linear,
  MaxPool2d,
  model,
  orThrow,
  relu,
  ReLU,
  ReLU6,
  residual,
  run,
  tensorInput,
  trace,
  type Layer,
  type Value,
} from '../../src/index.js'
import { quantize, schemes, showQuantize, type Rule } from '../../src/quantize/index.js'
import { suite } from '../support/suite.js'

const test = suite('quantize: rules')

const conv = (inChannels: number, outChannels: number) =>
  Conv2d({ inChannels, outChannels, kernelSize: 3, padding: 1, bias: false })

const body = chain({
  conv: conv(4, 4),
  bn: BatchNorm2d({ numFeatures: 4 }),
  relu: ReLU(),
  conv2: conv(4, 4),
  bn2: BatchNorm2d({ numFeatures: 4 }),
})
const net = chain({
  stem: conv(1, 4),
  bn: BatchNorm2d({ numFeatures: 4 }),
  relu: ReLU6(),
  block: residual(body),
  relu2: ReLU(),
  pool: AdaptiveAvgPool2d({ outputSize: 1 }),
  flat: Flatten(),
  fc: Linear({ inFeatures: 4, outFeatures: 6 }),
  gelu: GELU(),
  fc2: Linear({ inFeatures: 6, outFeatures: 3 }),
})
const inputs = tensorInput([2, 1, 8, 8])
const trained = orThrow(init(net, 3))
const image = { shape: [2, 1, 8, 8], data: Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)) }

const quantized = (rules: readonly Rule[]) => orThrow(quantize(net, inputs, trained, rules))
const at = (rules: readonly Rule[], path: string) => quantized(rules).report.layers.find((l) => l.path === path)

test('each layer gets its quantizers, joins one scale, and everything runs on integers', () => {
  const { report } = quantized(schemes.int8)
  assert.equal(
    Object.fromEntries(report.layers.filter((l) => l.was !== l.now).map((l) => [l.path, Object.keys(l.quantizers)])),
    {
      stem: ['inputQuant', 'weightQuant'],
      relu: ['actQuant'],
      'block.body.conv': ['weightQuant'],
      'block.body.relu': ['actQuant'],
      'block.body.conv2': ['weightQuant'],
      'block.add': ['inputQuant'],
      relu2: ['actQuant'],
      // The average of 64 numbers of 8 bits has 14.
      fc: ['inputQuant', 'weightQuant'],
      fc2: ['inputQuant', 'weightQuant'],
    },
  )
  assert.is(
    report.products.every((p) => p.integers),
    true,
  )
  assert.equal(
    report.merged.map((m) => [m.batchNorm, m.into]),
    [
      ['bn', 'stem'],
      ['block.body.bn', 'block.body.conv'],
      ['block.body.bn2', 'block.body.conv2'],
    ],
  )
  assert.match(report.layers.find((l) => l.path === 'gelu')?.left?.why ?? '', 'float already')
})

test('signs that are known make unsigned quantizers; nothing is known of an input', () => {
  assert.match(at(schemes.int8, 'relu2')?.quantizers.actQuant ?? '', /^Uint8/)
  assert.match(at(schemes.int8, 'fc')?.quantizers.inputQuant ?? '', /^Uint8/)
  assert.match(at(schemes.int8, 'stem')?.quantizers.inputQuant ?? '', /^Int8/)
  assert.match(at(schemes.int8, 'fc2')?.quantizers.inputQuant ?? '', /^Int8/)
})

test('later rules win field by field, and null leaves a layer float', () => {
  const rules: readonly Rule[] = [
    ...schemes.int8,
    { layer: 'Conv2d', to: { weightBitWidth: 4 } },
    { path: 'block.**', to: { weightBitWidth: 3 } },
    { path: 'fc*', to: null },
    { path: '**.conv2', layer: ['Conv2d', 'Linear'], to: { actBitWidth: 6 } },
  ]
  assert.match(at(rules, 'stem')?.quantizers.weightQuant ?? '', '4 bits')
  assert.match(at(rules, 'block.body.conv')?.quantizers.weightQuant ?? '', '3 bits')
  assert.is(at(rules, 'fc')?.now, 'Linear')
  assert.match(at(rules, 'fc2')?.left?.why ?? '', 'rules leave it float')
})

test('the float network computes what the given one does; weights alone at 8 bits stay close to it', () => {
  const { float, ...q } = quantized(schemes.int8Weights)
  const out = (n: { net: Layer; params: unknown; state: unknown }) =>
    orThrow(run(orThrow(trace(n.net, inputs, { mode: 'eval' })), { ...n, inputs: image } as never)).outputs as {
      data: Float32Array
    }
  const given = out({ net: net as never, ...trained }).data
  out(float).data.forEach((x, i) => assert.ok(Math.abs(x - given[i]) < 1e-5))
  out(q).data.forEach((x, i) => assert.ok(Math.abs(x - given[i]) < 0.05))
})

test('an activation that nobody reads on integers, or only a join, is not quantized', () => {
  const tail = chain({ fc: Linear({ inFeatures: 4, outFeatures: 4 }), relu: ReLU(), gelu: GELU() })
  const q = orThrow(quantize(tail, tensorInput([1, 4]), orThrow(init(tail, 0)), schemes.int8))
  assert.is(q.report.layers.find((l) => l.path === 'relu')?.now, 'ReLU')
})

test('a shared layer stays shared; a function in a forward stays what it is', () => {
  const shared = model({ fc: Linear({ inFeatures: 4, outFeatures: 4 }) }, (l, params, state, x: Value) => {
    const [a] = l.fc(params.fc, state.fc, x)
    const [b, fc] = l.fc(params.fc, state.fc, relu(a))
    return [b, { fc }] as never
  })
  const twice = chain({ twice: shared as unknown as Layer, pool: ReLU() })
  const got = quantize(twice, tensorInput([1, 4]), orThrow(init(twice, 0)), schemes.int8)
  // The forward calls one layer twice with one state, which only a layer without state may be.
  assert.is(
    E.isLeft(got) ? explainAll(got.left).includes('fc') : got.right.report.layers[0].now === 'QuantLinear',
    true,
  )
})

test('a network that is one layer is quantized too', () => {
  const fc = Linear({ inFeatures: 4, outFeatures: 2 })
  const q = orThrow(quantize(fc, tensorInput([1, 4]), orThrow(init(fc, 0)), schemes.w4a8))
  assert.is(q.net.layer, 'QuantLinear')
  assert.match(showQuantize(q.report), 'the network: Linear → QuantLinear')
})

const refused = (rules: unknown, given: unknown = trained): string => {
  const got = quantize(net, inputs, given as never, rules as never)
  if (E.isRight(got)) throw new Error('was not refused')
  return explainAll(got.left)
}

test('rules that contradict, match nothing or are none are refused with the fix', () => {
  assert.match(refused([]), 'schemes.int8')
  assert.match(refused('int8'), 'a list of rules')
  assert.match(refused([{ path: 'relu9', to: null }]), 'did you mean "relu"?')
  assert.match(refused([...schemes.int8, { layer: 'Linaer', to: null }]), 'did you mean "Linear"?')
  assert.match(refused([{ to: { weightBitWidht: 3 } }]), 'did you mean weightBitWidth?')
  assert.match(refused([{ to: { weightQuant: null, weightBitWidth: 3 } }]), 'contradicts itself')
  assert.match(
    refused([...schemes.int8, { path: 'fc', to: { weightBitWidth: 4 } }, { path: 'fc', to: { weightBitWidth: 3 } }]),
    'contradicts rule 2',
  )
  assert.match(refused([{ to: { weightQuant: schemes.int8[0].to?.actQuant } }]), 'quantizes activations')
  assert.match(refused([...schemes.e4m3, { to: { ...schemes.e4m3[0].to, weightBitWidth: 4 } }]), 'float format')
  assert.match(refused([{ to: { weightBitWidth: 4 } }]), 'no rule says a weightQuant')
  assert.match(refused(schemes.int8, { params: {}, state: {} }), 'stem.weight')
})

test('every scheme quantizes, and prints', () => {
  const small = chain({
    conv: conv(1, 4),
    relu: ReLU(),
    pool: MaxPool2d({ kernelSize: 2 }),
    conv2: conv(4, 32),
    conv3: conv(32, 8),
  })
  const t = orThrow(init(small, 1))
  for (const [name, rules] of Object.entries(schemes)) {
    const q = orThrow(quantize(small, inputs, t, rules))
    assert.ok(showQuantize(q.report).includes('conv3: Conv2d → QuantConv2d'), name)
    orThrow(run(orThrow(trace(q.net, inputs, { mode: 'train' })), { ...q, inputs: image } as never))
  }
})

test.run()
