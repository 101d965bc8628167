/** Pointer, keyboard and search. */
import type { App } from './app.js'
import { byId, el } from './dom.js'
import { ARROWS, isForBrowser, press, viewKeys, type Keys } from './keys.js'

const targetOf = (e: Event): { readonly id: string; readonly isBox: boolean } | null => {
  const hit = e.target instanceof Element ? e.target.closest('[data-item],[data-line]') : null
  const id = hit?.getAttribute('data-item') ?? hit?.getAttribute('data-line')
  return id === undefined || id === null ? null : { id, isBox: hit?.hasAttribute('aria-expanded') === true }
}

/** The item or line that an arrow leads to. */
const neighbour = (app: App, id: string, key: string): string | null => {
  const { lines, at } = app.view.visible()
  const line = lines.find((l) => l.id === id)
  const rects = app.view.layout().rects
  if (line !== undefined) {
    if (key === 'ArrowUp') return line.from
    return key === 'ArrowDown' ? line.to : null
  }
  const values = (ls: typeof lines): typeof lines => [...ls].sort((a, b) => Number(b.flow) - Number(a.flow))
  if (key === 'ArrowDown') return values(lines.filter((l) => l.from === id))[0]?.id ?? null
  if (key === 'ArrowUp') return values(lines.filter((l) => l.to === id))[0]?.id ?? null
  const own = rects.get(id)
  const parent = at.get(id)?.parent
  if (own === undefined) return null
  const sign = key === 'ArrowRight' ? 1 : -1
  const beside = [...at.values()]
    .filter((i) => i.parent === parent && i.id !== id)
    .flatMap((i) => {
      const r = rects.get(i.id)
      return r === undefined || Math.sign(r.x - own.x) !== sign
        ? []
        : [{ id: i.id, distance: Math.abs(r.x - own.x) + 3 * Math.abs(r.y - own.y) }]
    })
  return beside.sort((a, b) => a.distance - b.distance)[0]?.id ?? null
}

/** Follows an arrow, or begins with the first node. */
const follow = (app: App, key: string): void => {
  const id = app.selected()
  const { items } = app.view.visible()
  const begin = (items.find((i) => i.kind === 'node') ?? items[0])?.id ?? null
  const next = id === null ? begin : neighbour(app, id, key)
  if (next === null) return
  app.select(next)
  app.view.reveal(next)
}

/** Opens or closes the selection, if it is a box. */
const enter = (app: App): boolean => {
  const id = app.selected()
  const item = id === null ? undefined : app.view.visible().at.get(id)
  if (item?.kind !== 'box') return false
  app.toggle(item.id)
  return true
}

/** What keys do, wherever the focus is. */
const keysOf = (app: App, help: HTMLDialogElement): Keys => ({
  ...viewKeys(app.view, help),
  '/': () => byId('search').focus(),
  n: () => app.nextLoss(1),
  p: () => app.nextLoss(-1),
})

/** What keys do while the focus is in the drawing. */
const drawingKeys = (app: App): Keys => ({
  Enter: () => enter(app),
  ' ': () => enter(app),
  ...Object.fromEntries(ARROWS.map((key) => [key, () => follow(app, key)])),
})

const onKey = (app: App, help: HTMLDialogElement) => {
  const [anywhere, inDrawing] = [keysOf(app, help), drawingKeys(app)]
  return (e: KeyboardEvent): void => {
    const typing = e.target instanceof HTMLInputElement || e.target instanceof HTMLSelectElement
    if (isForBrowser(e, help)) return
    if (e.key === 'Escape') {
      if (typing) byId('canvas').focus()
      app.select(null, false)
    }
    if (!typing) press(e, anywhere, inDrawing)
  }
}

/** Everything that can be searched for, by its name. */
const namesOf = (app: App): ReadonlyMap<string, string> =>
  new Map([
    ...app.scene.boxes.filter((b) => b.kind === 'layer').map((b): [string, string] => [b.id, b.id]),
    ...app.scene.nodes
      .filter((n) => n.op !== 'const')
      .map((n): [string, string] => [`${n.box === '' ? '' : `${n.box} `}${n.op} %${n.id}`, n.id]),
  ])

const search = (app: App, field: HTMLInputElement): void => {
  const offer = (): void =>
    byId('names').replaceChildren(...[...namesOf(app).keys()].slice(0, 400).map((value) => el('option', { value })))
  const find = (): void => {
    const names = namesOf(app)
    const text = field.value.trim().toLowerCase()
    const name = names.get(field.value) ?? [...names].find(([k]) => text !== '' && k.toLowerCase().includes(text))?.[1]
    field.setAttribute('aria-invalid', String(name === undefined && text !== ''))
    if (name !== undefined) app.go(name)
  }
  field.addEventListener('focus', offer)
  field.addEventListener('change', find)
}

/** Wires the page to the reader's hands. */
export const listen = (app: App, svg: SVGSVGElement): void => {
  const help = byId('help')
  const field = byId('search')
  svg.addEventListener('click', (e) => {
    const t = targetOf(e)
    if (t === null) app.select(null, false)
    else if (t.isBox) app.toggle(t.id)
    else app.select(t.id)
  })
  svg.addEventListener('focusin', (e) => {
    const t = targetOf(e)
    if (t !== null && t.id !== app.selected() && e.target instanceof Element && e.target.matches(':focus-visible'))
      app.select(t.id, false)
  })
  if (help instanceof HTMLDialogElement) document.addEventListener('keydown', onKey(app, help))
  if (field instanceof HTMLInputElement) search(app, field)
}
