/** Series of a live page, thinned: laws of what is kept. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { partsOf } from '../../viz/live/curves.js'
import { broken, bucketed, extentOf, remembered, smoothed, type ScalePoint } from '../../viz/live/series.js'
import { tensorOf, type QuantTensor } from '../../src/index.js'
import { summaryOf } from '../../viz/live/summary.js'
import { numbersOf } from '../../viz/scene/numbers.js'
import { suite } from '../support/suite.js'

const test = suite('viz: live series')
const values = fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 900 })

test('stretches: no more than asked for, the same extremes, the last step, means within', () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 300 }), (vs, most) => {
      const buckets = bucketed(
        vs.map((v, i) => [i, v]),
        most,
      )
      assert.ok(buckets.length <= most)
      assert.is(Math.min(...buckets.map((b) => b.min)), Math.min(...vs))
      assert.is(Math.max(...buckets.map((b) => b.max)), Math.max(...vs))
      assert.is(buckets.at(-1)?.step, vs.length - 1)
      for (const b of buckets) assert.ok(b.mean >= b.min - 1e-6 && b.mean <= b.max + 1e-6)
    }),
  )
  assert.equal(
    bucketed(
      [
        [0, NaN],
        [1, 2],
        [2, Infinity],
      ],
      10,
    ),
    [{ step: 1, mean: 2, min: 2, max: 2 }],
  )
})

test('a smoothed line stays within the values, and follows a constant exactly', () => {
  fc.assert(
    fc.property(values, (vs) => {
      for (const [, v] of smoothed(
        bucketed(
          vs.map((x, i) => [i, x]),
          200,
        ),
      ))
        assert.ok(v >= Math.min(...vs) - 1e-6 && v <= Math.max(...vs) + 1e-6)
    }),
  )
  assert.equal(
    smoothed(
      bucketed(
        [
          [1, 3],
          [2, 3],
        ],
        9,
      ),
    ),
    [
      [1, 3],
      [2, 3],
    ],
  )
})

const point = (step: number, learned = true): ScalePoint => ({ step, scale: step + 1, learned })

test('a history stays short, in order, and keeps its ends; a step told twice counts once', () => {
  let history: readonly ScalePoint[] = []
  for (let step = 0; step < 5000; step++) history = remembered(history, point(step))
  assert.ok(history.length <= 400)
  assert.equal([history[0].step, history.at(-1)?.step], [0, 4999])
  assert.ok(history.every((p, i) => i === 0 || p.step > history[i - 1].step))
  assert.is(remembered([point(3)], point(3)).length, 1)
})

test('statistics and learned values part at the switch; other bits break the line', () => {
  const history = [point(0, false), point(1, false), point(2), point(3)]
  const [statistics, learned] = partsOf(history)
  assert.equal(
    [statistics.map((p) => p.step), learned.map((p) => p.step)],
    [
      [0, 1, 2],
      [2, 3],
    ],
  )
  assert.equal(
    partsOf(history.slice(0, 2)).map((p) => p.length),
    [2, 0],
  )
  const gap = remembered(broken(history), point(3))
  assert.equal(
    gap.map((p) => Number.isFinite(p.scale)),
    [true, true, true, true, false, true],
  )
  assert.equal(broken([]), [])
})

test('an extent is never empty', () => {
  assert.is(extentOf([NaN]), null)
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1 }), (vs) => {
      const [lo, hi] = extentOf(vs) ?? [0, 0]
      assert.ok(lo < hi && vs.every((v) => v >= lo && v <= hi))
    }),
  )
})

test('a summary in one pass says what the numbers of a report say', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 9 }),
      fc.boolean(),
      fc.integer({ min: -1, max: 2 }),
      fc.array(fc.integer({ min: -600, max: 600 }), { minLength: 1, maxLength: 300 }),
      (bits, signed, zero, ints) => {
        const [lo, hi] = [signed ? -(2 ** (bits - 1)) : 0, signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1]
        const [scale, zeroPoint] = [Math.fround(0.037), Math.max(lo, zero)]
        const data = Float32Array.from(
          ints.map((q, i) => (i % 17 === 16 ? NaN : (Math.min(hi, Math.max(lo, q)) - zeroPoint) * scale)),
        )
        const x: QuantTensor = {
          kind: 'quant',
          value: { shape: [data.length], data },
          scale: tensorOf([], [scale]),
          zeroPoint: tensorOf([], [zeroPoint]),
          bitWidth: tensorOf([], [bits]),
          signed,
          training: true,
        }
        const [quick, slow] = [summaryOf(x), numbersOf(x)]
        assert.equal({ ...quick, min: 0, max: 0, bins: [] }, { ...slow, min: 0, max: 0, bins: [] })
        assert.equal(
          quick.bins.filter((n) => n > 0).length > 0,
          slow.bins.some((n) => n > 0),
        )
        if (bits <= 6) assert.equal(quick.bins, slow.bins)
        for (const end of ['min', 'max'] as const) assert.ok(Math.abs(quick[end] - slow[end]) < scale / 4)
      },
    ),
  )
})

test.run()
