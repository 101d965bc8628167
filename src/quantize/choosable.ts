/** Which layers' bits can be chosen, and how large these are: known without a run. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { sizeOf } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { leaves } from '../data/tree.js'
import type { AnyLayer } from '../nn/layers/layer.js'
import { layerAt } from './places.js'
import { placed } from './plan.js'
import { weightQuantizer, whyNot } from './roundWeights.js'
import { leafAt, weightedIn, type Weighted } from './taps.js'
import type { Quantized } from './types.js'

/** The size of one layer, of which its cost at any number of bits follows. */
export type LayerSize = {
  readonly path: string
  /** How many weights it has. */
  readonly weights: number
  /** Multiplications of one sample. */
  readonly multiplications: number
  /** Bits of the activations that it multiplies (32: floats). */
  readonly actBits: number
  /** Path of the layer that quantizes these activations; absent where their bits can't be chosen. */
  readonly reads?: string
}

/** Layers whose weights can have any number of bits, those that quantize what they multiply, and those that stay as they are. */
export type Choosables = {
  readonly layers: readonly { readonly at: Weighted; readonly weight: Tensor; readonly size: LayerSize }[]
  readonly activations: readonly string[]
  readonly kept: readonly { readonly path: string; readonly why: string }[]
}

const noLayers = (): QuantError => ({
  tag: 'InputError',
  input: 'quantized',
  path: '',
  message: 'sensitivity: no layer has weights whose bits can be chosen',
  fix: 'quantize with a preset of integers and a scale per tensor or channel: schemes.int8 for instance',
})

/** Places of a layer that quantize activations; null: there are none, or not all can have any number of bits. */
export const actPlaces = ({ source }: AnyLayer): readonly string[] | null => {
  const acts = Object.entries(source?.quantizers ?? {}).filter(([, q]) => q?.use === 'act')
  const all = acts.every(
    ([, q]) => q?.use === 'act' && q.quantType === 'INT' && q.bitWidth !== null && q.bitWidthImplType === 'CONST',
  )
  return acts.length > 0 && all ? acts.map(([place]) => place) : null
}

const multiplicationsOf = ({ products }: Weighted, samples: number): number =>
  products.reduce((sum, p) => sum + p.size * sizeOf(p.weight.slice(1)), 0) / Math.max(1, samples)

/** The one layer that quantizes all that a layer multiplies. */
const readBy = ({ products }: Weighted, acting: ReadonlySet<string>): string | undefined => {
  const [first, ...others] = products.map((p) => (p.grid === null ? undefined : layerAt(acting, p.grid)))
  return others.every((o) => o === first) ? first : undefined
}

/** The samples of the batch that was declared. */
const samplesOf = (inputs: unknown): number =>
  leaves(
    (x): x is { readonly shape: readonly number[] } =>
      typeof x === 'object' && x !== null && 'input' in x && 'shape' in x,
    inputs,
  )[0]?.leaf.shape[0] ?? 1

/** Which layers' bits can be chosen, and how large these are. */
export const choosable = <I, O>(quantized: Quantized<I, O>): E.Either<QuantErrors, Choosables> =>
  E.chain((all: readonly Weighted[]): E.Either<QuantErrors, Choosables> => {
    const samples = samplesOf(quantized.inputs)
    const acting = new Set(placed(quantized.net).flatMap(({ path, layer }) => (actPlaces(layer) ? [path] : [])))
    const found = all.map((at) => {
      const weight = leafAt(quantized.float, at.path, 'weight')
      const why = whyNot(weightQuantizer(at), at) ?? (weight === null ? 'the float network has no such weight' : null)
      return { at, weight, why }
    })
    const layers = found.flatMap(({ at, weight, why }): Choosables['layers'] => {
      if (why !== null || weight === null) return []
      const reads = readBy(at, acting)
      const size: LayerSize = {
        path: at.path,
        weights: weight.data.length,
        multiplications: multiplicationsOf(at, samples),
        actBits: at.products.reduce((most, p) => Math.max(most, p.bits ?? 32), 0),
        ...(reads === undefined ? {} : { reads }),
      }
      return [{ at, weight, size }]
    })
    const kept = found.flatMap(({ at, why }) => (why === null ? [] : [{ path: at.path, why }]))
    const activations = [...new Set(layers.flatMap(({ size }) => size.reads ?? []))]
    return layers.length === 0 ? E.left([noLayers()]) : E.right({ layers, activations, kept })
  })(weightedIn(quantized.net, quantized.inputs))
