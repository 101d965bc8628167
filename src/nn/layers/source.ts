/** How layers were written: constructor, options as given, options known. A page reads it to say what to change, as code. */
import type { Attrs } from '../../graph/op.js'
import type { ProgramLayer } from '../../graph/program.js'
import * as presets from '../../quantizers/presets.js'
import type { TruncQuantizer } from '../../quantizers/presets.js'
import { plainQuantizer, quantizerOptionNames, type Quantizer } from '../../quantizers/quantizer.js'
import type { AnyLayer, Source } from './layer.js'

type Options = Source['options']

const isRecord = (x: unknown): x is Options => typeof x === 'object' && x !== null && !Array.isArray(x)
const isQuantizer = (x: unknown): x is Quantizer => isRecord(x) && typeof x.use === 'string' && 'quantType' in x

const known: { readonly [name: string]: unknown } = presets

/** A preset by its name, or with the options that make this quantizer of it. */
const quantizerCode = (q: Quantizer | TruncQuantizer): string => {
  const preset = Object.hasOwn(presets, q.name) ? known[q.name] : undefined
  if (preset === undefined || preset === q || !isQuantizer(q) || !isQuantizer(preset)) return q.name
  const changed = quantizerOptionNames.filter((f) => JSON.stringify(q[f]) !== JSON.stringify(preset[f]))
  return changed.length === 0
    ? q.name
    : `pipe(${q.name}, withOptions({ ${changed.map((f) => `${f}: ${codeOf(q[f])}`).join(', ')} }))`
}

/** A value of an option as code: JSON, but for presets, which stand under their names. */
export const codeOf = (x: unknown): string => {
  if (typeof x === 'string') return `'${JSON.stringify(x).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`
  if (Array.isArray(x)) return `[${x.map(codeOf).join(', ')}]`
  if (typeof x === 'function') return x.name === '' ? 'f' : x.name
  if (!isRecord(x)) return String(x)
  if (isQuantizer(x) || x.use === 'trunc') return quantizerCode(x as Quantizer | TruncQuantizer)
  return `{ ${Object.entries(x)
    .map(([k, v]) => `${k}: ${codeOf(v)}`)
    .join(', ')} }`
}

const given = (options: Options): ProgramLayer['given'] =>
  Object.entries(options).flatMap(([k, v]) => (v === undefined ? [] : [[k, codeOf(v)] as const]))

/** A statistic of the user's own under its name. */
const statisticName = ({ scalingStatsOp: op }: Quantizer): string => (typeof op === 'string' ? op : op.name)

/** Fields that are not as in a bare quantizer. Most are, and then no text is made of them. */
const unlikePlain = (q: Quantizer): Attrs => {
  const out: Record<string, unknown> = {}
  const [fields, bare]: readonly { readonly [field: string]: unknown }[] = [q, plainQuantizer]
  for (const k in fields) {
    const own = k === 'scalingStatsOp' ? statisticName(q) : fields[k]
    if (own !== bare[k] && JSON.stringify(own) !== JSON.stringify(bare[k])) out[k] = own
  }
  return out as Attrs
}

/** What of a quantizer is not as in a bare one. */
const fieldsOf = (q: Quantizer | TruncQuantizer): Attrs =>
  q.use === 'trunc' ? { name: q.name, bitWidth: q.bitWidth, floatToIntImplType: q.floatToIntImplType } : unlikePlain(q)

const entry = (path: string, s: Source): ProgramLayer => ({
  path,
  layer: s.layer,
  given: given(s.options),
  takes: s.takes,
  quantizers: Object.fromEntries(
    Object.entries(s.quantizers ?? {}).map(([place, q]) => [place, q === null ? null : fieldsOf(q)]),
  ),
  ...(s.twin === undefined ? {} : { twin: { layer: s.twin.layer, given: given(s.twin.options) } }),
})

/** How a layer and all layers in it were written, the outermost first; layers that do not say so are left out. */
export const layersOf = (layer: AnyLayer, path = ''): readonly ProgramLayer[] => {
  const { source } = layer
  if (source === undefined) return []
  return [
    entry(path, source),
    ...Object.entries(source.within ?? {}).flatMap(([name, l]) => layersOf(l, path === '' ? name : `${path}.${name}`)),
  ]
}
