/** Brings an element's children up to date in place, so that focus, selection and scrolling survive what changes often. */

const alike = (a: Node, b: Node): boolean => a.nodeType === b.nodeType && a.nodeName === b.nodeName

const sync = (at: Node, wanted: Node): void => {
  if (at instanceof Element && wanted instanceof Element) {
    for (const name of at.getAttributeNames()) if (!wanted.hasAttribute(name)) at.removeAttribute(name)
    for (const { name, value } of wanted.attributes) if (at.getAttribute(name) !== value) at.setAttribute(name, value)
    fill(at, [...wanted.childNodes])
  } else if (at.nodeValue !== wanted.nodeValue) at.nodeValue = wanted.nodeValue
}

/** A button that names something else does something else: its listener can't be carried over. */
const replaceable = (at: Node, wanted: Node): boolean =>
  at instanceof HTMLButtonElement && at.textContent !== wanted.textContent

/** Makes the children of `parent` equal to `parts`: elements of the same tag are kept and changed. */
export const fill = (parent: Element, parts: readonly Node[]): void => {
  const kept = [...parent.childNodes]
  parts.forEach((wanted, i) => {
    const at = kept[i]
    if (at === undefined) parent.append(wanted)
    else if (alike(at, wanted) && !replaceable(at, wanted)) sync(at, wanted)
    else at.replaceWith(wanted)
  })
  for (const rest of kept.slice(parts.length)) rest.remove()
}
