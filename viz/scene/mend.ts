/** Changes of which all advice is made: what a layer hands on, and what one in front of a product quantizes. */
import { quantOf, type Quant } from '../../src/data/quant.js'
import type { Node } from '../../src/graph/graph.js'
import { weightGrid } from '../../src/graph/licence.js'
import type { ProgramLayer } from '../../src/graph/program.js'
import type { Advice, Edit } from './scene.js'
import { isCutOff, layerAt, presetFor, ready, takersOf, type Site } from './site.js'
import { between, eightBits, ifQuantized } from './whatIf.js'
import { codeOf, split, takes, type Options } from './written.js'

/** A layer as a reader calls it. */
export const called = (layer: ProgramLayer): string => split(layer.path)[1] || layer.layer

/** Options set in a layer. */
export const set = (path: string, ...options: Options): Edit => ({ do: 'set', path, options })

/** Advice with its code. */
export const advise = (site: Site, text: string, ...edits: readonly Edit[]): Advice => ({
  text,
  code: edits.map((e) => codeOf(site.written, e)).join(',\n'),
  edits,
})

const RETURNS = ['returnQuantTensor', 'true'] as const

/** Does a layer hand metadata on: surely no function of the reader's own makes it bare, and no layer that was not asked for a quant tensor? */
const handsOn = (site: Site, node: Node): boolean => {
  const layer = layerAt(site, node.path)
  if (layer === undefined || layer.layer === 'model') return false
  const asked = layer.given.find(([k]) => k === 'returnQuantTensor')?.[1]
  return !takes(layer, 'returnQuantTensor') || asked === 'true'
}

/** Would all these products run on integers, and no new doubt arise, if a value had metadata on this grid? */
export const reaches = (site: Site, start: Node, grid: Partial<Quant> | null, products: readonly Node[]): boolean =>
  products.every((p) => {
    const way = between(site, start, p)
    if (way.some((n) => n.path !== start.path && !handsOn(site, n))) return false
    const after = ifQuantized(site, start, grid, p)
    return after !== null && !after.doubts && after.licensed
  })

/** The layer hands its quant tensor on, if it has one; through a quantizer of its own where the next product could not take it as it is. */
export const returning = (site: Site, loss: Node, products: readonly Node[]): readonly Advice[] => {
  const layer = layerAt(site, loss.path)
  const y = site.graph.nodes[loss.inputs[0] ?? -1]
  if (layer === undefined || y === undefined || quantOf(y.carried) === null || !takes(layer, 'returnQuantTensor'))
    return []
  if (ready(site, y) && reaches(site, loss, null, products))
    return [advise(site, `Let ${called(layer)} hand its metadata on.`, set(layer.path, RETURNS))]
  const preset = presetFor(site, y)
  if (!takes(layer, 'outputQuant') || !reaches(site, loss, eightBits(preset.startsWith('Int')), products)) return []
  return [
    advise(
      site,
      `Let ${called(layer)} quantize its result and hand the metadata on. Its result is then rounded to 8 bits.`,
      set(layer.path, ['outputQuant', preset], RETURNS),
    ),
  ]
}

/** Handing the metadata on as it is, where nothing multiplies behind it. */
export const returningAsIs = (site: Site, loss: Node): readonly Advice[] => {
  const layer = layerAt(site, loss.path)
  const y = site.graph.nodes[loss.inputs[0] ?? -1]
  return layer !== undefined && y !== undefined && quantOf(y.carried) !== null && takes(layer, 'returnQuantTensor')
    ? [advise(site, `Should the result keep its metadata: let ${called(layer)} hand it on.`, set(layer.path, RETURNS))]
    : []
}

const operand = (site: Site, node: Node, slot: number): Node | undefined => site.graph.nodes[node.inputs[slot] ?? -1]

/** The options with which a layer quantizes one factor by a preset of 8 bits: a width that it was given gives way. */
const quantizedBy = (layer: ProgramLayer, factor: 'input' | 'weight', preset: string): Options => [
  [`${factor}Quant`, preset],
  ...(layer.given.some(([k]) => k === `${factor}BitWidth`) ? [[`${factor}BitWidth`, '8'] as const] : []),
]

