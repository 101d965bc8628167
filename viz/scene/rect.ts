/** Where things are drawn. */
import type { Point } from './level.js'

/** A rectangle on the page. */
export type Rect = { readonly x: number; readonly y: number; readonly width: number; readonly height: number }
/**
 * Where all is drawn. `ways`: the points of each line, by its id; `across`: lines that run sideways, between two columns;
 * `gates`: where lines come in at the top of an open box; `reach`: how far from the middle of an item its labels reach.
 */
export type Layout = {
  readonly width: number
  readonly height: number
  readonly rects: ReadonlyMap<string, Rect>
  readonly ways: ReadonlyMap<string, readonly Point[]>
  readonly across: ReadonlySet<string>
  readonly gates: ReadonlyMap<string, readonly number[]>
  readonly reach: ReadonlyMap<string, number>
}
