/** Draws marks into a document by d3 joins: elements are kept by key, so that focus and position survive a redraw. */
import { select, type BaseType } from 'd3'
import type { Mark } from './mark.js'

const SVG = 'http://www.w3.org/2000/svg'

const update = (element: Element, m: Mark): void => {
  for (const { name } of Array.from(element.attributes))
    if (!(name in m.attrs) && name !== 'tabindex') element.removeAttribute(name)
  for (const [name, value] of Object.entries(m.attrs)) {
    if (name === 'tabindex' && element.hasAttribute('tabindex')) continue
    if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value))
  }
  if (m.text === undefined) {
    // Text that becomes parts must not stand beside them.
    if (element.firstChild instanceof Text) element.replaceChildren()
    paint(element, m.children ?? [])
  } else if (element.textContent !== m.text) element.textContent = m.text
}

/** Makes the children of an element those that the marks describe. */
export const paint = (parent: Element, marks: readonly Mark[]): void => {
  select(parent)
    .selectChildren<Element, Mark>()
    .data(marks, function key(this: BaseType, m) {
      return `${m.tag} ${m.key}`
    })
    .join((enter) => enter.append((m) => document.createElementNS(SVG, m.tag)))
    .order()
    .each(function each(m) {
      update(this, m)
    })
}
