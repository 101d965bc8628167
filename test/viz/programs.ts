/** Programs that the tests of the page share: each shows another fate of metadata. */
import * as q from '../../src/index.js'
import { net, netGrad, right } from '../graph/fixtures/programs.js'

const quant = (): ReturnType<typeof q.QuantIdentity> => q.QuantIdentity({ returnQuantTensor: true })
const conv = () => q.QuantConv2d({ inChannels: 4, outChannels: 4, kernelSize: 3, padding: 1, returnQuantTensor: true })
const traced = (layer: q.Layer<never, never>, shape: readonly number[], mode: 'train' | 'eval' = 'eval'): q.Program =>
  right(q.trace(layer as q.Layer<unknown, unknown>, q.tensorInput(shape), { mode })) as q.Program

/** Two branches with two scales meet in a sum. */
export const residual = (): q.Program =>
  traced(
    q.chain({
      input: quant(),
      block: q.residual(q.chain({ conv: conv(), act: q.QuantReLU({ returnQuantTensor: true }), out: quant() })),
    }) as never,
    [1, 4, 6, 6],
  )

/** A ReLU that returns plain numbers makes the next convolution run in float. */
export const stripped = (): q.Program =>
  traced(
    q.chain({
      input: quant(),
      conv1: conv(),
      act: q.QuantReLU(),
      conv2: q.QuantConv2d({ inChannels: 4, outChannels: 2, kernelSize: 3 }),
    }) as never,
    [1, 4, 6, 6],
    'train',
  )

/** Nothing is lost: one quantizer, twice the same scale. */
export const kept = (): q.Program =>
  traced(q.chain({ input: quant(), twice: q.functionLayer('twice', (x: q.Value) => q.relu(x)) }) as never, [2, 3])

/** Nothing was ever quantized. */
export const plain = (): q.Program =>
  traced(q.chain({ a: q.ReLU(), b: q.functionLayer('b', (x: q.Value) => q.add(x, x)) }) as never, [2])

/** A quantized input with a name, and two results. */
export const named = (): q.Program =>
  right(
    q.trace(
      q.functionLayer('f', (x: { readonly a: q.Value; readonly b: q.Value }) => ({
        sum: q.add(x.a, x.b),
        plain: q.sigmoid(x.a),
        a: x.a,
      })) as never,
      { a: q.quantInput([2, 3], { bits: 4, signed: false }), b: q.tensorInput([2, 3]) } as never,
      { mode: 'eval' },
    ),
  ) as q.Program

/** A layer that is used twice, so that boxes depend on each other in a circle. */
export const shared = (): q.Program =>
  traced(
    q.model({ act: q.ReLU(), mid: q.ReLU() }, (layers, params, state, x: q.Value) => {
      const [a] = layers.act(params.act, state.act, x)
      const [b, mid] = layers.mid(params.mid, state.mid, a)
      const [c] = layers.act(params.act, { ...state.act }, b)
      return [c, { act: state.act, mid }] as never
    }) as never,
    [2],
  )

/** A network of `n` layers: convolutions and quantized ReLUs. */
export const layers = (n: number): q.Program =>
  traced(
    q.chain(
      Object.fromEntries(
        Array.from({ length: n }, (_, i) => [
          `l${i}`,
          i % 2 === 0
            ? q.QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 3, padding: 1 })
            : q.QuantReLU({ returnQuantTensor: true }),
        ]),
      ) as never,
    ) as never,
    [1, 2, 4, 4],
    'train',
  )

/** All of them by name. */
export const programs: { readonly [name: string]: () => q.Program } = {
  net: () => net('train'),
  eval: () => net('eval'),
  grad: netGrad,
  residual,
  stripped,
  kept,
  plain,
  named,
  shared,
}
