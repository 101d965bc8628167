/** Where an export can't say what the program says: the worst of each layer. */
import { around } from '../scene/around.js'
import type { Scene, SceneExport } from '../scene/scene.js'
import type { Colouring } from './colouring.js'

type Severity = SceneExport['entries'][number]['severity']

/** From the mildest to the worst, with the word in an item and the sentence for it. */
const SEVERITIES: readonly (readonly [Severity, string, string])[] = [
  ['note', 'noted', 'the exported model says it by other means'],
  ['warning', 'floats', 'the exported model has floats or doubtful integers here'],
  ['blocking', 'refused', 'the export refuses this'],
]

const worst = (scene: Scene): ReadonlyMap<string, number> => {
  const [up, out] = [around(scene), new Map<string, number>()]
  for (const { severity, about } of scene.exported?.entries ?? []) {
    const rank = SEVERITIES.findIndex(([s]) => s === severity)
    for (const id of about.flatMap(up)) out.set(id, Math.max(out.get(id) ?? 0, rank))
  }
  return out
}

/** What an export can't say: 0 noted, 1 floats, 2 refused. */
export const exported: Colouring = {
  id: 'export',
  place: 4,
  button: 'Export',
  title: 'Colour layers by what an exported model can’t say',
  knows: (scene) => (scene.exported?.entries.length ?? 0) > 0,
  legend: { says: 'exported:', classes: ['', 'said by other means', '', 'bare floats', '', 'refused'] },
  classes: {
    light: ['#eef3f6', '#dcebf2', '#fdf0d2', '#fbdfae', '#f8c3a4', '#f4a582'],
    dark: ['#262d33', '#28424f', '#3a3226', '#573f1c', '#6f3d2b', '#8a3d22'],
  },
  classOf: (rank) => 2 * rank + 1,
  valueOf: worst,
  text: (rank) => SEVERITIES[rank][1],
  said: (rank) => SEVERITIES[rank][2],
  longest: 'refused',
}
