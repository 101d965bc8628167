/** Quantizers at NaN and the infinities: what Brevitas 0.13.4 gave (recorded), on both backends; `int` of a NaN fails. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { leaves } from '../../src/data/tree.js'
import { isTensor } from '../../src/data/tensor.js'
import { suite } from '../support/suite.js'

const test = suite('quantizers at NaN')
const numbers = (text: string): readonly number[] => text.split(' ').map((t) => Number(t.replace('Inf', 'Infinity')))

const layers = {
  QuantIdentity: q.QuantIdentity({ collectStatsSteps: 1 }),
  QuantReLU: q.QuantReLU({ collectStatsSteps: 1 }),
  Shifted: q.QuantIdentity({ actQuant: q.ShiftedUint8ActPerTensorFloat, collectStatsSteps: 1 }),
  FixedPoint: q.QuantIdentity({ actQuant: q.Int8ActPerTensorFixedPoint, collectStatsSteps: 1 }),
}
const ALL = 'NaN NaN NaN NaN'
/**
 * Layer, input, the step that sees it (0: while collecting, 2: once learned; the others see 1, 0.5, -2, 4), output, gradients
 * for the cotangent 1: of the input, the learned threshold and the learned zero point.
 */
const rows: readonly (readonly [keyof typeof layers, string, number, string, string, string, string?])[] = [
  ['QuantIdentity', '1 NaN -2 0.5', 0, ALL, ALL, 'NaN'],
  ['QuantIdentity', '1 NaN -2 0.5', 2, '1 NaN -2 0.5', '1 1 1 1', 'NaN'],
  ['QuantIdentity', '1 Inf -2 0.5', 0, ALL, ALL, 'NaN'],
  ['QuantIdentity', '1 Inf -2 0.5', 2, '1 3.96875 -2 0.5', '1 0 1 1', 'NaN'],
  ['QuantIdentity', '1 -Inf -2 0.5', 2, '1 -4 -2 0.5', '1 0 1 1', 'NaN'],
  ['QuantReLU', '1 NaN -2 0.5', 0, ALL, 'NaN NaN 0 NaN', 'NaN'],
  ['QuantReLU', '1 NaN -2 0.5', 2, '1.00392 NaN 0 0.501961', '1 1 0 1', 'NaN'],
  ['QuantReLU', '1 Inf -2 0.5', 2, '1.00392 4 0 0.501961', '1 0 0 1', 'NaN'],
  ['QuantReLU', '1 -Inf -2 0.5', 0, '1 0 0 0.498039', '0.998039 0 0 1', '0'],
  ['QuantReLU', '1 -Inf -2 0.5', 2, '1.00392 0 0 0.501961', '1 0 0 1', '0.00147062'],
  ['Shifted', '1 NaN -2 0.5', 0, ALL, ALL, 'NaN', 'NaN'],
  ['Shifted', '1 NaN -2 0.5', 2, '1.01176 NaN -2 0.494118', '1 1 1 1', 'NaN', '0'],
  ['Shifted', '1 Inf -2 0.5', 2, '1.01176 4 -2 0.494118', '1 0 1 1', 'NaN', '1'],
  ['Shifted', '1 -Inf -2 0.5', 0, ALL, ALL, 'NaN', 'NaN'],
  ['FixedPoint', '1 NaN -2 0.5', 0, ALL, ALL, 'NaN'],
  ['FixedPoint', '1 Inf -2 0.5', 2, '1 3.96875 -2 0.5', '1 0 1 1', 'NaN'],
]

const like = (ours: ArrayLike<number>, theirs: string, what: string): void => {
  const t = numbers(theirs)
  assert.is(ours.length, t.length, what)
  t.forEach((v, i) =>
    assert.ok(
      Object.is(ours[i] + 0, v + 0) || (Number.isFinite(v) && Math.abs(ours[i] - v) <= 1e-5),
      `${what}[${i}]: ${ours[i]}, Brevitas gives ${v}`,
    ),
  )
}

for (const [name, given, when, output, dx, ...learned] of rows)
  test(`${name}, ${given} in step ${when}`, () => {
    const layer = layers[name]
    const program = q.orThrow(q.vjp(q.orThrow(q.trace(layer, q.tensorInput([4]), { mode: 'train' })), { inputs: true }))
    for (const backend of [q.reference, q.wasm]) {
      const compiled = q.orThrow(q.compile(program, backend))
      let { state } = q.orThrow(q.init(layer, 0))
      for (let step = 0; step <= when; step++) {
        const inputs = q.tensorOf([4], step === when ? numbers(given) : [1, 0.5, -2, 4])
        const ran = q.orThrow(
          compiled.run({ params: {}, state, inputs: { inputs, cotangent: q.full([4], 1) } } as never),
        )
        ;({ state } = ran as { state: typeof state })
        if (step < when) continue
        like((ran.outputs as q.Tensor).data, output, `${backend.name}: output`)
        like((ran.grads.inputs as q.Tensor).data, dx, `${backend.name}: gradient of the input`)
        const byPath = new Map(leaves(isTensor, ran.grads.state).map(({ path, leaf }) => [path, leaf]))
        learned.forEach((value, k) => {
          const path = `actQuant.${['scale', 'zeroPoint'][k]}.value`
          like(byPath.get(path)?.data ?? [], value ?? '', `${backend.name}: gradient of ${path}`)
        })
      }
    }
  })

