/**
 * What layers are assembled from: options checked by one schema, a quantizer for each of its places, how it was written, how it prints,
 * and the refusal of all that is wrong. A layer adds its state and its forward.
 */
import type { QuantError } from '../../data/error.js'
import { resolvedBy, showGiven, type Resolved } from '../../data/fields.js'
import type { TruncQuantizer } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { dequantize } from '../functions/index.js'
import type { Value } from '../../graph/op.js'
import { brokenLayer } from './checks.js'
import type { Config, Layer, Source } from './layer.js'
import { optionProblems, recordOf, type Given, type Schema } from './options.js'
import {
  behindPlaces,
  choiceConfig,
  chosenAll,
  fieldsBehind,
  placeFields,
  RETURNS,
  type NamedPlaces,
  type Places,
  type Quantizers,
} from './places.js'

export type { Schema } from './options.js'
export type { Place, PlaceOptions, Places, Quantizers, ReturnOption } from './places.js'

/** What is left to say of a layer once its options are known to be right. */
export type Built<P, S, I, O> = Pick<Layer<P, S, I, O>, 'params' | 'state' | 'apply'>

/** What stands inside a layer elsewhere than at its places. */
export type Inside = {
  /** Its quantizers by where they stand, in place of those of its places. */
  readonly quantizers?: { readonly [place: string]: Quantizer | TruncQuantizer | null }
  /** Layers in it, as they print with their quantizers. */
  readonly layers?: { readonly [name: string]: Config }
}

/** A layer, described. */
export type Assembly<F extends Schema, L extends Places, P, S, I, O, B extends Built<P, S, I, O>> = {
  readonly name: string
  /** The options as given. */
  readonly options: unknown
  /** Options of its own, beside those of its quantizers. */
  readonly own: F
  /** Options that are known, but printed elsewhere: of layers inside, or known only to be refused with a reason. */
  readonly known?: Schema
  readonly places: L
  /** What a layer with quantizers gives without `returnQuantTensor` (default false); null: it has no such option. */
  readonly returns?: boolean | null
  /** What only several options together do wrong; asked of options that are right one by one. */
  readonly problems?: (
    quantizers: Quantizers<L>,
    options: Resolved<F>,
    returnQuantTensor: boolean,
  ) => readonly QuantError[]
  /** The layer that does the same on quant tensors, for one without quantizers. */
  readonly twin?: Source['twin']
  /** Own options whose printed value is not the one given, or that print where none is given. */
  readonly printed?: (options: Resolved<F>) => { readonly [option: string]: string }
  readonly inside?: (quantizers: Quantizers<L>, options: Resolved<F>) => Inside
  readonly build: (quantizers: Quantizers<L>, options: Resolved<F>, returnQuantTensor: boolean) => B
}

const partsOf = (
  given: Given,
  own: Schema,
  printed: { readonly [option: string]: string },
  { quantizers, layers }: Inside,
): Config['parts'] => [
  ...Object.keys(own)
    .filter((option) => given[option] !== undefined || printed[option] !== undefined)
    .map((option) => [option, printed[option] ?? showGiven(given[option])] as const),
  ...Object.entries(layers ?? {}),
  ...Object.entries(quantizers ?? {}).map(([place, q]) => [place, choiceConfig(q)] as const),
]

/** All options that a layer knows. Those of its quantizers are many: they are listed only where a name is given that nobody knows. */
const allFields = (given: Given, few: Schema, places: NamedPlaces): Schema => {
  const others = Object.keys(given).filter((option) => !Object.hasOwn(few, option))
  if (others.length === 0) return few
  const known = fieldsBehind(places, others)
  return { ...few, ...(known ?? behindPlaces(places)) }
}

/** What a description and the given options come to, right or wrong. */
const chosenBy = <F extends Schema, L extends Places, P, S, I, O, B extends Built<P, S, I, O>>(
  a: Assembly<F, L, P, S, I, O, B>,
  given: Given,
) => {
  const places = Object.entries(a.places).flatMap(([k, p]) => (p === null ? [] : [[k, p] as const]))
  const returns: Schema = places.length === 0 || a.returns === null ? {} : RETURNS
  const { quantizers, problems: unfit } = chosenAll(a.name, given, a.places)
  const few = { ...a.own, ...a.known, ...placeFields(places), ...returns }
  const wrong = optionProblems(a.name, a.options, allFields(given, few, places))
  const options = resolvedBy(given, a.own)
  const returned = given.returnQuantTensor ?? a.returns ?? false
  const returnQuantTensor = returned === true
  const together = wrong.length > 0 ? [] : (a.problems?.(quantizers, options, returnQuantTensor) ?? [])
  return { places, returns, quantizers, options, returnQuantTensor, problems: [...wrong, ...unfit, ...together] }
}

/** Options that a layer says it takes; of its quantizers the places. */
const takesOf = (own: Schema, known: Schema = {}): readonly string[] => [
  ...Object.keys(own),
  ...Object.keys(known).filter((option) => option.endsWith('Quant')),
]

/** Either the layer, or what is wrong with its options. */
export const assembled = <F extends Schema, L extends Places, P, S, I, O, B extends Built<P, S, I, O>>(
  a: Assembly<F, L, P, S, I, O, B>,
): { readonly problems: readonly QuantError[] } | { readonly layer: B & Layer<P, S, I, O> } => {
  const given = recordOf(a.options)
  const { places, returns, options, returnQuantTensor, problems, ...found } = chosenBy(a, given)
  if (problems.length > 0) return { problems }
  const inside = a.inside?.(found.quantizers, options) ?? {}
  const quantizers = inside.quantizers ?? found.quantizers
  const shown = { ...inside, quantizers: inside.layers === undefined ? quantizers : found.quantizers }
  return {
    layer: {
      ...a.build(found.quantizers, options, returnQuantTensor),
      layer: a.name,
      problems: [],
      source: {
        layer: a.name,
        options: given,
        takes: [...takesOf(a.own, a.known), ...places.map(([place]) => place), ...Object.keys(returns)],
        ...(Object.keys(quantizers).length === 0 ? {} : { quantizers }),
        ...(a.twin === undefined ? {} : { twin: a.twin }),
      },
      config: {
        name: a.name,
        parts: [
          ...partsOf(given, a.own, a.printed?.(options) ?? {}, shown),
          ...Object.keys(returns).map((r) => [r, String(returnQuantTensor)] as const),
        ],
      },
    },
  }
}

/** A layer from its description. What is wrong with its options stands in its `problems`. */
export const quantizedLayer = <F extends Schema, L extends Places, P, S, I, O, B extends Built<P, S, I, O>>(
  a: Assembly<F, L, P, S, I, O, B>,
): Layer<P, S, I, O> => {
  const made = assembled(a)
  return 'problems' in made ? brokenLayer(a.name, made.problems) : made.layer
}

/** The bare value, for a layer that was not asked for a quant tensor. */
export const bare = (layer: string, y: Value): Value =>
  dequantize(y, `${layer} does not return quant tensors; set returnQuantTensor: true`)
