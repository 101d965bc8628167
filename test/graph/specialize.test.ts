/** A program made for one network computes what the network computes, with the same metadata, and depends on data alone. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { quantOf } from '../../src/data/quant.js'
import { suite } from '../support/suite.js'

const test = suite('specialize')

const nets = {
  conv: () =>
    q.chain({
      input: q.QuantIdentity({ returnQuantTensor: true }),
      conv: q.QuantConv2d({
        inChannels: 1,
        outChannels: 2,
        kernelSize: 3,
        weightQuant: q.Int8WeightPerChannelFloat,
        biasQuant: q.Int16Bias,
        returnQuantTensor: true,
      }),
      norm: q.BatchNorm2d({ numFeatures: 2 }),
      act: q.QuantReLU({ bitWidth: 4, returnQuantTensor: true }),
    }),
  shifted: () =>
    q.chain({
      input: q.QuantIdentity({ actQuant: q.ShiftedUint8ActPerTensorFloat, returnQuantTensor: true }),
      conv: q.QuantConv2d({
        inChannels: 1,
        outChannels: 2,
        kernelSize: 3,
        weightQuant: q.ShiftedUint8WeightPerTensorFloat,
      }),
    }),
  sum: () =>
    q.residual(
      q.chain({ act: q.QuantIdentity({ returnQuantTensor: true }), tanh: q.QuantTanh({ returnQuantTensor: true }) }),
    ),
}

const shape = [1, 1, 4, 4]

/** A network after `steps` training steps on random data, its eval program, and an input. */
const trained = (net: q.Layer<unknown, unknown>, steps: number, seed: number) => {
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

for (const [name, make] of Object.entries(nets))
  test(`${name}: the same bits, the same metadata, no state, while collecting and once learned`, () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 33 }),
        fc.integer({ min: 0, max: 1000 }),
        fc.boolean(),
        (steps, seed, kept) => {
          const { program, params, state, inputs } = trained(make() as q.Layer<unknown, unknown>, steps, seed)
          const keep = (node: q.Node): boolean => kept && node.op.name === 'quantize'
          const fixed = q.orThrow(q.specialize(program, { params, state }, { keep }))
          const ours = q.orThrow(q.run(fixed.program, { params: fixed.constants, state: {}, inputs }))
          const theirs = q.orThrow(q.run(program, { params, state, inputs }))
          assert.equal(ours.outputs, theirs.outputs)
          assert.not(fixed.program.graph.nodes.some((n) => n.op.name === 'phase' || n.op.name === 'get'))
          assert.is(fixed.program.inputs.filter((i) => i.kind === 'state').length, 0)
          const [a, b] = [fixed.program, program].map((p) => p.graph.nodes[p.outputs[0].node])
          assert.is(quantOf(a.carried)?.bits, quantOf(b.carried)?.bits)
          // A file alone can't say that a constant lies on its grid: what it computes is the same.
          const stored = q.orThrow(q.parseProgram(q.ops)(q.programToJSON(fixed.program)))
          const again = q.run(stored, { params: fixed.constants, state: {}, inputs } as never)
          assert.equal(q.orThrow(again).outputs, theirs.outputs)
        },
      ),
      { numRuns: 12 },
    ))

test('what data does not reach is folded: quantized weights are constants, unless they are kept', () => {
  const { program, params, state } = trained(nets.conv() as q.Layer<unknown, unknown>, 0, 1)
  const count = (keep: (n: q.Node) => boolean): number =>
    q
      .orThrow(q.specialize(program, { params, state }, { keep }))
      .program.graph.nodes.filter((n) => n.op.name === 'quantize').length
  assert.is(
    count(() => false),
    2,
  )
  assert.is(
    count((n) => n.op.name === 'quantize'),
    4,
  )
})

test('what is known of a zero point is said: an integer, or 0, where a trace must say any', () => {
  const zeroOf = (net: q.Layer<unknown, unknown>, params: unknown): readonly (string | undefined)[] => {
    const { program, state } = trained(net, 3, 1)
    const fixed = q.orThrow(q.specialize(program, { params, state })).program
    return [program, fixed].map((p) => {
      const [result] = p.graph.nodes.filter((n) => n.path === 'conv' && quantOf(n.carried) !== null).slice(-1)
      return result === undefined ? undefined : quantOf(result.carried)?.zero
    })
  }
  // Brevitas: the zero point of a per-channel quantized bias moves by its integers.
  const quantized = nets.conv() as q.Layer<unknown, unknown>
  assert.equal(zeroOf(quantized, trained(quantized, 0, 1).params), ['equalScales', 'integer'])
  const floating = q.chain({
    input: q.QuantIdentity({ returnQuantTensor: true }),
    conv: q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 3, returnQuantTensor: true }),
  })
  const { params } = q.orThrow(q.init(floating, 1))
  const still = { ...params, conv: { ...params.conv, bias: q.zeros([2]) } }
  assert.equal(zeroOf(floating as q.Layer<unknown, unknown>, still), ['any', 'zero'])
})

test('a quant tensor as input keeps its declaration', () => {
  const layer = q.functionLayer('f', (x: q.Value) => q.relu(x))
  const program = q.orThrow(q.trace(layer, q.quantInput([3], { bits: 4, signed: true }), { mode: 'eval' }))
  const fixed = q.orThrow(q.specialize(program, { params: {}, state: {} })).program
  assert.is(q.printProgram(fixed), q.printProgram(program))
})

test('missing and misshaped leaves are all named; a failing check is a typed error', () => {
  const net = nets.conv()
  const { program, params, state } = trained(net as q.Layer<unknown, unknown>, 0, 1)
  const missing = q.specialize(program, { params: {}, state })
  assert.ok(E.isLeft(missing) && missing.left.length > 1 && missing.left.every((e) => e.tag === 'InputError'))
  const own = params as { readonly conv: { readonly weight: q.Tensor } }
  const wrong = q.specialize(program, { params: { ...own, conv: { ...own.conv, weight: q.zeros([1]) } }, state })
  assert.ok(E.isLeft(wrong) && /conv\.weight has shape \[1\]/.test(wrong.left[0].message))
})

test('a training program whose quantizers collect now keeps what its forward computes', () => {
  const net = q.QuantIdentity({ returnQuantTensor: true })
  const program = q.orThrow(q.trace(net, q.tensorInput([4]), { mode: 'train' }))
  const { params, state } = q.orThrow(q.init(net, 0))
  const inputs = q.tensorOf([4], [1, -2, 0.5, 3])
  const fixed = q.orThrow(q.specialize(program, { params, state }))
  assert.equal(
    q.orThrow(q.run(fixed.program, { params: fixed.constants, state: {}, inputs })).outputs,
    q.orThrow(q.run(program, { params, state, inputs })).outputs,
  )
})

test.run()
