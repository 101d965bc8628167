/** Ops that read or move integers stored as bytes: the numbers of a plan that stores floats, bit by bit, whatever comes in. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isLeft } from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { cat, pad, permute } from '../../src/nn/functions/index.js'
import { suite } from '../support/suite.js'
import { changed, compared } from './support/bytes.js'
import { get } from './support/programs.js'

const test = suite('wasm: ops on bytes')

const quantizers = fc.record({ signed: fc.boolean(), bitWidth: fc.constantFrom(2, 5, 8) })
const RET = { returnQuantTensor: true } as const
const quantizer = ({ signed, bitWidth }: { readonly signed: boolean; readonly bitWidth: number }) =>
  signed ? q.QuantIdentity({ ...RET, bitWidth }) : q.QuantReLU({ ...RET, bitWidth })

const ODD = [NaN, Infinity, -Infinity, -0, 3e38]

type Seen = { readonly bytes: number; readonly raised: number }

/** Both plans of a network over data of a shape, some of it odd; null where the network can't be traced. */
const seenOf = (net: unknown, shape: readonly number[], seed: number, what: string): Seen | null => {
  const layer = net as q.Layer<unknown, unknown, q.Value, q.Value>
  const program = q.trace(layer, q.tensorInput(shape), { mode: 'eval' })
  if (isLeft(program)) return null
  const x = q.randn(shape)(q.manualSeed(seed))[0]
  const others = ODD.map((v, k) => changed(x, 5 * k + seed, v))
  return compared(program.right as q.Program, { ...get(q.init(layer, seed)), inputs: x }, others, what)
}

const axis = fc.record({
  size: fc.integer({ min: 1, max: 19 }),
  kernel: fc.integer({ min: 1, max: 11 }),
  stride: fc.integer({ min: 1, max: 4 }),
  padding: fc.integer({ min: 0, max: 2 }),
})

test('average pools read bytes: any windows, divisors and signs', () => {
  let bytes = 0
  fc.assert(
    fc.property(
      fc.tuple(axis, axis),
      quantizers,
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom(undefined, 3),
      fc.nat(1000),
      (axes, given, ceilMode, countIncludePad, divisorOverride, seed) => {
        const pool = q.AvgPool2d({
          kernelSize: axes.map((a) => a.kernel) as [number, number],
          stride: axes.map((a) => a.stride) as [number, number],
          padding: axes.map((a) => a.padding) as [number, number],
          ceilMode,
          countIncludePad,
          ...(divisorOverride === undefined ? {} : { divisorOverride }),
        })
        const shape = [2, 3, axes[0].size, axes[1].size]
        const what = JSON.stringify({ axes, given, ceilMode, countIncludePad, divisorOverride, seed })
        bytes += seenOf(q.chain({ quant: quantizer(given), pool }), shape, seed, what)?.bytes ?? 0
      },
    ),
    { numRuns: 80 },
  )
  assert.ok(bytes >= 25, `${bytes} pools read bytes`)
})

test('adaptive average pools, and of one axis', () => {
  let bytes = 0
  fc.assert(
    fc.property(axis, axis, quantizers, fc.nat(1000), (a, b, given, seed) => {
      const outputSize = [Math.min(a.size, a.stride), Math.min(b.size, b.kernel)] as [number, number]
      const two = q.chain({ quant: quantizer(given), pool: q.AdaptiveAvgPool2d({ outputSize }) })
      const one = q.chain({
        quant: quantizer(given),
        pool: q.AvgPool1d({ kernelSize: b.kernel, stride: b.stride, padding: b.padding }),
      })
      const what = JSON.stringify({ a, b, given, seed })
      bytes += seenOf(two, [1, 5, a.size, b.size], seed, what)?.bytes ?? 0
      bytes += seenOf(one, [3, 2, b.size], seed, what)?.bytes ?? 0
    }),
    { numRuns: 50 },
  )
  assert.ok(bytes >= 40, `${bytes} pools read bytes`)
})

/** Of a quantized value `times` moved ones are joined, and a convolution reads that. */
const joined = (given: { readonly signed: boolean; readonly bitWidth: number }, dim: number, dims: readonly number[]) =>
  q.model(
    { quant: quantizer(given), conv: q.QuantConv2d({ inChannels: 4, outChannels: 2, kernelSize: 1 }) },
    (layers, params, state, x: q.Value) => {
      const [a, quant] = layers.quant(params.quant, state.quant, x)
      const [y, conv] = layers.conv(params.conv, state.conv, cat([a, permute(a, dims), a], dim))
      return [y, { quant, conv }]
    },
  )

