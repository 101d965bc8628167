/** A page for each idea of the tutorial: two ways to say it, side by side, with the numbers of a run. */
import * as E from 'fp-ts/lib/Either.js'
import {
  add,
  chain,
  functionLayer,
  Int8ActPerTensorFloat,
  manualSeed,
  model,
  orThrow,
  QuantConv2d,
  QuantIdentity,
  QuantReLU,
  rand,
  randn,
  relu,
  run,
  ShiftedUint8ActPerTensorFloat,
  trace,
  type Generator,
  type Layer,
  type Output,
  type Program,
  type Tensor,
  type Value,
} from '../../src/index.js'
import { pairOf, toHtml, toSvg, type PairOptions } from '../../viz/index.js'
import { construct, declared, quant, runOnce, type Live } from './notebook.js'

/** One way to say it: a program and the outputs of a run. */
type Way = { readonly name: string; readonly program: Program; readonly outputs: unknown }
/** An idea: where the tutorial has it, what it is, and two ways. */
export type Idea = {
  readonly file: string
  readonly cells: string
  readonly title: string
  readonly text: string
  readonly ways: readonly [Way, Way]
}

const CONV = { inChannels: 2, outChannels: 3, kernelSize: [3, 3] } as const
const SAME = { inChannels: 2, outChannels: 2, kernelSize: [3, 3], padding: 1 } as const
const STEPS = 30
const keep = { returnQuantTensor: true } as const

const seeded = <P, S>(layer: Layer<P, S>): Live<P, S> => construct(layer, manualSeed(0))[0]

const way = <P, S>(name: string, live: Live<P, S>, x: Output, mode: 'train' | 'eval' = 'train'): Way => {
  const program = orThrow(trace(live.layer, declared(x), { mode }))
  // On the reference: two ways are compared bit by bit, and the fast backend sums integers and floats in different orders.
  return {
    name,
    program,
    outputs: orThrow(run(program, { params: live.params, state: live.state, inputs: x })).outputs,
  }
}

/** A way whose run a check stops, with what it says. */
const stopped = <P, S>(name: string, live: Live<P, S>, x: Output): { readonly way: Way; readonly says: string } => {
  const program = orThrow(trace(live.layer, declared(x), { mode: 'eval' }))
  const ran = runOnce(program, { params: live.params, state: live.state, inputs: x })
  if (E.isRight(ran) || ran.left[0].tag !== 'CheckFailed') throw new Error(`${name}: a check was expected to fail`)
  return {
    way: { name, program, outputs: undefined },
    says: /: (.*?)[:.]/.exec(ran.left[0].message)?.[1] ?? ran.left[0].message,
  }
}

/** The layer after some batches in training: its quantizers have seen them. */
const trained = <P, S>(live: Live<P, S>, batches: readonly Tensor[]): Live<P, S> => {
  const program = orThrow(trace(live.layer, declared(batches[0]), { mode: 'train' }))
  return batches.reduce(
    (at, inputs) => ({ ...at, state: orThrow(runOnce(program, { params: at.params, state: at.state, inputs })).state }),
    live,
  )
}

/** So many batches from a stream. */
const batches = (shape: readonly number[], count: number, generator: Generator): readonly Tensor[] =>
  Array.from({ length: count }).reduce<{ readonly made: readonly Tensor[]; readonly from: Generator }>(
    ({ made, from }) => {
      const [x, next] = randn(shape)(from)
      return { made: [...made, x], from: next }
    },
    { made: [], from: generator },
  ).made

const returning = (inp: Tensor): Idea => {
  const net = (returnQuantTensor: boolean) =>
    seeded(chain({ quant: QuantIdentity({ returnQuantTensor }), conv: QuantConv2d(CONV) }))
  return {
    file: 'return-quant-tensor',
    cells: '5 to 8',
    title: 'returnQuantTensor, false and true',
    text: 'Both quantizers round alike, so the numbers are the same. But only who hands the metadata on lets the convolution run on integers.',
    ways: [way('returns plain', net(false), inp), way('returns quant', net(true), inp)],
  }
}

