/** Pointer and keyboard of the page of two programs. */
import { byId } from '../../page/dom.js'
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

const onKey =
  (app: PairApp, help: HTMLDialogElement) =>
  (e: KeyboardEvent): void => {
    if (e.ctrlKey || e.metaKey || e.altKey || help.open) return
    const { ids, side } = app.selected()
    const id = ids[side]
    const isBox = id !== null && app.view.drawing().visible[side].at.get(id)?.kind === 'box'
    const inDrawing =
      e.target instanceof Element && e.target.closest('main, body') !== null && !(e.target instanceof HTMLButtonElement)
    if (e.key === 'Escape') app.select(0, null, false)
    else if (e.key === 'n' || e.key === 'p') app.nextDifference(e.key === 'n' ? 1 : -1)
    else if (e.key === 'f') app.view.fit()
    else if (e.key === '+' || e.key === '-') app.view.zoomBy(e.key === '+' ? 1.3 : 1 / 1.3)
    else if (e.key === '?') help.showModal()
    else if ((e.key === 'Enter' || e.key === ' ') && inDrawing && isBox) app.toggle(side, id)
    else if (e.key.startsWith('Arrow') && inDrawing) move(app, e.key)
    else return
    e.preventDefault()
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
