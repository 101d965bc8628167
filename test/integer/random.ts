/** Random networks whose metadata survives from the first quantizer to the result, trained two steps. */
import * as q from '../../src/index.js'

type AnyLayer = q.Layer<unknown, unknown>
type Tree = { readonly [key: string]: unknown }

/** A network after two steps, an input, and what it is made of. */
export type RandomNet = {
  readonly program: q.Program<unknown, unknown, q.Tensor, q.Output>
  readonly fixed: { readonly params: unknown; readonly state: unknown }
  readonly x: q.Tensor
  readonly says: string
  /** All scales are powers of two: all integers must be equal. */
  readonly exact: boolean
}

/** Choices from a seed. */
const choices = (seed: number) => {
  let s = (seed * 2654435761 + 12345) >>> 0
  const next = (): number => {
    s = (Math.imul(s ^ (s >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return ((s ^ (s >>> 13)) >>> 0) / 2 ** 32
  }
  const int = (lo: number, hi: number): number => lo + Math.floor(next() * (hi - lo + 1))
  const pick = <A>(...of: readonly A[]): A => of[int(0, of.length - 1)]
  return { int, pick, chance: (p: number): boolean => next() < p }
}

type Choices = ReturnType<typeof choices>
const RET = { returnQuantTensor: true, collectStatsSteps: 2 } as const

/** A network under construction: its layers so far, and the shape that they give. */
type Draft = {
  readonly layers: Record<string, AnyLayer>
  shape: readonly number[]
  /** Its last quantizer has a zero point: Brevitas keeps no metadata of sums then. */ shifted: boolean
  readonly c: Choices
  readonly exact: boolean
}

const put = (d: Draft, name: string, layer: unknown): void => {
  d.layers[`${name}${Object.keys(d.layers).length}`] = layer as AnyLayer
}

const quantizer = (d: Draft): unknown => {
  const { c, exact } = d
  d.shifted = false
  const bitWidth = c.pick(3, 4, 6, 8, 8)
  if (exact)
    return c.chance(0.6)
      ? q.QuantReLU({ ...RET, bitWidth, actQuant: q.Uint8ActPerTensorFixedPoint })
      : q.QuantIdentity({ ...RET, bitWidth, actQuant: q.Int8ActPerTensorFixedPoint })
  const kind = c.int(0, 7)
  if (kind < 3) return q.QuantReLU({ ...RET, bitWidth })
  if (kind === 3) return q.QuantTanh({ returnQuantTensor: true, bitWidth })
  if (kind === 4) return q.QuantSigmoid({ returnQuantTensor: true, bitWidth })
  d.shifted = kind === 5
  if (kind === 5) return q.QuantIdentity({ ...RET, bitWidth, actQuant: q.ShiftedUint8ActPerTensorFloat })
  if (kind === 6) return q.QuantHardTanh({ returnQuantTensor: true, bitWidth, minVal: -1.5, maxVal: 1.5 })
  return q.QuantIdentity({ ...RET, bitWidth })
}

const weightOptions = (d: Draft) => {
  const { c, exact } = d
  const weightQuant = exact
    ? q.Int8WeightPerTensorFixedPoint
    : c.pick(q.Int8WeightPerTensorFloat, q.Int8WeightPerTensorFloat, q.Int8WeightPerChannelFloat)
  const bias = c.pick('none', 'float', 'int32', 'int16')
  const options = {
    weightQuant,
    weightBitWidth: c.pick(2, 3, 4, 8, 8),
    bias: bias !== 'none' && !(exact && bias === 'float'),
  }
  if (d.shifted || bias === 'none' || bias === 'float') return { ...options, returnQuantTensor: !d.shifted }
  return { ...options, biasQuant: bias === 'int32' ? q.Int32Bias : q.Int16Bias, returnQuantTensor: true }
}

/** `conv → (batch norm) → quantizer`. */
const convolution = (d: Draft): void => {
  const { c } = d
  const [n, channels, h, w] = d.shape
  const kernelSize = c.int(1, Math.min(3, h, w))
  const [stride, padding] = [c.int(1, 2), c.int(0, kernelSize > 1 ? 1 : 0)]
  const depthwise = c.chance(0.3)
  const out = depthwise ? channels : c.int(2, 5)
  const groups = depthwise ? channels : 1
  put(
    d,
    'conv',
    q.QuantConv2d({ inChannels: channels, outChannels: out, kernelSize, stride, padding, groups, ...weightOptions(d) }),
  )
  const size = (k: number): number => Math.floor((k + 2 * padding - kernelSize) / stride) + 1
  d.shape = [n, out, size(h), size(w)]
  if (!d.exact && c.chance(0.4)) put(d, 'norm', q.BatchNorm2d({ numFeatures: out }))
  put(d, 'act', quantizer(d))
}

const pool = (d: Draft): void => {
  const [n, channels, h, w] = d.shape
  if (h < 2 || w < 2) return
  if (d.c.chance(0.5)) put(d, 'max', q.MaxPool2d({ kernelSize: 2 }))
  else {
    put(d, 'avg', q.AvgPool2d({ kernelSize: 2 }))
    put(d, 'act', quantizer(d))
  }
  d.shape = [n, channels, Math.floor(h / 2), Math.floor(w / 2)]
}

const up = (d: Draft): void => {
  const [n, channels, h, w] = d.shape
  if (h * w > 36) return
  put(d, 'up', q.QuantUpsamplingNearest2d({ scaleFactor: 2 }))
  d.shape = [n, channels, 2 * h, 2 * w]
}

const head = (d: Draft): void => {
  const [n, ...rest] = d.shape
  const features = rest.reduce((a, b) => a * b, 1)
  put(d, 'flat', q.Flatten())
  put(d, 'fc', q.QuantLinear({ inFeatures: features, outFeatures: 4, ...weightOptions(d) }))
  put(d, 'out', quantizer(d))
  d.shape = [n, 4]
}

/** Batch norms with negative factors too. */
const signed = (params: Tree, c: Choices): Tree =>
  Object.fromEntries(
    Object.entries(params).map(([name, p]) => {
      const t = (p as { readonly weight?: q.Tensor }).weight
      if (!name.startsWith('norm') || t === undefined) return [name, p]
      return [name, { ...(p as object), weight: { ...t, data: t.data.map(() => c.pick(-1.25, 0.75, 1.5, -0.5)) } }]
    }),
  )

/** The network of a seed. */
export const randomNet = (seed: number): RandomNet => {
  const c = choices(seed)
  const exact = c.chance(0.25)
  const shape = [2, c.int(1, 3), c.int(4, 8), c.int(4, 8)]
  const d: Draft = { layers: {}, shape, c, exact, shifted: false }
  put(d, 'in', exact ? q.QuantIdentity({ ...RET, actQuant: q.Int8ActPerTensorFixedPoint }) : q.QuantIdentity(RET))
  for (let k = c.int(1, 4); k > 0; k--) c.pick(convolution, convolution, convolution, pool, up)(d)
  if (c.chance(0.6)) head(d)
  const net = q.chain(d.layers) as unknown as q.Layer<Tree, unknown>
  const input = (k: number): q.Tensor => q.randn(shape)(q.manualSeed(seed * 7 + k))[0]
  const first = q.orThrow(q.init(net, seed))
  const params = signed(first.params, c)
  let { state } = first
  const training = q.orThrow(q.trace(net, q.tensorInput(shape), { mode: 'train' }))
  for (let k = 0; k < 2; k++) state = q.orThrow(q.run(training, { params, state, inputs: input(k) })).state
  const program = q.orThrow(q.trace(net, q.tensorInput(shape), { mode: 'eval' }))
  return {
    program: program as RandomNet['program'],
    fixed: { params, state },
    x: input(9),
    says: `seed ${seed}: ${Object.keys(d.layers).join(' ')}`,
    exact,
  }
}
