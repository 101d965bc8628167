/** Where a plan puts its values: nothing is read before it was made or after it was written over, in any phase. */
import assert from 'node:assert/strict'
import * as q from '../../src/index.js'
import { at } from '../../src/data/tree.js'
import type { Commit } from '../../src/evaluator/backend.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { place, roomFor, type Buffer } from '../../src/evaluator/plan/place.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import { suite } from '../support/suite.js'
import { misplaced } from './support/placement.js'
import { get } from './support/programs.js'

const test = suite('wasm: places')

const perChannel = {
  scalingPerOutputChannel: true,
  perChannelBroadcastableShape: [1, 4, 1, 1],
  scalingStatsPermuteDims: [1, 0, 2, 3],
} as const
const conv = (options: Partial<q.WeightQuantizers & q.ConvOptions> = {}) =>
  q.QuantConv2d({ inChannels: 4, outChannels: 4, kernelSize: 3, padding: 1, ...options })
const act = q.QuantIdentity({ collectStatsSteps: 2, returnQuantTensor: true })
const nets = {
  usual: q.chain({
    a: act,
    conv: conv(),
    relu: q.QuantReLU({ collectStatsSteps: 3 }),
    pool: q.MaxPool2d({ kernelSize: 2 }),
  }),
  shared: q.chain({
    a: act,
    relu: q.ReLU(),
    b: act,
    body: q.residual(
      q.chain({
        conv: conv({ weightQuant: q.Int8WeightPerChannelFloat }),
        norm: q.BatchNorm2d({ numFeatures: 4 }),
        a: act,
      }),
    ),
  }),
  odd: q.chain({
    a: q.QuantReLU({ actQuant: q.ShiftedUint8ActPerTensorFloat, collectStatsSteps: 2, ...perChannel }),
    conv: conv({ weightQuant: q.SignedBinaryWeightPerTensorConst, groups: 2 }),
    drop: q.Dropout(),
    b: q.QuantIdentity({ actQuant: q.Int8ActPerTensorFloatMSE, collectStatsSteps: 2, quantDelaySteps: 1 }),
  }),
  learned: q.chain({
    a: act,
    conv: conv({
      weightScalingImplType: 'PARAMETER_FROM_STATS',
      biasQuant: q.Int16Bias,
      outputQuant: q.Int8ActPerTensorFixedPoint,
    }),
  }),
}
const optimizers = {
  sgd: q.sgd({ lr: 0.1, momentum: 0.9, dampening: 0.1, weightDecay: 0.01, nesterov: false }),
  adam: q.adam({ mask: ({ kind, path }) => ({ frozen: kind === 'state' || path.endsWith('bias') }) }),
}
const shapes = { x: q.tensorInput([3, 4, 6, 6]), target: q.tensorInput([3]) }

const commitsOf = (program: q.Program): readonly Commit[] =>
  program.inputs.flatMap((i, input) => {
    const o = program.outputs.find((p) => p.kind === i.kind && p.path === i.path)
    return o === undefined || i.kind === 'data' || i.kind === 'hyper'
      ? []
      : [{ output: program.graph.outputs.lastIndexOf(o.node), input }]
  })

for (const [name, net] of Object.entries<q.Layer>(nets))
  test(`${name}: training in each phase, and eval`, () => {
    const task = q.withLoss(q.chain({ net, flat: q.Flatten() }), q.crossEntropy)
    const { params, state: first } = get(q.init(task, 1))
    const traced = get(q.trace(task, shapes, { mode: 'train' }))
    const plain = get(q.compile(traced, q.reference))
    let state = first
    for (let k = 0; k < 5; k++) {
      const read =
        (program: q.Program) =>
        (i: number): Float32Array => {
          const { kind, path, shape } = program.inputs[i]
          const t = kind === 'param' || kind === 'state' ? at({ param: params, state }[kind], path) : null
          return t !== null && typeof t === 'object' && 'data' in t && t.data instanceof Float32Array
            ? t.data
            : q.zeros(shape).data
        }
      for (const [rule, optimizer] of Object.entries(optimizers)) {
        const { program } = get(q.withUpdate(get(q.grad(traced, { output: 'loss' })), optimizer))
        const commits = commitsOf(program)
        const plan = planOf(program, read(program), commits, newMath())
        assert.deepEqual(misplaced(plan, commits), [], `${rule}, step ${k + 1}`)
        assert.deepEqual(
          plan.copies.filter((c) => program.inputs[c.input].kind === 'slot'),
          [],
          `${rule}: the optimizer's memory is updated in place`,
        )
      }
      const evaluated = get(q.trace(task, shapes, { mode: 'eval' }))
      assert.deepEqual(misplaced(planOf(evaluated, read(evaluated), [], newMath()), []), [], `eval after ${k} steps`)
      state = get(
        plain.run({ params, state, inputs: { x: q.randn([3, 4, 6, 6])(q.manualSeed(k))[0], target: q.zeros([3]) } }),
      ).state
    }
  })

test('small values keep no large one out of the room that another leaves', () => {
  const [large, small] = [2 ** 20, 256]
  const arena = (buffers: readonly Buffer[]): number => place(buffers, 0).bytes
  // The first large value ends, a small one begins that lives longer, and a large one comes behind it.
  const buffers: readonly Buffer[] = [
    { bytes: large, from: 0, to: 1 },
    { bytes: large, from: 1, to: 4 },
    { bytes: small, from: 2, to: 4 },
    { bytes: large, from: 3, to: 4 },
  ]
  assert.ok(arena(buffers) < 2 * large + 2 * roomFor(small), `${arena(buffers)} bytes`)
})
test.run()
