/** One layer into its quantized form: which layer that is, is written in the layer itself (`source.twin`). */
import * as layers from '../nn/layers/index.js'
import type { AnyLayer, Source } from '../nn/layers/layer.js'
import { fieldOption } from '../nn/layers/options.js'
import type { Quantizer } from '../quantizers/quantizer.js'
import type { Choice } from './rules.js'

type Options = Source['options']

/** What a quantized layer is for. */
export type Role = 'weights' | 'activation' | 'join' | 'other'

/** The quantized form of a layer before it has quantizers: its class, its options, and where it can have them. */
export type Draft = {
  readonly layer: string
  readonly options: Options
  readonly role: Role
  /** The quantizers that stand there if nothing else is said. */
  readonly places: { readonly [place: string]: Quantizer | null }
}

const isConstructor = (x: unknown): x is (options: Options) => AnyLayer => typeof x === 'function'

/** A layer of ours by name; null: there is none of that name. */
export const made = (layer: string, options: Options): AnyLayer | null => {
  const constructor: unknown = Reflect.get(layers, layer)
  return isConstructor(constructor) ? constructor(options) : null
}

const roleOf = (places: readonly string[]): Role => {
  if (places.includes('actQuant')) return 'activation'
  if (places.includes('weightQuant')) return 'weights'
  return places.length === 2 && places.includes('inputQuant') && places.includes('outputQuant') ? 'join' : 'other'
}

const isQuantizer = (q: object | null): q is Quantizer | null => q === null || !('use' in q) || q.use !== 'trunc'

/** The class and options of a quantized form; null: a layer has none. */
const twinOf = (source: Source): { readonly layer: string; readonly options: Options } | null => {
  if (source.twin !== undefined) return source.twin
  const own = Object.entries(source.quantizers ?? {})
  if (own.length === 0 || own.some(([, q]) => q !== null)) return null
  // A quantized layer whose quantizers are all switched off is a float layer in disguise.
  const off = new Set(own.map(([place]) => place))
  return {
    layer: source.layer,
    options: Object.fromEntries(Object.entries(source.options).filter(([k]) => !off.has(k))),
  }
}

/** The quantized form of a layer; null: it has none, or it is one already. */
export const draftOf = ({ source }: AnyLayer): Draft | null => {
  const twin = source === undefined ? null : twinOf(source)
  const places = twin === null ? undefined : made(twin.layer, twin.options)?.source?.quantizers
  if (twin === null || places === undefined) return null
  const known = Object.entries(places).flatMap(([k, q]) => (isQuantizer(q) ? [[k, q] as const] : []))
  return { ...twin, role: roleOf(Object.keys(places)), places: Object.fromEntries(known) }
}

/** The preset for activations of a known or unknown sign. */
const actPreset = (choice: Choice, unsigned: boolean): Quantizer | null =>
  unsigned && choice.unsignedActQuant !== undefined ? choice.unsignedActQuant : (choice.actQuant ?? null)

/** Does a rule ask for quantized activations? */
export const quantizesActivations = (choice: Choice, unsigned: boolean): boolean => actPreset(choice, unsigned) !== null

/** A quantizer at a place, and its bits where they are not its own: as one would write it. */
const at = (place: string, q: Quantizer | null, bits?: number): Options =>
  q === null || bits === undefined || bits === q.bitWidth
    ? { [place]: q }
    : { [place]: q, [fieldOption(place, 'bitWidth')]: bits }

const act = (place: string, choice: Choice, unsigned: boolean): Options => {
  const q = actPreset(choice, unsigned)
  return at(place, q, q?.quantType === 'FLOAT' ? undefined : choice.actBitWidth)
}

const weight = (place: string, { weightQuant = null, weightBitWidth }: Choice): Options =>
  at(place, weightQuant, weightQuant?.quantType === 'FLOAT' ? undefined : weightBitWidth)

/** What stands around a layer, as far as its quantizers depend on it. */
export type Around = {
  /** Quantizes its own input: nobody in front does. */
  readonly input: boolean
  /** Quantizes its output: nobody behind does. */
  readonly output: boolean
  /** Its input is never negative. */
  readonly unsigned: boolean
}

/** A layer whose quantizer has a range of its own (`QuantHardTanh`, for ReLU6) cuts there; a percentile would not. */
const rangeOf = (draft: Draft): Quantizer | null => {
  const own = draft.places.actQuant ?? null
  return own !== null && own.scalingImplType === 'PARAMETER' ? own : null
}

/** Why a draft can't be built by a choice; null: it can. */
export const against = (draft: Draft, choice: Choice): string | null => {
  const range = rangeOf(draft)
  const groups = [actPreset(choice, true), actPreset(choice, false)].find((q) => q?.scalingOver === 'GROUP')
  if (groups !== undefined && groups !== null && groups.groupDim === null)
    return `${groups.name} has scales per group along an axis, which only a layer with weights behind it knows`
  if (range === null) return null
  const asked = actPreset(choice, !range.signed)
  const same = asked !== null && asked.quantType === 'INT' && asked.restrictScalingType === range.restrictScalingType
  return same ? null : `${draft.layer} cuts at a range of its own, which ${asked?.name ?? 'no quantizer'} does not have`
}

const quantizersFor = (draft: Draft, choice: Choice, { input, output, unsigned }: Around): Options => {
  const range = rangeOf(draft)
  switch (draft.role) {
    case 'weights':
      return {
        ...weight('weightQuant', choice),
        ...('biasQuant' in draft.places && choice.biasQuant !== undefined ? { biasQuant: choice.biasQuant } : {}),
        ...(input && 'inputQuant' in draft.places ? act('inputQuant', choice, unsigned) : {}),
      }
    case 'activation':
      return {
        ...(range === null
          ? act('actQuant', choice, draft.places.actQuant?.signed === false)
          : at('actQuant', range, choice.actBitWidth)),
        returnQuantTensor: true,
      }
    case 'join':
      return {
        ...act('inputQuant', choice, unsigned),
        ...(output ? act('outputQuant', choice, unsigned) : { outputQuant: null }),
        returnQuantTensor: true,
      }
    case 'other':
      return Object.assign(
        {},
        ...Object.entries(draft.places).map(([place, q]) => {
          if (q === null) return {}
          if (q.use === 'weight') return weight(place, choice)
          return q.use === 'act' ? act(place, choice, !q.signed) : { [place]: choice.biasQuant ?? null }
        }),
      )
  }
}

/** The quantized form of a layer with the quantizers of a choice. */
export const quantizedForm = (draft: Draft, choice: Choice, around: Around): AnyLayer | null =>
  made(draft.layer, { ...draft.options, ...quantizersFor(draft, choice, around) })

/** The same layer with other options; null: it does not say how it was written. */
export const remade = ({ source }: AnyLayer, options: Options): AnyLayer | null =>
  source === undefined ? null : made(source.layer, { ...source.options, ...options })

/** A quantizer in a few words. */
export const wordsOf = (q: Quantizer): string =>
  q.quantType === 'FLOAT' || q.bitWidth === null ? q.name : `${q.name} at ${q.bitWidth} bits`

/** A layer's quantizers with their bits, by place. */
export const quantizersOf = ({ source }: AnyLayer): { readonly [place: string]: string } =>
  Object.fromEntries(
    Object.entries(source?.quantizers ?? {}).flatMap(([place, q]) =>
      q === null || q.use === 'trunc' ? [] : [[place, wordsOf(q)] as const],
    ),
  )
