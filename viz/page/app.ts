/** The page of one program: its state, drawn. What a reader does comes in as actions; one function shows what they lead to. */
import { overlayOf } from '../draw/overlay.js'
import type { Hues } from '../draw/hues.js'
import type { Side } from '../scene/sides.js'
import type { Index } from '../scene/reach.js'
import type { Scene } from '../scene/scene.js'
import { leavingLines, type Item } from '../scene/visible.js'
import { byId } from './dom.js'
import { fill } from './fill.js'
import { markOverlay } from './overlayButtons.js'
import { boxParts, lineParts, nodeParts, type PanelContext } from './panel.js'
import { overviewParts } from './overview.js'
import { firstState, reduce, type Action, type PageState } from './state.js'
import { storeOf } from './store.js'
import { makeView, type Drawn, type View } from './view.js'

/** The page, for keys, search and buttons. */
export type App = {
  readonly scene: Scene
  readonly index: Index
  readonly view: View
  /** Colours of scales, the same for as long as the page lives. */
  readonly hues: () => Hues
  readonly selected: () => string | null
  readonly select: (id: string | null, focus?: boolean) => void
  readonly toggle: (box: string) => void
  readonly openAll: (all: boolean) => void
  /** Shows or hides the nodes that only compute scales, zero points and counters. */
  readonly showDetails: (details: boolean) => void
  /** Opens what hides a node or a box, selects it and brings it into sight. */
  readonly go: (id: string) => void
  /** Lights these nodes, or the boxes that hold them. */
  readonly lightUp: (nodes: readonly string[]) => void
  readonly nextLoss: (step: number) => void
  /** Shows the forward pass, the backward pass, or both. */
  readonly showSide: (side: Side) => void
  readonly side: () => Side
  /** Colours nodes and layers by an overlay, in place of another; null: by none. */
  readonly showOverlay: (id: string | null) => void
  readonly overlay: () => string | null
  /** The kept step of the training log that is shown; null for the end, with the numbers of the run. */
  readonly at: () => number | null
  readonly goTo: (at: number | null) => void
  /** Called after every change of what is selected or shown. */
  readonly onChange: (listener: () => void) => void
  /** Shows another scene of the same network: what is open and selected stays so, as far as it is still there. */
  readonly replace: (scene: Scene) => void
  /** New numbers of a run for the same scene: the panel follows. */
  readonly setNumbers: (numbers: Scene['numbers']) => void
}

/** What is drawn of a state. */
const drawnOf = (s: PageState): Drawn => ({
  scene: s.seen,
  open: s.open,
  details: s.details,
  over: overlayOf(s.facts.scene, { overlay: s.overlay, at: s.at, backward: s.side !== 'forward' }),
  hues: s.facts.hues,
})

/** Do these two look the same, but for what is selected, lit and said beside? */
const drawnAlike = (a: PageState, b: PageState): boolean =>
  a.seen === b.seen &&
  a.open === b.open &&
  a.details === b.details &&
  a.overlay === b.overlay &&
  a.at === b.at &&
  a.side === b.side &&
  a.facts.hues === b.facts.hues

/** What an action does besides: to the panel (told anew from its top, or where it stands; only its numbers), and to the camera. */
const AFTER: {
  readonly [D in Action['do']]: {
    readonly panel?: 'top' | 'here' | 'numbers'
    readonly look?: 'first' | 'selected' | 'lit'
  }
} = {
  select: { panel: 'top' },
  toggle: { panel: 'top', look: 'selected' },
  openAll: { panel: 'top', look: 'first' },
  details: { panel: 'top', look: 'first' },
  side: { panel: 'top', look: 'first' },
  overlay: {},
  step: { panel: 'here' },
  go: { panel: 'top', look: 'selected' },
  loss: { panel: 'top', look: 'selected' },
  light: { look: 'lit' },
  scene: { panel: 'numbers' },
  numbers: { panel: 'numbers' },
}

/** Where a node is drawn now: itself, or the innermost closed box around it. */
const shownAs = (s: PageState, view: View, id: string): string =>
  s.facts.up(id).find((x) => view.visible().at.has(x)) ?? id

/** What belongs to the selection in the other pass, where it is drawn now; of a line nothing. */
const partnersShown = (s: PageState, view: View): ReadonlySet<string> =>
  new Set(
    (s.selected === null ? [] : s.facts.partners.of(s.selected))
      .map((p) => shownAs(s, view, p))
      .filter((p) => view.visible().at.has(p)),
  )

/** The lit nodes, or the boxes that hold them, and the lines that they send out. */
const litShown = (s: PageState, view: View): ReadonlySet<string> | null => {
  const { lit } = s
  if (lit === null) return null
  const lines = view.visible().lines.filter((l) => lit.includes(l.source.id))
  return new Set([...lit.map((id) => shownAs(s, view, id)), ...lines.map((l) => l.id)])
}

/** What the panel says of an item. */
const itemParts = (c: PanelContext, view: View, item: Item): readonly Node[] => {
  const { at, lines } = view.visible()
  if (item.kind === 'box' && item.box?.kind !== 'phase')
    return boxParts(c, item, leavingLines(c.index, view.visible(), item))
  const tail = lines.find((l) => l.tail && l.to === item.id)
  const node = item.node ?? tail?.source
  if (node === undefined) return []
  return tail === undefined ? nodeParts(c, node) : lineParts(c, tail, at.get(tail.from), item)
}

