/**
 * Random small networks of all presets: the reference and WebAssembly give the same bits, and what carries lies on its grid. QUANTRACE_PROGRAMS
 * says how many (2,000 take minutes).
 */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('laws: presets')
const RUNS = Number(process.env.QUANTRACE_PROGRAMS ?? 60)

const isPreset = (x: unknown): x is q.Quantizer => typeof x === 'object' && x !== null && 'use' in x && 'quantType' in x
const presets = Object.values(q).filter(isPreset)
const acts = presets.filter((p) => p.use === 'act' && !p.scalingPerOutputChannel && !/BatchQuant/.test(p.name))
const weights = presets.filter((p) => p.use === 'weight')

/** The options that a preset needs, under a prefix; groups are of 2 along the last axis. */
const optionsOf = (
  p: q.Quantizer,
  prefix: string,
  widths: readonly [number, number],
): { readonly [o: string]: unknown } => {
  const name = (o: string): string => (prefix === '' ? o : prefix + o.charAt(0).toUpperCase() + o.slice(1))
  const [e, m] = widths
  const all = {
    ...(p.quantType === 'FLOAT' && p.exponentBitWidth === null
      ? { bitWidth: e + m + 1, exponentBitWidth: e, mantissaBitWidth: m }
      : {}),
    ...(p.scalingOver === 'GROUP' ? { groupSize: 2, ...(prefix === '' ? { groupDim: -1 } : {}) } : {}),
    ...(p.scalingImplType === 'PARAMETER' || (p.scalingImplType === 'CONST' && p.use === 'act')
      ? { minVal: -1, maxVal: 1, scalingInit: 1 }
      : {}),
    ...(prefix === '' ? { collectStatsSteps: 1 } : {}),
  }
  return Object.fromEntries(Object.entries(all).map(([o, v]) => [name(o), v]))
}

const TAILS: { readonly [name: string]: (x: q.Value) => q.Value } = {
  relu: q.relu,
  abs: q.abs,
  flatten: (x) => q.flatten(x, 0),
  transpose: (x) => q.transpose(x, 0, 1),
  again: q.identity,
}

const programArb = fc.record({
  act: fc.constantFrom(...acts),
  weight: fc.constantFrom(...weights),
  tail: fc.constantFrom(...Object.keys(TAILS)),
  widths: fc.tuple(fc.integer({ min: 2, max: 5 }), fc.integer({ min: 1, max: 4 })),
  size: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 2, max: 9 })),
  seed: fc.integer({ min: 0, max: 1000 }),
})

const sameBits = (a: q.Tensor, b: q.Tensor): boolean =>
  a.shape.join() === b.shape.join() && a.data.every((v, i) => Object.is(v + 0, b.data[i] + 0))
const close = (a: q.Tensor, b: q.Tensor): boolean =>
  a.data.every((v, i) => v === b.data[i] || Math.abs(v - b.data[i]) <= 1e-4 * (1 + Math.abs(v)) || Number.isNaN(v))

type Out = { readonly tail: q.Output; readonly y: q.Output }

test(
  `${RUNS} random networks: reference ≡ WebAssembly, and what carries lies on its grid`,
  () => {
    fc.assert(
      fc.property(programArb, ({ act, weight, tail, widths, size: [n, k], seed }) => {
        const needsIntegers = weight.preScaling === 'A2Q' || weight.preScaling === 'A2Q_PLUS'
        const net = q.model(
          {
            act: q.QuantIdentity({ actQuant: act, returnQuantTensor: true, ...optionsOf(act, '', widths) }),
            fc: q.QuantLinear({
              inFeatures: k,
              outFeatures: 3,
              weightQuant: weight,
              ...optionsOf(weight, 'weight', widths),
              ...(needsIntegers ? { inputQuant: q.Int8ActPerTensorFloat, inputCollectStatsSteps: 1 } : {}),
            }),
          },
          (layers, params, state, x: q.Value) => {
            const [a, act1] = layers.act(params.act, state.act, x)
            const [y, fc1] = layers.fc(params.fc, state.fc, a)
            return [
              { tail: TAILS[tail](a), y },
              { act: act1, fc: fc1 },
            ]
          },
        )
        let trees = q.orThrow(q.init(net, seed))
        for (const mode of ['train', 'train', 'eval'] as const) {
          const program = q.orThrow(q.trace(net, q.tensorInput([n, k]), { mode }))
          const [x] = q.randn([n, k])(q.manualSeed(seed))
          const mine = q.orThrow(q.run(program, { ...trees, inputs: x }))
          const compiled = q.orThrow(q.compile(program, q.wasm))
          const theirs = q.orThrow(compiled.run({ ...trees, inputs: x }))
          compiled.dispose()
          const [a, b] = [mine.outputs as Out, theirs.outputs as Out]
          assert.ok(sameBits(q.valueOf(a.tail), q.valueOf(b.tail)), `${act.name} ${tail} ${mode}`)
          // Rounding to zero makes a step of the last bit of a sum: no value depends on it but for that.
          if (!needsIntegers) assert.ok(close(q.valueOf(a.y), q.valueOf(b.y)), `${weight.name} ${mode}`)
          const { carried } = program.graph.nodes[program.outputs[0].node]
          if (carried.tag === 'carries' && q.isQuantTensor(a.tail))
            assert.ok(q.isValidQuantTensor(a.tail), `${act.name} ${tail} is off its grid`)
          trees = { ...trees, state: mine.state }
        }
      }),
      { numRuns: RUNS },
    )
  },
  { timeout: 60_000 + RUNS * 400 },
)

test.run()
