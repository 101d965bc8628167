/** State of the page and what changes it: which boxes are open, what is selected, what is lit. */
import { walkOf } from '../scene/causes.js'
import { overlayOf } from '../draw/overlay.js'
import { onSide, partnersOf, type Side } from '../scene/sides.js'
import { indexOf, type Index } from '../scene/reach.js'
import { isDetail } from '../scene/loops.js'
import { allOpen, openingOf } from '../scene/opening.js'
import { huesOf, type Hues } from '../draw/hues.js'
import type { Scene } from '../scene/scene.js'
import { leavingLines, type Item } from '../scene/visible.js'
import { byId } from './dom.js'
import { fill } from './fill.js'
import { markOverlay } from './overlayButtons.js'
import { boxParts, lineParts, nodeParts, type PanelContext } from './panel.js'
import { overviewParts } from './overview.js'
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

/** Where a node is drawn now: itself, or the innermost closed box around it. */
const shownAs = (index: Index, view: View, id: string): string => {
  const parents = new Map(index.scene.boxes.map((b) => [b.id, b.parent]))
  const chain: string[] = [id]
  for (let at = index.node.get(id)?.box ?? parents.get(id); at !== undefined && at !== ''; at = parents.get(at))
    chain.push(at)
  return chain.find((x) => view.visible().at.has(x)) ?? id
}

const showPanel = (parts: readonly Node[]): void => {
  const panel = byId('panel')
  panel.replaceChildren(...parts)
  panel.scrollTop = 0
}

