/** Builds a case's layers through the public API: Brevitas' keyword arguments become our options. */
import * as q from '../../src/index.js'
import { camel, quantizersOf, type Json, type LayerJson } from './format.js'

/** Brevitas' default of `collect_stats_steps`; ours is 30. */
export const BREVITAS_STEPS = 300

const api: { readonly [name: string]: unknown } = q

const ACTIVATIONS = ['QuantReLU', 'QuantSigmoid', 'QuantTanh', 'QuantHardTanh', 'QuantHardSwish']

/** Places of activation quantizers in layers that have many. */
const MANY: { readonly [type: string]: readonly string[] } = {
  QuantRNN: ['io', 'gateAccQuant'],
  QuantLSTM: ['io', 'gateAcc', 'sigmoid', 'tanh', 'cellState'],
  QuantScaledDotProductAttention: ['qScaled', 'kTransposed', 'v', 'softmaxInput', 'attnOutputWeights', 'sdpaOutput'],
  QuantMultiheadAttention: [
    'qScaled',
    'kTransposed',
    'v',
    'softmaxInput',
    'attnOutputWeights',
    'inProjInput',
    'outProjInput',
    'outProjOutput',
  ],
}

/** Which prefixes of collectStatsSteps a type understands. */
const stepPrefixes = (type: string): readonly string[] => {
  if (MANY[type] !== undefined) return MANY[type]
  if (type === 'QuantIdentity' || type.startsWith('Trunc')) return ['']
  if (ACTIVATIONS.includes(type)) return ['', 'input']
  if (/^Quant(Linear|Conv|EltwiseAdd|Cat|ScaleBias)|ToQuantScaleBias$/.test(type)) return ['input', 'output']
  return []
}

const presetNamed = (name: string): unknown => {
  const preset = api[name]
  if (typeof preset !== 'object' || preset === null || !('use' in preset)) throw new Error(`no quantizer ${name}`)
  return preset
}

const optionsOf = (spec: LayerJson): Json => {
  const out: Record<string, unknown> = {}
  for (const prefix of stepPrefixes(spec.type))
    out[prefix === '' ? 'collectStatsSteps' : `${prefix}CollectStatsSteps`] = BREVITAS_STEPS
  for (const [k, v] of Object.entries(spec.kwargs)) out[camel(k)] = v
  for (const [place, name] of quantizersOf(spec)) out[camel(place)] = name === null ? null : presetNamed(name)
  return out
}

/** One layer of a case. What is wrong with its options stands in the layer's `problems`. */
export const buildLayer = (spec: LayerJson): q.AnyLayer => {
  const make = api[spec.type.replace(/^torch\.nn\./, '')]
  if (typeof make !== 'function') throw new Error(`no layer ${spec.type}`)
  return (make as (options: Json) => q.AnyLayer)(optionsOf(spec))
}
