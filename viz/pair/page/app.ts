/** State of the page of two programs, and what changes it: which boxes are open on both sides, what is selected, what is lit. */
import { partnersOf } from '../../scene/sides.js'
import { byId } from '../../page/dom.js'
import { markOverlay } from '../../page/overlayButtons.js'
import { allOpen, openings } from '../../scene/opening.js'
import { indexOf } from '../../scene/reach.js'
import { across, SIDES, type PairScene, type Side, type SideId } from '../sides.js'
import { twinsOf } from '../twins.js'
import { sideParts, type PanelsContext } from './panels.js'
import { makePairView, type Ids, type PairView } from './view.js'

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

type Open = readonly [ReadonlySet<string>, ReadonlySet<string>]

/** A target of a phrase, taken apart. */
export const sideOf = (target: SideId): { readonly side: Side; readonly id: string } => ({
  side: target.startsWith('1:') ? 1 : 0,
  id: target.slice(2),
})

/** Starts the page. */
export const startPair = (pair: PairScene, svg: SVGSVGElement): PairApp => {
  const twins = twinsOf(pair)
  const view = makePairView(svg, pair, twins)
  const indices = [indexOf(pair.scenes[0]), indexOf(pair.scenes[1])] as const
  const parents = SIDES.map((s) => new Map(pair.scenes[s].boxes.map((b) => [b.id, b.parent])))
  /** Opens on each side what is open on the other. */
  const synced = (open: Open): Open => {
    const mapped = (from: Side): readonly string[] => [...open[from]].flatMap((id) => twins[from].partner.get(id) ?? [])
    return [new Set([...open[0], ...mapped(1)]), new Set([...open[1], ...mapped(0)])]
  }
  const levels = [openings(pair.scenes[0]), openings(pair.scenes[1])] as const
  /** Of what may be open at first the most that fits; where nothing does, the least. */
  const opening = (): Open => {
    const at = (s: Side, k: number): ReadonlySet<string> => levels[s][Math.min(k, levels[s].length - 1)]
    const both = Array.from({ length: Math.max(levels[0].length, levels[1].length) }, (_, k) =>
      synced([at(0, k), at(1, k)]),
    )
    return both.find((o) => view.fits(o, false)) ?? both[both.length - 1]
  }
  const wanted = (all: boolean): Open => (all ? synced([allOpen(pair.scenes[0]), allOpen(pair.scenes[1])]) : opening())
  const isAll = location.hash.includes('expand=all')
  let open = wanted(isAll)
  let details = isAll
  let [ids, side]: [Ids, Side] = [[null, null], 0]
  const context: PanelsContext = {
    pair,
    twins,
    visible: () => view.drawing().visible,
    sides: [
      { index: indices[0], partners: partnersOf(indices[0]), at: () => null, go: (id) => go(0, id) },
      { index: indices[1], partners: partnersOf(indices[1]), at: () => null, go: (id) => go(1, id) },
    ],
  }
  const showPanels = (): void =>
    SIDES.forEach((s) => {
      const panel = byId(`panel-${s}`)
      panel.replaceChildren(...sideParts(context, s, ids))
      panel.scrollTop = 0
    })
  const show = (next: Ids, focusOn: Side | null): void => {
    ids = next
    view.select(next)
    view.light(null)
    showPanels()
    const id = focusOn === null ? null : next[focusOn]
    if (focusOn !== null && id !== null) view.element(focusOn, id)?.focus({ preventScroll: true })
  }
  /** The line on the other side between the partners of this line's ends. */
  const twinLine = (s: Side, id: string): string | null => {
    const [own, other] = [view.drawing().visible[s], view.drawing().visible[across(s)]]
    const line = own.lines.find((l) => l.id === id)
    const [from, to] = [twins[s].partner.get(line?.from ?? ''), twins[s].partner.get(line?.to ?? '')]
    const found = other.lines.filter((l) => l.from === from && l.to === to)
    return (found.find((l) => l.slot === line?.slot) ?? found[0])?.id ?? null
  }
  const twinOf = (s: Side, id: string): string | null => {
    const { visible } = view.drawing()
    if (!visible[s].at.has(id)) return twinLine(s, id)
    const partner = twins[s].partner.get(id)
    return partner !== undefined && visible[across(s)].at.has(partner) ? partner : null
  }
  const select = (s: Side, id: string | null, focus = true): void => {
    side = s
    const other = id === null ? null : twinOf(s, id)
    show(s === 0 ? [id, other] : [other, id], focus ? s : null)
  }
  const selectBoth = (next: Ids): void => {
    side = next[0] === null ? 1 : 0
    show(next, side)
    view.reveal(next)
  }
  const redraw = (): void => {
    view.draw(open, details)
    byId('details').setAttribute('aria-pressed', String(details))
  }
  const go = (s: Side, id: string): void => {
    const needed = new Set(open[s])
    for (
      let at = indices[s].node.get(id)?.box ?? parents[s].get(id);
      at !== undefined && at !== '';
      at = parents[s].get(at)
    )
      needed.add(at)
    const isDetail = indices[s].node.get(id)?.flow === false
    if (needed.size > open[s].size || (isDetail && !details)) {
      open = synced(s === 0 ? [needed, open[1]] : [open[0], needed])
      details ||= isDetail
      redraw()
    }
    select(s, id)
    view.reveal(ids)
  }
  const toggle = (s: Side, box: string): void => {
    const partner = twins[s].partner.get(box)
    const isOpen = open[s].has(box)
    const flip = (set: ReadonlySet<string>, id: string | undefined): ReadonlySet<string> => {
      const next = new Set(set)
      if (id !== undefined && isOpen) next.delete(id)
      if (id !== undefined && !isOpen) next.add(id)
      return next
    }
    open = s === 0 ? [flip(open[0], box), flip(open[1], partner)] : [flip(open[0], partner), flip(open[1], box)]
    if (pair.scenes[s].boxes.some((b) => b.id === box && b.kind === 'phase')) details = true
    redraw()
    select(s, box)
    view.reveal(ids)
  }
  const openAll = (all: boolean): void => {
    open = wanted(all)
    details = all
    redraw()
    show([null, null], null)
    view.firstLook()
  }
  const showDetails = (next: boolean): void => {
    details = next
    redraw()
    show([null, null], null)
    view.firstLook()
  }
  let overlay: string | null = null
  const showOverlay = (id: string | null): void => {
    overlay = overlay === id ? null : id
    markOverlay(overlay)
    view.colour(overlay)
    redraw()
  }
  /** Where something is drawn now: itself, or the innermost closed box around it. */
  const shownAs = (s: Side, id: string): string => {
    const chain = [id]
    for (
      let at = indices[s].node.get(id)?.box ?? parents[s].get(id);
      at !== undefined && at !== '';
      at = parents[s].get(at)
    )
      chain.push(at)
    return chain.find((x) => view.drawing().visible[s].at.has(x)) ?? id
  }
  const lightUp = (targets: readonly SideId[]): void =>
    view.light(
      new Set(
        targets.map((t): SideId => {
          const at = sideOf(t)
          return `${at.side}:${shownAs(at.side, at.id)}`
        }),
      ),
    )
  let at = -1
  const nextDifference = (step: number): void => {
    const { chips } = view.drawing()
    if (chips.length === 0) return
    at = at < 0 && step < 0 ? chips.length - 1 : (at + step + chips.length) % chips.length
    selectBoth(chips[at].ids)
  }
  redraw()
  view.firstLook()
  show([null, null], null)
  new ResizeObserver(() => view.settle()).observe(svg)
  return {
    pair,
    view,
    selected: () => ({ ids, side }),
    select,
    selectBoth,
    toggle,
    openAll,
    showDetails,
    showOverlay,
    go,
    lightUp,
    nextDifference,
  }
}
