/** What errors and losses say of metadata: which operand, which layer, once, and only what is true. */
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { errorsOf, get, same, says } from './support.js'
import { suite } from '../support/suite.js'

const test = suite('nn: words about metadata')

const quant = q.QuantIdentity({ returnQuantTensor: true })
const image = q.tensorInput([2, 2, 4, 4])
const traced = (layer: q.Layer, mode: 'train' | 'eval', strict = false) => q.trace(layer, image, { mode, strict })
const losses = (layer: q.Layer) => q.lossesOf(get(traced(q.chain({ i: quant, l: layer }), 'eval'))).map((l) => l.why)

const scaleBias = (options: object): q.Layer =>
  q.chain({
    i: quant,
    bn: q.BatchNorm2dToQuantScaleBias({ numFeatures: 2, biasQuant: q.Int16Bias, returnQuantTensor: true, ...options }),
  })

test('a scale that is computed twice is one scale', () => {
  for (const mode of ['train', 'eval'] as const) {
    const program = get(traced(scaleBias({}), mode, true))
    same(program.graph.nodes[program.outputs[0].node].carried.tag, 'carries')
    same(q.lossesOf(program), [])
    same(program.graph.nodes.filter((n) => n.op.name === 'checkClose').length, 0)
  }
  // The same operation on the same scale in two layers.
  const twice = q.functionLayer('twice', (x: q.Value, kit) => {
    const double = (name: string): q.Value => kit.scoped(name, () => q.mul(q.scale(x), 2))
    const [a, b] = [double('a'), kit.scoped('c', () => q.reshape(double('b'), [1, 1, 1, 1]))]
    same([kit.same(a.id, b.id), kit.same(a.id, q.scale(x).id)], [true, false])
    return x
  })
  get(traced(q.chain({ i: quant, twice }), 'eval'))
})

test('scales of different computations, orders or layouts are not taken for one', () => {
  const layer = q.functionLayer('f', (x: q.Value, kit) => {
    const m = q.reshape(x, [8, 8])
    const [t, u] = [q.permute(m, [1, 0]), q.permute(q.reshape(x, [4, 16]), [1, 0])]
    same(kit.same(q.reshape(t, [64]).id, q.reshape(u, [64]).id), false)
    same(kit.same(m.id, q.permute(m, [1, 0]).id), false)
    same(kit.same(q.reshape(x, [64]).id, q.reshape(x, [8, 8]).id), false)
    same(kit.same(q.sum(m, 0).id, q.sum(m, 1).id), false)
    return x
  })
  get(traced(layer, 'eval'))
})

test('inside a layer whose result carries nothing is lost', () => {
  const perChannel = { weightQuant: q.Int8WeightPerChannelFloat, biasQuant: q.Int16Bias, returnQuantTensor: true }
  for (const layer of [
    q.TruncAvgPool2d({ kernelSize: 2 }),
    q.TruncAdaptiveAvgPool2d({ outputSize: 2 }),
    q.QuantConv2d({ inChannels: 2, outChannels: 3, kernelSize: 3, ...perChannel }),
    q.QuantConvTranspose2d({ inChannels: 2, outChannels: 3, kernelSize: 3, ...perChannel }),
    q.QuantTanh({ returnQuantTensor: true }),
  ])
    same([layer.layer, losses(layer)], [layer.layer, []])
  // What leaves its layer is lost, whatever comes after.
  same(losses(q.chain({ t: q.Tanh(), q: quant })).length, 1)
  same(losses(q.QuantTanh()).length, 1)
})

test('what follows a failed value is silent, in every layer', () => {
  const bad = q.functionLayer('bad', (x: q.Value) => q.matmul(x, q.reshape(x, [64])))
  const options = { returnQuantTensor: true }
  const layers: readonly q.Layer[] = [
    q.QuantIdentity({ actQuant: null, ...options }),
    q.QuantReLU({ actQuant: null, ...options }),
    q.QuantSigmoid({ actQuant: null, ...options }),
    q.QuantLinear({ inFeatures: 4, outFeatures: 2, biasQuant: q.Int16Bias, ...options }),
    q.QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 1, biasQuant: q.Int16Bias, ...options }),
    q.QuantUpsamplingNearest2d({ scaleFactor: 2 }),
    q.TruncAvgPool2d({ kernelSize: 2 }),
    q.BatchNorm2d({ numFeatures: 2 }),
    q.BatchNorm2dToQuantScaleBias({ numFeatures: 2, biasQuant: q.Int16Bias, ...options }),
    q.LayerNorm({ normalizedShape: 4 }),
    q.Flatten(),
    q.Softmax({ dim: 1 }),
    q.functionLayer('int', (x: q.Value) => q.int(x)),
    q.functionLayer('unsqueeze', (x: q.Value) => q.unsqueeze(q.transpose(x, 0, 3), 4)),
    q.functionLayer('pad', (x: q.Value) => q.pad(x, [1, 1, 1, 1])),
  ]
  for (const layer of layers)
    for (const mode of ['train', 'eval'] as const)
      same(
        [layer.layer, mode, errorsOf(traced(q.chain({ bad, layer }), mode)).map((e) => e.path)],
        [layer.layer, mode, ['bad']],
      )
})

