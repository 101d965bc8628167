/** A page says of a product what the plan makes of it: integers or float, and why; but for what only its size decides. */
import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import { sizeOf } from '../../src/data/shape.js'
import { describePlan } from '../../src/evaluator/wasm/describe.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import { isLicence, obstacleText, productLicence } from '../../src/graph/licence.js'
import * as q from '../../src/index.js'
import { sceneOf } from '../../viz/index.js'
import { right } from '../graph/fixtures/programs.js'
import { suite } from '../support/suite.js'
import { atWith } from './advised.js'
import { advised } from './advisedNets.js'
import { programs } from './programs.js'

const test = suite('viz: licence')

const BY_SIZE = /few rows|nothing to multiply/

/** How many products were compared; `fill`: counters before or behind their limits. */
const compared = (program: q.Program, fill: number): number => {
  const read = program.inputs.map((i) => new Float32Array(sizeOf(i.shape)).fill(fill))
  const plan = describePlan(
    planOf(program, (i) => read[i], [], newMath()),
    program.graph.nodes.length,
  )
  const shown = new Map(sceneOf(program).nodes.map((n) => [n.id, n]))
  let count = 0
  for (const p of plan.products) {
    const [node, seen] = [program.graph.nodes[p.node], shown.get(String(p.node))]
    const licensed = productLicence(program.graph, node)
    if (licensed === null) continue
    count++
    const licence = isLicence(licensed)
    assert.is(seen?.integer, licence, `%${p.node}: the page says ${seen?.integer}, the rule ${licence}`)
    if (licence) assert.ok(p.runsOn === 'integers' || BY_SIZE.test(p.why), `%${p.node}: ${p.runsOn}, for ${p.why}`)
    else {
      assert.is(p.runsOn, 'float')
      assert.is(p.why, obstacleText(licensed))
      assert.match(seen?.whyFloat ?? '', licensed[0].why.replace(/^it /, ''))
    }
  }
  return count
}

const both = (program: q.Program): number => compared(program, 0) + compared(program, 1e6)

test('the fixtures, and all nets that are advised on, in both modes', () => {
  let count = Object.values(programs).reduce((n, make) => n + both(make()), 0)
  for (const net of Object.values(advised))
    for (const mode of ['train', 'eval'] as const) {
      const layer = net.net(atWith([]).at)
      count += both(right(q.trace(layer, net.inputs as never, { mode, strict: net.strict ?? false })) as q.Program)
    }
  assert.ok(count > 300, `only ${count} products`)
})

const bits = fc.constantFrom(1, 2, 4, 8, 9, 16)
const acts = fc.constantFrom(
  q.Int8ActPerTensorFloat,
  q.Uint8ActPerTensorFloat,
  q.ShiftedUint8ActPerTensorFloat,
  q.SignedBinaryActPerTensorConst,
)
const weights = fc.constantFrom(
  q.Int8WeightPerTensorFloat,
  q.Int8WeightPerChannelFloat,
  q.ShiftedUint8WeightPerTensorFloat,
)
const CHANNELS = 4
const step: fc.Arbitrary<q.AnyLayer> = fc.oneof(
  fc
    .record(
      {
        weightQuant: weights,
        weightBitWidth: bits.filter((b) => b > 1),
        bias: fc.boolean(),
        inputQuant: acts.filter((a) => a.bitWidth !== 1),
        returnQuantTensor: fc.boolean(),
      },
      { requiredKeys: [] },
    )
    .chain((o): fc.Arbitrary<q.AnyLayer> => {
      const geometry = { inChannels: CHANNELS, outChannels: CHANNELS, kernelSize: 3, padding: 1, ...o }
      return fc
        .constantFrom(
          () => q.QuantConv2d(geometry),
          () => q.QuantConvTranspose2d(geometry),
          () => q.QuantConv2d({ ...geometry, groups: 2 }),
          () => q.QuantLinear({ inFeatures: 5, outFeatures: 5, ...o }),
        )
        .map((make) => make())
    }),
  fc
    .record(
      { actQuant: acts.filter((a) => a.bitWidth !== 1), bitWidth: bits.filter((b) => b > 1) },
      { requiredKeys: [] },
    )
    .map((o) => q.QuantIdentity({ ...o, returnQuantTensor: true })),
  fc.constant(q.QuantIdentity({ actQuant: q.SignedBinaryActPerTensorConst, returnQuantTensor: true })),
  fc.record({ bitWidth: bits.filter((b) => b > 1), returnQuantTensor: fc.boolean() }).map((o) => q.QuantReLU(o)),
  fc.constant(q.functionLayer('own', (x: q.Value) => q.matmul(x, x))),
  fc.constantFrom<q.AnyLayer>(q.ReLU(), q.Hardtanh(), q.Dropout(), q.AvgPool2d({ kernelSize: 1 })),
)

test(
  'random chains',
  () => {
    let count = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), fc.constantFrom('train', 'eval'), (steps, mode) => {
        const net = q.chain(Object.fromEntries(steps.map((l, i) => [`l${i}`, l])) as never)
        const program = q.trace(net as never, q.tensorInput([2, CHANNELS, 5, 5]), { mode: mode as 'train' | 'eval' })
        if (program._tag === 'Right') count += both(program.right as q.Program)
      }),
      { numRuns: 120 },
    )
    assert.ok(count > 100, `only ${count} products`)
  },
  { timeout: 60_000 },
)

test.run()
