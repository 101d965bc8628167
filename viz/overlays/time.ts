/** Where the time goes: shares of the steps that compute a node, or nodes in a box. */
import { around } from '../scene/around.js'
import type { Scene, SceneStep } from '../scene/scene.js'
import type { Colouring } from './colouring.js'

/** Which nodes a step's time is put down to: its product if it has one, else all that it computes, alike. */
const carriersOf = (scene: Scene): ((s: SceneStep) => readonly string[]) => {
  const products = new Set(scene.nodes.flatMap((n) => (n.integer === undefined ? [] : [n.id])))
  return (s) => {
    const own = s.product === undefined ? [] : s.nodes.filter((n) => products.has(n))
    return own.length > 0 ? own : s.nodes
  }
}

/** Shares of time by node and by box, each step counted once: what one step computes for several nodes is divided among them, so that all boxes together have no more than the whole. */
export const sharesOf = (scene: Scene): ReadonlyMap<string, number> => {
  const [up, carriers, sums] = [around(scene), carriersOf(scene), new Map<string, number>()]
  for (const s of scene.profile?.steps ?? []) {
    const nodes = carriers(s)
    for (const n of nodes) for (const id of up(n)) sums.set(id, (sums.get(id) ?? 0) + s.share / nodes.length)
  }
  return sums
}

/** In which of six classes a share of time falls: below 1 %, 3, 8, 15, 30, or more. */
export const timeClass = (share: number): number =>
  [0.01, 0.03, 0.08, 0.15, 0.3].filter((least) => share >= least).length

/** A share of time as text. */
export const shareText = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`

/** Shares of the time. */
export const time: Colouring = {
  id: 'time',
  place: 3,
  button: 'Time',
  title: 'Where the time goes: colours nodes, lists steps',
  knows: (scene) => scene.profile !== undefined,
  legend: { says: 'share of the time, %:', classes: ['< 1', '1', '3', '8', '15', '≥ 30'] },
  classes: {
    light: ['#fbf4e4', '#fbe9c6', '#f9d9a0', '#f6c67c', '#f1ae5e', '#e9924a'],
    dark: ['#2b2a27', '#3a3226', '#4d3b22', '#614420', '#774c1c', '#8f5318'],
  },
  classOf: timeClass,
  valueOf: sharesOf,
  text: (share) => (timeClass(share) > 0 ? shareText(share) : ''),
  said: (share) => `${shareText(share)} of the time`,
  longest: '00.0 %',
}
