/** Metadata of outputs and nodes, for users: as data/quant.ts reads it, but what is given is looked at. */
import { demandArguments, required, type Field } from './fields.js'
import * as quant from './quant.js'
import type { Carried, FloatQuant, Grid, Quant } from './quant.js'

const tagged = (x: unknown): boolean => typeof x === 'object' && x !== null && 'tag' in x
const carried: Field = required({
  says: 'what a value carries',
  like: 'program.outputs[0].carried',
  holds: (x) => tagged(x),
})
const grid: Field = required({
  says: 'metadata of a quant tensor',
  like: 'gridOf(carried)',
  holds: (x) => typeof x === 'object' && x !== null && 'scale' in x,
})

/** The metadata of a value that carries or claims any, of integers or minifloats, else null. */
export const gridOf = (c: Carried): Grid | null => {
  demandArguments('gridOf', { c }, { c: carried })
  return quant.gridOf(c)
}

/** The metadata of a value that carries or claims plain integers (no minifloats, no groups, no learned width), else null. */
export const quantOf = (c: Carried): Quant | null => {
  demandArguments('quantOf', { c }, { c: carried })
  return quant.quantOf(c)
}

/** Is it metadata of minifloats? */
export const isFloatGrid = (g: Grid): g is FloatQuant => {
  demandArguments('isFloatGrid', { g }, { g: grid })
  return quant.isFloatGrid(g)
}