/** What the panel says of the selection; without one, or one that isn't drawn, of the whole. */
const panelParts = (c: PanelContext, view: View, selected: string | null): readonly Node[] => {
  const { at, lines } = view.visible()
  const item = selected === null ? undefined : at.get(selected)
  const line = selected === null ? undefined : lines.find((l) => l.id === selected)
  if (item !== undefined) return itemParts(c, view, item)
  return line === undefined ? overviewParts(c) : lineParts(c, line, at.get(line.from), at.get(line.to))
}

/** Draws a state, and presses the buttons of what it shows. */
const redraw = (s: PageState, view: View): void => {
  // What stands beside the drawing takes its room first.
  markOverlay(s.overlay)
  view.draw(drawnOf(s))
  byId('details').setAttribute('aria-pressed', String(s.details))
  for (const b of document.querySelectorAll('[data-side]'))
    b.setAttribute('aria-pressed', String(b.getAttribute('data-side') === s.side))
}

/** Tells the panel anew. */
const tellPanel = (parts: readonly Node[], how: 'top' | 'here' | 'numbers'): void => {
  const panel = byId('panel')
  if (how === 'numbers') return fill(panel, parts)
  const top = panel.scrollTop
  panel.replaceChildren(...parts)
  panel.scrollTop = how === 'top' ? 0 : top
}

/** A state that was shown, none at first, the one to show, and what led to it. */
type Change = { readonly before: PageState | null; readonly now: PageState; readonly action: Action }

/** Draws what has changed, and marks it. */
const drawChange = (view: View, { before, now }: Change): void => {
  const anew = before === null || !drawnAlike(before, now)
  if (anew) redraw(now, view)
  if (anew || before.selected !== now.selected || before.lit !== now.lit)
    view.mark({ selected: now.selected, partners: partnersShown(now, view), lit: litShown(now, view) })
}

/** Says of the selection what there is to say, and moves the focus to it. */
const tellChange = (view: View, context: PanelContext, { now, action }: Change): void => {
  const { panel } = AFTER[action.do]
  // Without a selection numbers that come in say nothing new of the whole.
  if (panel === undefined || (action.do === 'numbers' && now.selected === null)) return
  tellPanel(panelParts(context, view, now.selected), panel)
  const keepsFocus = action.do === 'select' && action.focus === false
  if (panel === 'top' && now.selected !== null && !keepsFocus)
    view.element(now.selected)?.focus({ preventScroll: true })
}

/** Moves the drawing to what the reader asked for. */
const lookAtChange = (view: View, { now, action }: Change): void => {
  const { look } = AFTER[action.do]
  const [first] = litShown(now, view) ?? []
  if (look === 'first') view.firstLook()
  if (look === 'selected' && now.selected !== null) view.reveal(now.selected)
  if (look === 'lit' && first !== undefined && now.lit?.length === 1) view.reveal(first)
}

/** Shows a state where another one was shown. */
const rendering =
  (view: View, context: (s: PageState) => PanelContext, changed: () => void) =>
  (before: PageState | null, now: PageState, action: Action): void => {
    if (before === now) return
    const change = { before, now, action }
    drawChange(view, change)
    tellChange(view, context(now), change)
    if (['top', 'here'].includes(AFTER[action.do].panel ?? '')) changed()
    lookAtChange(view, change)
  }

/** Starts the page. */
export const start = (first: Scene, svg: SVGSVGElement): App => {
  const view = makeView(svg)
  const fits = (s: PageState): boolean => view.fits(drawnOf(s))
  const listeners: (() => void)[] = []
  const context = (s: PageState): PanelContext => ({
    index: s.facts.index,
    partners: s.facts.partners,
    go: (id) => dispatch({ do: 'go', id }),
    at: () => state().at,
  })
  const render = rendering(view, context, () => listeners.forEach((l) => l()))
  const begin = firstState(first, location.hash.includes('expand=all'), fits)
  const { state, dispatch } = storeOf(begin, reduce(fits), render)
  render(null, begin, { do: 'openAll', all: begin.isAll })
  return {
    get scene() {
      return state().facts.scene
    },
    get index() {
      return state().facts.index
    },
    view,
    hues: () => state().facts.hues,
    selected: () => state().selected,
    side: () => state().side,
    overlay: () => state().overlay,
    at: () => state().at,
    select: (id, focus = true) => dispatch({ do: 'select', id, focus }),
    toggle: (box) => dispatch({ do: 'toggle', box }),
    openAll: (all) => dispatch({ do: 'openAll', all }),
    showDetails: (details) => dispatch({ do: 'details', details }),
    go: (id) => dispatch({ do: 'go', id }),
    lightUp: (nodes) => dispatch({ do: 'light', nodes }),
    nextLoss: (step) => dispatch({ do: 'loss', step }),
    showSide: (side) => dispatch({ do: 'side', side }),
    showOverlay: (id) => dispatch({ do: 'overlay', id }),
    goTo: (at) => dispatch({ do: 'step', at }),
    onChange: (l) => void listeners.push(l),
    replace: (scene) => dispatch({ do: 'scene', scene }),
    setNumbers: (numbers) => dispatch({ do: 'numbers', numbers }),
  }
}
