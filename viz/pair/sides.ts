/** Two programs side by side, as plain JSON: both scenes, which nodes are each other's twins, and what differs. Knows no coordinates. */
import type { Change } from '../../src/graph/align.js'
import type { Phrase, Scene } from '../scene/scene.js'

/** Which of the two programs. */
export type Side = 0 | 1
/** Both sides, left and right. */
export const SIDES: readonly Side[] = [0, 1]
/** The other side. */
export const across = (side: Side): Side => (side === 0 ? 1 : 0)
/** Something of one of the programs: `0:conv1`, `1:15.collect.3`. */
export type SideId = `${Side}:${string}`

/** A node of the first program, its twin in the second, and what differs between them; null where it has none. */
export type Twin = { readonly a: string | null; readonly b: string | null; readonly changes: readonly Change[] }

/** Numbers of two runs for a result that both programs name: how many there are, how many are equal, the largest difference. */
export type Compared = {
  readonly name: string
  readonly count: number
  readonly equal: number
  readonly largest: number
}

/** Everything that a page shows of two programs. Targets of phrases are `SideId`s. */
export type PairScene = {
  readonly title: string
  readonly scenes: readonly [Scene, Scene]
  readonly twins: readonly Twin[]
  readonly compared: readonly Compared[]
  readonly sentence: readonly Phrase[]
}
