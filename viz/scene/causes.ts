/** Where losses begin: of a chain of losses that follow from each other, the first ones, with what they cost. */
import { costOf, type Index } from './reach.js'
import type { SceneNode } from './scene.js'

/** A loss that does not follow from another one. */
export type Cause = { readonly node: SceneNode; readonly products: readonly string[]; readonly atExit: boolean }

/** More causes than these are counted, but their cost is not looked up. */
const MOST = 300

/** Is it a claim that may be false? One that integers keep is none. */
export const isDoubt = (n: SceneNode | undefined): boolean => n?.carry === 'claimed' && n.calm === undefined

const follows = (index: Index, n: SceneNode): boolean =>
  (index.in.get(n.id) ?? []).some((e) => e.flow && isDoubt(index.node.get(e.from)))

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
    ...index.scene.losses
      .filter((l) => index.node.get(l.node)?.calm === undefined)
      .map((l) => [l.node, 'behind'] as const),
    ...strippedCauses(index).map((c) => [c.node.id, c.products.length > 0 ? 'costly' : 'free'] as const),
    ...claimedCauses(index).map((n) => [n.id, 'free'] as const),
  ])

/** Claims that are no doubt, the first of each chain of them. */
export const calmCauses = (index: Index): readonly SceneNode[] =>
  index.scene.losses
    .flatMap((l) => index.node.get(l.node) ?? [])
    .filter(
      (n) =>
        n.calm !== undefined &&
        !(index.in.get(n.id) ?? []).some((e) => e.flow && index.node.get(e.from)?.calm !== undefined),
    )

/** The doubtful claims whose operands are not in doubt already. */
export const claimedCauses = (index: Index): readonly SceneNode[] =>
  index.scene.losses.flatMap((l) => index.node.get(l.node) ?? []).filter((n) => isDoubt(n) && !follows(index, n))

/**
 * Nodes in the order in which a reader walks through them: first all places to change, the most costly before others; then claims in
 * doubt; what is lost at no cost, what is no doubt, and what only follows from others last.
 */
export const walkOf = (index: Index): readonly string[] => {
  const { nonfinite, floats, wasted, losses } = index.scene
  const causes = [...strippedCauses(index)].sort((a, b) => b.products.length - a.products.length)
  return [
    ...new Set([
      ...nonfinite,
      ...causes.filter((c) => c.products.length > 0).map((c) => c.node.id),
      ...floats.map((f) => f.node),
      ...wasted.map((w) => w.node),
      ...claimedCauses(index).map((n) => n.id),
      ...causes.filter((c) => c.products.length === 0).map((c) => c.node.id),
      ...losses.map((l) => l.node),
    ]),
  ]
}
