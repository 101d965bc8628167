/** Pointer and keyboard of the page of two programs. */
import { byId } from '../../page/dom.js'
import { ARROWS, isForBrowser, press, viewKeys, type Keys } from '../../page/keys.js'
import { across, type Side } from '../sides.js'
import type { PairApp } from './app.js'
import { targetOf, type Ids } from './view.js'

/** Along the lines up and down; sideways to the twin. */
const neighbour = (
  app: PairApp,
  side: Side,
  id: string,
  key: string,
): { readonly side: Side; readonly id: string } | null => {
  const here = (found: string | undefined): { readonly side: Side; readonly id: string } | null =>
    found === undefined ? null : { side, id: found }
  const { lines } = app.view.drawing().visible[side]
  const line = lines.find((l) => l.id === id)
  if (key === 'ArrowLeft' || key === 'ArrowRight') {
    const to = key === 'ArrowRight' ? 1 : 0
    const twin = app.selected().ids[across(side)]
    return to === side || twin === null ? null : { side: to, id: twin }
  }
  if (line !== undefined) return here(key === 'ArrowUp' ? line.from : line.to)
  const next = lines
    .filter((l) => (key === 'ArrowDown' ? l.from : l.to) === id)
    .sort((a, b) => Number(b.flow) - Number(a.flow))
  return here(next[0]?.id)
}

const move = (app: PairApp, key: string): void => {
  const { ids, side } = app.selected()
  const id = ids[side]
  const first = app.view.drawing().visible[0].items[0]
  const begin = first === undefined ? null : { side: 0 as Side, id: first.id }
  const next = id === null ? begin : neighbour(app, side, id, key)
  if (next === null) return
  app.select(next.side, next.id)
  app.view.reveal(app.selected().ids)
}

/** Opens or closes the selection, if it is a box. */
const enter = (app: PairApp): boolean => {
  const { ids, side } = app.selected()
  const id = ids[side]
  if (id === null || app.view.drawing().visible[side].at.get(id)?.kind !== 'box') return false
  app.toggle(side, id)
  return true
}

const onKey = (app: PairApp, help: HTMLDialogElement) => {
  const anywhere: Keys = {
    ...viewKeys(app.view, help),
    Escape: () => app.select(0, null, false),
    n: () => app.nextDifference(1),
    p: () => app.nextDifference(-1),
  }
  const inDrawing: Keys = {
    Enter: () => enter(app),
    ' ': () => enter(app),
    ...Object.fromEntries(ARROWS.map((key) => [key, () => move(app, key)])),
  }
  return (e: KeyboardEvent): void => {
    if (!isForBrowser(e, help)) press(e, anywhere, inDrawing)
  }
}

const chipOf = (e: Event): Ids | null => {
  const chip = e.target instanceof Element ? e.target.closest('.chip') : null
  return chip === null ? null : [chip.getAttribute('data-chip-a') || null, chip.getAttribute('data-chip-b') || null]
}

/** Wires the page to the reader's hands. */
export const listenPair = (app: PairApp, svg: SVGSVGElement): void => {
  const help = byId('help')
  svg.addEventListener('click', (e) => {
    const chip = chipOf(e)
    const t = e.target instanceof Element ? targetOf(e.target) : null
    if (chip !== null) app.selectBoth(chip)
    else if (t === null) app.select(0, null, false)
    else if (t.isBox) app.toggle(t.side, t.id)
    else app.select(t.side, t.id)
  })
  svg.addEventListener('focusin', (e) => {
    const t = e.target instanceof Element && e.target.matches(':focus-visible') ? targetOf(e.target) : null
    if (t !== null && t.id !== app.selected().ids[t.side]) app.select(t.side, t.id, false)
  })
  if (help instanceof HTMLDialogElement) document.addEventListener('keydown', onKey(app, help))
}
