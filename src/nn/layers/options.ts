/** Options of layers: Brevitas' keyword arguments in camelCase, with a prefix per quantizer; unknown ones are errors. */
import type { QuantError } from '../../data/error.js'
import { anything, fieldProblems, showGiven, type Field } from '../../data/fields.js'
import { quantizerProblems } from '../../quantizers/resolve.js'
import type { Quantizer, QuantizerOptions } from '../../quantizers/quantizer.js'
import { quantizerOptionNames } from '../../quantizers/quantizer.js'

/** Options of one quantizer under a prefix: `inputBitWidth`, `weightScalingImplType`. */
export type Prefixed<Prefix extends string> = {
  readonly [K in keyof QuantizerOptions as `${Prefix}${Capitalize<K>}`]?: QuantizerOptions[K]
}

/** Anything that is given as options. */
export type Given = { readonly [option: string]: unknown }

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1)
const optionName = (prefix: string, field: string): string => (prefix === '' ? field : prefix + capital(field))

/** A preset with the options that carry its prefix laid over it. */
export const overridden = (preset: Quantizer, given: Given, prefix: string): Quantizer => {
  const own = quantizerOptionNames
    .filter((f) => given[optionName(prefix, f)] !== undefined)
    .map((f) => [f, given[optionName(prefix, f)]] as const)
  return { ...preset, ...Object.fromEntries(own) }
}

/** The option for one field of the quantizer at a place of a layer: `inputBitWidth` of `inputQuant`, `bitWidth` of `actQuant`. */
export const fieldOption = (place: string, field: string): string => {
  const prefix = place.replace(/Quant$/, '')
  return optionName(prefix === 'act' || prefix === 'trunc' ? '' : prefix, field)
}

/** All options that belong to a prefix. */
export const optionsOf = (prefix: string): readonly string[] => quantizerOptionNames.map((f) => optionName(prefix, f))

/** Options of a quantizer under a prefix, as fields: what they hold is the quantizer's own affair. */
export const quantizerFields = (prefix: string): { readonly [name: string]: Field } =>
  Object.fromEntries(optionsOf(prefix).map((name) => [name, anything]))

/** Given options as a record, for those that read them beside the check. */
export const recordOf = (given: unknown): Given =>
  typeof given === 'object' && given !== null && !Array.isArray(given) ? { ...given } : {}

/**
 * What is wrong with a layer's options: kinds, missing ones, names that nobody knows. An option that is given as undefined is wrong too:
 * it is mostly a misspelt preset or field, and would silently mean the default.
 */
export const optionProblems = (
  layer: string,
  given: unknown,
  fields: { readonly [name: string]: Field },
): readonly QuantError[] => [
  ...fieldProblems(layer, given, fields),
  ...Object.entries(recordOf(given)).flatMap(([option, v]): readonly QuantError[] =>
    v === undefined && Object.hasOwn(fields, option) && fields[option].required !== true
      ? [
          {
            tag: 'ConfigError',
            option,
            path: '',
            message: `${layer} was given ${option}: undefined`,
            fix: `leave ${option} out for the default${option.endsWith('Quant') ? ', give null for no quantizer, or mend the name of the preset' : ''}`,
          },
        ]
      : [],
  ),
]

const isQuantizer = (x: unknown): x is Quantizer =>
  typeof x === 'object' && x !== null && 'use' in x && 'quantType' in x

/** The quantizer of one place of a layer, `more` of whose fields the place itself decides: given, disabled by null, or the default. Not a quantizer at all: a problem. */
export const chosen = (
  layer: string,
  given: Given,
  place: string,
  fallback: Quantizer | null,
  prefix: string,
  use: Quantizer['use'],
  more: Partial<Quantizer> = {},
): { readonly quantizer: Quantizer | null; readonly problems: readonly QuantError[] } => {
  const asked = given[place] === undefined ? fallback : given[place]
  if (asked === null) return { quantizer: null, problems: [] }
  const wrong = (message: string, fix: string) => ({
    quantizer: null,
    problems: [{ tag: 'ConfigError', option: place, path: '', message, fix } satisfies QuantError],
  })
  if (!isQuantizer(asked))
    return wrong(
      `${layer}: ${place} is no quantizer, but ${showGiven(asked)}`,
      'give a preset, such as Int8ActPerTensorFloat, or null to disable it',
    )
  if (asked.use !== use)
    return wrong(
      `${layer}: ${asked.name} quantizes ${asked.use === 'act' ? 'activations' : `${asked.use}s`}, but ${place} quantizes ${use === 'act' ? 'activations' : `${use}s`}`,
      `give a preset for ${use === 'act' ? 'activations' : `${use}s`}`,
    )
  const quantizer = overridden({ ...asked, ...more }, given, prefix)
  return { quantizer, problems: quantizerProblems(quantizer) }
}
