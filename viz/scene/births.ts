/** The quantizers from which a value has its metadata, and others that could stand in their places. */
import { gridOf } from '../../src/data/quant.js'
import type { Node } from '../../src/graph/graph.js'
import type { ProgramLayer } from '../../src/graph/program.js'
import * as presets from '../../src/quantizers/presets.js'
import { plainQuantizer, type Quantizer } from '../../src/quantizers/quantizer.js'
import { advise, set } from './mend.js'
import { layerAt, presetFor, type Site } from './site.js'
import type { Advice } from './scene.js'
import { split, takes } from './written.js'

/** The nodes in which the metadata of a value is born. */
export const birthsOf = (site: Site, value: Node): readonly Node[] => {
  const [seen, found] = [new Set([value.id]), [] as Node[]]
  const queue = [value]
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    const parents = at.op.births === true ? [] : at.inputs.map((i) => site.graph.nodes[i])
    const quants = parents.filter((p) => gridOf(p.carried) !== null)
    if (quants.length === 0 && gridOf(at.carried) !== null) found.push(at)
    for (const p of quants)
      if (!seen.has(p.id)) {
        seen.add(p.id)
        queue.push(p)
      }
  }
  return found
}

/** A quantizer where it stands: the layer, its place there, and its fields. */
export type Standing = { readonly layer: ProgramLayer; readonly place: string; readonly quantizer: Quantizer }

/** The quantizer that made a node, if the layer at its path is known. */
export const quantizerOf = (site: Site, birth: Node): Standing | null => {
  const [path, place] = split(birth.path)
  const layer = layerAt(site, path)
  const fields = layer?.quantizers[place]
  return layer === undefined || fields === undefined || fields === null || !takes(layer, place)
    ? null
    : { layer, place, quantizer: { ...plainQuantizer, ...(fields as Partial<Quantizer>) } }
}

const isQuantizer = (x: unknown): x is Quantizer => typeof x === 'object' && x !== null && 'quantType' in x

/** The name of the preset that is like this quantizer but for a change (options of the layer set the width and the steps of collecting); where none is, undefined. */
export const sibling = (q: Quantizer, change: Partial<Quantizer>): string | undefined => {
  const wanted: Quantizer = { ...q, ...change }
  const ignored = new Set(['name', 'bitWidth', 'collectStatsSteps'])
  const alike = (p: Quantizer): boolean =>
    Object.entries(wanted).every(([k, v]) => ignored.has(k) || JSON.stringify(Reflect.get(p, k)) === JSON.stringify(v))
  return Object.entries(presets).find(([, p]) => isQuantizer(p) && alike(p))?.[0]
}

/** Instead of a quantizer with a zero point one without. */
export const unshifted = (site: Site, birth: Node): readonly Advice[] => {
  const found = quantizerOf(site, birth)
  if (found === null || found.quantizer.zeroPointImpl === 'zero') return []
  const { layer, place, quantizer: q } = found
  // What it was given, not what it made of it: without a zero point negative numbers would be cut off.
  const signed = presetFor(site, site.graph.nodes[birth.inputs[0]] ?? birth).startsWith('Int')
  const name =
    q.use === 'weight'
      ? sibling(q, { zeroPointImpl: 'zero', signed: true, narrowRange: true, scalingStatsOp: 'MAX' })
      : sibling(q, { zeroPointImpl: 'zero', signed, scalingStatsOp: 'PERCENTILE' })
  return name === undefined
    ? []
    : [
        advise(
          site,
          `Use a quantizer without a zero point: ${name}. Its grid is as wide on both sides of 0, or begins there.`,
          set(layer.path, [place, name]),
        ),
      ]
}
