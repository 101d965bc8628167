/** Networks of all kinds whose pages give advice: what a user would write, and what goes wrong with it. */
import * as q from '../../src/index.js'
import { quantNet } from '../../examples/digits/network.js'
import { remade, type Advised, type At } from './advised.js'

const keep = { returnQuantTensor: true } as const
const conv = (i: number, o: number, more: object = {}) => ({
  inChannels: i,
  outChannels: o,
  kernelSize: 3,
  padding: 1,
  ...keep,
  ...more,
})
type Links = Parameters<At['chain']>[1]
const IMAGE = [2, 4, 8, 8]

const random = (shape: readonly number[], seed = 5): q.Tensor => q.randn(shape)(q.manualSeed(seed))[0]
const positive = (shape: readonly number[], most = 1): q.Tensor => {
  const [x] = q.rand(shape)(q.manualSeed(4))
  return { shape, data: x.data.map((v) => v * most) }
}
const image = (
  links: (at: At) => Links,
  more: { readonly [key: string]: unknown } = {},
  shape: readonly number[] = IMAGE,
): Advised => ({
  net: (at) => at.chain('', links(at)),
  inputs: q.tensorInput(shape),
  data: random(shape),
  ...more,
})

const input = (at: At, options: object = {}) => at.layer('input', 'QuantIdentity', { ...keep, ...options })

/** README's first program. */
const first = (strict = false): Advised =>
  image(
    (at) => ({
      input: input(at),
      conv: at.layer('conv', 'QuantConv2d', {
        inChannels: 1,
        outChannels: 2,
        kernelSize: 3,
        weightBitWidth: 4,
        ...keep,
      }),
      act: at.layer('act', 'QuantReLU', { bitWidth: 4, ...keep }),
    }),
    { strict },
    [1, 1, 4, 4],
  )

