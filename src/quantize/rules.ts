/**
 * Rules of a quantization: which layers get which quantizers. An ordered list, of which later ones win field by field.
 */
import type { QuantError, QuantErrors } from '../data/error.js'
import {
  anything,
  count,
  fieldProblems,
  list,
  nearestName,
  orNull,
  record,
  showGiven,
  text,
  type Fields,
} from '../data/fields.js'
import { quantizerProblems } from '../quantizers/resolve.js'
import type { Quantizer } from '../quantizers/quantizer.js'

/** What a layer becomes. Fields that a rule leaves out are as an earlier rule says, or none. */
export type Choice = {
  /** Of weights (`Int8WeightPerChannelFloat`); null leaves them float. */
  readonly weightQuant?: Quantizer | null
  /** Bits of the weights, if not those of the preset. */
  readonly weightBitWidth?: number
  /** Of activations that may be negative (`Int8ActPerTensorFloat`); null leaves them float. */
  readonly actQuant?: Quantizer | null
  /**
   * Of activations that never are: behind ReLU, sigmoid, softmax (`Uint8ActPerTensorFloat`); as `actQuant` where none
   * is said.
   */
  readonly unsignedActQuant?: Quantizer | null
  /** Bits of activations, if not those of the preset. */
  readonly actBitWidth?: number
  /** Of biases (`Int32Bias`); none by default: floats. */
  readonly biasQuant?: Quantizer | null
}

/** One rule: which layers it is about (both must fit; all where neither is said), and what they become. */
export type Rule = {
  /** Path of the layers: names between dots, `*` for any part of one name, `**` for any number of names. */
  readonly path?: string
  /** Their class (`Conv2d`), or several. */
  readonly layer?: string | readonly string[]
  /** What they become; null: they stay float. */
  readonly to: Choice | null
}

const isNames = (x: unknown): boolean => typeof x === 'string' || (Array.isArray(x) && x.every(text.holds))

const RULE: Fields<Rule> = {
  path: text,
  layer: { says: 'the name of a class of layers, or a list of them', like: "'Conv2d'", holds: isNames },
  to: orNull({ ...record, says: 'a record of quantizers and bit widths', like: '{ weightBitWidth: 4 }' }),
}

const CHOICE: Fields<Choice> = {
  weightQuant: anything,
  weightBitWidth: count,
  actQuant: anything,
  unsignedActQuant: anything,
  actBitWidth: count,
  biasQuant: anything,
}

/** Which of the fields hold quantizers, and of what. */
const PLACES = { weightQuant: 'weight', actQuant: 'act', unsignedActQuant: 'act', biasQuant: 'bias' } as const
const PLURAL = { weight: 'weights', act: 'activations', bias: 'biases' } as const

const wrongIn = (i: number, option: string, message: string, fix: string): QuantError => ({
  tag: 'ConfigError',
  option,
  path: '',
  message: `rule ${i + 1} of quantize: ${message}`,
  fix,
})

const isQuantizer = (x: unknown): x is Quantizer =>
  typeof x === 'object' && x !== null && 'use' in x && 'quantType' in x

const quantizerAt = (i: number, place: keyof typeof PLACES, to: Choice): QuantErrors => {
  const given: unknown = to[place]
  if (given === undefined || given === null) return []
  const use = PLACES[place]
  if (!isQuantizer(given) || given.use !== use)
    return [
      wrongIn(
        i,
        place,
        `${place} is ${isQuantizer(given) ? `${given.name}, which quantizes ${PLURAL[given.use]}` : `${showGiven(given)}, which is no quantizer`}`,
        `give a preset for ${PLURAL[use]}, or null for none`,
      ),
    ]
  const widths = {
    weightQuant: to.weightBitWidth,
    biasQuant: undefined,
    actQuant: to.actBitWidth,
    unsignedActQuant: to.actBitWidth,
  }
  // The axis of groups is the layer's to say.
  return quantizerProblems({ ...withBits(given, widths[place]), groupDim: given.groupDim ?? 1 }).map((e) => ({
    ...e,
    message: `rule ${i + 1}: ${e.message}`,
  }))
}

/** A quantizer with other bits, if any are said. */
export const withBits = (q: Quantizer, bits: number | undefined): Quantizer =>
  bits === undefined ? q : { ...q, bitWidth: bits }

/** Bits for what the same rule leaves float, or for a format that has widths of its own. */
const againstItself = (i: number, to: Choice): QuantErrors => {
  const pairs = [['weightQuant', 'weightBitWidth'] as const, ['actQuant', 'actBitWidth'] as const]
  return pairs.flatMap(([place, width]): QuantErrors => {
    if (to[width] === undefined) return []
    const q = to[place]
    if (q === null)
      return [
        wrongIn(i, width, `it contradicts itself: ${place}: null, and ${width}: ${to[width]}`, 'leave one of them out'),
      ]
    return q !== undefined && isQuantizer(q) && q.quantType === 'FLOAT'
      ? [
          wrongIn(
            i,
            width,
            `${q.name} is a float format, whose bits ${width}: ${to[width]} does not say`,
            'choose a preset by exponent and mantissa, Fp8e4m3WeightPerTensorFloat for instance, or give exponentBitWidth and mantissaBitWidth by withOptions',
          ),
        ]
      : []
  })
}

