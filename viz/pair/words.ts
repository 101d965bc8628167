/** What is said of a pair: what leaves it on each side, in two or three words. */
import { lookOf, typeName } from '../draw/words.js'
import type { Scene, SceneNode } from '../scene/scene.js'
import type { PairScene, Side } from './sides.js'
import type { Twins } from './twins.js'

/** How many scales a value has: one, or one per channel. */
const channelsOf = (twins: Twins[Side], n: SceneNode): number =>
  (twins.nodes.get(n.scale ?? '')?.shape ?? []).reduce((p, d) => p * d, 1)

/** A value in a word: `uint8`, `uint8[3]` with three scales, `claimed int8`, `stripped`, `float`. */
export const shortCarry = (twins: Twins[Side], n: SceneNode): string => {
  if (n.scale === undefined) return n.carry
  const channels = channelsOf(twins, n)
  return `${lookOf(n) === 'claimed' ? 'claimed ' : ''}${typeName(n)}${channels > 1 ? `[${channels}]` : ''}`
}

/** The node whose value a thing of a scene stands for: itself, what leaves a box (the last of it), or the value of a result. */
export const nodeFor = (scene: Scene, twins: Twins[Side], id: string): SceneNode | undefined => {
  if (!id.startsWith('=')) return twins.leaving.get(id)?.at(-1) ?? twins.nodes.get(id)
  return twins.nodes.get(scene.values.filter((v) => v.role === 'result')[Number(id.slice(1))]?.node ?? '')
}

/** Are two values on the same scale: do both sides compute it alike? */
export const sameScale = (twins: Twins, a: SceneNode, b: SceneNode): boolean => {
  if (a.scale === undefined || b.scale === undefined) return a.scale === b.scale
  const alike =
    twins[0].partner.get(a.id) === b.id && !(twins[0].changes.get(a.id) ?? []).some((c) => c.kind === 'metadata')
  return alike || twins[0].partner.get(a.scale) === b.scale
}

const MOST = 30
const cutTo = (text: string): string => (text.length <= MOST ? text : `${text.slice(0, MOST - 1)}…`)

/** What differs between the two of a pair, shortly: by what leaves them, else by what changed. */
export const differenceText = (pair: PairScene, twins: Twins, a: string, b: string): string => {
  const [x, y] = [nodeFor(pair.scenes[0], twins[0], a), nodeFor(pair.scenes[1], twins[1], b)]
  const [left, right] = [x === undefined ? '' : shortCarry(twins[0], x), y === undefined ? '' : shortCarry(twins[1], y)]
  if (left !== right) return `${left} ≠ ${right}`
  if (x !== undefined && y !== undefined && !sameScale(twins, x, y)) return 'another scale'
  const own = (twins[0].changes.get(a) ?? []).find((c) => c.kind === 'attribute' || c.kind === 'shape')
  if (own !== undefined) return cutTo(own.text)
  return twins[0].leaving.has(a) ? 'differs inside' : 'other operands'
}
