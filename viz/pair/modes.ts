/** What the mode changes, where one program is seen in training and in eval. Pure. */
import type { Scene, SceneBox } from '../scene/scene.js'
import { SIDES, type PairScene } from './sides.js'
import type { Twins } from './twins.js'

/** Quantizers that take another scale, and layers that compute otherwise, by their boxes; all other differences follow. */
export type ModeChanges = {
  readonly quantizers: readonly SceneBox[]
  readonly layers: readonly SceneBox[]
}

const isQuantizer = (b: SceneBox): boolean => b.label.endsWith('Quant')

/** For each layer the boxes of its nodes that stand on one side alone, whatever phase or branch they are in. */
const changedBoxes = (scene: Scene, twins: Twins[number]): ReadonlySet<string> => {
  const boxes = new Map(scene.boxes.map((b) => [b.id, b]))
  const layerOf = (box: string): string => {
    let at = boxes.get(box)
    while (at !== undefined && at.kind !== 'layer') at = boxes.get(at.parent)
    return at?.id ?? ''
  }
  return new Set(
    scene.nodes.flatMap((n) => (twins.status.get(n.id) === 'only' && n.op !== 'const' ? [layerOf(n.box)] : [])),
  )
}

/** Words for a difference that the mode may explain: they name nothing that a layer itself has. */
const GENERIC: ReadonlySet<string> = new Set(['differs inside', 'other operands', 'another scale'])

/** What is noted beside a thing that differs: what is different about it, that the mode changes it, or nothing where it only follows. */
export const modeNote = (modes: ModeChanges | null, id: string, text: string): string | null => {
  if (modes === null || !GENERIC.has(text)) return text
  const inside = (boxes: readonly SceneBox[]): boolean => boxes.some((b) => `${b.id}.`.startsWith(`${id}.`))
  if (inside(modes.layers)) return 'computes otherwise'
  return inside(modes.quantizers) ? 'scale by the mode' : null
}

/** Null unless the modes differ and both sides have the same layers. */
export const modeChanges = (pair: PairScene, twins: Twins): ModeChanges | null => {
  const [a, b] = pair.scenes
  const layersOf = (s: Scene): string =>
    s.boxes
      .filter((x) => x.kind === 'layer' && !isQuantizer(x))
      .map((x) => x.id)
      .sort()
      .join('|')
  if (a.mode === b.mode || layersOf(a) !== layersOf(b)) return null
  const changed = new Set(SIDES.flatMap((side) => [...changedBoxes(pair.scenes[side], twins[side])]))
  const found = a.boxes.filter((x) => x.kind === 'layer' && changed.has(x.id))
  return { quantizers: found.filter(isQuantizer), layers: found.filter((x) => !isQuantizer(x)) }
}