/** What the layer of a product must have so that both factors are on grids that multiply; null where no option of it does that. `anyway`: quantize the input in any case. */
export const productEdit = (site: Site, product: Node, anyway = false): Edit | null => {
  const layer = layerAt(site, product.path)
  const [x, w] = [operand(site, product, 0), operand(site, product, 1)]
  if (layer === undefined || x === undefined || w === undefined || product.op.product?.integers !== true) return null
  const needed: Options = [
    ...(anyway || !ready(site, x) ? quantizedBy(layer, 'input', presetFor(site, x)) : []),
    ...(typeof weightGrid(site.graph, w.id) === 'object'
      ? []
      : quantizedBy(layer, 'weight', 'Int8WeightPerTensorFloat')),
  ]
  if (needed.length === 0) return null
  if (layer.twin !== undefined && quantOf(w.carried) === null)
    return {
      do: 'replace',
      path: layer.path,
      layer: layer.twin.layer,
      options: [...layer.twin.given, ...needed.filter(([k]) => k !== 'weightQuant')],
    }
  return needed.every(([k]) => takes(layer, k)) ? set(layer.path, ...needed) : null
}

const inWords = (edit: Edit): string => {
  const options = edit.do === 'set' || edit.do === 'replace' ? edit.options.map(([k]) => k) : []
  const parts = [
    ...(options.includes('inputQuant') ? ['its input'] : []),
    ...(options.includes('weightQuant') || edit.do === 'replace' ? ['its weight'] : []),
  ]
  return parts.join(' and ')
}

/** Products quantize what they multiply; nothing where one of them can't. */
export const multiplying = (site: Site, products: readonly Node[], anyway = false): readonly Advice[] => {
  const edits = products.map((p) => productEdit(site, p, anyway))
  const found = edits.flatMap((e) => e ?? [])
  if (found.length === 0 || found.length < edits.length) return []
  const [first] = found
  const text =
    found.length === 1
      ? `Let ${split(products[0].path)[1] || 'the layer'} quantize ${inWords(first)}.`
      : 'Let each of the products quantize what it multiplies.'
  const then = anyway
    ? 'What multiplies then rests on the claim no more; it is rounded to 8 bits.'
    : 'What it multiplies is then rounded to 8 bits.'
  return [advise(site, `${text} ${then}`, ...found)]
}

/** The chain in which a layer stands, or in which a layer around it does: the link and the name of the chain. */
const linkOf = (site: Site, path: string): string | null => {
  for (let at = path; at !== ''; at = split(at)[0]) if (layerAt(site, split(at)[0])?.layer === 'chain') return at
  return null
}

/** The ReLU that cuts off most of a value, if there is one alone: a scale from the magnitudes in front of it would be too large. */
const cutting = (site: Site, value: Node): Node | null => {
  const seen = site.observed[value.id]
  const [relu, ...others] = isCutOff(site, [value]) ? takersOf(site, value.id) : []
  return relu !== undefined && others.length === 0 && seen !== undefined && -seen.min > 1.8 * seen.max ? relu : null
}

/** A quantizer behind the link of a chain that holds a node; `value` is what leaves it. */
export const requantizing = (site: Site, node: Node, value: Node = node): readonly Advice[] => {
  const behind = cutting(site, node)
  if (behind !== null && behind.path !== node.path) return requantizing(site, behind, value === node ? behind : value)
  const link = linkOf(site, node.path)
  if (link === null) return []
  const [around] = split(link)
  const inside = (name: string): string => (around === '' ? name : `${around}.${name}`)
  let name = 'requant'
  for (let k = 2; site.written.has(inside(name)); k++) name = `requant${k}`
  const options: Options = [
    ...(presetFor(site, value) === 'Int8ActPerTensorFloat' ? [] : [['actQuant', presetFor(site, value)] as const]),
    RETURNS,
  ]
  return [
    advise(site, `Quantize the result again, behind ${split(link)[1]}. It is then rounded to 8 bits.`, {
      do: 'insert',
      after: link,
      name,
      layer: 'QuantIdentity',
      options,
    }),
  ]
}
