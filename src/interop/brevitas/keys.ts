/** Where Brevitas' state dict keeps what a leaf of ours holds (`module.state_dict()` of Brevitas 0.13.4, measured). */

import { demandArguments, orNull, required, text } from '../../data/fields.js'

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

/** Where scales of a quantizer stand: in a recurrent cell every quantizer has a name of its own, `cellTanhQuant`. */
const prefixesOf = (quantizer: string) =>
  Object.hasOwn(PREFIXES, quantizer) ? PREFIXES[quantizer] : place(snake(quantizer), ACTIVATION)

/**
 * The key of a leaf, `conv1.weightQuant.scale.value` or `conv1.bias`; null of one that Brevitas doesn't save. `owner` is the path of the layer
 * that has it, where that is known: names below are the library's own, `inProj`, and written as Brevitas writes them; names of yours stay as they are.
 */
export const keyOf = (path: string, owner: string | null = null): string | null => {
  demandArguments('keyOf', { path, owner }, { path: required(text), owner: orNull(text) })
  const parts = path.split('.')
  const inside = owner !== null
  const own = owner === null || owner === '' ? 0 : owner.split('.').length
  const named = (end: number): readonly string[] =>
    parts.slice(0, end).map((p, i) => (inside && i >= own ? snake(p) : p))
  const isQuantizer = (p: string): boolean => Object.hasOwn(PREFIXES, p) || (inside && p.endsWith('Quant'))
  const at = parts.findIndex((p, i) => i === parts.length - 3 && isQuantizer(p))
  if (OURS.includes(parts[parts.length - 1])) return null
  if (at < 0) return [...named(parts.length - 1), snake(parts[parts.length - 1])].join('.')
  const [quantizer, part, leaf] = parts.slice(at)
  const saved = leaf === undefined ? undefined : SAVED[leaf]
  if (saved === undefined || (part !== 'scale' && part !== 'zeroPoint')) return null
  return [...named(at), `${prefixesOf(quantizer)[part]}.${saved}`].join('.')
}
