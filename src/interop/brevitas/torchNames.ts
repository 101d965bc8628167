/**
 * torch's own names of recurrent layers and of multi-head attention, as Brevitas' layers take them when they load a float network: one tensor
 * for all gates, two biases that add up, one projection for query, key and value (SEMANTICS-3, 1, 2 and 4).
 */
import type { ProgramLayer } from '../../graph/program.js'
import type { AnyLayer } from '../../nn/layers/layer.js'
import { layersOf } from '../../nn/layers/source.js'
import type { StoredArray } from '../arrays/element.js'
import type { StoredArrays } from '../arrays/stored.js'

/** Gates in the order in which torch stacks them. */
const GATES: { readonly [layer: string]: readonly string[] } = {
  QuantRNN: ['gate_params'],
  QuantLSTM: ['input', 'forget', 'cell', 'output'].map((g) => `${g}_gate_params`),
  QuantGRU: ['reset', 'update', 'new'].map((g) => `${g}_gate_params`),
}
/** Layers whose parts have names of the library's own. */
const WITH_PARTS = [
  ...Object.keys(GATES),
  'QuantScaledDotProductAttention',
  'QuantMultiheadAttention',
  'ScaledDotProductAttention',
]

/** The paths of those layers whose parts have names of the library's own: these are written as Brevitas writes them. */
export const partedLayers = (layer: AnyLayer): readonly ProgramLayer[] =>
  layersOf(layer).filter((l) => WITH_PARTS.includes(l.layer))

/** Equal stretches of the first axis. */
const rows = ({ shape, data, type }: StoredArray, parts: number): readonly StoredArray[] => {
  const size = data.length / parts
  const one = [shape[0] / parts, ...shape.slice(1)]
  return Array.from({ length: parts }, (_, i) => ({ shape: one, data: data.slice(i * size, (i + 1) * size), type }))
}

const sum = (a: StoredArray, b: StoredArray | undefined): StoredArray =>
  b === undefined ? a : { ...a, data: a.data.map((x, i) => Math.fround(x + b.data[i])) }

type Entries = readonly (readonly [key: string, array: StoredArray])[]

/** What torch's key of a recurrent layer holds, by Brevitas' keys; null where it is none. */
const ofRecurrent = (
  key: string,
  at: (key: string) => StoredArray | undefined,
  gates: readonly string[],
): Entries | null => {
  const found = /^(weight|bias)_(ih|hh)_l(\d+)(_reverse)?$/.exec(key)
  const array = at(key)
  if (found === null || array === undefined) return null
  const [, kind, side, layer, reverse = ''] = found
  const path = `layers.${layer}.${reverse === '' ? 0 : 1}`
  const under = (leaf: string, arrays: readonly StoredArray[]): Entries =>
    gates.map((g, i) => [`${path}.${g}.${leaf}`, arrays[i]] as const)
  if (kind === 'weight') return under(`${side === 'ih' ? 'input' : 'hidden'}_weight.weight`, rows(array, gates.length))
  // The two biases of torch are one: the first of them brings the other.
  const other = at(`bias_${side === 'ih' ? 'hh' : 'ih'}_l${layer}${reverse}`)
  return side === 'hh' && other !== undefined ? [] : under('bias', rows(sum(array, other), gates.length))
}

/** What torch's key of multi-head attention holds, by Brevitas' keys; null where it is none. */
const ofMultihead = (key: string, array: StoredArray, packed: boolean): Entries | null => {
  const one = /^([qkv]_proj)_(weight|bias)$/.exec(key)
  if (one !== null) return [[`${one[1]}.${one[2]}`, array]]
  const all = /^in_proj_(weight|bias)$/.exec(key)
  if (all === null) return null
  const leaf = all[1]
  return packed
    ? [[`in_proj.${leaf}`, array]]
    : rows(array, 3).map((part, i) => [`${['q', 'k', 'v'][i]}_proj.${leaf}`, part] as const)
}

/** A path in front of a name. */
export const dotted = (path: string): string => (path === '' ? '' : `${path}.`)

/** Arrays of a network with torch's own names, where such are among them, under Brevitas' names. `known` are the keys that the network has. */
export const withBrevitasNames = (layer: AnyLayer, arrays: StoredArrays, known: readonly string[]): StoredArrays => {
  const owners = partedLayers(layer)
  if (owners.length === 0) return arrays
  const named = (key: string, array: StoredArray): Entries => {
    for (const owner of owners) {
      const prefix = dotted(owner.path)
      if (!key.startsWith(prefix)) continue
      const own = key.slice(prefix.length)
      const gates = GATES[owner.layer]
      const found =
        gates === undefined
          ? ofMultihead(own, array, known.includes(`${prefix}in_proj.weight`))
          : ofRecurrent(own, (k) => (Object.hasOwn(arrays, prefix + k) ? arrays[prefix + k] : undefined), gates)
      if (found !== null) return found.map(([k, a]) => [prefix + k, a] as const)
    }
    return [[key, array]]
  }
  return Object.fromEntries(Object.entries(arrays).flatMap(([key, array]) => named(key, array)))
}
