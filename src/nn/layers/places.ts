/** Where layers have quantizers: the options that a place brings along, their types, and the quantizer that they choose. */
import type { QuantError } from '../../data/error.js'
import { anything, flag, oneOf, orNull, showGiven, type Field, type OptionsOf } from '../../data/fields.js'
import type { TruncQuantizer } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { quantizerProblems } from '../../quantizers/resolve.js'
import type { Config } from './layer.js'
import { fieldBehind, overridden, quantizerFields, type Given, type Prefixed, type Schema } from './options.js'
import { optionalConfig } from './quantizing.js'

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
/** Where a layer truncates. */
export type TruncPlace = { readonly fallback: TruncQuantizer; readonly prefix: ''; readonly use: 'trunc' }
/** The places of a layer by name; null: it has no quantizer there, and no option for one. */
export type Places = { readonly [place: string]: Place | TruncPlace | null }

type Chosen<P> = (P extends { readonly use: 'trunc' } ? TruncQuantizer : Quantizer) | null
/** A quantizer for each place; null where none is. */
export type Quantizers<P> = { readonly [K in keyof P]: Chosen<P[K]> }
/** The options of places: the quantizer of each, and those behind its prefix. */
export type PlaceOptions<P> = { readonly [K in keyof P]?: Chosen<P[K]> } & Prefixed<
  Extract<P[keyof P], { readonly prefix: string }>['prefix']
>

/** The option of every layer with quantizers. */
export const RETURNS = {
  /** Give a quant tensor instead of its plain value; the default is false, but for layers that are there for nothing else. */
  returnQuantTensor: flag,
}
/** The same as a type. */
export type ReturnOption = OptionsOf<typeof RETURNS>

const isTrunc = (x: unknown): x is TruncQuantizer =>
  typeof x === 'object' &&
  x !== null &&
  'use' in x &&
  x.use === 'trunc' &&
  'collected' in x &&
  typeof x.collected === 'object' &&
  'bitWidth' in x &&
  'floatToIntImplType' in x

const bitWidths: Field<number> = {
  says: 'a whole number from 1 to 32',
  like: '8',
  holds: (x) => Number.isInteger(x) && Number(x) >= 1 && Number(x) <= 32,
}
const roundings = oneOf('ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU')
const truncations = orNull<unknown>({ says: 'a truncation', like: 'RoundTo8bit', holds: isTrunc })

const TRUNC: Schema = { bitWidth: bitWidths, floatToIntImplType: roundings }

const optionFields = ({ prefix, use }: Place | TruncPlace): Schema => ({
  ...quantizerFields(prefix),
  ...(use === 'trunc' ? TRUNC : {}),
})

const fieldAt = ({ prefix, use }: Place | TruncPlace, option: string): Field | null => {
  if (fieldBehind(prefix, option) === null) return null
  return use === 'trunc' && Object.hasOwn(TRUNC, option) ? TRUNC[option] : anything
}

/** The fields of some options behind the prefixes of places; null where one is behind none of them. */
export const fieldsBehind = (places: NamedPlaces, options: readonly string[]): Schema | null => {
  const fields: Record<string, Field> = {}
  for (const option of options) {
    const found = places.map(([, p]) => fieldAt(p, option)).findLast((f) => f !== null)
    if (found === undefined || found === null) return null
    fields[option] = found
  }
  return fields
}

/** Places with their names, those of a layer that it has. */
export type NamedPlaces = readonly (readonly [string, Place | TruncPlace])[]

/** A quantizer of some use. Whether what is given is one, the place itself says. */
const quantizerLike = (like: string): Field => ({ says: 'a quantizer, or null for none', like, holds: () => true })
const FOR_USE: { readonly [U in Place['use'] | 'trunc']: Field } = {
  act: quantizerLike('Int8ActPerTensorFloat'),
  weight: quantizerLike('Int8WeightPerTensorFloat'),
  bias: quantizerLike('Int8Bias'),
  trunc: truncations,
}

/** The options that choose quantizers. */
export const placeFields = (places: NamedPlaces): Schema =>
  Object.fromEntries(places.map(([place, p]) => [place, FOR_USE[p.use]]))

/** The options behind the prefixes of places; those of weights first, which a name without prefix is mostly meant for. */
export const behindPlaces = (places: NamedPlaces): Schema => {
  const [weights, others] = [true, false].map((w) => places.filter(([, p]) => (p.use === 'weight') === w))
  return Object.assign({}, ...[...weights, ...others].map(([, p]) => optionFields(p)))
}

