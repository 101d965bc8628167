/** Whole programs whose operands hold infinities and NaN: every engine and any number of threads put them where the reference does. */
import assert from 'node:assert/strict'
import * as q from '../../src/index.js'
import { leaves } from '../../src/data/tree.js'
import { isTensor } from '../../src/data/tensor.js'
import { suite } from '../support/suite.js'

const test = suite('infinities')

const plain = { weightQuant: null, bias: true } as const
type Made = readonly [net: unknown, shape: readonly number[]]
const nets: { readonly [name: string]: () => Made } = {
  'winograd with a loop behind it': () => [
    q.chain({
      a: q.QuantConv2d({ inChannels: 16, outChannels: 16, kernelSize: 3, padding: 1, ...plain }),
      b: q.ReLU(),
    }),
    [3, 16, 12, 12],
  ],
  'a direct convolution with stride': () => [
    q.chain({
      a: q.QuantConv2d({ inChannels: 3, outChannels: 5, kernelSize: 3, stride: 2, padding: 1, ...plain }),
      b: q.Tanh(),
    }),
    [2, 3, 11, 9],
  ],
  'a transposed convolution': () => [
    q.chain({
      a: q.QuantConvTranspose2d({
        inChannels: 4,
        outChannels: 6,
        kernelSize: 3,
        stride: 2,
        padding: 1,
        outputPadding: 1,
        ...plain,
      }),
      b: q.ReLU(),
    }),
    [2, 4, 5, 6],
  ],
  'a transposed convolution by winograd': () => [
    q.chain({
      a: q.QuantConvTranspose2d({ inChannels: 16, outChannels: 16, kernelSize: 3, padding: 1, ...plain }),
      b: q.ReLU(),
    }),
    [4, 16, 12, 12],
  ],
  'one axis': () => [
    q.chain({
      a: q.QuantConv1d({ inChannels: 3, outChannels: 4, kernelSize: 5, padding: 2, groups: 1, ...plain }),
      b: q.ReLU(),
    }),
    [2, 3, 17],
  ],
}

const spoilt = (t: q.Tensor, at: number, by: number): q.Tensor => ({
  shape: t.shape,
  data: t.data.with(at % t.data.length, by),
})

/** Every result, gradient and state, by path. */
const flat = (ran: unknown): readonly (readonly [string, Float32Array])[] =>
  leaves(isTensor, ran).map(({ path, leaf }) => [path, leaf.data] as const)

const near = (a: number, b: number): boolean => Object.is(a + 0, b + 0) || Math.abs(a - b) <= 1e-3 * (1 + Math.abs(a))

for (const [name, make] of Object.entries(nets))
  test(name, async () => {
    const [net, shape] = make()
    const start = q.orThrow(q.init(net as q.Layer<unknown, unknown, q.Value, q.Value>, 0))
    const traced = q.orThrow(
      q.trace(net as q.Layer<unknown, unknown, q.Value, q.Value>, q.tensorInput([...shape]), { mode: 'train' }),
    )
    const program = q.orThrow(q.vjp(traced, { inputs: true })) as q.Program
    const out = traced.graph.nodes[traced.outputs[0].node].shape
    const [x, g] = q.randn([...shape])(q.manualSeed(1))
    const [c] = q.randn(out)(g)
    const params = start.params as { readonly a: { readonly weight: q.Tensor } }
    const threads = q.orThrow(await q.createWasm({ threads: 2, splitAbove: 1 }))
    const backends = [q.wasm, threads].map((b) => q.orThrow(q.compile(program, b)))
    try {
      for (const bad of [NaN, Infinity, -Infinity])
        for (const where of ['nothing', 'x', 'weight', 'cotangent'] as const) {
          const args = {
            params: {
              ...params,
              a: { ...params.a, weight: spoilt(params.a.weight, 7, where === 'weight' ? bad : 0.5) },
            },
            state: start.state,
            inputs: {
              inputs: spoilt(x, 41, where === 'x' ? bad : 0.5),
              cotangent: spoilt(c, 13, where === 'cotangent' ? bad : 0.5),
            },
          }
          const expected = flat(q.orThrow(q.run(program, args)))
          for (const compiled of backends)
            for (const round of [1, 2]) {
              const actual = flat(q.orThrow(compiled.run(args)))
              assert.deepEqual(
                actual.map(([path]) => path),
                expected.map(([path]) => path),
              )
              actual.forEach(([path, data], k) => {
                const off = data.findIndex((v, i) => !near(v, expected[k][1][i]))
                if (off >= 0)
                  assert.fail(
                    `${where} ${bad}, round ${round}, ${path}[${off}]: ${data[off]}, not ${expected[k][1][off]}`,
                  )
              })
            }
        }
    } finally {
      threads.dispose()
    }
  })

test.run()
