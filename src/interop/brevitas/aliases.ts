/**
 * Second names of shared quantizers. Brevitas' recurrent layers hold one module under several names, and torch saves it, and wants it, under each:
 * that of inputs and outputs (`io_quant`) is one for all layers and directions, as is that of cell states; gates that share one, or are coupled, have
 * one as well. Here such a quantizer has one place, the first. Seen in Brevitas' `named_modules(remove_duplicate=False)`.
 */
import type { AnyLayer } from '../../nn/layers/layer.js'
import { dotted, partedLayers } from './torchNames.js'

const SHARED_BY_ALL = ['output_quant', 'cell_state_quant']
/** Names that stand for the first, where a network has none of their own. */
const STANDS_FOR: { readonly [name: string]: readonly string[] } = {
  input_acc_quant: ['forget_acc_quant', 'cell_acc_quant', 'output_acc_quant'],
  input_sigmoid_quant: ['forget_sigmoid_quant'],
}

/** Names of one key of a recurrent layer, beside itself; `places` are its layers and directions. */
const otherNames = (key: string, places: readonly string[]): readonly string[] => {
  const found = /^layers\.(\d+\.\d+)\.cell\.(\w+)\.(.+)$/.exec(key)
  if (found === null) return []
  const [, place, name, rest] = found
  const at = place === '0.0' && SHARED_BY_ALL.includes(name) ? places : [place]
  return at.flatMap((p) => [
    ...[name, ...(STANDS_FOR[name] ?? [])].map((n) => `layers.${p}.cell.${n}.${rest}`),
    ...(name === 'output_quant' ? [`layers.${p}.io_quant.${rest}`] : []),
  ])
}

/** The keys that Brevitas has beside those of the network, each with the one that it is the same as. */
export const aliasesOf = (layer: AnyLayer, known: readonly string[]): ReadonlyMap<string, string> => {
  const out = new Map<string, string>()
  const taken = new Set(known)
  for (const owner of partedLayers(layer)) {
    if (owner.layer !== 'QuantRNN' && owner.layer !== 'QuantLSTM') continue
    const prefix = dotted(owner.path)
    const own = known.flatMap((k) => (k.startsWith(`${prefix}layers.`) ? [k.slice(prefix.length)] : []))
    const places = [...new Set(own.flatMap((k) => /^layers\.(\d+\.\d+)\./.exec(k)?.[1] ?? []))]
    for (const key of own)
      for (const name of otherNames(key, places)) if (!taken.has(prefix + name)) out.set(prefix + name, prefix + key)
  }
  return out
}