test('a permutation that does not fit is one error', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 6 }), (dims) => {
      const good = dims.length === 4 && dims.every((d) => d < 4)
      const layer = q.QuantReLU({
        scalingPerOutputChannel: true,
        perChannelBroadcastableShape: [1, 2, 1, 1],
        scalingStatsPermuteDims: dims,
      })
      const program = traced(layer, 'train')
      if (good) return program._tag === 'Left' ? program.left.length === 1 : true
      return errorsOf(program).length === 1
    }),
    { numRuns: 40 },
  )
})

test('a refusal names the operand, and where it lost its metadata', () => {
  const message = (layers: q.Layer): string => errorsOf(traced(layers, 'eval'))[0].message
  const conv = q.QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 1, returnQuantTensor: true })
  says(
    message(q.chain({ i: quant, t: q.Tanh(), conv })),
    /the input is a plain tensor: its metadata was lost at tanh in t/,
  )
  says(message(q.chain({ conv })), /the input is a plain tensor: it is the data input, which has no metadata/)
  const withBias = q.QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 1, biasQuant: q.Int16Bias })
  says(
    message(q.chain({ t: q.Tanh(), withBias })),
    /Input scale required.*the input is a plain tensor: it never had metadata/,
  )
  says(
    message(
      q.chain({
        i: quant,
        c: q.QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 1, weightQuant: null, returnQuantTensor: true }),
      }),
    ),
    /the weight is a plain tensor: it is the param c\.weight/,
  )
  const perChannel = errorsOf(traced(scaleBias({ weightQuant: q.Int8WeightPerChannelFloat }), 'eval', true))
  says(perChannel[0].message, /its metadata was lost at reshape in bn: strict: a per-channel scale/)
  says(message(q.chain({ i: quant, s: q.Sigmoid(), t: q.TruncAvgPool2d({ kernelSize: 2 }) })), /lost at sigmoid in s/)
  says(message(q.chain({ i: quant, s: q.Sigmoid(), u: q.QuantUpsample({ scaleFactor: 2 }) })), /lost at sigmoid in s/)
  says(
    message(q.chain({ i: quant, s: q.Sigmoid(), f: q.functionLayer('f', q.int) })),
    /int needs a quant tensor.*lost at sigmoid in s/,
  )
})

const two = q.model(
  { a: quant, b: quant },
  (layers, params, state, x: { readonly l: q.Value; readonly r: q.Value }) => {
    const [l, a] = layers.a(params.a, state.a, x.l)
    const [r, b] = layers.b(params.b, state.b, x.r)
    return [q.add(l, r), { a, b }]
  },
)
const pair = { l: q.tensorInput([2]), r: q.tensorInput([2]) }

test('two scales that meet are told by their layers, with the layers that re-quantize', () => {
  const [loss] = q.lossesOf(get(q.trace(two, pair, { mode: 'train' })))
  says(loss.why, /two scales, %\d+ \(of a\.actQuant\) and %\d+ \(of b\.actQuant\), meet.*QuantEltwiseAdd/)
  const cat = q.functionLayer('cat', ({ l, r }: { readonly l: q.Value; readonly r: q.Value }) => q.cat([l, r], 0))
  const quants = {
    l: q.quantInput([2], { bits: 8, signed: true, training: true }),
    r: q.quantInput([2], { bits: 8, signed: true, training: true }),
  }
  const [joined] = q.lossesOf(get(q.trace(cat, quants, { mode: 'train' })))
  says(joined.why, /two scales, .*\(of the data l\.scale\) and .*\(of the data r\.scale\), meet.*QuantCat/)
})

test('a check that fails names layers', () => {
  const program = get(q.trace(two, pair, { mode: 'eval' }))
  const { params, state } = get(q.init(two, 0))
  const warm = get(
    q.run(get(q.trace(two, pair, { mode: 'train' })), {
      params,
      state,
      inputs: { l: q.tensorOf([2], [1, 2]), r: q.tensorOf([2], [3, 5]) },
    }),
  )
  const inputs = { l: q.tensorOf([2], [1, 2]), r: q.tensorOf([2], [1, 2]) }
  for (const backend of [q.reference, q.wasm]) {
    const [error] = errorsOf(get(q.compile(program, backend)).run({ params, state: warm.state, inputs }))
    same(error.tag, 'CheckFailed')
    says(error.message, /Scaling factors are different: .* \(of a\.actQuant\) and .* \(of b\.actQuant\)/)
    same(/%\d/.test(error.message), false)
    says(error.fix, /QuantEltwiseAdd or QuantCat/)
  }
})

test.run()
