/** All overlays, in the order of their buttons. */
import type { Colouring } from './colouring.js'
import { drift } from './drift.js'
import { error } from './error.js'
import { exported } from './export.js'
import { time } from './time.js'

export type { Colouring } from './colouring.js'
export { CLASSES } from './colouring.js'

/** Each overlay once: buttons, legends, colours and what marks say are made of this list. */
export const overlays: readonly Colouring[] = [error, drift, time, exported]