/** Starts the page. */
export const start = (first: Scene, svg: SVGSVGElement): App => {
  let scene = first
  let index = indexOf(scene)
  const view = makeView(svg)
  const all = location.hash.includes('expand=all')
  let partners = partnersOf(index)
  const sides = new Map<Side, Scene>()
  const seen = (): Scene => {
    const known = sides.get(side) ?? onSide(scene, side)
    sides.set(side, known)
    return known
  }
  let side: Side = all ? 'both' : 'forward'
  let isAll = all
  let details = all
  let overlay: string | null = null
  let at: number | null = null
  let selected: string | null = null
  let hues = huesOf(scene)
  const drawnWith = (boxes: ReadonlySet<string>): Drawn => ({
    scene: seen(),
    open: boxes,
    details,
    over: overlayOf(scene, { overlay, at, backward: side !== 'forward' }),
    hues,
  })
  const opening = (): ReadonlySet<string> => openingOf(seen(), (boxes) => view.fits(drawnWith(boxes)))
  let open = all ? allOpen(scene) : opening()
  const listeners: (() => void)[] = []
  const changed = (): void => listeners.forEach((l) => l())
  const context: PanelContext = {
    get index() {
      return index
    },
    partners: { of: (id) => partners.of(id) },
    go: (id) => go(id),
    at: () => at,
  }
  const partsOf = (id: string): readonly Node[] => {
    const item = view.visible().at.get(id)
    const line = view.visible().lines.find((l) => l.id === id)
    if (item !== undefined) return partsOfItem(item)
    return line === undefined
      ? overviewParts(context)
      : lineParts(context, line, view.visible().at.get(line.from), view.visible().at.get(line.to))
  }
  const partsOfItem = (item: Item): readonly Node[] => {
    if (item.kind === 'box' && item.box?.kind !== 'phase')
      return boxParts(context, item, leavingLines(index, view.visible(), item))
    const tail = view.visible().lines.find((l) => l.tail && l.to === item.id)
    const node = item.node ?? tail?.source
    if (node === undefined) return []
    return tail === undefined
      ? nodeParts(context, node)
      : lineParts(context, tail, view.visible().at.get(tail.from), item)
  }
  const select = (id: string | null, focus = true): void => {
    selected = id
    view.select(id, new Set(id === null ? [] : partnersFor(id)))
    view.light(null)
    showPanel(id === null ? overviewParts(context) : partsOf(id))
    if (id !== null && focus) view.element(id)?.focus({ preventScroll: true })
    changed()
  }
  /** What belongs to a node or a box in the other pass, where it is drawn now; of a line nothing. */
  const partnersFor = (id: string): readonly string[] =>
    partners
      .of(id)
      .map((p) => shownAs(index, view, p))
      .filter((p) => view.visible().at.has(p))
  const redraw = (): void => {
    // What stands beside the drawing takes its room first.
    markOverlay(overlay)
    view.draw(drawnWith(open))
    byId('details').setAttribute('aria-pressed', String(details))
    for (const b of document.querySelectorAll('[data-side]'))
      b.setAttribute('aria-pressed', String(b.getAttribute('data-side') === side))
  }
  const showSide = (wanted: Side): void => {
    side = wanted
    open = details && isAll ? allOpen(seen()) : opening()
    redraw()
    select(null)
    view.firstLook()
  }
  const showOverlay = (wanted: string | null): void => {
    overlay = wanted
    redraw()
  }
  const goTo = (wanted: number | null): void => {
    at = wanted
    redraw()
    const panel = byId('panel')
    const top = panel.scrollTop
    showPanel(selected === null ? overviewParts(context) : partsOf(selected))
    panel.scrollTop = top
    changed()
  }
  const go = (id: string): void => {
    const parents = new Map(scene.boxes.map((b) => [b.id, b.parent]))
    const needed = new Set(open)
    for (let at = index.node.get(id)?.box ?? parents.get(id); at !== undefined && at !== ''; at = parents.get(at))
      needed.add(at)
    const hidden =
      side !== 'both' &&
      (index.node.get(id) ?? scene.boxes.find((b) => b.id === id))?.side !== (side === 'backward' ? side : undefined)
    if (needed.size > open.size || (isDetail(scene, index.node.get(id), id) && !details) || hidden) {
      if (hidden) side = 'both'
      open = needed
      details ||= isDetail(scene, index.node.get(id), id)
      redraw()
    }
    select(id)
    view.reveal(id)
  }
  const toggle = (box: string): void => {
    const next = new Set(open)
    if (!next.delete(box)) next.add(box)
    else isAll = false
    details ||= isDetail(scene, undefined, box)
    open = next
    redraw()
    select(box)
    view.reveal(box)
  }
  const lightUp = (nodes: readonly string[]): void => {
    const ids = new Set(nodes.map((id) => shownAs(index, view, id)))
    for (const l of view.visible().lines) if (nodes.includes(l.source.id)) ids.add(l.id)
    view.light(ids)
    const [first] = ids
    if (first !== undefined && nodes.length === 1) view.reveal(first)
  }
  const showDetails = (wanted: boolean): void => {
    details = wanted
    redraw()
    select(null)
    view.firstLook()
  }
  let walk = walkOf(index)
  let place = -1
  const nextLoss = (step: number): void => {
    if (walk.length === 0) return
    place = place < 0 && step < 0 ? walk.length - 1 : (place + step + walk.length) % walk.length
    go(walk[place])
  }
  const openAll = (all: boolean): void => {
    isAll = all
    details = all
    open = all ? allOpen(seen()) : opening()
    redraw()
    select(null)
    view.firstLook()
  }
  const replace = (next: Scene): void => {
    scene = next
    index = indexOf(next)
    walk = walkOf(index)
    place = Math.min(place, walk.length - 1)
    partners = partnersOf(index)
    hues = huesOf(next)
    sides.clear()
    const boxes = new Set(next.boxes.map((b) => b.id))
    open = new Set([...open].filter((id) => boxes.has(id)))
    redraw()
    const id = selected !== null && view.element(selected) !== null ? selected : null
    selected = id
    view.select(id)
    fill(byId('panel'), id === null ? overviewParts(context) : partsOf(id))
  }
  const setNumbers = (numbers: Scene['numbers']): void => {
    scene = { ...scene, numbers }
    index = { ...index, scene }
    if (selected !== null) fill(byId('panel'), partsOf(selected))
  }
  redraw()
  view.firstLook()
  select(null)
  return {
    get scene() {
      return scene
    },
    get index() {
      return index
    },
    view,
    hues: () => hues,
    selected: () => selected,
    select,
    toggle,
    openAll,
    showDetails,
    go,
    lightUp,
    nextLoss,
    showSide,
    side: () => side,
    showOverlay,
    overlay: () => overlay,
    at: () => at,
    goTo,
    onChange: (l) => void listeners.push(l),
    replace,
    setNumbers,
  }
}
