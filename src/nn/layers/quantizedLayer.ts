/**
 * What every layer with quantizers is assembled from: options checked by one schema, a quantizer for each of its places, how it was
 * written, how it prints, and the refusal of all that is wrong. A layer adds its state and its forward.
 */
import type { QuantError } from '../../data/error.js'
import { anything, flag, type Field } from '../../data/fields.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { dequantize } from '../functions/index.js'
import type { Value } from '../../graph/op.js'
import { brokenLayer } from './checks.js'
import type { Layer, Source } from './layer.js'
import { chosen, optionProblems, quantizerFields, recordOf, type Given } from './options.js'
import { optionalConfig } from './quantizing.js'

/** A schema of options, by name. */
export type Schema = { readonly [option: string]: Field }

/** Where a layer has a quantizer. */
export type Place = {
  /** The quantizer that stands there if none is given; null: none. */
  readonly fallback: Quantizer | null
  /** In front of its options: `input` for `inputBitWidth`; empty for the quantizer that a layer is about. */
  readonly prefix: string
  readonly use: Quantizer['use']
  /** Fields that the place itself decides. */
  readonly decides?: Partial<Quantizer>
}

/** A quantizer for each place; null where none is. */
export type Quantizers<P extends string> = { readonly [K in P]: Quantizer | null }

/** What is left to say of a layer once its options are known to be right. */
export type Built<P, S, I, O> = Pick<Layer<P, S, I, O>, 'params' | 'state' | 'apply'>

/** A layer with quantizers, described. */
export type Assembly<K extends string, P, S, I, O, B extends Built<P, S, I, O>> = {
  readonly name: string
  /** The options as given. */
  readonly options: unknown
  /** Options of its own, beside those of its quantizers. */
  readonly own: Schema
  /** Options that are known only to be refused with a reason; how the layer was written does not name them. */
  readonly refused?: Schema
  /** Null: this layer has no quantizer there, and no option for one. */
  readonly places: { readonly [P in K]: Place | null }
  /** What only several options together do wrong; asked of options that are right one by one. */
  readonly problems?: (quantizers: Quantizers<K>) => readonly QuantError[]
  /** The layer that does the same on quant tensors, for one without quantizers. */
  readonly twin?: Source['twin']
  /** Own options whose printed value is not the one given. */
  readonly printed?: { readonly [option: string]: string }
  readonly build: (quantizers: Quantizers<K>, returnQuantTensor: boolean) => B
}

/** The same of each place. */
const mapPlaces = <K extends string, A, B>(
  places: { readonly [P in K]: A },
  f: (place: K, about: A) => B,
): { readonly [P in K]: B } =>
  Object.fromEntries((Object.keys(places) as K[]).map((k) => [k, f(k, places[k])] as const)) as {
    readonly [P in K]: B
  }

type Places = readonly (readonly [string, Place])[]

/** The options that the quantizers of these places bring along; those of weights first, which a name without prefix is mostly meant for. */
const quantizerOptions = (places: Places): Schema => {
  const [weights, others] = [true, false].map((w) => places.filter(([, p]) => (p.use === 'weight') === w))
  return Object.assign({}, ...[...weights, ...others].map(([, p]) => quantizerFields(p.prefix)))
}

/** All options that a layer knows. Those of its quantizers are many: they are listed only where a name is given that is none of the others. */
const fieldsOf = (given: Given, own: Schema, places: Places): Schema => {
  if (places.length === 0) return own
  const few = {
    ...own,
    ...Object.fromEntries(places.map(([place]) => [place, anything])),
    returnQuantTensor: flag,
  }
  return Object.keys(given).every((option) => Object.hasOwn(few, option))
    ? few
    : { ...few, ...quantizerOptions(places) }
}

const NONE = { quantizer: null, problems: [] }

const partsOf = (
  given: Given,
  own: Schema,
  quantizers: { readonly [place: string]: Quantizer | null },
  printed: { readonly [option: string]: string },
) => [
  ...Object.keys(own)
    .filter((option) => given[option] !== undefined)
    .map((option) => [option, printed[option] ?? JSON.stringify(given[option])] as const),
  ...Object.entries(quantizers).map(([place, q]) => [place, optionalConfig(q)] as const),
]

/** Either the layer, or what is wrong with its options. */
export const assembled = <K extends string, P, S, I, O, B extends Built<P, S, I, O>>(
  a: Assembly<K, P, S, I, O, B>,
): { readonly problems: readonly QuantError[] } | { readonly layer: B & Layer<P, S, I, O> } => {
  const given = recordOf(a.options)
  const places = Object.entries<Place | null>(a.places).flatMap(([k, p]) => (p === null ? [] : [[k, p] as const]))
  const found = mapPlaces(a.places, (place, p: Place | null): ReturnType<typeof chosen> =>
    p === null ? NONE : chosen(a.name, given, place, p.fallback, p.prefix, p.use, p.decides),
  )
  const fields = fieldsOf(given, { ...a.own, ...a.refused }, places)
  const wrong = optionProblems(a.name, a.options, fields)
  const quantizers = mapPlaces(a.places, (place) => found[place].quantizer)
  const problems = [
    ...wrong,
    ...(Object.values(found) as (typeof found)[K][]).flatMap((f) => f.problems),
    ...(wrong.length > 0 ? [] : (a.problems?.(quantizers) ?? [])),
  ]
  if (problems.length > 0) return { problems }
  const returnQuantTensor = given.returnQuantTensor === true
  const returns = places.length === 0 ? [] : (['returnQuantTensor'] as const)
  return {
    layer: {
      ...a.build(quantizers, returnQuantTensor),
      layer: a.name,
      problems: [],
      source: {
        layer: a.name,
        options: given,
        takes: [...Object.keys(a.own), ...places.map(([place]) => place), ...returns],
        quantizers,
        ...(a.twin === undefined ? {} : { twin: a.twin }),
      },
      config: {
        name: a.name,
        parts: [
          ...partsOf(given, a.own, quantizers, a.printed ?? {}),
          ...returns.map((r) => [r, String(returnQuantTensor)] as const),
        ],
      },
    },
  }
}

/** A layer with quantizers. What is wrong with its options stands in its `problems`. */
export const quantizedLayer = <K extends string, P, S, I, O, B extends Built<P, S, I, O>>(
  a: Assembly<K, P, S, I, O, B>,
): Layer<P, S, I, O> => {
  const made = assembled(a)
  return 'problems' in made ? brokenLayer(a.name, made.problems) : made.layer
}

/** The bare value, for a layer that was not asked for a quant tensor. */
export const bare = (layer: string, y: Value): Value =>
  dequantize(y, `${layer} does not return quant tensors; set returnQuantTensor: true`)
