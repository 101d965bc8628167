/** Functions of integers: where they change, and the multiplier and shift that say the same. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { apart, fitSteps, type Affine } from '../../src/integer/lower/fit.js'
import { findSteps, type IntegerFunction, type Steps } from '../../src/integer/lower/steps.js'
import { ROUNDINGS, type Rounding } from '../../src/ops/rounding.js'
import { suite } from '../support/suite.js'

const test = suite('integer: forms')

const clamp = (v: number, lo: number, hi: number): number => Math.min(hi, Math.max(lo, v))
const each =
  (f: (x: number) => number): IntegerFunction =>
  (points) =>
    points.map(f)
const valueAt = ({ start, step, at }: Steps, x: number): number => start + step * at.filter((t) => t <= x).length
const stepsOf = (f: (x: number) => number, lo: number, hi: number): Steps => {
  const found = findSteps(each(f), { lo, hi }, 1)
  if (found === null || found.steps === null) throw new Error('no steps were found')
  return found.steps[0]
}

/** `clamp(round(slope * x + height))`, as a quantizer with a scale has it. */
const quantizer = (slope: number, height: number, rounding: Rounding, lo: number, hi: number) => (x: number) =>
  clamp(ROUNDINGS[rounding](slope * x + height), lo, hi) + 0

const slopes = fc.double({ min: 1e-4, max: 3, noNaN: true }).chain((s) => fc.constantFrom(s, -s))
const heights = fc.double({ min: -20, max: 20, noNaN: true }).map((h) => Math.round(h * 1e6) / 1e6)
const roundings = fc.constantFrom<Rounding>('ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU')

test('bisection finds the steps that asking everywhere finds', () => {
  fc.assert(
    fc.property(
      slopes,
      heights,
      roundings,
      fc.integer({ min: -90_000, max: 0 }),
      fc.integer({ min: 1, max: 90_000 }),
      (m, h, r, lo, hi) => {
        const f = quantizer(m, h, r, -128, 127)
        const s = stepsOf(f, lo, hi)
        for (let x = lo; x <= hi; x += 37) assert.is(valueAt(s, x), f(x))
        for (const t of s.at) {
          assert.is(valueAt(s, t), f(t))
          assert.is(valueAt(s, t - 1), f(t - 1))
        }
      },
    ),
    { numRuns: 15 },
  )
})

test('a long range is bisected: few integers are asked', () => {
  let asked = 0
  const f = quantizer(1e-6, 0.3, 'ROUND', -128, 127)
  const found = findSteps((points) => ((asked += points.length), points.map(f)), { lo: -(2 ** 30), hi: 2 ** 30 }, 1)
  assert.is(found?.everywhere, false)
  assert.ok(asked < 20_000, `${asked} were asked`)
  for (const t of found?.steps?.[0].at ?? []) assert.ok(f(t) > f(t - 1))
  assert.is(found?.steps?.[0].at.length, 255)
})

test('a function that rises and falls has no steps, and all its values where its range is short', () => {
  const found = findSteps(
    each((x) => x * x),
    { lo: -8, hi: 8 },
    1,
  )
  assert.is(found?.steps, null)
  assert.equal(found?.values?.slice(0, 3), Float64Array.of(64, 49, 36))
  assert.is(
    findSteps(
      each((x) => Math.abs(x) % 50),
      { lo: -1e7, hi: 1e7 },
      1,
    )?.steps,
    null,
  )
})

/** Asks `apart` of a form, and every integer of a range. */
const checkApart = (a: Affine, m: number, h: number): void => {
  const [lo, hi] = [-200, 170]
  const s = stepsOf(quantizer(m, h, 'ROUND', -16, 15), lo, hi)
  if (a.multiplier * s.step <= 0) return
  const ends = [s.start, s.start + s.step * s.at.length]
  const out = { lo: Math.min(...ends), hi: Math.max(...ends) }
  let [integers, most] = [0, 0]
  for (let x = lo; x <= hi; x++) {
    const y = clamp(ROUNDINGS[a.rounding]((x * a.multiplier + a.offset) / 2 ** a.shift), out.lo, out.hi)
    const d = Math.abs(y - valueAt(s, x))
    integers += d
    most = Math.max(most, d)
  }
  assert.equal(apart(a, s, { lo, hi }, out), { integers, most })
}

test('what a form gets wrong is counted, integer by integer', () => {
  const form = fc.record<Affine>({
    multiplier: fc.integer({ min: -300, max: 300 }),
    offset: fc.integer({ min: -5000, max: 5000 }),
    shift: fc.integer({ min: 0, max: 12 }),
    rounding: roundings,
  })
  fc.assert(fc.property(form, slopes, heights, checkApart), { numRuns: 150 })
})

test('the same of forms that are nearly right', () => {
  const near = fc.integer({ min: -6, max: 6 })
  fc.assert(
    fc.property(
      slopes,
      heights,
      roundings,
      fc.integer({ min: 2, max: 12 }),
      near,
      near,
      (m, h, rounding, shift, u, v) =>
        checkApart(
          { multiplier: Math.round(m * 2 ** shift) + u, offset: Math.round(h * 2 ** shift) + v, shift, rounding },
          m,
          h,
        ),
    ),
    {
      numRuns: 150,
      // Two steps at one place, of which the form makes one in time.
      examples: [[29 / 28, 0, 'ROUND', 7, -9, 0]],
    },
  )
})

test('a scale becomes a multiplier and shift that is right for every integer, or for all but ties', () => {
  fc.assert(
    fc.property(slopes, heights, fc.constantFrom<Rounding>('ROUND', 'FLOOR', 'CEIL'), (m, h, r) => {
      const [lo, hi] = [-5000, 5000]
      const s = stepsOf(quantizer(m, h, r, -128, 127), lo, hi)
      const ends = [s.start, s.start + s.step * s.at.length]
      const out = { lo: Math.min(...ends), hi: Math.max(...ends) }
      const fit = fitSteps(s, 'FLOOR', { lo, hi }, out)
      // Ties of a scale that is a fraction like 1/2500 fall to either side in turn, and no line does that.
      assert.ok(
        fit.apart.integers <= s.at.length / 2 && fit.apart.most <= 1,
        `slope ${m} height ${h} ${r}: ${JSON.stringify(fit)}`,
      )
    }),
    { numRuns: 40 },
  )
})

test('a power of two is a plain shift with the rounding of the quantizer, ties included', () => {
  for (const shift of [1, 4, 9])
    for (const bias of [0, 3, -17]) {
      const [lo, hi] = [-70_000, 70_000]
      const f = (x: number): number => clamp(ROUNDINGS.ROUND((x + bias) / 2 ** shift), -128, 127) + 0
      const s = stepsOf(f, lo, hi)
      const { form, apart: off } = fitSteps(s, 'ROUND', { lo, hi }, { lo: -128, hi: 127 })
      assert.equal(off, { integers: 0, most: 0 })
      assert.equal(form, { multiplier: 1, offset: bias, shift, rounding: 'ROUND' })
    }
})

test.run()
