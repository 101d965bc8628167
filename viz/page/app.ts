/** State of the page and what changes it: which boxes are open, what is selected, what is lit. */
import { claimedCauses, strippedCauses } from '../scene/causes.js'
import { indexOf, type Index } from '../scene/reach.js'
import { allOpen, firstOpen } from '../scene/opening.js'
import type { Scene } from '../scene/scene.js'
import { leavingLines, type Item } from '../scene/visible.js'
import { byId } from './dom.js'
import { fill } from './fill.js'
import { boxParts, lineParts, nodeParts, overviewParts, type PanelContext } from './panel.js'
import { makeView, type View } from './view.js'

/** The page, for keys, search and buttons. */
export type App = {
  readonly scene: Scene
  readonly index: Index
  readonly view: View
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
  /** Shows another scene of the same network: what is open and selected stays so, as far as it is still there. */
  readonly replace: (scene: Scene) => void
  /** New numbers of a run for the same scene: the panel follows. */
  readonly setNumbers: (numbers: Scene['numbers']) => void
}

/** Where a node is drawn now: itself, or the innermost closed box around it. */
const shownAs = (index: Index, view: View, id: string): string => {
  const parents = new Map(index.scene.boxes.map((b) => [b.id, b.parent]))
  const chain: string[] = [id]
  for (let at = index.node.get(id)?.box ?? parents.get(id); at !== undefined && at !== ''; at = parents.get(at)) chain.push(at)
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
  const view = makeView(svg, scene)
  let open = location.hash.includes('expand=all') ? allOpen(scene) : firstOpen(scene)
  let details = location.hash.includes('expand=all')
  let selected: string | null = null
  const context: PanelContext = { get index() { return index }, go: (id) => go(id) }
  const partsOf = (id: string): readonly Node[] => {
    const item = view.visible().at.get(id)
    const line = view.visible().lines.find((l) => l.id === id)
    if (item !== undefined) return partsOfItem(item)
    return line === undefined ? overviewParts(context) : lineParts(context, line, view.visible().at.get(line.from), view.visible().at.get(line.to))
  }
  const partsOfItem = (item: Item): readonly Node[] => {
    if (item.kind === 'box' && item.box?.kind !== 'phase') return boxParts(context, item, leavingLines(index, view.visible(), item))
    const tail = view.visible().lines.find((l) => l.tail && l.to === item.id)
    const node = item.node ?? tail?.source
    return node === undefined ? [] : tail === undefined ? nodeParts(context, node) : lineParts(context, tail, view.visible().at.get(tail.from), item)
  }
  const select = (id: string | null, focus = true): void => {
    selected = id
    view.select(id)
    view.light(null)
    showPanel(id === null ? overviewParts(context) : partsOf(id))
    if (id !== null && focus) view.element(id)?.focus({ preventScroll: true })
  }
  const redraw = (): void => {
    view.draw(open, details)
    byId('details').setAttribute('aria-pressed', String(details))
  }
  const isDetail = (id: string): boolean => index.node.get(id)?.flow === false || scene.boxes.some((b) => b.id === id && b.kind === 'branch')
  const go = (id: string): void => {
    const parents = new Map(scene.boxes.map((b) => [b.id, b.parent]))
    const needed = new Set(open)
    for (let at = index.node.get(id)?.box ?? parents.get(id); at !== undefined && at !== ''; at = parents.get(at)) needed.add(at)
    if (needed.size > open.size || (isDetail(id) && !details)) {
      open = needed
      details ||= isDetail(id)
      redraw()
    }
    select(id)
    view.reveal(id)
  }
  const toggle = (box: string): void => {
    const next = new Set(open)
    if (!next.delete(box)) next.add(box)
    if (scene.boxes.some((b) => b.id === box && b.kind === 'phase')) details = true
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
  }
  const lossesInOrder = (): readonly string[] => [...new Set([...strippedCauses(index).map((c) => c.node.id), ...claimedCauses(index).map((n) => n.id), ...scene.losses.map((l) => l.node)])]
  let walk = lossesInOrder()
  let at = -1
  const nextLoss = (step: number): void => {
    if (walk.length === 0) return
    at = at < 0 && step < 0 ? walk.length - 1 : (at + step + walk.length) % walk.length
    go(walk[at])
  }
  const openAll = (all: boolean): void => {
    open = all ? allOpen(scene) : firstOpen(scene)
    details = all
    redraw()
    select(null)
    view.firstLook()
  }
  const replace = (next: Scene): void => {
    scene = next
    index = indexOf(next)
    walk = lossesInOrder()
    at = Math.min(at, walk.length - 1)
    const boxes = new Set(next.boxes.map((b) => b.id))
    open = new Set([...open].filter((id) => boxes.has(id)))
    view.show(next)
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
  return { get scene() { return scene }, get index() { return index }, view, selected: () => selected, select, toggle, openAll, showDetails, go, lightUp, nextLoss, replace, setNumbers }
}
