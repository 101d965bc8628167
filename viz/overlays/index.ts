/** All overlays, in the order of their buttons. */
import * as all from './all.js'
import type { Colouring } from './colouring.js'

export type { Colouring } from './colouring.js'
export { CLASSES } from './colouring.js'

/** Each overlay once: buttons, legends, colours and what marks say are made of this list. */
export const overlays: readonly Colouring[] = Object.values(all).toSorted((a, b) => a.place - b.place)
