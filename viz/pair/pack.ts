/** The scene of two programs as small JSON. `unpackPair(packPair(pair))` equals the pair. */
import { pack, unpack, type Packed } from '../scene/pack.js'
import type { PairScene } from './sides.js'

/** A pair with its scenes packed. */
export type PackedPair = Omit<PairScene, 'scenes'> & { readonly scenes: readonly [Packed, Packed] }

/** Makes a pair small. */
export const packPair = ({ scenes: [a, b], ...others }: PairScene): PackedPair => ({
  ...others,
  scenes: [pack(a), pack(b)],
})

/** Makes a packed pair whole. The page trusts its own data. */
export const unpackPair = ({ scenes: [a, b], ...others }: PackedPair): PairScene => ({
  ...others,
  scenes: [unpack(a), unpack(b)],
})
