/** What `quantize` did: as values, and for people. */
import {
  demandArguments,
  flag,
  listOf,
  orNull,
  record,
  required,
  shaped,
  text,
  whole,
  type Field,
} from '../data/fields.js'
import { gridOf } from '../data/quant.js'
import type { Graph } from '../graph/graph.js'
import { isLicence, productLicence, whyFloat } from '../graph/licence.js'
import { isQuantValue } from '../nn/functions/index.js'
import type { AnyLayer } from '../nn/layers/layer.js'
import type { Flow } from '../nn/merging/flow.js'
import { quantizersOf } from './convert.js'
import { NO_TWIN, placed, type LeftAs, type Plan } from './plan.js'
import type { LayerReport, LiftedPart, ProductReport, QuantizeReport } from './types.js'

/** Which products of a network run on integers. */
export const productsOf = (graph: Graph): readonly ProductReport[] =>
  graph.nodes.flatMap((node) => {
    const licence = productLicence(graph, node)
    if (licence === null) return []
    const integers = isLicence(licence)
    return [{ path: node.path, op: node.op.name, integers, why: integers ? '' : whyFloat(licence) }]
  })

/**
 * A layer without a quantized form keeps metadata (a pool, layout), or loses it for a reason; null: nothing is lost
 * there.
 */
const lossAt = (flow: Flow, path: string): LeftAs | null => {
  for (const { x, y } of flow.calls.get(path) ?? []) {
    if (y === null || gridOf(y.carried) !== null) continue
    if (x !== null && !isQuantValue(x)) return { why: 'what it is given is float already', fix: NO_TWIN.fix }
    if (y.carried.tag === 'stripped') return { why: y.carried.why, fix: NO_TWIN.fix }
  }
  return null
}

/** What became of each layer. */
export const layerReports = (float: AnyLayer, now: AnyLayer, plan: Plan, flow: Flow): readonly LayerReport[] => {
  const after = new Map(placed(now).map(({ path, layer }) => [path, layer] as const))
  return placed(float).map(({ path, layer }) => {
    const became = after.get(path) ?? layer
    const left = plan.left.get(path) ?? null
    return {
      path,
      was: layer.layer,
      now: became.layer,
      quantizers: quantizersOf(became),
      left: left === NO_TWIN ? lossAt(flow, path) : left,
    }
  })
}

const words = required(text)
const each = (what: string, fields: { readonly [name: string]: Field }): Field => required(listOf(shaped(what, fields)))

const FIELDS = {
  report: required({
    ...shaped('the report of quantize', {
      layers: each('a layer', {
        path: words,
        was: words,
        now: words,
        quantizers: required(record),
        left: required(orNull(shaped('a reason', { why: words, fix: words }))),
      }),
      products: each('a product', { path: words, op: words, integers: required(flag), why: words }),
      merged: each('a merged batch norm', { batchNorm: words, into: words }),
      kept: each('a batch norm', { path: words, layer: words, why: words, fix: words }),
      lifted: each('a lifted part', {
        path: words,
        was: words,
        layers: required(listOf(text)),
        replayed: required(whole),
      }),
      notes: listOf(shaped('a note', { path: words, why: words, fix: words })),
    }),
    like: 'quantized.report',
  }),
}

const layerLine = ({ path, was, now, quantizers, left }: LayerReport): readonly string[] => {
  const own = Object.entries(quantizers).map(([place, q]) => `${place} ${q}`)
  const name = path === '' ? 'the network' : path
  if (own.length > 0) return [`${name}: ${was === now ? was : `${was} → ${now}`}, ${own.join(', ')}`]
  return left === null ? [] : [`${name}: ${was} stays float: ${left.why}`, `  fix: ${left.fix}`]
}

const productLine = ({ path, op, integers, why }: ProductReport): string =>
  `${path === '' ? 'the network' : path} (${op}) ${integers ? 'runs on integers' : `runs in floats: ${why}`}`

const liftedLine = ({ path, was, layers, replayed }: LiftedPart): string =>
  `${path === '' ? 'the network' : path} (${was}) was rewritten as a model of ${layers.length} layers${replayed === 0 ? '' : `; ${replayed} operations stay as they were`}`

/**
 * What was rewritten; layer by layer: its quantizers, or why it stayed float; then each product, on integers or not;
 * then what calibration noted, and batch norms.
 */
export const showQuantize = (report: QuantizeReport): string => {
  demandArguments('showQuantize', { report }, FIELDS)
  return [
    ...report.lifted.map(liftedLine),
    ...report.layers.flatMap(layerLine),
    ...report.products.map(productLine),
    ...report.merged.map((m) => `${m.batchNorm} went into ${m.into}`),
    ...(report.notes ?? []).flatMap((n) => [`${n.path}: ${n.why}`, `  fix: ${n.fix}`]),
    ...report.kept.flatMap((k) => [`${k.path}: ${k.layer} stays: ${k.why}`, `  fix: ${k.fix}`]),
  ].join('\n')
}
