/** Options of layers: Brevitas' keyword arguments in camelCase, with a prefix per quantizer; unknown ones are errors. */
import type { QuantError } from '../../data/error.js'
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

/** All options that belong to a prefix. */
export const optionsOf = (prefix: string): readonly string[] => quantizerOptionNames.map((f) => optionName(prefix, f))

const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length]
}

const snake = (name: string): string => name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase())

/** Options that nobody knows, each with the nearest known name. */
export const unknownOptions = (layer: string, given: Given, known: readonly string[]): readonly QuantError[] =>
  Object.keys(given)
    .filter((k) => !known.includes(k))
    .map((option) => {
      const nearest = [...known].sort((a, b) => distance(snake(option), a) - distance(snake(option), b))[0]
      const near = nearest !== undefined && distance(snake(option), nearest) <= Math.max(2, option.length / 3)
      return {
        tag: 'ConfigError',
        option,
        path: '',
        message: `${layer} has no option ${JSON.stringify(option)}`,
        fix: !near
          ? `leave it out; ${known.length === 0 ? 'it takes no options' : 'known: '}${known.filter((k) => !/^(input|output|weight|bias)[A-Z]/.test(k) || k.endsWith('Quant')).join(', ')}`
          : `did you mean ${nearest}?`,
      } satisfies QuantError
    })

const isQuantizer = (x: unknown): x is Quantizer =>
  typeof x === 'object' && x !== null && 'use' in x && 'quantType' in x

/** The quantizer of one place of a layer: given, disabled by null, or the default. Not a quantizer at all: a problem. */
export const chosen = (
  layer: string,
  given: Given,
  place: string,
  fallback: Quantizer | null,
  prefix: string,
  use: Quantizer['use'],
): { readonly quantizer: Quantizer | null; readonly problems: readonly QuantError[] } => {
  const asked = given[place] === undefined ? fallback : given[place]
  if (asked === null) return { quantizer: null, problems: [] }
  const wrong = (message: string, fix: string) => ({
    quantizer: null,
    problems: [{ tag: 'ConfigError', option: place, path: '', message, fix } satisfies QuantError],
  })
  if (!isQuantizer(asked))
    return wrong(
      `${layer}: ${place} is no quantizer`,
      'give a preset, such as Int8ActPerTensorFloat, or null to disable it',
    )
  if (asked.use !== use)
    return wrong(
      `${layer}: ${asked.name} quantizes ${asked.use === 'act' ? 'activations' : `${asked.use}s`}, but ${place} quantizes ${use === 'act' ? 'activations' : `${use}s`}`,
      `give a preset for ${use === 'act' ? 'activations' : `${use}s`}`,
    )
  const quantizer = overridden(asked, given, prefix)
  return { quantizer, problems: quantizerProblems(quantizer) }
}
