/** What the page of one program shows, as a value, and how each act of a reader changes it. Nothing here touches a document. */
import { huesOf, type Hues } from '../draw/hues.js'
import { around } from '../scene/around.js'
import { walkOf } from '../scene/causes.js'
import { isDetail } from '../scene/loops.js'
import { allOpen, openingOf } from '../scene/opening.js'
import { indexOf, type Index } from '../scene/reach.js'
import type { Scene } from '../scene/scene.js'
import { onSide, partnersOf, type Partners, type Side } from '../scene/sides.js'
import { visibleOf } from '../scene/visible.js'

/** A scene with all that is looked up in it. */
export type Facts = {
  readonly scene: Scene
  readonly index: Index
  readonly partners: Partners
  /** A node, or a box, with all boxes around it, the innermost first. */
  readonly up: (id: string) => readonly string[]
  /** Where losses begin, in the order in which they are visited. */
  readonly walk: readonly string[]
  /** Colours of scales, the same for as long as the page shows this scene. */
  readonly hues: Hues
}

/** Everything that the page shows. */
export type PageState = {
  readonly facts: Facts
  readonly side: Side
  /** The scene with the passes that are shown. */
  readonly seen: Scene
  readonly open: ReadonlySet<string>
  /** Were all boxes asked for, and none closed since? */
  readonly isAll: boolean
  /** Are nodes shown that only compute scales, zero points and counters? */
  readonly details: boolean
  readonly overlay: string | null
  /** The kept step of the training log that is shown; null for the end, with the numbers of the run. */
  readonly at: number | null
  readonly selected: string | null
  /** What is lit, the boxes that hold it in its place; null: everything. */
  readonly lit: readonly string[] | null
  /** Which loss was visited last; -1: none yet. */
  readonly place: number
}

/** What can be done to the page. */
export type Action =
  | { readonly do: 'select'; readonly id: string | null; readonly focus?: boolean }
  | { readonly do: 'toggle'; readonly box: string }
  | { readonly do: 'openAll'; readonly all: boolean }
  | { readonly do: 'details'; readonly details: boolean }
  | { readonly do: 'side'; readonly side: Side }
  | { readonly do: 'overlay'; readonly id: string | null }
  | { readonly do: 'step'; readonly at: number | null }
  | { readonly do: 'go'; readonly id: string }
  | { readonly do: 'loss'; readonly step: number }
  | { readonly do: 'light'; readonly nodes: readonly string[] }
  | { readonly do: 'scene'; readonly scene: Scene }
  | { readonly do: 'numbers'; readonly numbers: Scene['numbers'] }

/** Would all of this be seen at a readable size? Only the page itself can say. */
export type Fits = (state: PageState) => boolean

/** Looks up what is asked of a scene. */
export const factsOf = (scene: Scene): Facts => {
  const index = indexOf(scene)
  return {
    scene,
    index,
    partners: partnersOf(index),
    up: around(scene),
    walk: walkOf(index),
    hues: huesOf(scene),
  }
}

/** The same with as many boxes open as fit. */
const opened = (s: PageState, fits: Fits): PageState => ({
  ...s,
  open: openingOf(s.seen, (open) => fits({ ...s, open })),
})

/** The same with all boxes open where that was asked for, else with as many as fit. */
const openedAll = (s: PageState, fits: Fits): PageState =>
  s.details && s.isAll ? { ...s, open: allOpen(s.seen) } : opened(s, fits)

/** Nothing selected, and everything lit. */
const plain = (s: PageState): PageState => ({ ...s, selected: null, lit: null })

/** What the page shows at first; `all`: every box open, and both passes. */
export const firstState = (scene: Scene, all: boolean, fits: Fits): PageState => {
  const facts = factsOf(scene)
  const side = all ? 'both' : 'forward'
  const closed: PageState = {
    facts,
    side,
    seen: onSide(scene, side),
    open: new Set(),
    isAll: all,
    details: all,
    overlay: null,
    at: null,
    selected: null,
    lit: null,
    place: -1,
  }
  return all ? { ...closed, open: allOpen(scene) } : opened(closed, fits)
}

