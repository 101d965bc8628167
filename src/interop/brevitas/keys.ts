/** Where Brevitas' state dict keeps what a leaf of ours holds (`module.state_dict()` of Brevitas 0.13.4, measured). */

import { demandArguments, orNull, required, text } from '../../data/fields.js'

const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)

const ACTIVATION = 'fused_activation_quant_proxy.tensor_quant'

/** Where the parts of a quantizer stand: its scale, its zero point, its learned width, and what weights are scaled by before they are rounded. */
type Parts = { readonly [part: string]: string }

/** Below `act_quant`, `weight_quant`, …: where those stand. */
const PREFIXES: { readonly [place: string]: Parts } = {
  actQuant: place('act_quant', ACTIVATION),
  inputQuant: place('input_quant', ACTIVATION),
  outputQuant: place('output_quant', ACTIVATION),
  weightQuant: place('weight_quant', 'tensor_quant'),
  biasQuant: place('bias_quant', 'tensor_quant'),
  truncQuant: {
    ...place('trunc_quant', 'tensor_quant'),
    scale: 'trunc_quant.tensor_quant.trunc_scaling_impl.scaling_impl',
  },
}

function place(name: string, inner: string): Parts {
  const at = `${name}.${inner}`
  return {
    scale: `${at}.scaling_impl`,
    zeroPoint: `${at}.zero_point_impl`,
    bitWidth: `${at}.msb_clamp_bit_width_impl`,
    norm: `${at}.pre_scaling_impl`,
    preScale: `${at}.pre_scaling_impl.scaling_impl`,
  }
}

/** Leaves of a quantizer that Brevitas saves; counters, buffers and delays never are. */
const SAVED: { readonly [leaf: string]: string } = {
  value: 'value',
  runningStats: 'runtime_stats.running_stats',
  offset: 'bit_width_offset',
}

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
  const home = prefixesOf(quantizer)[part]
  return saved === undefined || home === undefined ? null : [...named(at), `${home}.${saved}`].join('.')
}
