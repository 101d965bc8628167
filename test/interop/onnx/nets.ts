/** Networks of the kinds that people deploy, trained a few steps, for what leaves quantrace. */
import * as q from '../../../src/index.js'

/** A network and the shape of its input. */
export type Net = { readonly net: q.Layer<unknown, unknown>; readonly shape: readonly number[] }

const quant = { returnQuantTensor: true } as const
const as = <P, S>(net: q.Layer<P, S>, shape: readonly number[]): Net => ({
  net: net as q.Layer<unknown, unknown>,
  shape,
})

/** By name. */
export const nets: { readonly [name: string]: () => Net } = {
  plain: () =>
    as(
      q.chain({
        input: q.QuantIdentity(quant),
        conv: q.QuantConv2d({ inChannels: 1, outChannels: 4, kernelSize: 3, padding: 1, ...quant }),
        act: q.QuantReLU(quant),
        pool: q.MaxPool2d({ kernelSize: 2 }),
        flat: q.Flatten(),
        fc: q.QuantLinear({ inFeatures: 64, outFeatures: 3 }),
      }),
      [2, 1, 8, 8],
    ),
  perChannel: () =>
    as(
      q.chain({
        input: q.QuantIdentity(quant),
        conv: q.QuantConv2d({
          inChannels: 2,
          outChannels: 3,
          kernelSize: 3,
          weightQuant: q.Int8WeightPerChannelFloat,
          biasQuant: q.Int32Bias,
          ...quant,
        }),
        norm: q.BatchNorm2d({ numFeatures: 3 }),
        act: q.QuantReLU({ bitWidth: 6, ...quant }),
      }),
      [2, 2, 6, 6],
    ),
  fourBits: () =>
    as(
      q.chain({
        input: q.QuantIdentity({ bitWidth: 4, ...quant }),
        fc1: q.QuantLinear({ inFeatures: 12, outFeatures: 8, weightBitWidth: 4, ...quant }),
        act: q.QuantReLU({ bitWidth: 4, ...quant }),
        fc2: q.QuantLinear({ inFeatures: 8, outFeatures: 5, weightBitWidth: 4 }),
      }),
      [3, 12],
    ),
  residual: () => {
    const act = q.QuantReLU(quant)
    return as(
      q.model(
        {
          input: q.QuantIdentity(quant),
          conv: q.QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 3, padding: 1, ...quant }),
          act,
          join: q.QuantEltwiseAdd(quant),
        },
        (l, p, s, x: q.Value) => {
          const [a, input] = l.input(p.input, s.input, x)
          const [b, conv] = l.conv(p.conv, s.conv, a)
          const [c, after] = l.act(p.act, s.act, b)
          const [y, join] = l.join(p.join, s.join, [a, c])
          return [y, { input, conv, act: after, join }]
        },
      ),
      [2, 2, 5, 5],
    )
  },
  depthwise: () =>
    as(
      q.chain({
        input: q.QuantIdentity(quant),
        depth: q.QuantConv2d({
          inChannels: 4,
          outChannels: 4,
          kernelSize: 3,
          groups: 4,
          stride: 2,
          padding: 1,
          ...quant,
        }),
        mid: q.QuantReLU({ actQuant: q.Uint8ActPerTensorFixedPoint, ...quant }),
        point: q.QuantConv2d({
          inChannels: 4,
          outChannels: 6,
          kernelSize: 1,
          weightQuant: q.Int8WeightPerChannelFloat,
        }),
        act: q.QuantReLU(quant),
      }),
      [2, 4, 7, 7],
    ),
  recurrent: () =>
    as(
      q.model(
        {
          input: q.QuantIdentity(quant),
          into: q.QuantLinear({ inFeatures: 3, outFeatures: 4 }),
          again: q.QuantLinear({ inFeatures: 4, outFeatures: 4 }),
          state: q.QuantTanh(quant),
        },
        (l, p, s, x: q.Value) => {
          const [a, input] = l.input(p.input, s.input, x)
          const at = (t: number): q.Value =>
            q.reshape(q.apply(q.ops.slice, [a], { dim: 1, start: t, end: t + 1 }), [2, 3])
          const [u, into] = l.into(p.into, s.into, at(0))
          const [h, state] = l.state(p.state, s.state, u)
          const [v, again] = l.again(p.again, s.again, h)
          const [w, into2] = l.into(p.into, into, at(1))
          const [y, state2] = l.state(p.state, state, q.add(v, w))
          return [y, { input, into: into2, again, state: state2 }]
        },
      ),
      [2, 2, 3],
    ),
  shifted: () =>
    as(
      q.chain({
        input: q.QuantIdentity({ actQuant: q.ShiftedUint8ActPerTensorFloat, ...quant }),
        conv: q.QuantConv2d({
          inChannels: 1,
          outChannels: 3,
          kernelSize: 3,
          padding: 1,
          weightQuant: q.ShiftedUint8WeightPerTensorFloat,
        }),
        act: q.QuantSigmoid(quant),
      }),
      [2, 1, 5, 5],
    ),
}

/** A network after `steps` training steps on random data: its eval program, parameters, state and an input. */
export const trained = ({ net, shape }: Net, steps: number, seed: number) => {
  const start = q.orThrow(q.init(net, seed))
  const train = q.orThrow(q.trace(net, q.tensorInput(shape), { mode: 'train' }))
  let state = start.state
  let random = q.manualSeed(seed)
  for (let i = 0; i < steps; i++) {
    const [x, next] = q.randn(shape)(random)
    random = next
    state = q.orThrow(q.run(train, { params: start.params, state, inputs: x })).state
  }
  const [inputs] = q.randn(shape)(random)
  const program = q.orThrow(q.trace(net, q.tensorInput(shape), { mode: 'eval' }))
  return { program, params: start.params, state, inputs }
}
