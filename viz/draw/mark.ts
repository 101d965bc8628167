/** A drawing as data: elements with attributes and text, which become markup here and elements in a page. */

/** An element. `key` tells it apart from its siblings; text is text, never markup. */
export type Mark = {
  readonly tag: 'g' | 'path' | 'rect' | 'text' | 'tspan' | 'circle' | 'line' | 'title'
  readonly key: string
  readonly attrs: { readonly [name: string]: string | number }
  readonly text?: string
  readonly children?: readonly Mark[]
}

/** Makes an element. */
export const mark = (
  tag: Mark['tag'],
  key: string,
  attrs: Mark['attrs'],
  content: string | readonly Mark[] = [],
): Mark => (typeof content === 'string' ? { tag, key, attrs, text: content } : { tag, key, attrs, children: content })

const ENTITIES: { readonly [character: string]: string } = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

// oxlint-disable-next-line no-control-regex
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g

/** Text for HTML, SVG and attributes. Characters that XML forbids become a replacement character. */
export const escapeText = (text: string): string =>
  text.replace(FORBIDDEN, '\ufffd').replace(/[&<>"']/g, (c) => ENTITIES[c])

/** JSON that may stand inside a script element: no `<` can end it, and no line separator breaks it. */
export const escapeJSON = (value: unknown): string =>
  JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** Markup of a mark. */
export const markup = (m: Mark): string => {
  const attrs = Object.entries(m.attrs)
    .map(([k, v]) => ` ${k}="${escapeText(String(v))}"`)
    .join('')
  const inner = m.text === undefined ? (m.children ?? []).map(markup).join('') : escapeText(m.text)
  return `<${m.tag}${attrs}>${inner}</${m.tag}>`
}