const disabled = (inp: Tensor): Idea => {
  const given = quant(
    orThrow(
      runOnce(orThrow(trace(QuantIdentity(keep), declared(inp), { mode: 'train' })), {
        ...seeded(QuantIdentity(keep)),
        inputs: inp,
      }),
    ).outputs,
  )
  const net = (returnQuantTensor: boolean) =>
    seeded(chain({ disabled: QuantReLU({ actQuant: null, returnQuantTensor }) }))
  return {
    file: 'disabled-quantizer',
    cells: '7, 8 and 10',
    title: 'A quantizer that is switched off',
    text: 'With actQuant: null the layer is a plain ReLU. A quant tensor that comes in keeps its metadata if the layer may return one, else it is stripped.',
    ways: [way('returns plain', net(false), given), way('returns quant', net(true), given)],
  }
}

/** Enough numbers to fill a grid. */
const large = (): Tensor => randn([1, 2, 34, 34])(manualSeed(2))[0]

const wastedBit = (inp: Tensor): Idea => ({
  file: 'wasted-bit',
  cells: '13 and 14',
  title: 'Quantize, then ReLU; or ReLU, then quantize',
  text: 'On the left, half of a signed grid is spent on numbers that ReLU throws away: seven of eight bits are left. QuantReLU quantizes what remains, on an unsigned grid.',
  ways: [
    way(
      'conv, quant, ReLU',
      seeded(
        chain({
          input: QuantIdentity(keep),
          conv: QuantConv2d({ ...CONV, outputQuant: Int8ActPerTensorFloat, ...keep }),
          relu: functionLayer('relu', relu),
        }),
      ),
      inp,
    ),
    way(
      'conv, QuantReLU',
      seeded(chain({ input: QuantIdentity(keep), conv: QuantConv2d(CONV), relu: QuantReLU(keep) })),
      inp,
    ),
  ],
})

const twoStyles = (inp: Tensor): Idea => ({
  file: 'two-styles',
  cells: '2 and 3',
  title: 'Two styles, the same numbers, another export',
  text: 'A convolution that quantizes its own output, and one that leaves it to a layer behind it. The results agree bit by bit; the graphs that are exported do not.',
  ways: [
    way(
      'outputQuant',
      seeded(
        chain({
          input: QuantIdentity(keep),
          conv: QuantConv2d({ ...CONV, outputQuant: Int8ActPerTensorFloat, ...keep }),
        }),
      ),
      inp,
    ),
    way(
      'a layer of its own',
      seeded(chain({ input: QuantIdentity(keep), conv: QuantConv2d(CONV), quant: QuantIdentity(keep) })),
      inp,
    ),
  ],
})

const own = () =>
  model(
    { input: QuantIdentity(keep), conv: QuantConv2d(SAME), branch: QuantIdentity(keep), next: QuantConv2d(SAME) },
    (layers, params, state, x: Value) => {
      const [a, input] = layers.input(params.input, state.input, x)
      const [c, conv] = layers.conv(params.conv, state.conv, a)
      const [b, branch] = layers.branch(params.branch, state.branch, c)
      const [y, next] = layers.next(params.next, state.next, add(a, b))
      return [y, { input, conv, branch, next }]
    },
  )

const shared = () =>
  model(
    { input: QuantIdentity(keep), conv: QuantConv2d(SAME), next: QuantConv2d(SAME) },
    (layers, params, state, x: Value) => {
      const [a, once] = layers.input(params.input, state.input, x)
      const [c, conv] = layers.conv(params.conv, state.conv, a)
      const [b, input] = layers.input(params.input, once, c)
      const [y, next] = layers.next(params.next, state.next, add(a, b))
      return [y, { input, conv, next }]
    },
  )

