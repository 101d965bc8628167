/** Keys as tables: what each does, anywhere in the page and in the drawing. */

/** What keys do, by name; false: nothing, so that the browser may do what it does with them. */
export type Keys = { readonly [key: string]: () => void | boolean }

/** The keys with arrows. */
export const ARROWS = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'] as const

/** What a drawing can do by a key. */
type Viewed = { readonly fit: () => void; readonly zoomBy: (factor: number) => void }

/** Keys of every page with a drawing. */
export const viewKeys = (view: Viewed, help: HTMLDialogElement): Keys => ({
  f: () => view.fit(),
  '+': () => view.zoomBy(1.3),
  '-': () => view.zoomBy(1 / 1.3),
  '?': () => help.showModal(),
})

/** Is a key the browser's own, or the dialogue's? */
export const isForBrowser = (e: KeyboardEvent, help: HTMLDialogElement): boolean =>
  e.ctrlKey || e.metaKey || e.altKey || help.open

const isInDrawing = ({ target }: Event): boolean =>
  target instanceof Element && target.closest('main, body') !== null && !(target instanceof HTMLButtonElement)

/** Does what a key stands for. */
export const press = (e: KeyboardEvent, anywhere: Keys, inDrawing: Keys): void => {
  const keys = Object.hasOwn(anywhere, e.key) ? anywhere : inDrawing
  if (!Object.hasOwn(keys, e.key) || (keys === inDrawing && !isInDrawing(e))) return
  if (keys[e.key]() !== false) e.preventDefault()
}