const ruleProblems = (rule: unknown, i: number): QuantErrors => {
  const wrong = fieldProblems(`rule ${i + 1} of quantize`, rule, RULE)
  if (wrong.length > 0) return wrong
  const { to } = rule as Rule
  if (to === undefined)
    return [wrongIn(i, 'to', 'it does not say what its layers become', 'give to: { weightBitWidth: 4 }, or to: null')]
  if (to === null) return []
  const fields = fieldProblems(`rule ${i + 1} of quantize`, to, CHOICE)
  if (fields.length > 0) return fields
  const contradictions = againstItself(i, to)
  if (contradictions.length > 0) return contradictions
  return (Object.keys(PLACES) as (keyof typeof PLACES)[]).flatMap((place) => quantizerAt(i, place, to))
}

const sameWhere = (a: Rule, b: Rule): boolean =>
  a.path === b.path && JSON.stringify([a.layer].flat()) === JSON.stringify([b.layer].flat())

/** Two rules about the very same layers that say different things: one of them would never hold. */
const contradictions = (rules: readonly Rule[]): QuantErrors =>
  rules.flatMap((b, j) =>
    rules.slice(0, j).flatMap((a, i): QuantErrors => {
      if ((a.path ?? a.layer) === undefined || !sameWhere(a, b)) return []
      const where = [a.path, ...[a.layer ?? []].flat()].filter((s) => s !== undefined).join(', ')
      if ((a.to === null) !== (b.to === null))
        return [wrongIn(j, 'to', `it contradicts rule ${i + 1}, which is about ${where} too`, 'leave one of them out')]
      const [before, now] = [a.to ?? {}, b.to ?? {}]
      return (Object.keys(now) as (keyof Choice)[])
        .filter((k) => before[k] !== undefined && before[k] !== now[k])
        .map((k) =>
          wrongIn(j, k, `it contradicts rule ${i + 1}, which says another ${k} of ${where}`, 'leave one of them out'),
        )
    }),
  )

/** All that is wrong with rules in themselves. */
export const rulesProblems = (rules: unknown): QuantErrors => {
  if (!list.holds(rules))
    return [
      {
        tag: 'ConfigError',
        option: 'rules',
        path: '',
        message: `quantize takes a list of rules, and was given ${showGiven(rules)}`,
        fix: "give a scheme, schemes.int8, or a list: [...schemes.int8, { path: 'fc2', to: null }]",
      },
    ]
  const all = rules as readonly unknown[]
  if (all.length === 0)
    return [
      {
        tag: 'ConfigError',
        option: 'rules',
        path: '',
        message: 'quantize was given no rules, so that all would stay float',
        fix: 'give a scheme, schemes.int8 for instance',
      },
    ]
  const wrong = all.flatMap(ruleProblems)
  return wrong.length > 0 ? wrong : contradictions(all as readonly Rule[])
}

const escaped = (s: string): string => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** A pattern of paths as an expression: `*` stays within a name, `**` does not. */
const patternOf = (path: string): RegExp => {
  const names = path
    .split('.')
    .map((name) => (name === '**' ? '**' : name.split('*').map(escaped).join('[^.]*')))
    .join('\\.')
    .replace(/^\*\*\\\./, '(?:.*\\.)?')
    .replace(/\\\.\*\*$/, '(?:\\..*)?')
    .replaceAll('\\.**\\.', '\\.(?:.*\\.)?')
    .replaceAll('**', '.*')
  return new RegExp(`^${names}$`)
}

/** Where a layer stands and what it is, for rules. */
export type Site = { readonly path: string; readonly layer: string }

const atPath = (pattern: string | undefined, path: string): boolean =>
  pattern === undefined || patternOf(pattern).test(path)

/** Is a rule about this layer? */
export const isAbout = (rule: Rule, { path, layer }: Site): boolean =>
  atPath(rule.path, path) && (rule.layer === undefined || [rule.layer].flat().includes(layer))

/** What the rules together say of a layer; null: it stays float. */
export const choiceOf = (rules: readonly Rule[], site: Site): Choice | null =>
  rules
    .filter((rule) => isAbout(rule, site))
    .reduce<Choice | null>((choice, { to }) => (to === null ? null : { ...choice, ...to }), null)

/** Rules that are about no layer of a network: each a mistake, answered with what is nearest. */
export const idleRules = (rules: readonly Rule[], sites: readonly Site[]): QuantErrors =>
  rules.flatMap((rule, i): QuantErrors => {
    if ((rule.path ?? rule.layer) === undefined || sites.some((s) => isAbout(rule, s))) return []
    const byPath = rule.path !== undefined && !sites.some((s) => atPath(rule.path, s.path))
    const [asked, known] = byPath
      ? [rule.path, sites.map((s) => s.path)]
      : [[rule.layer ?? ''].flat()[0], [...new Set(sites.map((s) => s.layer))]]
    const near = nearestName(asked ?? '', known)
    const where = [
      ...(rule.path === undefined ? [] : [`at ${JSON.stringify(rule.path)}`]),
      ...(rule.layer === undefined ? [] : [`of class ${[rule.layer].flat().join(' or ')}`]),
    ]
    return [
      wrongIn(
        i,
        byPath ? 'path' : 'layer',
        `no layer is ${where.join(' and ')}`,
        near === undefined ? `there are ${known.slice(0, 12).join(', ')}` : `did you mean ${JSON.stringify(near)}?`,
      ),
    ]
  })
