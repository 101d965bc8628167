/** Where quantization costs most: signal over quantization noise, in a layer the worst inside. */
import { around } from '../scene/around.js'
import type { Scene } from '../scene/scene.js'
import { CLASSES, type Colouring } from './colouring.js'

const errorsOf = (scene: Scene): ReadonlyMap<string, number> => {
  const [up, worst] = [around(scene), new Map<string, number>()]
  for (const n of scene.nodes) {
    const dB = scene.observed[n.id]?.sqnr
    if (dB === undefined || dB === null) continue
    for (const id of up(n.id)) worst.set(id, Math.min(worst.get(id) ?? Infinity, dB))
  }
  return worst
}

/** Signal over quantization noise in dB. */
export const error: Colouring = {
  id: 'error',
  place: 1,
  button: 'Error',
  title: 'Colour layers by signal over quantization noise',
  knows: (scene) => Object.values(scene.observed).some((x) => typeof x.sqnr === 'number'),
  legend: { says: 'signal over noise, dB:', classes: ['< 10', '10', '20', '30', '40', '≥ 50'] },
  classes: {
    light: ['#f4a582', '#f8c3a4', '#fbe1cd', '#e3eef3', '#bddbe9', '#92c5de'],
    dark: ['#8a3d22', '#6f3d2b', '#4b3a33', '#2c3a42', '#28506a', '#1f6690'],
  },
  classOf: (dB) => Math.max(0, Math.min(CLASSES - 1, Math.floor(dB / 10))),
  valueOf: errorsOf,
  text: (dB) => `${dB.toFixed(1).replace('-', '−')} dB`,
  said: (dB) => `signal over quantization noise ${dB.toFixed(1)} dB`,
  longest: '−00.0 dB',
}
