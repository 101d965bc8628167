/**
 * Random small networks of all presets: the reference and WebAssembly give the same bits, forwards and backwards, what carries lies on its grid,
 * and what can be kept is kept. `QUANTRACE_PROGRAMS=2000 node --import tsx test/laws/presets.test.ts` tries so many (minutes).
 */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('laws: presets')
const RUNS = Number(process.env.QUANTRACE_PROGRAMS ?? 60)

const isPreset = (x: unknown): x is q.Quantizer => typeof x === 'object' && x !== null && 'use' in x && 'quantType' in x
const presets = Object.values(q).filter(isPreset)
const named = (name: string): q.Quantizer => presets.find((p) => p.name === name) ?? q.Int8ActPerTensorFloat
const acts = presets.filter((p) => p.use === 'act' && !p.scalingPerOutputChannel && !/BatchQuant/.test(p.name))
const weights = presets.filter((p) => p.use === 'weight')

/** The options that a preset needs, under a prefix; groups are of 2. */
const optionsOf = (
  p: q.Quantizer,
  prefix: string,
  widths: readonly [number, number],
  groupDim = -1,
): { readonly [o: string]: unknown } => {
  const name = (o: string): string => (prefix === '' ? o : prefix + o.charAt(0).toUpperCase() + o.slice(1))
  const [e, m] = widths
  const all = {
    ...(p.quantType === 'FLOAT' && p.exponentBitWidth === null
      ? { bitWidth: e + m + 1, exponentBitWidth: e, mantissaBitWidth: m }
      : {}),
    ...(p.scalingOver === 'GROUP' ? { groupSize: 2, ...(prefix === '' ? { groupDim } : {}) } : {}),
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

type Drawn = {
  readonly act: string
  readonly weight: string
  readonly tail: string
  readonly widths: readonly [number, number]
  readonly groupDim: number
  readonly size: readonly [number, number]
  readonly seed: number
}
const drawn: fc.Arbitrary<Drawn> = fc.record({
  act: fc.constantFrom(...acts.map((p) => p.name)),
  weight: fc.constantFrom(...weights.map((p) => p.name)),
  tail: fc.constantFrom(...Object.keys(TAILS)),
  widths: fc.tuple(fc.integer({ min: 2, max: 5 }), fc.integer({ min: 1, max: 4 })),
  groupDim: fc.constantFrom(-1, 0, 1),
  size: fc.tuple(fc.integer({ min: 2, max: 4 }), fc.integer({ min: 2, max: 9 })),
  seed: fc.integer({ min: 0, max: 1000 }),
})

const sameBits = (a: q.Tensor, b: q.Tensor): boolean =>
  a.shape.join() === b.shape.join() && a.data.every((v, i) => Object.is(v + 0, b.data[i] + 0))
const close = (a: q.Tensor, b: q.Tensor): boolean =>
  a.data.every((v, i) => v === b.data[i] || Math.abs(v - b.data[i]) <= 1e-4 * (1 + Math.abs(v)) || Number.isNaN(v))

/** Do groups of 2 stay whole where all axes become one? A group along the first axis holds elements that don't follow each other. */
const isTorn = (shape: q.Shape, group: q.Group): boolean =>
  group.dim === 0 ? shape[1] > 1 : shape[1] % group.size !== 0

/** What Brevitas keeps although a value may leave the grid; the only claims that these tails make, each with its counterexample. */
const CLAIMS = [
  /smallest signed integer has no absolute value/,
  /per-channel scale keeps its old shape and then broadcasts along other axes/,
  /zero point may be a fraction or out of range, and then 0 is off the grid/,
]

/** Is what can be kept of an activation's metadata kept? All of it, but for groups that a flatten tears. */
const isKept = (tail: string, from: q.Carried, to: q.Carried, shape: q.Shape): boolean => {
  if (from.tag !== 'carries' && from.tag !== 'claimed') return to.tag === 'float' || to.tag === 'stripped'
  if (tail === 'flatten' && from.quant.group !== undefined && isTorn(shape, from.quant.group))
    return to.tag === 'stripped'
  return to.tag === from.tag || (to.tag === 'claimed' && CLAIMS.some((why) => why.test(to.why)))
}

type Out = { readonly a: q.Output; readonly tail: q.Output; readonly y: q.Output }

/** A quantized activation, what a function makes of it, and a layer with quantized weights behind it. */
const netOf = ({ act: actName, weight: weightName, tail, widths, groupDim, size: [, k] }: Drawn) => {
  const [act, weight] = [named(actName), named(weightName)]
  const needsIntegers = weight.preScaling === 'A2Q' || weight.preScaling === 'A2Q_PLUS'
  return q.model(
    {
      act: q.QuantIdentity({ actQuant: act, returnQuantTensor: true, ...optionsOf(act, '', widths, groupDim) }),
      fc: q.QuantLinear({
        inFeatures: k,
        outFeatures: 3,
        weightQuant: weight,
        // Behind scales per row a bias is refused (SEMANTICS-2, section 12).
        bias: act.scalingOver !== 'ROW',
        ...optionsOf(weight, 'weight', widths),
        ...(needsIntegers ? { inputQuant: q.Int8ActPerTensorFloat, inputCollectStatsSteps: 1 } : {}),
      }),
    },
    (layers, params, state, x: q.Value) => {
      const [a, act1] = layers.act(params.act, state.act, x)
      const [y, fc1] = layers.fc(params.fc, state.fc, a)
      return [
        { a, tail: TAILS[tail](a), y },
        { act: act1, fc: fc1 },
      ]
    },
  )
}

/** What a program gives on both backends. */
const onBoth = <P, S, I, O>(program: q.Program<P, S, I, O>, args: q.RunArgs<P, S, I>) => {
  const compiled = q.orThrow(q.compile(program, q.wasm))
  const theirs = q.orThrow(compiled.run(args))
  compiled.dispose()
  return [q.orThrow(q.run(program, args)), theirs] as const
}

const carriedOf = (program: q.Program, output: number): q.Carried =>
  program.graph.nodes[program.outputs[output].node].carried

test(
  `${RUNS} random networks: reference ≡ WebAssembly, what carries lies on its grid, and what can is kept`,
  () => {
    fc.assert(
      fc.property(drawn, (d) => {
        const { act, weight, tail, size, seed } = d
        const net = netOf(d)
        const [x, generator] = q.randn(size)(q.manualSeed(seed))
        const [cotangent] = q.randn(
          tail === 'flatten' ? [size[0] * size[1]] : tail === 'transpose' ? size.toReversed() : size,
        )(generator)
        let trees = q.orThrow(q.init(net, seed))
        for (const mode of ['train', 'train', 'eval'] as const) {
          const program = q.orThrow(q.trace(net, q.tensorInput(size), { mode }))
          const [mine, theirs] = onBoth(program, { ...trees, inputs: x })
          const [a, b] = [mine.outputs as Out, theirs.outputs as Out]
          const said = `${act}, ${weight}, ${tail}, ${mode}`
          assert.ok(sameBits(q.valueOf(a.tail), q.valueOf(b.tail)), said)
          // Rounding to zero makes a step of the last bit of a sum: no value depends on it but for that.
          if (!named(weight).preScaling?.startsWith('A2Q')) assert.ok(close(q.valueOf(a.y), q.valueOf(b.y)), said)
          const carried = carriedOf(program, 1)
          if (carried.tag === 'carries' && q.isQuantTensor(a.tail))
            assert.ok(q.isValidQuantTensor(a.tail), `${said}: it is off its grid`)
          assert.ok(isKept(tail, carriedOf(program, 0), carried, size), `${said}: it ${carried.tag}`)
          const [own, other] = onBoth(q.orThrow(q.vjp(program, { output: 'tail', inputs: true })), {
            ...trees,
            inputs: { inputs: x, cotangent },
          }).map(({ grads }) => q.valueOf(grads.inputs as q.Output))
          assert.ok(close(own, other), `${said}: gradients`)
          trees = { ...trees, state: mine.state }
        }
      }),
      { numRuns: RUNS },
    )
  },
  { timeout: 60_000 + RUNS * 400 },
)

test.run()
