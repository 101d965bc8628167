/** Quantizers of a user's own: widths at the edge, scales of both signs. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { errorsOf, says } from './support.js'

const test = suite('custom quantizers')

const traced = (options: Partial<q.CustomQuantizer>) => {
  const quantizer = q.customQuantizer({
    name: 'mine',
    bits: 4,
    signed: true,
    threshold: (x) => q.max(q.abs(x)),
    ...options,
  })
  return q.trace(q.functionLayer('mine', quantizer), q.tensorInput([4]), { mode: 'eval' })
}

test('widths from 1 to 32', () => {
  for (const bits of [1, 2, 21, 32]) assert.ok(E.isRight(traced({ bits })), `${bits}`)
  for (const bits of [0, -1, 33, 1.5, NaN]) {
    const made = traced({ bits })
    assert.ok(E.isLeft(made), `${bits}`)
    if (E.isLeft(made)) assert.match(made.left[0].message, `mine: a bit width of ${bits} was asked for`)
  }
})

test('the scale is the threshold over the most steps to that side', () => {
  const scaleOf = (options: Partial<q.CustomQuantizer>, xs: readonly number[]): number => {
    const program = q.orThrow(traced(options))
    const ran = q.orThrow(q.run(program, { params: {}, state: {}, inputs: q.tensorOf([4], xs) } as never))
    return (ran.outputs as unknown as q.QuantTensor).scale.data[0]
  }
  assert.is(scaleOf({}, [1, -4, 2, 0]), 0.5)
  assert.is(scaleOf({ signed: false }, [1, 30, 2, 0]), 2)
  assert.is(scaleOf({ restrict: (t) => q.mul(t, t) }, [1, -4, 2, 0]), 2)
  assert.is(scaleOf({}, [0, 0, 0, 0]), Math.fround(Math.fround(1e-10) / 8))
  assert.is(scaleOf({ scalingMinVal: 16 }, [0, 0, 0, 0]), 2)
})

test('what is quantized already is quantized anew, and what is no value is refused', () => {
  const seen = new Set<string>()
  const threshold = (x: q.Value): q.Value => {
    seen.add(x.carried.tag)
    return q.max(q.abs(x))
  }
  const quantizer = q.customQuantizer({ name: 'mine', bits: 4, signed: true, threshold })
  for (const mode of ['train', 'eval'] as const) {
    const twice = q.functionLayer('twice', (x: q.Value) => quantizer(quantizer(x)))
    const program = q.orThrow(q.trace(twice, q.tensorInput([4]), { mode }))
    const inputs = q.tensorOf([4], [1, -4, 2, 0])
    const out = q.orThrow(q.run(program, { params: {}, state: {}, inputs } as never))
      .outputs as unknown as q.QuantTensor
    assert.equal([out.scale.data[0], out.training], [0.5, mode === 'train'])
    assert.equal([...out.value.data], [1, -4, 2, 0])
  }
  assert.not(seen.has('carries'))
  assert.throws(() => quantizer(3 as never), /a traced value/)
})

test('a piece under a misspelt name is told, with the right one; one of a wrong type by its name', () => {
  const pieces = { name: 'Own', bits: 4, signed: true, threshold: q.max }
  const told = (given: object): string =>
    q.explainAll(
      errorsOf(
        q.trace(
          q.functionLayer('f', (x: q.Value) => q.customQuantizer(given as q.CustomQuantizer)(x)),
          q.tensorInput([4]),
          { mode: 'eval' },
        ),
      ),
    )
  says(told({ ...pieces, scalingMinval: 1e-3 }), /no option "scalingMinval"\n {2}fix: did you mean scalingMinVal\?/)
  says(told({ ...pieces, bits: '4' }), /bits: "4"; it must be a number/)
  says(told({ ...pieces, threshold: undefined }), /needs threshold: a function/)
})

test.run()
