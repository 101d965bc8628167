/** What an overlay is: a number for each node and layer, six colours for it, and words. The page shows one at a time. */
import type { Scene } from '../scene/scene.js'

/** How many colours an overlay has. */
export const CLASSES = 6

/** A colour for each class, the lowest first. */
type Colours = readonly string[]

/** A way to colour nodes and layers. Everything that the page needs for it stands here: to add one, add its file and a line in `all.ts`. */
export type Colouring = {
  /** One word; marks have the class `error3`, the button the id `errors`. */
  readonly id: string
  /** Where its button stands among the others: the lowest first. */
  readonly place: number
  /** On its button, and what that does. */
  readonly button: string
  readonly title: string
  /** Is anything known that it could show? */
  readonly knows: (scene: Scene) => boolean
  /** What its colours mean: in front of them, and at each, as text. An empty one is left out. */
  readonly legend: { readonly says: string; readonly classes: readonly string[] }
  /** The colours in both themes. */
  readonly classes: { readonly light: Colours; readonly dark: Colours }
  /** In which class a number falls: 0 … 5. */
  readonly classOf: (value: number) => number
  /** Numbers by node and by box. */
  readonly valueOf: (scene: Scene) => ReadonlyMap<string, number>
  /** The number in an item; empty: nothing is written. */
  readonly text: (value: number) => string
  /** The number in words. */
  readonly said: (value: number) => string
  /** The longest text that it writes. */
  readonly longest: string
}
