/** What would become of metadata if a value had it: the rules of the ops behind it are asked, not guessed. */
import { intMax, intMin, quantOf, type Carried, type Quant } from '../../src/data/quant.js'
import { newBuilder, type Builder } from '../../src/graph/builder.js'
import type { Node } from '../../src/graph/graph.js'
import { isLicence, productLicence } from '../../src/graph/licence.js'
import type { Value } from '../../src/graph/op.js'
import { ops } from '../../src/ops/index.js'
import type { Site } from './site.js'

/** A grid of 8 bits with one scale and zero point 0, as a new quantizer gives it. */
export const eightBits = (signed: boolean): Partial<Quant> => ({
  bits: 8,
  signed,
  zero: 'zero',
  lo: intMin(8, signed),
  hi: intMax(8, signed),
  slack: 2 ** -16,
})

/** For each node: is it computed from this one? Up to a node. */
const fromOf = (site: Site, start: number, end: number): ReadonlySet<number> => {
  const found = new Set([start])
  for (let id = start + 1; id <= end; id++) if (site.graph.nodes[id].inputs.some((i) => found.has(i))) found.add(id)
  return found
}

/** A value with the metadata of a node, its scale and zero point given from outside; one scale stays one. */
const declared = (
  site: Site,
  kit: Builder,
  scales: Map<number, Value>,
  shape: readonly number[],
  carried: Exclude<Carried, { tag: 'float' | 'stripped' }>,
): Value => {
  const given = (id: number): Value => {
    const known = scales.get(id) ?? kit.input('data', `%${id}`, site.graph.nodes[id]?.shape ?? [])
    scales.set(id, known)
    return known
  }
  const [s, z] = [given(carried.quant.scale), given(carried.quant.zeroPoint)]
  const bitWidth = kit.constant(carried.quant.bits).id
  return kit.declare(kit.input('data', `v${scales.size}`, shape), {
    ...carried,
    quant: { ...carried.quant, scale: s.id, zeroPoint: z.id, bitWidth },
  })
}

/**
 * The product as it would be if `start` had metadata: the nodes between them anew, by the rules of their ops, everything
 * else as it is. `grid`: a new quantizer's; else that of the value from which `start` was made bare. Null where it can't be.
 */
export const ifQuantized = (
  site: Site,
  start: Node,
  grid: Partial<Quant> | null,
  end: Node,
): { readonly licensed: boolean; readonly doubts: boolean } | null => {
  const kit = newBuilder({ table: ops, mode: site.mode })
  const [scales, known, from] = [new Map<number, Value>(), new Map<number, Value>(), fromOf(site, start.id, end.id)]
  const before = site.graph.nodes[start.inputs[0] ?? -1]
  const own = before === undefined ? null : quantOf(before.carried)
  if (grid === null && own === null) return null
  let doubts = false
  const begin = (): Value => {
    if (grid === null && before !== undefined && (before.carried.tag === 'carries' || before.carried.tag === 'claimed'))
      return declared(site, kit, scales, start.shape, before.carried)
    const one = kit.input('data', 'one', [])
    const zero = kit.constant(0)
    const quant = { training: site.mode === 'train', scale: one.id, zeroPoint: zero.id, bitWidth: kit.constant(8).id }
    return kit.declare(kit.input('data', 'start', start.shape), {
      tag: 'carries',
      quant: { ...eightBits(true), ...grid, ...quant } as Quant,
    })
  }
  const outside = (node: Node): Value =>
    node.carried.tag === 'carries' || node.carried.tag === 'claimed'
      ? declared(site, kit, scales, node.shape, node.carried)
      : kit.input('data', `n${node.id}`, node.shape)
  const valueOf = (id: number): Value => {
    const found = known.get(id)
    if (found !== undefined) return found
    const node = site.graph.nodes[id]
    const again = (): Value =>
      from.has(id) && node.branches === undefined
        ? kit.apply(node.op, node.inputs.map(valueOf), node.attrs)
        : outside(node)
    const v = id === start.id ? begin() : again()
    if (id !== end.id && from.has(id) && v.carried.tag === 'claimed' && v.carried.exact !== true) doubts = true
    known.set(id, v)
    return v
  }
  const product = valueOf(end.id)
  if (kit.errors.length > 0) return null
  const graph = kit.finish([product])
  const licence = productLicence(graph, graph.nodes[product.id])
  return { licensed: licence !== null && isLicence(licence), doubts }
}

/** The nodes between two, both left out. */
export const between = (site: Site, start: Node, end: Node): readonly Node[] => {
  const from = fromOf(site, start.id, end.id)
  const found = new Set<number>()
  const queue = [...end.inputs]
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    if (!from.has(id) || id === start.id || found.has(id)) continue
    found.add(id)
    queue.push(...site.graph.nodes[id].inputs)
  }
  return [...found].map((id) => site.graph.nodes[id])
}
