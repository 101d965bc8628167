/** Quantizers of a layer as Brevitas' keyword arguments: a preset by its name, and what differs from it. */
import type { QuantError } from '../../../data/error.js'
import { fieldOption } from '../../../nn/layers/options.js'
import * as presets from '../../../quantizers/presets.js'
import type { TruncQuantizer } from '../../../quantizers/presets.js'
import { quantizerOptionNames, type Quantizer } from '../../../quantizers/quantizer.js'
import { literal, snake } from './python.js'

/** Keyword arguments, in order. */
export type Keywords = readonly (readonly [name: string, code: string])[]

/** What an expression needs from other modules of Python: `from module import name`. */
export type Import = readonly [module: string, name: string]

/** Code, or why there is none. */
export type Written = {
  readonly keywords: Keywords
  readonly imports: readonly Import[]
  readonly refusals: readonly QuantError[]
}

/** Nothing to write. */
export const nothing: Written = { keywords: [], imports: [], refusals: [] }

/** Several in a row. */
export const joined = (parts: readonly Written[]): Written => ({
  keywords: parts.flatMap((p) => p.keywords),
  imports: parts.flatMap((p) => p.imports),
  refusals: parts.flatMap((p) => p.refusals),
})

/** Fields that are floats in Brevitas, where a whole number would become an integer tensor. */
const FLOATS: readonly string[] = [
  'bitWidthOffsetMinVal',
  'bitWidthOffsetMaxVal',
  'scalingMinVal',
  'scalingStatsMomentum',
  'zeroPointStatsMomentum',
  'highPercentileQ',
  'lowPercentileQ',
  'minVal',
  'maxVal',
  'scalingInit',
  'scalingConst',
]

/** What no option of Brevitas changes: it must be the preset's own. */
const KINDS = [
  'use',
  'quantType',
  'minifloat',
  'search',
  'preScaling',
  'scalingOver',
  'biasScale',
  'zeroPointImpl',
] as const

const isQuantizer = (x: unknown): x is Quantizer =>
  typeof x === 'object' && x !== null && 'quantType' in x && 'use' in x

/** Presets that `brevitas.quant` does not export, by the module that has them. */
const ELSEWHERE: { readonly [module: string]: readonly string[] } = {
  'brevitas.quant.fixed_point': [
    'Int8ActPerTensorFixedPointMinMaxInit',
    'Int8WeightPerChannelFixedPoint',
    'Int4WeightPerTensorFixedPointDecoupled',
  ],
  'brevitas.quant.scaled_int': ['Int8WeightPerTensorFloatHQO', 'Int8WeightPerChannelFloatHQO'],
  'brevitas.quant.shifted_scaled_int': ['ShiftedUint8WeightPerGroupFloatHQO', 'ShiftedUint8WeightGroupQuantFloat'],
}

/** Dynamic and symmetric group presets come with Brevitas' examples. */
const isExample = (preset: string): boolean =>
  /Dynamic|SymmetricGroupQuant|^ShiftedUint8WeightGroupQuantFloatMSE$/.test(preset)

/** The module of Brevitas that a preset stands in. */
export const moduleOf = (preset: string): string =>
  isExample(preset)
    ? 'brevitas_examples.common.generative.quantizers'
    : (Object.keys(ELSEWHERE).find((module) => ELSEWHERE[module].includes(preset)) ?? 'brevitas.quant')

const PRESETS: readonly Quantizer[] = Object.values(presets).filter(isQuantizer)

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

const differences = (q: Quantizer, base: Quantizer): readonly (typeof quantizerOptionNames)[number][] =>
  quantizerOptionNames.filter((f) => !same(q[f], base[f]))

/** The preset that a quantizer was made of: of that name, or of the same kind with the fewest differences. */
const baseOf = (q: Quantizer): Quantizer | null => {
  const kin = PRESETS.filter((p) => KINDS.every((k) => p[k] === q[k]))
  const [best = null] = [...kin].sort(
    (a, b) =>
      differences(q, a).length +
      (a.name === q.name ? -100 : 0) -
      differences(q, b).length -
      (b.name === q.name ? -100 : 0),
  )
  return best
}

const refusal = (layer: string, path: string, message: string, fix: string): Written => ({
  ...nothing,
  refusals: [{ tag: 'ExportError', op: layer, path, message: `${layer}: ${message}`, fix }],
})

