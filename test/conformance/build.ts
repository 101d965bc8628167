/** Builds a case's layers through the public API, and maps Brevitas' state keys to our trees. */
import * as q from '../../src/index.js'
import { camel, type Case, type Json, type LayerJson } from './format.js'

/** What the runner needs of any layer. */
export type BuiltLayer = q.AnyLayer
type Make = (options: never) => BuiltLayer

const api: { readonly [name: string]: unknown } = q
const presets = api

const QUANT_PLACES = ['act_quant', 'input_quant', 'output_quant', 'weight_quant', 'bias_quant', 'trunc_quant'] as const
const BREVITAS_STEPS = 300

/** Which prefixes of collectStatsSteps a type understands. */
const stepPrefixes = (type: string): readonly string[] => {
  if (type === 'QuantIdentity') return ['']
  if (['QuantReLU', 'QuantSigmoid', 'QuantTanh', 'QuantHardTanh'].includes(type)) return ['', 'input']
  if (type.startsWith('Trunc')) return ['']
  if (/^Quant(Linear|Conv|EltwiseAdd|Cat|ScaleBias)|ToQuantScaleBias$/.test(type)) return ['input', 'output']
  return []
}

const optionsOf = (spec: LayerJson): Json => {
  const out: Record<string, unknown> = {}
  for (const prefix of stepPrefixes(spec.type)) out[prefix === '' ? 'collectStatsSteps' : `${prefix}CollectStatsSteps`] = BREVITAS_STEPS
  for (const [k, v] of Object.entries(spec.kwargs)) out[camel(k)] = v
  for (const place of QUANT_PLACES) {
    const name = spec[place]
    if (name === undefined) continue
    if (name !== null && presets[name] === undefined) throw new Error(`no preset ${name}`)
    out[camel(place)] = name === null ? null : presets[name]
  }
  return out
}

/** One layer of the case. */
export const buildLayer = (spec: LayerJson): BuiltLayer => {
  const name = spec.type.replace(/^torch\.nn\./, '')
  const make = api[name]
  if (typeof make !== 'function') throw new Error(`no layer ${name}`)
  return (make as Make)(optionsOf(spec) as never)
}

const PLACES: { readonly [place: string]: string } = { act_quant: 'actQuant', input_quant: 'inputQuant', output_quant: 'outputQuant', weight_quant: 'weightQuant', bias_quant: 'biasQuant', trunc_quant: 'truncQuant' }

/** Where a state key stands in our trees: `m.weight_quant.tensor_quant.scaling_impl.value` → state `m.weightQuant.scale.value`. */
export const locate = (key: string): { readonly layer: string; readonly path: string } => {
  const [layer, first, ...rest] = key.split('.')
  const place = PLACES[first]
  if (place === undefined) return { layer, path: camel(first) }
  const leaf = camel(rest[rest.length - 1])
  return { layer, path: `${place}.${rest.includes('zero_point_impl') ? 'zeroPoint' : 'scale'}.${leaf}` }
}

/** The counter that loading a value puts to its end, and that end. */
export const endOfCollection = (c: Case, key: string): { readonly path: string; readonly value: number } | null => {
  const { layer, path } = locate(key)
  if (!path.endsWith('.value')) return null
  const part = path.slice(0, -'.value'.length)
  if (part.startsWith('weightQuant')) return { path: `${layer}.${part}.initDone`, value: 1 }
  const spec = c.layers[layer]
  const prefix = part.startsWith('inputQuant') ? 'input_' : part.startsWith('outputQuant') ? 'output_' : ''
  const steps = spec.kwargs[`${prefix}collect_stats_steps`]
  return { path: `${layer}.${part}.counter`, value: (typeof steps === 'number' ? steps : BREVITAS_STEPS) + 1 }
}
