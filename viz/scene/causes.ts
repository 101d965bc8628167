/** Where losses begin: of a chain of losses that follow from each other, the first ones, with what they cost. */
import { costOf, type Index } from './reach.js'
import type { SceneNode } from './scene.js'

/** A loss that does not follow from another one. */
export type Cause = { readonly node: SceneNode; readonly products: readonly string[]; readonly atExit: boolean }

/** More causes than these are counted, but their cost is not looked up. */
const MOST = 300

const follows = (index: Index, n: SceneNode): boolean =>
  (index.in.get(n.id) ?? []).some((e) => e.flow && index.node.get(e.from)?.carry === n.carry)

/** The stripped nodes that begin a loss: those behind another one's products lose what was lost already. */
export const strippedCauses = (index: Index): readonly Cause[] => {
  const lost = index.scene.losses.flatMap((l) => index.node.get(l.node) ?? []).filter((n) => n.carry === 'stripped')
  const exits = new Set(index.scene.values.filter((v) => v.role === 'result').map((v) => v.node))
  const costs = new Map(lost.slice(0, MOST).map((n) => [n.id, costOf(index, n.id)]))
  const behind = new Set([...costs.values()].flatMap((c) => c.products))
  return lost
    .filter((n) => !behind.has(n.id))
    .map((node) => ({
      node,
      products: costs.get(node.id)?.products ?? [],
      atExit: exits.has(node.id) && !(index.out.get(node.id) ?? []).some((e) => e.flow),
    }))
}

/** What each loss is: a place to change, one at no cost, or a consequence of another. */
export const kindsOfLoss = (index: Index): ReadonlyMap<string, NonNullable<SceneNode['loss']>> =>
  new Map([
    ...index.scene.losses.map((l) => [l.node, 'behind'] as const),
    ...strippedCauses(index).map((c) => [c.node.id, c.products.length > 0 ? 'costly' : 'free'] as const),
    ...claimedCauses(index).map((n) => [n.id, 'free'] as const),
  ])

/** The claimed nodes whose operands are not claimed already. */
export const claimedCauses = (index: Index): readonly SceneNode[] =>
  index.scene.losses
    .flatMap((l) => index.node.get(l.node) ?? [])
    .filter((n) => n.carry === 'claimed' && !follows(index, n))
