/** Where Brevitas' state dict keeps what a leaf of ours holds (`module.state_dict()` of Brevitas 0.13.4, measured). */

import { demandArguments, required, text } from '../../data/fields.js'

const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)

const ACTIVATION = 'fused_activation_quant_proxy.tensor_quant'

/** Below `act_quant`, `weight_quant`, …: where scales stand. */
const PREFIXES: { readonly [place: string]: { readonly scale: string; readonly zeroPoint: string } } = {
  actQuant: place('act_quant', ACTIVATION),
  inputQuant: place('input_quant', ACTIVATION),
  outputQuant: place('output_quant', ACTIVATION),
  weightQuant: place('weight_quant', 'tensor_quant'),
  biasQuant: place('bias_quant', 'tensor_quant'),
  truncQuant: {
    scale: 'trunc_quant.tensor_quant.trunc_scaling_impl.scaling_impl',
    zeroPoint: 'trunc_quant.tensor_quant.zero_point_impl',
  },
}

function place(name: string, inner: string): { readonly scale: string; readonly zeroPoint: string } {
  return { scale: `${name}.${inner}.scaling_impl`, zeroPoint: `${name}.${inner}.zero_point_impl` }
}

/** Leaves of a quantizer that Brevitas saves; counters, buffers and delays never are. */
const SAVED: { readonly [leaf: string]: string } = { value: 'value', runningStats: 'runtime_stats.running_stats' }

/** Leaves of ours alone: a dropout's generator, which torch has once for the whole process. */
const OURS: readonly string[] = ['seed', 'step']

/** The key of a leaf, `conv1.weightQuant.scale.value` or `conv1.bias`; null of one that Brevitas doesn't save. */
export const keyOf = (path: string): string | null => {
  demandArguments('keyOf', { path }, { path: required(text) })
  const parts = path.split('.')
  const at = parts.findIndex((p, i) => Object.hasOwn(PREFIXES, p) && i >= parts.length - 3)
  if (OURS.includes(parts[parts.length - 1])) return null
  if (at < 0) return [...parts.slice(0, -1), snake(parts[parts.length - 1])].join('.')
  const [quantizer, part, leaf] = parts.slice(at)
  const saved = leaf === undefined ? undefined : SAVED[leaf]
  if (saved === undefined || (part !== 'scale' && part !== 'zeroPoint')) return null
  return [...parts.slice(0, at), `${PREFIXES[quantizer][part]}.${saved}`].join('.')
}
