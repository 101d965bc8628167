/** fast-check arbitraries for layers: chains of quantized and float ones, over shapes that they fit. */
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import { count, demand, fieldProblems, flag, oneOf } from '../data/fields.js'
import type { Shape } from '../data/shape.js'
import type { Kit, Value } from '../graph/op.js'
import { tensorInput, type InputDecl } from '../graph/trace.js'
import {
  BatchNorm1d,
  BatchNorm2d,
  chain,
  Flatten,
  QuantConv2d,
  QuantHardTanh,
  QuantIdentity,
  QuantLinear,
  QuantReLU,
  QuantSigmoid,
  QuantTanh,
  ReLU,
} from '../nn/layers/index.js'
import type { AnyLayer, Layer } from '../nn/layers/layer.js'
import { trace } from '../nn/program/program.js'
import { drawnQuantizerArb, type DrawnQuantizer, type QuantizerArbOptions } from './quantizers.js'

/** Which layers may be drawn. */
export type LayerArbOptions = QuantizerArbOptions & {
  /** Of what rank the input is: `[n, features]` or `[n, channels, height, width]` (default: either). */
  readonly rank?: 2 | 4
  /** The most layers of a chain (default 4). */
  readonly most?: number
}

/** A drawn network: what `trace` is given, and the code that makes it. A counterexample prints as that code. */
export type DrawnNet = {
  readonly layer: Layer<unknown, unknown>
  readonly declared: InputDecl
  readonly code: string
}

/** A layer from one value to one. */
type Chained = AnyLayer & {
  apply(params: never, state: never, x: Value, kit: Kit): readonly [Value, unknown]
}
type Link = { readonly layer: Chained; readonly code: string; readonly shape: Shape }
/** What is drawn of a link before it is known where it stands: the choice of its kind, numbers, and a quantizer for each place. */
type Draft = {
  readonly kind: number
  readonly size: number
  readonly flags: readonly [boolean, boolean]
  readonly act: DrawnQuantizer
  readonly weight: DrawnQuantizer
}
type Make = (draft: Draft, shape: Shape) => Link

const written = (options: { readonly [option: string]: unknown }): string =>
  Object.entries(options)
    .map(([k, v]) => `${k}: ${JSON.stringify(v)}`)
    .join(', ')

const ACTS = { QuantIdentity, QuantReLU, QuantTanh, QuantSigmoid, QuantHardTanh } as const
const NORMS = { BatchNorm1d, BatchNorm2d } as const

const activation =
  (name: keyof typeof ACTS): Make =>
  ({ act, flags: [returnQuantTensor] }, shape) => ({
    layer: ACTS[name]({ actQuant: act.quantizer, returnQuantTensor }),
    code: `${name}({ actQuant: ${act.code}, returnQuantTensor: ${returnQuantTensor} })`,
    shape,
  })

const linear: Make = ({ size, weight, flags: [bias] }, [n, inFeatures]) => {
  const options = { inFeatures, outFeatures: size, bias }
  return {
    layer: QuantLinear({ ...options, weightQuant: weight.quantizer }),
    code: `QuantLinear({ ${written(options)}, weightQuant: ${weight.code} })`,
    shape: [n, size],
  }
}

const convolution: Make = ({ size, weight, flags: [bias, padded] }, [n, inChannels, h, w]) => {
  const options = { inChannels, outChannels: size, kernelSize: padded ? 3 : 1, padding: padded ? 1 : 0, bias }
  return {
    layer: QuantConv2d({ ...options, weightQuant: weight.quantizer }),
    code: `QuantConv2d({ ${written(options)}, weightQuant: ${weight.code} })`,
    shape: [n, size, h, w],
  }
}

const plain =
  (make: () => Chained, code: string, after: (shape: Shape) => Shape = (shape) => shape): Make =>
  (_draft, shape) => ({ layer: make(), code, shape: after(shape) })

