/** Laws of quantizers: idempotent, monotone, half a step of error; quantize equals its decomposition. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { STATISTICS } from '../../src/quantizers/statistics.js'
import { errorBounded, idempotent, monotone, scaleArb, tensorArb } from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('laws: quantizers')
const holds = (what: string | null): void => {
  if (what !== null) throw new Error(what)
}

const fixedRange = fc
  .record({
    bits: fc.integer({ min: 2, max: 12 }),
    narrowRange: fc.boolean(),
    maxVal: fc.double({ min: 0.1, max: 10, noNaN: true }),
  })
  .map(({ bits, narrowRange, maxVal }) =>
    q.withOptions({ bitWidth: bits, narrowRange, maxVal: Math.fround(maxVal), minVal: -Math.fround(maxVal) })(
      q.Int8ActPerTensorFloatMinMaxInit,
    ),
  )
const inputs = tensorArb([12], [-12, 12])

test('idempotence', () => fc.assert(fc.property(fixedRange, inputs, (z, x) => holds(idempotent(z, x)))))
test('monotonicity', () => fc.assert(fc.property(fixedRange, inputs, (z, x) => holds(monotone(z, x)))))
test('half a step of error inside the range', () =>
  fc.assert(fc.property(fixedRange, inputs, (z, x) => holds(errorBounded(z, x, [-(z.maxVal ?? 0), z.maxVal ?? 0])))))

const [bits, lo, hi] = [4, -8, 7]

/** The decomposition: (clamp(round~identity(x/s + z)) - z) * s. */
const decomposed = (x: q.Value, s: q.Value, z: q.Value): q.Value => {
  const { kit } = x
  const r = kit.emit('clamp', [kit.emit('round~identity', [kit.emit('add', [kit.emit('div', [x, s]), z])])], {
    min: lo,
    max: hi,
  })
  return kit.emit('mul', [kit.emit('sub', [r, z]), s])
}
const fused = (x: q.Value, s: q.Value, z: q.Value): q.Value =>
  x.kit.emit('quantize', [x, s, z], {
    bits,
    signed: true,
    narrow: false,
    rounding: 'ROUND',
    clamp: 'mask',
    training: true,
    zero: 'integer',
  })

type Three = readonly [q.Value, q.Value, q.Value]
const gradsOf = (
  f: (x: q.Value, s: q.Value, z: q.Value) => q.Value,
  x: q.Tensor,
  s: number,
  z: number,
  g: q.Tensor,
) => {
  const layer = q.functionLayer<Three>('f', ([a, b, c]) => q.dequantize(f(a, b, c)))
  const program = q.orThrow(
    q.vjp(
      q.orThrow(
        q.trace(layer, [q.tensorInput(x.shape), q.tensorInput([]), q.tensorInput([])] as never, { mode: 'train' }),
      ),
      { inputs: true },
    ),
  )
  const ran = q.orThrow(
    q.run(program, { params: {}, state: {}, inputs: { inputs: [x, q.scalar(s), q.scalar(z)], cotangent: g } as never }),
  )
  return { y: q.valueOf(ran.outputs as q.Output), grads: ran.grads.inputs as unknown as readonly q.Tensor[] }
}
const near = (a: q.Tensor, b: q.Tensor, tolerance: number): boolean =>
  a.data.every((v, i) => Math.abs(v - b.data[i]) <= tolerance * (1 + Math.abs(v)))

test('quantize equals its decomposition in value and in every gradient', () => {
  fc.assert(
    fc.property(tensorArb([9]), scaleArb, fc.integer({ min: lo, max: hi }), tensorArb([9], [-1, 1]), (x, s, z, g) => {
      const [a, b] = [gradsOf(fused, x, s, z, g), gradsOf(decomposed, x, s, z, g)]
      if (!a.y.data.every((v, i) => v === b.y.data[i])) throw new Error('the values differ')
      a.grads.forEach((t, k) => {
        if (!near(t, b.grads[k], 1e-4))
          throw new Error(`the gradient of operand ${k} differs: ${t.data} and ${b.grads[k].data}`)
      })
    }),
  )
})

/** JSON has no NaN, and would call it equal to an infinity: the bytes tell them apart. */
const sameStates = (a: unknown, b: unknown): boolean =>
  Buffer.from(q.tensorsToBytes({ all: a } as never)).equals(Buffer.from(q.tensorsToBytes({ all: b } as never)))

test('threading state is a replay: the same start gives the same bits, old states stay valid', () => {
  const layer = q.QuantReLU({ collectStatsSteps: 3, returnQuantTensor: true })
  const program = q.orThrow(q.trace(layer, q.tensorInput([6]), { mode: 'train' }))
  fc.assert(
    fc.property(fc.array(tensorArb([6]), { minLength: 5, maxLength: 6 }), (xs) => {
      const play = () => {
        let { state } = q.orThrow(q.init(layer, 0))
        const states = [state]
        for (const x of xs) {
          state = q.orThrow(q.run(program, { params: {}, state, inputs: x })).state
          states.push(state)
        }
        return states
      }
      const [a, b] = [play(), play()]
      if (!a.every((s, i) => sameStates(s, b[i]))) throw new Error('a replay differs')
      const again = q.orThrow(q.run(program, { params: {}, state: a[2], inputs: xs[2] })).state
      if (!sameStates(again, a[3])) throw new Error('an old state gives something else now')
    }),
    { numRuns: 20 },
  )
})

/** A built-in statistic of a list of numbers. */
const statistic = (name: q.StatsOp, x: readonly number[]): number => {
  const layer = q.functionLayer('S', (v: q.Value) => STATISTICS[name].of(v, q.Int8ActPerTensorFloat))
  const program = q.orThrow(q.trace(layer, q.tensorInput([x.length]), { mode: 'eval' }))
  const inputs = { shape: [x.length], data: Float32Array.from(x) }
  return q.valueOf(q.orThrow(q.run(program, { params: {}, state: {}, inputs })).outputs).data[0]
}
const numbersArb = fc.array(
  fc.integer({ min: -512, max: 512 }).map((n) => n / 8),
  { minLength: 1, maxLength: 9 },
)

test('statistics form a semigroup: that of two lists follows from those of each, and their order is free', () => {
  fc.assert(
    fc.property(numbersArb, numbersArb, (a, b) => {
      const both = [...a, ...b]
      assert.is(statistic('MAX', both), Math.max(statistic('MAX', a), statistic('MAX', b)))
      const mean = (a.length * statistic('AVE', a) + b.length * statistic('AVE', b)) / both.length
      assert.ok(Math.abs(statistic('AVE', both) - mean) <= 1e-5 * (1 + mean))
      for (const name of ['MAX', 'MIN_MAX', 'PERCENTILE', 'PERCENTILE_INTERVAL'] as const)
        assert.is(statistic(name, both), statistic(name, [...b, ...a]))
    }),
    { numRuns: 60 },
  )
})

test.run()