test('what is moved and joined stays bytes', () => {
  fc.assert(
    fc.property(
      quantizers,
      fc.constantFrom(0, 2, 3),
      fc.integer({ min: 1, max: 30 }),
      fc.boolean(),
      fc.nat(1000),
      (given, dim, size, turned, seed) => {
        const net = joined(given, dim, turned ? [0, 1, 3, 2] : [0, 1, 2, 3])
        const what = JSON.stringify({ given, dim, size, turned, seed })
        const seen = seenOf(net, [2, 4, size, size], seed, what)
        assert.ok(seen !== null && seen.bytes >= 2, `${what}: ${seen?.bytes} values as bytes`)
      },
    ),
    { numRuns: 40 },
  )
})

/** A quantized value is repeated, padded and convolved. */
const padded = (
  given: { readonly signed: boolean; readonly bitWidth: number },
  sides: readonly number[],
  mode: 'constant' | 'reflect' | 'replicate' | 'circular',
) =>
  q.model(
    {
      quant: quantizer(given),
      up: q.QuantUpsamplingNearest2d({ scaleFactor: 2 }),
      conv: q.QuantConv2d({ inChannels: 2, outChannels: 3, kernelSize: 3 }),
    },
    (l, p, s, x: q.Value) => {
      const [a, quant] = l.quant(p.quant, s.quant, x)
      const [b, up] = l.up(p.up, s.up, a)
      const [y, conv] = l.conv(p.conv, s.conv, pad(b, sides, 0, mode))
      return [y, { quant, up, conv }]
    },
  )

test('what is repeated and padded stays bytes', () => {
  fc.assert(
    fc.property(
      quantizers,
      fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 2 })),
      fc.constantFrom('constant', 'reflect', 'replicate', 'circular'),
      fc.integer({ min: 3, max: 14 }),
      fc.nat(1000),
      (given, sides, mode, size, seed) => {
        const net = padded(given, [sides[0], sides[1], sides[1], sides[0]], mode)
        const what = JSON.stringify({ given, sides, mode, size, seed })
        const seen = seenOf(net, [2, 2, size, size + 1], seed, what)
        assert.ok(seen !== null && seen.bytes >= 3, `${what}: ${seen?.bytes} values as bytes`)
      },
    ),
    { numRuns: 40 },
  )
})

const inception = (channels: number, size: number) =>
  q.model(
    {
      input: q.QuantIdentity(RET),
      left: q.QuantConv2d({ inChannels: channels, outChannels: 3, kernelSize: 3, padding: 1 }),
      leftAct: q.QuantReLU(RET),
      pool: q.AvgPool2d({ kernelSize: 3, stride: 1, padding: 1 }),
      poolAct: q.QuantIdentity(RET),
      right: q.QuantConv2d({ inChannels: channels, outChannels: 5, kernelSize: 1 }),
      rightAct: q.QuantReLU(RET),
      join: q.QuantCat(RET),
      last: q.QuantConv2d({ inChannels: 8 + channels, outChannels: 4, kernelSize: size, stride: 2 }),
    },
    (l, p, s, x: q.Value) => {
      const [a, input] = l.input(p.input, s.input, x)
      const [b0, left] = l.left(p.left, s.left, a)
      const [b, leftAct] = l.leftAct(p.leftAct, s.leftAct, b0)
      const [c0, pool] = l.pool(p.pool, s.pool, a)
      const [c1, poolAct] = l.poolAct(p.poolAct, s.poolAct, c0)
      const [c2, right] = l.right(p.right, s.right, c1)
      const [c, rightAct] = l.rightAct(p.rightAct, s.rightAct, c2)
      const [d, join] = l.join(p.join, s.join, { values: [b, c, a], dim: 1 })
      const [y, last] = l.last(p.last, s.last, d)
      return [y, { input, left, leftAct, pool, poolAct, right, rightAct, join, last }]
    },
  )

test('branches that are averaged, quantized and joined stay bytes from the first quantizer to the last', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 3, max: 13 }),
      fc.nat(1000),
      (channels, size, seed) => {
        const seen = seenOf(inception(channels, Math.min(3, size)), [2, channels, size, size], seed, `${channels}`)
        assert.ok(seen !== null && seen.bytes >= 5 && seen.raised >= 1, JSON.stringify(seen))
      },
    ),
    { numRuns: 10 },
  )
})

test.run()