const onOther = (s: PageState, side: Side): PageState =>
  side === s.side ? s : { ...s, side, seen: onSide(s.facts.scene, side) }

/** Is it shown with the details only? */
const isHidden = ({ facts: { scene, index } }: PageState, id: string): boolean =>
  isDetail(scene, index.node.get(id), id)

/** Is it of the pass that is not shown? */
const isOnOther = ({ facts, side }: PageState, id: string): boolean => {
  const found = facts.index.node.get(id) ?? facts.scene.boxes.find((b) => b.id === id)
  return side !== 'both' && found?.side !== (side === 'backward' ? side : undefined)
}

/** Selects a node or a box, and opens what hides it. */
const gone = (s: PageState, id: string): PageState => {
  const shown = isOnOther(s, id) ? onOther(s, 'both') : s
  const needed = s.facts.up(id).slice(1)
  const open = needed.every((box) => s.open.has(box)) ? s.open : new Set([...s.open, ...needed])
  return { ...shown, open, details: s.details || isHidden(s, id), selected: id, lit: null }
}

const toggled = (s: PageState, box: string): PageState => {
  const isOpen = s.open.has(box)
  return {
    ...s,
    open: new Set(isOpen ? [...s.open].filter((b) => b !== box) : [...s.open, box]),
    isAll: s.isAll && isOpen,
    details: s.details || isDetail(s.facts.scene, undefined, box),
    selected: box,
    lit: null,
  }
}

/** The next loss, or the one before; the first or the last, where none was visited. */
const nextLoss = (s: PageState, step: number): PageState => {
  const { walk } = s.facts
  if (walk.length === 0) return s
  const place = s.place < 0 && step < 0 ? walk.length - 1 : (s.place + step + walk.length) % walk.length
  return gone({ ...s, place }, walk[place])
}

/** Is it drawn, as an item or as a line? */
const isDrawn = (s: PageState, id: string): boolean => {
  const { at, lines } = visibleOf(s.seen, s.open, s.details)
  return at.has(id) || lines.some((l) => l.id === id)
}

/** Another scene of the same network: what is open and selected stays so, as far as it is still there. */
const replaced = (s: PageState, scene: Scene): PageState => {
  const facts = factsOf(scene)
  const boxes = new Set(scene.boxes.map((b) => b.id))
  const next: PageState = {
    ...s,
    facts,
    seen: onSide(scene, s.side),
    open: new Set([...s.open].filter((id) => boxes.has(id))),
    place: Math.min(s.place, facts.walk.length - 1),
  }
  return next.selected === null || isDrawn(next, next.selected) ? next : { ...next, selected: null }
}

/** New numbers of a run for the same scene, which need not be drawn anew. */
const renumbered = (s: PageState, numbers: Scene['numbers']): PageState => {
  const scene = { ...s.facts.scene, numbers }
  return { ...s, facts: { ...s.facts, scene, index: { ...s.facts.index, scene } } }
}

/** The page behind an act. */
export const reduce =
  (fits: Fits) =>
  (s: PageState, a: Action): PageState => {
    switch (a.do) {
      case 'select':
        return { ...s, selected: a.id, lit: null }
      case 'toggle':
        return toggled(s, a.box)
      case 'openAll':
        return openedAll(plain({ ...s, isAll: a.all, details: a.all }), fits)
      case 'details':
        return plain({ ...s, details: a.details })
      case 'side':
        return openedAll(plain(onOther(s, a.side)), fits)
      case 'overlay':
        return { ...s, overlay: a.id }
      case 'step':
        return { ...s, at: a.at }
      case 'go':
        return gone(s, a.id)
      case 'loss':
        return nextLoss(s, a.step)
      case 'light':
        return { ...s, lit: a.nodes }
      case 'scene':
        return replaced(s, a.scene)
      case 'numbers':
        return renumbered(s, a.numbers)
    }
  }
