/** Pointer, keyboard and search. */
import type { App } from './app.js'
import { byId, el } from './dom.js'

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

const onKey =
  (app: App, help: HTMLDialogElement) =>
  (e: KeyboardEvent): void => {
    const typing = e.target instanceof HTMLInputElement || e.target instanceof HTMLSelectElement
    if (e.ctrlKey || e.metaKey || e.altKey || help.open) return
    if (e.key === 'Escape') {
      if (typing) byId('canvas').focus()
      app.select(null, false)
    }
    if (typing) return
    const id = app.selected()
    const item = id === null ? undefined : app.view.visible().at.get(id)
    const inDrawing =
      e.target instanceof Element && e.target.closest('main, body') !== null && !(e.target instanceof HTMLButtonElement)
    if (e.key === '/') byId('search').focus()
    else if (e.key === 'n' || e.key === 'p') app.nextLoss(e.key === 'n' ? 1 : -1)
    else if (e.key === 'f') app.view.fit()
    else if (e.key === '+' || e.key === '-') app.view.zoomBy(e.key === '+' ? 1.3 : 1 / 1.3)
    else if (e.key === '?') help.showModal()
    else if ((e.key === 'Enter' || e.key === ' ') && inDrawing && item?.kind === 'box') app.toggle(item.id)
    else if (e.key.startsWith('Arrow') && inDrawing) {
      const next =
        id === null
          ? (app.view.visible().items.find((i) => i.kind === 'node')?.id ?? app.view.visible().items[0]?.id ?? null)
          : neighbour(app, id, e.key)
      if (next !== null) {
        app.select(next)
        app.view.reveal(next)
      }
    } else return
    e.preventDefault()
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
