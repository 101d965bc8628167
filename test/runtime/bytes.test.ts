/** Integers stored as bytes in precompiled programs: a way of their own in the file, and what happens to numbers that are none. */
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { loadPrecompiled, type Precompiled } from '../../src/runtime/index.js'
import { suite } from '../support/suite.js'
import { headerOf, sameBits, withHeader } from './support.js'

const test = suite('precompile: bytes')

const RET = { returnQuantTensor: true } as const
const SHAPE = [5, 2, 12, 12] as const

/** Branches that are averaged, convolved and joined. */
const net = q.model(
  {
    input: q.QuantIdentity(RET),
    conv: q.QuantConv2d({ inChannels: 2, outChannels: 16, kernelSize: 3, padding: 1 }),
    act: q.QuantReLU(RET),
    pool: q.AvgPool2d({ kernelSize: 3, stride: 1, padding: 1 }),
    join: q.QuantCat(RET),
    last: q.QuantConv2d({ inChannels: 18, outChannels: 16, kernelSize: 3 }),
    out: q.QuantReLU(RET),
    flat: q.Flatten(),
    fc: q.QuantLinear({ inFeatures: 1600, outFeatures: 20 }),
  },
  (l, p, s, x: q.Value) => {
    const [a, input] = l.input(p.input, s.input, x)
    const [b0, conv] = l.conv(p.conv, s.conv, a)
    const [b, act] = l.act(p.act, s.act, b0)
    const [c, pool] = l.pool(p.pool, s.pool, a)
    const [d, join] = l.join(p.join, s.join, { values: [b, c], dim: 1 })
    const [e0, last] = l.last(p.last, s.last, d)
    const [e, out] = l.out(p.out, s.out, e0)
    const [f, flat] = l.flat(p.flat, s.flat, e)
    const [y, fc] = l.fc(p.fc, s.fc, f)
    return [
      { y, e },
      { input, conv, act, pool, join, last, out, flat, fc },
    ]
  },
)
const program = q.orThrow(q.trace(net, q.tensorInput(SHAPE), { mode: 'eval' }))
const { params, state } = q.orThrow(q.init(net, 3))
const file = q.orThrow(q.precompile(program, { params, state }))

const load = async (bytes: Uint8Array): Promise<Precompiled<unknown, unknown>> =>
  q.orThrow(await loadPrecompiled<unknown, unknown>(bytes))
const data = (seed: number, value?: number): q.Tensor => {
  const x = q.randn(SHAPE)(q.manualSeed(seed))[0]
  if (value !== undefined) x.data[100] = value
  return x
}
const inputs = [data(1), data(2, NaN), data(3), data(4, Infinity), data(5, -0), data(6, NaN), data(1)]

/** The file without the way of bytes, as a reader sees it that knows nothing of it. */
const plain = withHeader(file, (json) => JSON.stringify({ ...JSON.parse(json), bytes: undefined }))

test('numbers are those of the compiled program and of the way without bytes, NaN or not, one after the other', async () => {
  const compiled = q.orThrow(q.compile(program, q.wasm))
  const [ours, other] = [await load(file), await load(plain)]
  for (const [k, x] of inputs.entries()) {
    const expected = q.orThrow(compiled.run({ params, state, inputs: x })).outputs
    for (const p of [ours, other]) assert.ok(sameBits(q.orThrow(p.run(x)).outputs, expected), `input ${k}`)
  }
  compiled.dispose()
})

test('both ways have packed weights in common, which the file holds once', () => {
  const { bytes } = headerOf(file)
  const { copies } = bytes as { readonly copies: readonly { readonly from: { readonly shape: readonly number[] } }[] }
  const shared = copies.reduce((n, c) => n + 4 * c.from.shape[0], 0)
  // Of 20 · 1,600 weights of the last layer alone two bytes each.
  assert.ok(shared > 64_000, `${shared} bytes are shared`)
})

test('a program of floats has no such way', () => {
  const float = q.chain({ fc: q.QuantLinear({ inFeatures: 8, outFeatures: 4, weightQuant: null }) })
  const ofFloat = q.orThrow(q.trace(float, q.tensorInput([8, 8]), { mode: 'eval' }))
  assert.is(headerOf(q.orThrow(q.precompile(ofFloat, q.orThrow(q.init(float, 0)))))['bytes'], undefined)
})

test('a header whose bytes are wrong is refused', async () => {
  const place = { at: 2 ** 40, shape: [4] }
  const wrong: readonly object[] = [
    { guard: { at: 2 ** 40, shape: [] } },
    { copies: [{ from: { at: 0, shape: [4] }, to: place }] },
    { copies: [7] },
    { results: [] },
    { inputs: [place] },
    { order: ['none'] },
  ]
  for (const change of wrong) {
    const made = await loadPrecompiled(
      withHeader(file, (json) => {
        const header = JSON.parse(json)
        return JSON.stringify({ ...header, bytes: { ...header.bytes, ...change } })
      }),
    )
    assert.is(made._tag, 'Left', JSON.stringify(change))
  }
})

test.run()
