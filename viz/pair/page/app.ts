/** The page of two programs: its state, drawn. What a reader does comes in as actions; one function shows what they lead to. */
import { partnersOf } from '../../scene/sides.js'
import { byId } from '../../page/dom.js'
import { markOverlay } from '../../page/overlayButtons.js'
import { storeOf } from '../../page/store.js'
import { SIDES, type PairScene, type Side, type SideId } from '../sides.js'
import { sideParts, type PanelsContext } from './panels.js'
import {
  firstPair,
  pairFactsOf,
  reducePair,
  shownAs,
  sideOf,
  type Ids,
  type PairAction,
  type PairState,
} from './state.js'
import { makePairView, type PairView } from './view.js'

export { sideOf } from './state.js'

/** The page, for keys and buttons. */
export type PairApp = {
  readonly pair: PairScene
  readonly view: PairView
  readonly selected: () => { readonly ids: Ids; readonly side: Side }
  readonly select: (side: Side, id: string | null, focus?: boolean) => void
  /** Selects what belongs together on both sides, or stands on one alone. */
  readonly selectBoth: (ids: Ids) => void
  readonly toggle: (side: Side, box: string) => void
  readonly openAll: (all: boolean) => void
  readonly showDetails: (details: boolean) => void
  /** Colours layers of both halves by an overlay; the same one again, or null: by none. */
  readonly showOverlay: (id: string | null) => void
  readonly go: (side: Side, id: string) => void
  readonly lightUp: (targets: readonly SideId[]) => void
  /** The next or previous of the notes between the halves. */
  readonly nextDifference: (step: number) => void
}

/** What an action does besides: to the panels, and to the camera. */
const AFTER: {
  readonly [D in PairAction['do']]: { readonly tells: boolean; readonly look?: 'first' | 'selected' }
} = {
  select: { tells: true },
  selectBoth: { tells: true, look: 'selected' },
  toggle: { tells: true, look: 'selected' },
  openAll: { tells: true, look: 'first' },
  details: { tells: true, look: 'first' },
  overlay: { tells: false },
  go: { tells: true, look: 'selected' },
  light: { tells: false },
  difference: { tells: true, look: 'selected' },
}

const tellPanels = (context: PanelsContext, ids: Ids): void =>
  SIDES.forEach((s) => {
    const panel = byId(`panel-${s}`)
    panel.replaceChildren(...sideParts(context, s, ids))
    panel.scrollTop = 0
  })

/** What is lit, or the boxes that hold it. */
const litShown = (s: PairState): ReadonlySet<SideId> | null =>
  s.lit === null
    ? null
    : new Set(
        s.lit.map((t): SideId => {
          const at = sideOf(t)
          return `${at.side}:${shownAs(s, at)}`
        }),
      )

/** Draws a state, and presses the buttons of what it shows. */
const redraw = (s: PairState, view: PairView): void => {
  markOverlay(s.overlay)
  view.draw(s.visible, s.overlay)
  byId('details').setAttribute('aria-pressed', String(s.details))
}

/** Moves the focus to what was selected last. */
const focusOn = ({ ids, side }: PairState, view: PairView): void => {
  const id = ids[side]
  if (id !== null) view.element(side, id)?.focus({ preventScroll: true })
}

/** Shows a state where another one was shown. */
const rendering =
  (view: PairView, context: PanelsContext) =>
  (before: PairState | null, now: PairState, action: PairAction): void => {
    if (before === now) return
    const { tells, look } = AFTER[action.do]
    if (before === null || before.visible !== now.visible || before.overlay !== now.overlay) redraw(now, view)
    view.mark(now.ids, litShown(now))
    if (tells) tellPanels(context, now.ids)
    if (tells && !(action.do === 'select' && action.focus === false)) focusOn(now, view)
    if (look === 'first') view.firstLook()
    if (look === 'selected') view.reveal(now.ids)
  }

/** Starts the page. */
export const startPair = (pair: PairScene, svg: SVGSVGElement): PairApp => {
  const facts = pairFactsOf(pair)
  const { twins, indices } = facts
  const view = makePairView(svg, pair, twins)
  const sides = (side: Side) => ({
    index: indices[side],
    partners: partnersOf(indices[side]),
    at: () => null,
    go: (id: string) => dispatch({ do: 'go', side, id }),
  })
  const context: PanelsContext = {
    pair,
    twins,
    visible: () => view.drawing().visible,
    sides: [sides(0), sides(1)],
  }
  const eyes = { fits: view.fits, notes: () => view.drawing().chips.map((c) => c.ids) }
  const begin = firstPair(facts, location.hash.includes('expand=all'), view.fits)
  const render = rendering(view, context)
  const { state, dispatch } = storeOf(begin, reducePair(eyes), render)
  render(null, begin, { do: 'openAll', all: begin.details })
  new ResizeObserver(() => view.settle()).observe(svg)
  return {
    pair,
    view,
    selected: () => ({ ids: state().ids, side: state().side }),
    select: (side, id, focus = true) => dispatch({ do: 'select', side, id, focus }),
    selectBoth: (ids) => dispatch({ do: 'selectBoth', ids }),
    toggle: (side, box) => dispatch({ do: 'toggle', side, box }),
    openAll: (all) => dispatch({ do: 'openAll', all }),
    showDetails: (details) => dispatch({ do: 'details', details }),
    showOverlay: (id) => dispatch({ do: 'overlay', id }),
    go: (side, id) => dispatch({ do: 'go', side, id }),
    lightUp: (targets) => dispatch({ do: 'light', targets }),
    nextDifference: (step) => dispatch({ do: 'difference', step }),
  }
}
