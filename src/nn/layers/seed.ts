/** Where the masks of a dropout start. */
import { randint } from '../../data/random.js'
import type { LeafSpec } from './layer.js'

const SEEDS = 2 ** 24
/** The seed of a dropout's masks. */
export const seedLeaf: LeafSpec = {
  shape: [],
  learned: false,
  constant: true,
  init: (g) => {
    const [t, next] = randint(0, SEEDS, [])(g)
    return [t, next]
  },
}