/** Does the quantizer collect over calls, so that their number matters? Brevitas' own default, 300, is not ours. */
const collects = (q: Quantizer): boolean =>
  q.use === 'act' &&
  q.quantType !== 'BINARY' &&
  (q.scalingImplType === 'PARAMETER_FROM_STATS' || q.zeroPointImpl === 'stats')

/** One option of a quantizer: which rounding finds a power of two is a class in Brevitas, all else is data. */
const option = (q: Quantizer, place: string, field: (typeof quantizerOptionNames)[number]): Written => {
  const name = snake(fieldOption(place, field))
  if (field === 'restrictValueFloatToIntImpl') {
    const rounding = { CEIL: 'CeilSte', ROUND: 'RoundSte', FLOOR: 'FloorSte' }[q.restrictValueFloatToIntImpl]
    return { ...nothing, keywords: [[name, rounding]], imports: [['brevitas.core.function_wrapper', rounding]] }
  }
  const code = literal(q[field], FLOATS.includes(field))
  return code === null ? nothing : { ...nothing, keywords: [[name, code]] }
}

/** How scales of rows lie over them: Brevitas leaves that to whoever uses its presets of rows. */
const rowView = (q: Quantizer, place: string): Written =>
  q.use === 'act' && q.scalingOver === 'ROW'
    ? {
        ...nothing,
        keywords: [
          [snake(fieldOption(place, 'dynamicScalingBroadcastableFn')), 'lambda x, shape: x.view(*shape[:-1], 1)'],
          [snake(fieldOption(place, 'permuteDims')), 'None'],
        ],
      }
    : nothing

/** The keyword arguments of one quantizer. `fallback`: the preset that Brevitas takes where nothing is said, null for none. */
export const quantizerKeywords = (
  layer: string,
  path: string,
  place: string,
  q: Quantizer | null,
  fallback: string | null,
): Written => {
  if (q === null) return fallback === null ? nothing : { ...nothing, keywords: [[snake(place), 'None']] }
  const base = baseOf(q)
  if (base === null)
    return refusal(
      layer,
      path,
      `${place} (${JSON.stringify(q.name)}) is made of pieces that no preset of Brevitas has together`,
      'start from one of the presets, with withOptions',
    )
  if (typeof q.scalingStatsOp !== 'string')
    return refusal(
      layer,
      path,
      `${place} takes the statistic ${q.scalingStatsOp.name}, which is your own`,
      `give one of Brevitas' by name: ${fieldOption(place, 'scalingStatsOp')}: 'MAX'`,
    )
  if (q.quantType !== 'BINARY' && q.scalingStatsOp === 'ZERO_MIN_MAX')
    return refusal(
      layer,
      path,
      `${place} takes the statistic ZERO_MIN_MAX, which Brevitas does not have`,
      `give ${fieldOption(place, 'scalingStatsOp')}: 'MIN_MAX', its nearest`,
    )
  const changed = new Set(differences(q, base))
  if (collects(q)) changed.add('collectStatsSteps')
  const named: Written =
    base.name === fallback
      ? nothing
      : { ...nothing, keywords: [[snake(place), base.name]], imports: [[moduleOf(base.name), base.name]] }
  return joined([
    named,
    rowView(q, place),
    ...quantizerOptionNames.filter((f) => changed.has(f)).map((f) => option(q, place, f)),
  ])
}

/** The keyword arguments of a truncation: its own, and those of what it collects, stand without a prefix. */
export const truncKeywords = (q: TruncQuantizer | null, given: { readonly [option: string]: unknown }): Written => {
  if (q === null) return { ...nothing, keywords: [['trunc_quant', 'None']] }
  const named: Written =
    q.name === 'RoundTo8bit'
      ? nothing
      : { ...nothing, keywords: [['trunc_quant', q.name]], imports: [[moduleOf(q.name), q.name]] }
  const steps = q.collected === null ? {} : { collectStatsSteps: q.collected.collectStatsSteps }
  const own = { ...steps, ...given }
  const keywords = [...quantizerOptionNames].flatMap((f) => {
    const code = Object.hasOwn(own, f) ? literal(Reflect.get(own, f), FLOATS.includes(f)) : null
    return code === null ? [] : [[snake(f), code] as const]
  })
  return joined([named, { ...nothing, keywords }])
}
