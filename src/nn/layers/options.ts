/** Options of layers: Brevitas' keyword arguments in camelCase, with a prefix per quantizer; unknown ones are errors. */
import type { QuantError } from '../../data/error.js'
import { anything, fieldProblems, type Field } from '../../data/fields.js'
import type { Quantizer, QuantizerOptions } from '../../quantizers/quantizer.js'
import { quantizerOptionNames } from '../../quantizers/quantizer.js'

/** Options of one quantizer under a prefix: `inputBitWidth`, `weightScalingImplType`. */
export type Prefixed<Prefix extends string> = {
  readonly [K in keyof QuantizerOptions as OptionName<Prefix, K>]?: QuantizerOptions[K]
}
type OptionName<Prefix extends string, K extends string> = Prefix extends '' ? K : `${Prefix}${Capitalize<K>}`

/** A schema of options, by name. */
export type Schema = { readonly [option: string]: Field }

/** Anything that is given as options. */
export type Given = { readonly [option: string]: unknown }

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1)
const optionName = (prefix: string, field: string): string => (prefix === '' ? field : prefix + capital(field))

const OPTIONS: ReadonlySet<string> = new Set<string>(quantizerOptionNames)

/** The field of a quantizer that an option behind a prefix is about, or null: `bitWidth` of `inputBitWidth`. */
export const fieldBehind = (prefix: string, option: string): string | null => {
  if (!option.startsWith(prefix)) return null
  const rest = option.slice(prefix.length)
  const field = prefix === '' ? rest : rest.charAt(0).toLowerCase() + rest.slice(1)
  return OPTIONS.has(field) && optionName(prefix, field) === option ? field : null
}

/** A preset with the options that carry its prefix laid over it. */
export const overridden = (preset: Quantizer, given: Given, prefix: string): Quantizer => {
  const own = Object.keys(given).flatMap((option) => {
    const field = given[option] === undefined ? null : fieldBehind(prefix, option)
    return field === null ? [] : [[field, given[option]] as const]
  })
  return own.length === 0 ? preset : { ...preset, ...Object.fromEntries(own) }
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
  ...unsetOf(recordOf(given), fields).map((option) => unset(layer, option)),
]

const unsetOf = (given: Given, fields: Schema): readonly string[] =>
  Object.keys(given).filter(
    (option) => given[option] === undefined && Object.hasOwn(fields, option) && fields[option].required !== true,
  )

const unset = (layer: string, option: string): QuantError => ({
  tag: 'ConfigError',
  option,
  path: '',
  message: `${layer} was given ${option}: undefined`,
  fix: `leave ${option} out for the default${option.endsWith('Quant') ? ', give null for no quantizer, or mend the name of the preset' : ''}`,
})
