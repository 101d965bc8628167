/** Which boxes are open at first: containers of layers while all fits, and whatever hides a loss. */
import { strippedCauses } from './causes.js'
import { indexOf } from './reach.js'
import type { Scene } from './scene.js'
import { groupBy } from './visible.js'

const ROOM = 60
/** Names of the quantizers inside a layer (`weightQuant`): a layer that holds nothing else is a leaf to a reader. */
const QUANTIZER = /Quant$/

/** Every box there is. */
export const allOpen = (scene: Scene): ReadonlySet<string> => new Set(scene.boxes.map((b) => b.id))

const above = (scene: Scene, box: string): readonly string[] => {
  const parent = new Map(scene.boxes.map((b) => [b.id, b.parent]))
  const out: string[] = []
  for (let at: string | undefined = box; at !== undefined && at !== ''; at = parent.get(at)) out.push(at)
  return out
}

/** Boxes that hide where a loss begins: no line that leaves them shows it. */
const hidesLoss = (scene: Scene): readonly string[] => {
  const node = new Map(scene.nodes.map((n) => [n.id, n]))
  const leaves = new Set(scene.edges.filter((e) => node.get(e.from)?.box !== node.get(e.to)?.box).map((e) => e.from))
  const named = new Set(scene.values.map((v) => v.node))
  return strippedCauses(indexOf(scene))
    .filter((c) => !leaves.has(c.node.id) && !named.has(c.node.id))
    .map((c) => c.node.box)
}

/** The boxes that are open when the page opens. */
export const firstOpen = (scene: Scene): ReadonlySet<string> => {
  const inside = groupBy(scene.boxes, (b) => b.parent)
  const count = (box: string): number => (inside.get(box) ?? []).length
  const open = new Set<string>()
  let shown = count('')
  let front = inside.get('') ?? []
  const holdsLayers = (box: string): boolean =>
    (inside.get(box) ?? []).some((c) => c.kind === 'layer' && !QUANTIZER.test(c.label))
  while (front.length > 0) {
    const next = front.filter((b) => holdsLayers(b.id))
    for (const b of next) {
      if (shown + count(b.id) > ROOM) continue
      open.add(b.id)
      shown += count(b.id)
    }
    front = next.filter((b) => open.has(b.id)).flatMap((b) => inside.get(b.id) ?? [])
  }
  if (shown < ROOM) for (const box of hidesLoss(scene).slice(0, 4)) for (const b of above(scene, box)) open.add(b)
  return open
}

/** So few boxes say nothing of a network. */
const FEW = 4

/**
 * What may be open at first, from the most to the least: all that `firstOpen` opens, then one depth of boxes less each time,
 * down to where so few boxes would be left that they say nothing.
 */
export const openings = (scene: Scene): readonly ReadonlySet<string>[] => {
  const all = firstOpen(scene)
  const depth = (box: string): number => above(scene, box).length
  const deepest = Math.max(0, ...[...all].map(depth))
  const levels = [
    all,
    ...Array.from({ length: deepest }, (_, k) => new Set([...all].filter((b) => depth(b) < deepest - k))),
  ]
  // Beside a forward pass its mirror image adds nothing.
  const front = scene.boxes.filter((b) => b.side === undefined)
  const shown = (open: ReadonlySet<string>): number =>
    (front.length > 0 ? front : scene.boxes).filter((b) => !open.has(b.id) && (b.parent === '' || open.has(b.parent)))
      .length
  const telling = levels.filter((open) => shown(open) >= FEW)
  return telling.length === 0 ? [all] : telling
}

/** Of what may be open at first the most that fits; where nothing does, the least. */
export const openingOf = (scene: Scene, fits: (open: ReadonlySet<string>) => boolean): ReadonlySet<string> => {
  const levels = openings(scene)
  return levels.find(fits) ?? levels[levels.length - 1]
}