const normed =
  (name: keyof typeof NORMS): Make =>
  (_draft, shape) => ({
    layer: NORMS[name]({ numFeatures: shape[1] }),
    code: `${name}({ numFeatures: ${shape[1]} })`,
    shape,
  })

const ACTIVATIONS: readonly Make[] = [
  activation('QuantIdentity'),
  activation('QuantReLU'),
  activation('QuantTanh'),
  activation('QuantSigmoid'),
  activation('QuantHardTanh'),
  plain(() => ReLU(), 'ReLU()'),
]

/** What may stand behind a shape of each rank. */
const MAKES: { readonly [rank: number]: readonly Make[] } = {
  2: [linear, linear, normed('BatchNorm1d'), ...ACTIVATIONS],
  4: [
    convolution,
    convolution,
    normed('BatchNorm2d'),
    plain(
      () => Flatten(),
      'Flatten()',
      ([n, ...others]) => [n, others.reduce((a, b) => a * b, 1)],
    ),
    ...ACTIVATIONS,
  ],
}

const linked = (drafts: readonly Draft[], input: Shape): readonly Link[] =>
  drafts.reduce((links: readonly Link[], draft) => {
    const shape = links.at(-1)?.shape ?? input
    const makes = MAKES[shape.length]
    return [...links, makes[draft.kind % makes.length](draft, shape)]
  }, [])

const netOf = (links: readonly Link[], input: Shape): DrawnNet => {
  const code = `chain({ ${links.map((l, i) => `l${i}: ${l.code}`).join(', ')} }) on tensorInput([${input.join(', ')}])`
  const layer = chain(Object.fromEntries(links.map((l, i) => [`l${i}`, l.layer])))
  const drawn = { layer: layer as Layer<unknown, unknown>, declared: tensorInput(input), code }
  return Object.defineProperty(drawn, fc.toStringMethod, { value: () => code })
}

const traces = ({ layer, declared }: DrawnNet): boolean =>
  (['train', 'eval'] as const).every((mode) => E.isRight(trace(layer, declared, { mode })))

const OPTIONS = {
  presets: flag,
  integers: flag,
  rank: oneOf(2, 4),
  most: count,
}

const inputArb = (rank: 2 | 4 | undefined): fc.Arbitrary<Shape> => {
  const flat = fc.tuple(fc.constant(2), fc.integer({ min: 1, max: 4 }))
  const plane = fc.tuple(fc.constant(2), fc.integer({ min: 1, max: 3 }), fc.constant(3), fc.integer({ min: 2, max: 3 }))
  if (rank === undefined) return fc.oneof(flat, plane)
  return rank === 2 ? flat : plane
}

/**
 * A chain of one to `most` layers that can be traced in both modes: quantized linear layers and convolutions, quantized activations, batch norms,
 * ReLUs, flattening, with the quantizers of `quantizerArb`. Shrinks to fewer layers, presets and small sizes; `code` says how to make it.
 * Throws on options that it does not know.
 * @example
 * fc.assert(fc.property(layerArb(), ({ layer, declared }) => isRight(checkLayer(layer, declared, { runs: 3 }))))
 */
export const layerArb = (options: LayerArbOptions = {}): fc.Arbitrary<DrawnNet> => {
  demand(fieldProblems('layerArb', options, OPTIONS))
  const { rank, most = 4, ...quantizers } = options
  const draft: fc.Arbitrary<Draft> = fc.record({
    kind: fc.nat({ max: 59 }),
    size: fc.integer({ min: 1, max: 4 }),
    flags: fc.tuple(fc.boolean(), fc.boolean()),
    act: drawnQuantizerArb('act', quantizers),
    weight: drawnQuantizerArb('weight', quantizers),
  })
  return fc
    .tuple(inputArb(rank), fc.array(draft, { minLength: 1, maxLength: most }))
    .map(([input, drafts]) => netOf(linked(drafts, input), input))
    .filter(traces)
}