const twoScales = (inp: Tensor): Idea => {
  const seen = batches(inp.shape, STEPS, manualSeed(1))
  const left = stopped('two quantizers', trained(seeded(own()), seen), inp)
  return {
    file: 'two-scales',
    cells: 'beyond the tutorial',
    title: 'Two quantizers meet in an add, or one serves both',
    text: `The mean of two scales is the scale of neither operand, so the sum only claims its metadata, and in eval a check stops the run: “${left.says}”. One quantizer for both branches puts them on one grid.`,
    ways: [left.way, way('one quantizer', trained(seeded(shared()), seen), inp, 'eval')],
  }
}

const collecting = (inp: Tensor): Idea => {
  const start = seeded(chain({ quant: QuantIdentity(keep) }))
  return {
    file: 'collecting-learned',
    cells: '15 to 17',
    title: 'Collecting statistics, then learned',
    text: `One program, two runs. In its first ${STEPS} training steps the quantizer takes each batch's own statistic as scale; then it goes on with a parameter that starts from their running average.`,
    ways: [
      way('first step', start, inp),
      way(`step ${STEPS + 1}`, trained(start, batches(inp.shape, STEPS, manualSeed(1))), inp),
    ],
  }
}

const perChannel = (): Idea => {
  const [uniform] = rand([1, 3, 64, 64])(manualSeed(0))
  const wide = { shape: uniform.shape, data: uniform.data.map((v, i) => (i < 64 * 64 ? v * 3 : v)) }
  return {
    file: 'per-channel',
    cells: '21 to 24',
    title: 'One scale for the tensor, or one for each channel',
    text: 'The first channel is three times as wide as the others. One scale must reach as far as it does; with three, each channel uses the whole grid.',
    ways: [
      way('per tensor', seeded(chain({ relu: QuantReLU(keep) })), wide),
      way(
        'per channel',
        seeded(
          chain({
            relu: QuantReLU({
              ...keep,
              scalingPerOutputChannel: true,
              perChannelBroadcastableShape: [1, 3, 1, 1],
              scalingStatsPermuteDims: [1, 0, 2, 3],
            }),
          }),
        ),
        wide,
      ),
    ],
  }
}

const shifted = (inp: Tensor): Idea => {
  const off = QuantReLU({ actQuant: null, returnQuantTensor: true })
  return {
    file: 'zero-point',
    cells: '10 and 12',
    title: 'ReLU sees values, not integers',
    text: 'An unsigned grid with a zero point holds negative values too, and ReLU cuts them off. The metadata is kept, but with a zero point the integers left are fewer than the grid has.',
    ways: [
      way('symmetric', seeded(chain({ quant: QuantIdentity(keep), relu: off })), inp),
      way(
        'shifted',
        seeded(chain({ quant: QuantIdentity({ ...keep, actQuant: ShiftedUint8ActPerTensorFloat }), relu: off })),
        inp,
      ),
    ],
  }
}

/** All ideas, in the order of the tutorial. */
export const ideas = (): readonly Idea[] => {
  const [inp] = randn([1, 2, 5, 5])(manualSeed(0))
  return [
    twoStyles(inp),
    returning(inp),
    disabled(inp),
    shifted(inp),
    wastedBit(large()),
    collecting(inp),
    perChannel(),
    twoScales(inp),
  ]
}

const sideOf = ({ name, outputs }: Way) => ({ title: name, outputs })
const optionsOf = ({ title, ways: [a, b] }: Idea): PairOptions => ({ title, sides: [sideOf(a), sideOf(b)] })

/** The page of an idea. */
export const pageOf = (idea: Idea): string => toHtml([idea.ways[0].program, idea.ways[1].program], optionsOf(idea))

/** What the page says above all. */
export const sentenceOf = (idea: Idea): string =>
  pairOf([idea.ways[0].program, idea.ways[1].program], optionsOf(idea))
    .sentence.map((p) => p.text)
    .join('')

/** Small drawings of both ways. */
export const drawingsOf = ({ ways }: Idea): readonly string[] => ways.map((w) => toSvg(w.program, { title: w.name }))