/** Two quantizers meet in the sum of a block; `bare`: without any activation behind it. */
const block = (at: At): Links => ({
  input: input(at),
  block: at.residual(
    'block',
    at.chain('block.body', {
      conv: at.layer('block.body.conv', 'QuantConv2d', conv(4, 4)),
      act: at.layer('block.body.act', 'QuantReLU', keep),
      out: at.layer('block.body.out', 'QuantIdentity', keep),
    }),
  ),
  next: at.layer('next', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
})

/** A net that a user wires by hand: a join and whatever quantizers it has. */
const joined = (join: string, options: object, more: (at: At) => Links, behind: object = {}): Advised => ({
  net: (at) => {
    const layers = {
      a: at.layer('a', 'QuantIdentity', keep),
      conv: at.layer('conv', 'QuantConv2d', conv(4, 4, behind)),
      join: at.layer('join', join, { ...keep, ...options }),
      tail: at.chain('tail', more(at)),
    }
    return q.model(
      layers as never,
      ((l: never, p: never, s: never, x: q.Value) => {
        type Bound = { readonly [name: string]: (p: unknown, s: unknown, x: unknown) => [q.Value, unknown] }
        const [bound, params, state] = [l as Bound, p as { [n: string]: unknown }, s as { [n: string]: unknown }]
        const [y, a] = bound['a'](params['a'], state['a'], x)
        const [z, c] = bound['conv'](params['conv'], state['conv'], y)
        const [sum, j] = bound['join'](params['join'], state['join'], join === 'QuantCat' ? { values: [y, z] } : [y, z])
        const [out, t] = bound['tail'](params['tail'], state['tail'], sum)
        return [out, { a, conv: c, join: j, tail: t }]
      }) as never,
    ) as never
  },
  inputs: q.tensorInput(IMAGE),
  data: random(IMAGE),
})

const deeply = (at: At): Links => ({
  one: at.chain('one', {
    two: at.chain('one.two', {
      three: at.chain('one.two.three', {
        input: at.layer('one.two.three.input', 'QuantIdentity', keep),
        conv: at.layer('one.two.three.conv', 'QuantConv2d', conv(4, 4)),
        act: at.layer('one.two.three.act', 'QuantReLU'),
      }),
      next: at.layer('one.two.next', 'QuantConv2d', conv(4, 4, { returnQuantTensor: false })),
    }),
  }),
})

const flat = (
  shape: readonly number[],
  links: (at: At) => Links,
  more: { readonly [key: string]: unknown } = {},
): Advised => image(links, more, shape)
const squashed = (layer: string): Advised =>
  flat([4, 16], (at) => ({
    input: input(at),
    squash: at.layer('squash', layer),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  }))

/** By name; what each is about. */
export const advised: { readonly [name: string]: Advised } = {
  'README first program': first(),
  'README first program, strict': first(true),
  'a plain ReLU before a convolution': image((at) => ({
    input: input(at),
    conv1: at.layer('conv1', 'QuantConv2d', conv(4, 4)),
    act: at.layer('act', 'QuantReLU'),
    conv2: at.layer('conv2', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'three convolutions in a row': image((at) => ({
    input: input(at),
    c1: at.layer('c1', 'QuantConv2d', conv(4, 4, { returnQuantTensor: false })),
    c2: at.layer('c2', 'QuantConv2d', conv(4, 4, { returnQuantTensor: false })),
    c3: at.layer('c3', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'a convolution that returns its sums to another': image((at) => ({
    input: input(at),
    c1: at.layer('c1', 'QuantConv2d', conv(4, 4)),
    c2: at.layer('c2', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'nothing but weights': image((at) => ({
    c1: at.layer('c1', 'QuantConv2d', conv(4, 4, { returnQuantTensor: false })),
    relu: at.layer('relu', 'ReLU'),
    c2: at.layer('c2', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'a float layer': flat([4, 16], (at) => ({
    input: input(at),
    fc1: at.layer('fc1', 'Linear', { inFeatures: 16, outFeatures: 8 }),
    act: at.layer('act', 'QuantReLU', keep),
    fc2: at.layer('fc2', 'QuantLinear', { inFeatures: 8, outFeatures: 4 }),
  })),
  'a float layer whose input is bare': flat([4, 16], (at) => ({
    fc1: at.layer('fc1', 'Linear', { inFeatures: 16, outFeatures: 8, bias: false }),
    act: at.layer('act', 'QuantReLU', keep),
    fc2: at.layer('fc2', 'QuantLinear', { inFeatures: 8, outFeatures: 4 }),
  })),
  'no weight quantizer': image((at) => ({
    input: input(at),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 2, { weightQuant: null, returnQuantTensor: false })),
  })),
  residual: image(block),
  'residual at the end': image((at) => {
    const { next: _, ...rest } = block(at)
    return rest
  }),
  'adder before a ReLU': joined('QuantEltwiseAdd', {}, (at) => ({
    act: at.layer('tail.act', 'QuantReLU', keep),
    fc: at.layer('tail.fc', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'adder without a quantizer of its operands': joined('QuantEltwiseAdd', { inputQuant: null }, (at) => ({
    fc: at.layer('tail.fc', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'adder alone': joined('QuantEltwiseAdd', { outputQuant: null }, (at) => ({
    act: at.layer('tail.act', 'QuantReLU', keep),
  })),
  'four bits in an adder': joined('QuantEltwiseAdd', { inputBitWidth: 4, outputBitWidth: 4 }, (at) => ({
    act: at.layer('tail.act', 'QuantReLU', { ...keep, bitWidth: 4 }),
  })),
  concat: joined('QuantCat', {}, (at) => ({
    act: at.layer('tail.act', 'QuantReLU', keep),
    fc: at.layer('tail.fc', 'QuantConv2d', conv(8, 2, { returnQuantTensor: false })),
  })),
  'concat without a quantizer': joined(
    'QuantCat',
    { inputQuant: null, outputQuant: null },
    (at) => ({ fc: at.layer('tail.fc', 'QuantConv2d', conv(8, 2, { returnQuantTensor: false })) }),
    { outputQuant: q.Int8ActPerTensorFloat },
  ),
  depthwise: image((at) => ({
    input: input(at),
    dw: at.layer('dw', 'QuantConv2d', conv(4, 4, { groups: 4 })),
    act: at.layer('act', 'QuantReLU', keep),
    pw: at.layer('pw', 'QuantConv2d', { inChannels: 4, outChannels: 2, kernelSize: 1, returnQuantTensor: false }),
  })),
  'per channel, two in a row': image((at) => ({
    input: input(at),
    c1: at.layer('c1', 'QuantConv2d', conv(4, 4, { weightQuant: q.Int8WeightPerChannelFloat, bias: false })),
    c2: at.layer('c2', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'per channel, flattened': image((at) => ({
    input: input(at),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 2, { weightQuant: q.Int8WeightPerChannelFloat, bias: false })),
    flat: at.layer('flat', 'Flatten'),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 128, outFeatures: 4 }),
  })),
  'per channel with a quantized bias': image((at) => ({
    input: input(at),
    conv: at.layer(
      'conv',
      'QuantConv2d',
      conv(4, 4, { weightQuant: q.Int8WeightPerChannelFloat, biasQuant: q.Int16Bias }),
    ),
    act: at.layer('act', 'QuantReLU', keep),
  })),
  'per channel with a float bias': image((at) => ({
    input: input(at),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { weightQuant: q.Int8WeightPerChannelFloat })),
    act: at.layer('act', 'QuantReLU', keep),
  })),
  'per channel in a quantizer': image((at) => ({
    input: at.layer('input', 'QuantIdentity', {
      ...keep,
      scalingPerOutputChannel: true,
      perChannelBroadcastableShape: [1, 4, 1, 1],
      scalingStatsPermuteDims: [1, 0, 2, 3],
    }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'four bits': image((at) => ({
    input: input(at, { bitWidth: 4 }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { weightBitWidth: 4 })),
    act: at.layer('act', 'QuantReLU', { ...keep, bitWidth: 4 }),
    fc: at.layer('fc', 'QuantConv2d', conv(4, 2, { weightBitWidth: 4 })),
    relu: at.layer('relu', 'ReLU'),
  })),
  'two bits, one bit': image((at) => ({
    input: input(at, { bitWidth: 2 }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { weightBitWidth: 2, bias: false })),
    act: at.layer('act', 'QuantReLU', { ...keep, bitWidth: 1 }),
    fc: at.layer('fc', 'QuantConv2d', conv(4, 2, { weightQuant: q.SignedBinaryWeightPerTensorConst })),
  })),
  'shifted input': image(
    (at) => ({
      input: input(at, { actQuant: q.ShiftedUint8ActPerTensorFloat }),
      conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { returnQuantTensor: false })),
    }),
    { collected: 0 },
  ),
  'shifted fixed point, positive values': image(
    (at) => ({
      input: input(at, { actQuant: q.ShiftedUint8ActPerTensorFixedPoint }),
      conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { returnQuantTensor: false })),
    }),
    { data: positive(IMAGE) },
  ),
  'shifted weight': image((at) => ({
    input: input(at),
    conv: at.layer(
      'conv',
      'QuantConv2d',
      conv(4, 4, { weightQuant: q.ShiftedUint8WeightPerTensorFloat, returnQuantTensor: false }),
    ),
  })),
  'fixed point, nearly twice too wide': image(
    (at) => ({
      input: input(at, { actQuant: q.Int8ActPerTensorFixedPoint }),
      conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { returnQuantTensor: false })),
    }),
    { data: { shape: IMAGE, data: random(IMAGE).data.map((v, i) => (i === 0 ? 1.02 : Math.max(-1, Math.min(1, v)))) } },
  ),
  'fixed point, positive values': image((at) => ({ input: input(at, { actQuant: q.Int8ActPerTensorFixedPoint }) }), {
    data: positive(IMAGE),
  }),
  'positive values in a signed quantizer': image(
    (at) => ({
      input: input(at),
      conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { bias: false })),
      act: at.layer('act', 'QuantReLU', keep),
    }),
    { data: positive(IMAGE) },
  ),
  'positive values in a custom quantizer': image(
    (at) => ({ input: input(at, { actQuant: { ...q.Int8ActPerTensorFloat, bitWidth: 6, name: 'mine' } }) }),
    { data: positive(IMAGE) },
  ),
  'positive values, signed by option': image((at) => ({ input: input(at, { signed: true, narrowRange: true }) }), {
    data: positive(IMAGE),
  }),
  'a range too wide': image((at) => ({
    input: input(at, { actQuant: q.Int8ActPerTensorFloatMinMaxInit, minVal: -40, maxVal: 40 }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'a range too wide, and signed': image(
    (at) => ({ input: input(at, { actQuant: q.Int8ActPerTensorFloatMinMaxInit, minVal: -40, maxVal: 40 }) }),
    { data: positive(IMAGE) },
  ),
  'hardtanh too wide': image((at) => ({
    squash: at.layer('squash', 'QuantHardTanh', { ...keep, minVal: -16, maxVal: 16 }),
  })),
  'quantizer, then ReLU': image((at) => ({ input: input(at), relu: at.layer('relu', 'ReLU') })),
  'quantized output, then ReLU': image((at) => ({
    input: input(at),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { outputQuant: q.Int8ActPerTensorFloat })),
    relu: at.f('relu', q.relu),
  })),
  'wider than integers': image((at) => ({
    input: input(at, { bitWidth: 16 }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 4)),
    again: at.layer('again', 'QuantIdentity', { bitWidth: 9, ...keep }),
    last: at.layer('last', 'QuantConv2d', conv(4, 4, { weightBitWidth: 12, inputQuant: null })),
    own: at.layer('own', 'QuantConv2d', conv(4, 2, { inputQuant: q.Int8ActPerTensorFloat, inputBitWidth: 16 })),
  })),
  'transposed convolution': image((at) => ({
    input: input(at),
    up: at.layer('up', 'QuantConvTranspose2d', { inChannels: 4, outChannels: 4, kernelSize: 2, stride: 2, ...keep }),
    act: at.layer('act', 'QuantReLU', keep),
  })),
  'average pools': image((at) => ({
    input: input(at),
    pool: at.layer('pool', 'AvgPool2d', { kernelSize: 2 }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { bias: false })),
    act: at.layer('act', 'QuantReLU', keep),
    all: at.layer('all', 'AdaptiveAvgPool2d', { outputSize: 3 }),
    fc: at.layer('fc', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'average pool of a shifted input': image((at) => ({
    input: input(at, { actQuant: q.ShiftedUint8ActPerTensorFloat }),
    pool: at.layer('pool', 'AvgPool2d', { kernelSize: 2 }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { returnQuantTensor: false })),
  })),
  'average pool over one axis': flat([2, 4, 8], (at) => ({
    input: input(at),
    pool: at.layer('pool', 'AvgPool1d', { kernelSize: 2 }),
    conv: at.layer('conv', 'QuantConv1d', { inChannels: 4, outChannels: 2, kernelSize: 3 }),
  })),
  'truncating pools': image((at) => ({
    input: input(at),
    pool: at.layer('pool', 'TruncAvgPool2d', { kernelSize: 2, bitWidth: 6 }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { outputQuant: q.Uint8ActPerTensorFloat })),
    all: at.layer('all', 'TruncAdaptiveAvgPool2d', { outputSize: 2, truncQuant: q.ShiftRoundSaturateTo8bit }),
    act: at.layer('act', 'QuantReLU', keep),
  })),
  'batch norm': image((at) => ({
    input: input(at),
    conv1: at.layer('conv1', 'QuantConv2d', conv(4, 4, { returnQuantTensor: false })),
    bn: at.layer('bn', 'BatchNorm2d', { numFeatures: 4 }),
    relu: at.layer('relu', 'ReLU'),
    conv2: at.layer('conv2', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'a folded batch norm': image((at) => ({
    input: input(at),
    bn: at.layer('bn', 'BatchNorm2dToQuantScaleBias', { numFeatures: 4, ...keep }),
    act: at.layer('act', 'QuantReLU', keep),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'scale and bias': image((at) => ({
    input: input(at),
    sb: at.layer('sb', 'QuantScaleBias', { numFeatures: 4, ...keep }),
    act: at.layer('act', 'QuantReLU', keep),
  })),
  sigmoid: squashed('Sigmoid'),
  tanh: squashed('Tanh'),
  hardtanh: squashed('Hardtanh'),
  'tanh of what is never negative': flat([4, 16], (at) => ({
    input: at.layer('input', 'QuantSigmoid', keep),
    squash: at.layer('squash', 'Tanh'),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'hardtanh, then ReLU, of mostly negative values': flat(
    [4, 16],
    (at) => ({
      input: input(at),
      squash: at.layer('squash', 'Hardtanh'),
      relu: at.layer('relu', 'ReLU'),
    }),
    { data: { shape: [4, 16], data: positive([4, 16], 1.2).data.map((v) => v - 0.9) } },
  ),
  'average pool with padding, of a shifted result': image((at) => ({
    conv: at.layer(
      'conv',
      'QuantConv2d',
      conv(4, 4, { inputQuant: q.Uint8ActPerTensorFloat, outputQuant: q.ShiftedUint8ActPerTensorFloat }),
    ),
    pool: at.layer('pool', 'AvgPool2d', { kernelSize: 3, stride: 1, padding: 1 }),
    act: at.layer('act', 'QuantSigmoid'),
  })),
  relu6: squashed('ReLU6'),
  elu: squashed('ELU'),
  softmax: flat([4, 16], (at) => ({
    input: input(at),
    share: at.layer('share', 'Softmax', { dim: 1 }),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'quantized activations': flat([4, 16], (at) => ({
    input: input(at),
    a: at.layer('a', 'QuantSigmoid', keep),
    b: at.layer('b', 'QuantTanh', keep),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'quantized activations that return plain': flat([4, 16], (at) => ({
    a: at.layer('a', 'QuantSigmoid'),
    fc1: at.layer('fc1', 'QuantLinear', { inFeatures: 16, outFeatures: 8 }),
    b: at.layer('b', 'QuantTanh'),
    fc2: at.layer('fc2', 'QuantLinear', { inFeatures: 8, outFeatures: 4 }),
  })),
  'disabled quantizers': flat([4, 16], (at) => ({
    input: input(at),
    a: at.layer('a', 'QuantReLU', { actQuant: null }),
    b: at.layer('b', 'QuantHardTanh', { actQuant: null, minVal: -1, maxVal: 1 }),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'hardtanh without a quantizer': flat([4, 16], (at) => ({
    input: input(at),
    b: at.layer('b', 'QuantHardTanh', { actQuant: null, minVal: -1, maxVal: 1, ...keep }),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'torch functions': flat([4, 16], (at) => ({
    input: input(at),
    own: at.f('own', (x) => q.plain.relu(x)),
    fc1: at.layer('fc1', 'QuantLinear', { inFeatures: 16, outFeatures: 16 }),
    more: at.f('more', (x) => q.add(q.plain.relu(x), q.sigmoid(x))),
    fc2: at.layer('fc2', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'plain and quant': flat([4, 16], (at) => ({
    input: input(at),
    own: at.f('own', (x) => q.add(q.dequantize(x), x)),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'a float addend': flat([4, 16], (at) => ({
    input: input(at),
    own: at.f('own', (x) => q.add(x, 0.3)),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'a float addend, then ReLU': flat([4, 16], (at) => ({
    input: input(at),
    own: at.f('own', (x) => q.relu(q.add(x, 0.3))),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'two quantizers meet': flat([4, 16], (at) => ({
    input: input(at),
    own: at.f('own', (x) => q.add(x, q.mul(x, x))),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'matrix product': flat([4, 4], (at) => ({ input: input(at), own: at.f('own', (x) => q.matmul(x, x)) })),
  dropout: flat([4, 16], (at) => ({
    input: input(at),
    drop: at.layer('drop', 'Dropout', { p: 0.3 }),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
  })),
  'dropout before a quantizer': flat([4, 16], (at) => ({
    input: input(at),
    drop: at.layer('drop', 'Dropout'),
    act: at.layer('act', 'QuantReLU', keep),
  })),
  'pads, flatten': image((at) => ({
    input: input(at),
    pad: at.layer('pad', 'ZeroPad2d', { padding: 1 }),
    conv: at.layer('conv', 'QuantConv2d', { inChannels: 4, outChannels: 2, kernelSize: 3, ...keep }),
    again: at.layer('again', 'ZeroPad2d', { padding: 1 }),
    flat: at.layer('flat', 'Flatten'),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 200, outFeatures: 4 }),
  })),
  'a pad off the grid': image((at) => ({
    input: input(at),
    pad: at.f('pad', (x) => q.pad(x, [1, 1], 0.37)),
    conv: at.layer('conv', 'QuantConv2d', { inChannels: 4, outChannels: 2, kernelSize: 3 }),
  })),
  'the result in doubt': image((at) => ({
    input: input(at),
    pad: at.f('pad', (x) => q.pad(x, [1, 1], 0.37)),
  })),
  upsampling: image((at) => ({
    input: input(at),
    up: at.layer('up', 'QuantUpsample', { scaleFactor: 2, mode: 'bilinear', returnQuantTensor: false }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'float upsampling': image((at) => ({
    input: input(at),
    up: at.layer('up', 'Upsample', { scaleFactor: 2, mode: 'bilinear' }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false })),
  })),
  'pixel shuffle per channel': image((at) => ({
    input: input(at),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 4, { weightQuant: q.Int8WeightPerChannelFloat, bias: false })),
    shuffle: at.layer('shuffle', 'PixelShuffle', { upscaleFactor: 2 }),
    next: at.layer('next', 'QuantConv2d', conv(1, 2, { returnQuantTensor: false })),
  })),
  'three deep': image((at) => deeply(at)),
  delayed: image((at) => ({
    input: input(at, { quantDelaySteps: 3 }),
    conv: at.layer('conv', 'QuantConv2d', conv(4, 2, { returnQuantTensor: false, weightQuantDelaySteps: 2 })),
  })),
  'a wide accumulator': flat([2, 2048], (at) => ({
    input: input(at, { bitWidth: 12 }),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 2048, outFeatures: 4, bias: false, weightBitWidth: 12, ...keep }),
    act: at.layer('act', 'QuantReLU', keep),
  })),
  'a quantized bias of 32 bits': flat([2, 16], (at) => ({
    input: input(at),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4, biasQuant: q.Int32Bias, ...keep }),
    act: at.layer('act', 'QuantReLU', keep),
  })),
  'input quantizers': flat([2, 16], (at) => ({
    a: at.layer('a', 'QuantReLU', { inputQuant: q.Int8ActPerTensorFloat, ...keep }),
    fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4, inputQuant: q.ShiftedUint8ActPerTensorFloat }),
  })),
  'a quant input with a zero point': {
    net: (at) => at.chain('', { fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }) }),
    inputs: q.quantInput([2, 16], { bits: 8, signed: false, zeroPoint: 'integer' }),
  },
  'a quant input': {
    net: (at) =>
      at.chain('', {
        relu6: at.layer('relu6', 'ReLU6'),
        fc: at.layer('fc', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
      }),
    inputs: q.quantInput([2, 16], { bits: 4, signed: true, valid: false }),
  },
  'the digits network': {
    net: (at) => remade(at, quantNet(8)),
    inputs: q.tensorInput([2, 1, 28, 28]),
    data: positive([2, 1, 28, 28]),
  },
  'the digits network at 2 bits': {
    net: (at) => remade(at, quantNet(2)),
    inputs: q.tensorInput([2, 1, 28, 28]),
    data: positive([2, 1, 28, 28]),
  },
  "the tutorial's wasted bit": image(
    (at) => ({
      input: input(at),
      conv: at.layer('conv', 'QuantConv2d', {
        inChannels: 2,
        outChannels: 3,
        kernelSize: [3, 3],
        outputQuant: q.Int8ActPerTensorFloat,
        ...keep,
      }),
      relu: at.f('relu', q.relu),
    }),
    {},
    [1, 2, 34, 34],
  ),
  'one layer': {
    net: (at) => at.layer('', 'QuantLinear', { inFeatures: 16, outFeatures: 4 }),
    inputs: q.tensorInput([2, 16]),
    data: random([2, 16]),
  },
  'one quantizer': {
    net: (at) => at.layer('', 'QuantIdentity', keep),
    inputs: q.tensorInput([2, 16]),
    data: positive([2, 16]),
  },
}
