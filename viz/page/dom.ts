/** Elements from text and children. Text is set as text: nothing is parsed. */

/** An HTML element with attributes and children; a string child is text. */
export const el = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attrs: { readonly [name: string]: string } = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] => {
  const e = document.createElement(tag)
  for (const [name, value] of Object.entries(attrs)) e.setAttribute(name, value)
  e.append(...children)
  return e
}

/** An SVG element. */
export const svgEl = (tag: string, attrs: { readonly [name: string]: string | number } = {}, text = ''): SVGElement => {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attrs)) e.setAttribute(name, String(value))
  if (text !== '') e.textContent = text
  return e
}

/** The element of the shell with this id. */
export const byId = (id: string): HTMLElement => {
  const e = document.getElementById(id)
  if (e === null) throw new Error(`the page has no #${id}`)
  return e
}

/** The drawing of the shell with this id. */
export const svgById = (id: string): SVGSVGElement => {
  const e = document.getElementById(id)
  if (!(e instanceof SVGSVGElement)) throw new Error(`the page has no drawing #${id}`)
  return e
}

/** A button that does something. */
export const button = (
  label: string,
  act: () => void,
  attrs: { readonly [name: string]: string } = {},
): HTMLButtonElement => {
  const b = el('button', { type: 'button', ...attrs }, label)
  b.addEventListener('click', act)
  return b
}
