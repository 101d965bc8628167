/** What a picture of a search for bits shows: the front, the chosen plan, and all layers with the same bits. Pure. */
import type { BitPlan, BitSearch } from '../../src/quantize/searchBits.js'
import type { LayerSize } from '../../src/quantize/choosable.js'

/** In what costs are counted. */
export type Unit = 'bytes' | 'bitOperations'

/** A plan as a point. */
export type FrontPoint = {
  readonly is: 'front' | 'chosen' | 'uniform'
  readonly cost: number
  readonly loss: number
  /** Its bits, layer by layer, as one reads them. */
  readonly says: string
}

/** What a search found, as far as its picture needs it. */
export type Found = Pick<BitSearch, 'front' | 'bits' | 'actBits' | 'cost' | 'loss' | 'sensitivity'>

/** So many points are drawn at most: more could not be told apart. */
const MOST = 240

const listed = (bits: BitPlan['bits']): string =>
  Object.entries(bits)
    .map(([path, b]) => `${path === '' ? 'the network' : path} ${b}`)
    .join(', ')

const saysOf = ({ bits, actBits = {} }: Pick<BitPlan, 'bits' | 'actBits'>): string =>
  Object.keys(actBits).length === 0 ? listed(bits) : `${listed(bits)}; activations of ${listed(actBits)}`

/** As many plans as can be told apart, evenly over their costs; the ends stay. */
const thinned = (front: readonly BitPlan[]): readonly BitPlan[] => {
  if (front.length <= MOST) return front
  const [from, to] = [front[0].cost, front[front.length - 1].cost]
  const cell = (p: BitPlan): number => Math.floor(((p.cost - from) / (to - from)) * (MOST - 1))
  return front.filter((p, k) => k === 0 || k === front.length - 1 || cell(p) !== cell(front[k - 1]))
}

const costOf = (layer: LayerSize, bits: number, unit: Unit): number =>
  unit === 'bytes' ? Math.ceil((layer.weights * bits) / 8) : layer.multiplications * layer.actBits * bits

/** What activations lose at the bits that they have; undefined: that was not measured. */
const lostByActivations = ({ layers, activations = [], float }: Found['sensitivity']): number | undefined =>
  activations.reduce<number | undefined>((sum, { path, losses }) => {
    const now = layers.find((l) => l.reads === path)?.actBits
    const at = losses.find((l) => l.bits === now)
    return sum === undefined || at === undefined ? undefined : sum + Math.max(0, at.loss - float)
  }, 0)

/** All layers with the same bits, for each width that all were measured at; activations as they are. */
const uniform = ({ sensitivity }: Found, unit: Unit): readonly FrontPoint[] => {
  const { layers, float } = sensitivity
  const before = lostByActivations(sensitivity)
  const widths = layers[0]?.losses.map((l) => l.bits) ?? []
  return widths.flatMap((bits): readonly FrontPoint[] => {
    const losses = layers.map((l) => l.losses.find((x) => x.bits === bits)?.loss)
    if (before === undefined || losses.some((l) => l === undefined)) return []
    return [
      {
        is: 'uniform',
        cost: layers.reduce((sum, l) => sum + costOf(l, bits, unit), 0),
        loss: losses.reduce<number>((sum, l) => sum + Math.max(0, (l ?? 0) - float), before),
        says: `all layers ${bits} bits`,
      },
    ]
  })
}

/** The points of a picture, the chosen one last, so that it lies on top. */
export const pointsOf = (found: Found, unit: Unit): readonly FrontPoint[] => [
  ...uniform(found, unit),
  ...thinned(found.front)
    .filter((p) => p.cost !== found.cost)
    .map((p): FrontPoint => ({ is: 'front', cost: p.cost, loss: p.loss, says: saysOf(p) })),
  { is: 'chosen', cost: found.cost, loss: found.loss, says: saysOf(found) },
]
