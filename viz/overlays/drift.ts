/** How far a quantized network has drifted from the float one, behind the last step: in a layer the worst inside. */
import { around } from '../scene/around.js'
import { decibels } from '../scene/steps.js'
import type { Scene } from '../scene/scene.js'
import { CLASSES, type Colouring } from './colouring.js'

const driftOf = (scene: Scene): ReadonlyMap<string, number> => {
  const [up, worst] = [around(scene), new Map<string, number>()]
  for (const { box, errors } of scene.steps?.layers ?? []) {
    const last = errors.at(-1)
    if (box === null || last === null || last === undefined) continue
    for (const id of up(box)) worst.set(id, Math.min(worst.get(id) ?? Infinity, decibels(last)))
  }
  return worst
}

/** A number of decibels as it is written. */
export const dBText = (dB: number): string => (dB === Infinity ? '∞' : dB.toFixed(1).replace('-', '−'))

/** In which class decibels fall: six a bit, so these are about a bit and a half apart. */
export const dBClass = (dB: number): number => Math.max(0, Math.min(CLASSES - 1, Math.floor(dB / 10)))

/** Results of the network's layers against those of the float network, which `layerErrors` measured. */
export const drift: Colouring = {
  id: 'drift',
  place: 2,
  button: 'From float',
  title: 'Colour layers by how far their results are from those of the float network, and list what each step gained',
  knows: (scene) => scene.steps?.layers.some((l) => l.box !== null && l.errors.at(-1) !== null) ?? false,
  legend: { says: 'float results over error, dB:', classes: ['< 10', '10', '20', '30', '40', '≥ 50'] },
  classes: {
    light: ['#f4a582', '#f8c3a4', '#fbe1cd', '#e3eef3', '#bddbe9', '#92c5de'],
    dark: ['#8a3d22', '#6f3d2b', '#4b3a33', '#2c3a42', '#28506a', '#1f6690'],
  },
  classOf: dBClass,
  valueOf: driftOf,
  text: (dB) => `${dBText(dB)} dB`,
  said: (dB) => (dB === Infinity ? 'as the float network' : `${dBText(dB)} decibels from the float network`),
  longest: '−00.0 dB',
}