test('an infinite input of a linear layer: the gradient of a weight that is the largest is NaN, of others infinite', () => {
  const layer = q.QuantLinear({ inFeatures: 2, outFeatures: 1, bias: false })
  const program = q.orThrow(
    q.vjp(q.orThrow(q.trace(layer, q.tensorInput([1, 2]), { mode: 'train' })), { inputs: true }),
  )
  for (const backend of [q.reference, q.wasm]) {
    const ran = q.orThrow(
      q.orThrow(q.compile(program, backend)).run({
        params: { weight: q.tensorOf([1, 2], [0.5, 1]) },
        state: q.orThrow(q.init(layer, 0)).state,
        inputs: { inputs: q.tensorOf([1, 2], [Infinity, 1]), cotangent: q.full([1, 1], 1) },
      } as never),
    )
    like((ran.grads.params as { readonly weight: q.Tensor }).weight.data, 'Inf NaN', backend.name)
  }
})

const quant = (value: readonly number[], scale = 0.5): q.QuantTensor => ({
  kind: 'quant',
  value: q.tensorOf([value.length], value),
  scale: q.scalar(scale),
  zeroPoint: q.scalar(0),
  bitWidth: q.scalar(8),
  signed: true,
  training: false,
})

test('int, neg and abs of a NaN fail as in Brevitas: not valid', () => {
  for (const [name, f] of Object.entries({ int: q.int, neg: q.neg, abs: q.abs })) {
    const layer = q.functionLayer<q.Value>('f', (x) => q.dequantize(f(x)))
    const program = q.orThrow(q.trace(layer, q.quantInput([2], { bits: 8, signed: true }), { mode: 'eval' }))
    for (const backend of [q.reference, q.wasm]) {
      const compiled = q.orThrow(q.compile(program, backend))
      // Trusted: what was declared is not compared with what is given, so that the operation itself has to see it.
      const run = (x: q.QuantTensor) => compiled.run({ params: {}, state: {}, inputs: x } as never, { trusted: true })
      for (const bad of [
        quant([1, NaN]),
        quant([Infinity, 1]),
        quant([1, 1], 0),
        quant([1, 1], NaN),
        quant([1, 0.7]),
      ]) {
        const ran = run(bad)
        assert.match(
          E.isLeft(ran) ? q.explainAll(ran.left) : 'ran',
          /QuantTensor not valid\./,
          `${name} on ${backend.name} of ${bad.value.data} and scale ${bad.scale.data}`,
        )
      }
      assert.ok(E.isRight(run(quant([1, -0.5]))), name)
    }
  }
})

test('int of a quantizer that is given a NaN fails, though the trace says carries', () => {
  const layer = q.chain({
    i: q.QuantIdentity({ scalingImplType: 'CONST', minVal: -1, maxVal: 1, returnQuantTensor: true }),
    f: q.functionLayer<q.Value>('f', (x) => q.int(x)),
  })
  const program = q.orThrow(q.trace(layer, q.tensorInput([2]), { mode: 'eval' }))
  const given = (x: readonly number[]) =>
    q.run(program, { ...q.orThrow(q.init(layer, 0)), inputs: q.tensorOf([2], x) } as never)
  assert.ok(E.isRight(given([0.5, 3])))
  const ran = given([0.5, NaN])
  assert.match(E.isLeft(ran) ? q.explainAll(ran.left) : 'ran', /not valid/)
})

test('a truncation to more bits than its accumulator has: the shift lies between 2^(in - out) and 1', () => {
  const rowsOfTrunc: readonly (readonly [number, number, readonly number[], q.Shape, string, number])[] = [
    // Bits in, width of the window, integers, shape, output, scale: collected by ShiftRoundSaturateTo8bit in one step.
    [2, 5, [-2, -2, -2, -2, -2], [1, 1, 1, 5], '-2', 0.015625],
    [2, 1, [1, -2], [1, 1, 2, 1], '1 -2', 0.015625],
    [4, 2, [3, 1, 7, -8], [1, 1, 2, 2], '2 -0.5', 0.0625],
    [10, 2, [511, -300, 4, 100], [1, 1, 2, 2], '104.67578125 51.92578125', 0.82421875],
  ]
  for (const [bits, width, ints, shape, output, scale] of rowsOfTrunc) {
    const layer = q.TruncAvgPool2d({
      kernelSize: [1, width],
      truncQuant: q.ShiftRoundSaturateTo8bit,
      collectStatsSteps: 1,
    })
    const x = { ...quant(ints, 1), value: q.tensorOf(shape, ints), bitWidth: q.scalar(bits), training: true }
    const declared = q.quantInput(shape, { bits, signed: true, training: true })
    const program = q.orThrow(q.trace(layer, declared as never, { mode: 'train' }))
    for (const backend of [q.reference, q.wasm]) {
      const { state } = q.orThrow(q.init(layer, 0))
      const ran = q.orThrow(q.orThrow(q.compile(program, backend)).run({ params: {}, state, inputs: x } as never))
      const y = ran.outputs as q.QuantTensor
      like(y.value.data, output, `${backend.name}: ${bits} bits`)
      assert.is(y.scale.data[0], scale)
    }
  }
})

test.run()