const isQuantizer = (x: unknown): x is Quantizer =>
  typeof x === 'object' && x !== null && 'use' in x && 'quantType' in x

/** What is chosen for a place, and what is wrong with that. */
export type Choice<Q = Quantizer> = { readonly quantizer: Q | null; readonly problems: readonly QuantError[] }

const PLURALS = { act: 'activations', weight: 'weights', bias: 'biases' } as const
const usedFor = (use: Quantizer['use']): string => PLURALS[use]

/** The quantizer of one place of a layer: given, disabled by null, or the default. Not a quantizer at all: a problem. */
export const chosen = (layer: string, given: Given, place: string, at: Place): Choice => {
  const asked = given[place] === undefined ? at.fallback : given[place]
  if (asked === null) return { quantizer: null, problems: [] }
  const wrong = (message: string, fix: string): Choice => ({
    quantizer: null,
    problems: [{ tag: 'ConfigError', option: place, path: '', message, fix }],
  })
  if (!isQuantizer(asked))
    return wrong(
      `${layer}: ${place} is no quantizer, but ${showGiven(asked)}`,
      'give a preset, such as Int8ActPerTensorFloat, or null to disable it',
    )
  if (asked.use !== at.use)
    return wrong(
      `${layer}: ${asked.name} quantizes ${usedFor(asked.use)}, but ${place} quantizes ${usedFor(at.use)}`,
      `give a preset for ${usedFor(at.use)}`,
    )
  const quantizer = overridden(at.decides === undefined ? asked : { ...asked, ...at.decides }, given, at.prefix)
  return { quantizer, problems: quantizerProblems(quantizer) }
}

/** The truncation of a place, in the same way; that it is one is its field's affair. */
const chosenTruncation = (given: Given, place: string, at: TruncPlace): Choice<TruncQuantizer> => {
  const asked = given[place] === undefined ? at.fallback : given[place]
  if (!isTrunc(asked)) return { quantizer: null, problems: [] }
  const bitWidth = typeof given.bitWidth === 'number' ? given.bitWidth : asked.bitWidth
  const rounding = roundings.holds(given.floatToIntImplType)
    ? (given.floatToIntImplType as TruncQuantizer['floatToIntImplType'])
    : asked.floatToIntImplType
  const collected = asked.collected === null ? null : overridden(asked.collected, given, at.prefix)
  return {
    quantizer: {
      ...asked,
      bitWidth,
      floatToIntImplType: rounding,
      collected: collected === null ? null : { ...collected, bitWidth },
    },
    problems: collected === null ? [] : quantizerProblems({ ...collected, bitWidth: 8 }),
  }
}

/** The same of each place. */
const mapPlaces = <P, B>(
  places: P,
  f: (place: keyof P & string, at: P[keyof P]) => B,
): { readonly [K in keyof P]: B } =>
  Object.fromEntries(
    (Object.keys(Object(places)) as (keyof P & string)[]).map((k) => [k, f(k, places[k])] as const),
  ) as { readonly [K in keyof P]: B }

/** The quantizers of all places as they are given, or their defaults, and what is wrong with them. */
export const chosenAll = <P extends Places>(
  layer: string,
  given: Given,
  places: P,
): { readonly quantizers: Quantizers<P>; readonly problems: readonly QuantError[] } => {
  const choiceAt = (place: string, at: Places[string]): Choice<Quantizer | TruncQuantizer> => {
    if (at === null) return { quantizer: null, problems: [] }
    return at.use === 'trunc' ? chosenTruncation(given, place, at) : chosen(layer, given, place, at)
  }
  const choices = mapPlaces(places, choiceAt)
  return {
    quantizers: mapPlaces(places, (place) => choices[place].quantizer) as Quantizers<P>,
    problems: Object.values<Choice<Quantizer | TruncQuantizer>>(choices).flatMap((c) => c.problems),
  }
}

/** A quantizer or a truncation, or that there is none, for people. */
export const choiceConfig = (q: Quantizer | TruncQuantizer | null): Config | string =>
  q?.use !== 'trunc'
    ? optionalConfig(q)
    : {
        name: q.name,
        parts: [
          ['bitWidth', String(q.bitWidth)],
          ['floatToIntImpl', q.floatToIntImplType],
        ],
      }
