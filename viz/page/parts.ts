/** Pieces of which the panel is made. */
import { nodeName } from '../draw/words.js'
import type { Index } from '../scene/reach.js'
import type { SceneNode, SceneNumbers } from '../scene/scene.js'
import type { Partners } from '../scene/sides.js'
import { button, el } from './dom.js'

/** What the panel needs of the page. `at`: the kept step of the training log that is shown, if one is. */
export type PanelContext = {
  readonly index: Index
  readonly partners: Partners
  readonly go: (node: string) => void
  readonly at: () => number | null
}

/** A paragraph or an element. */
export type Part = Node | string

/** A heading and what stands under it; nothing where there is nothing. */
export const section = (title: string, ...parts: readonly Part[]): readonly Node[] =>
  parts.length === 0 ? [] : [el('h3', {}, title), ...parts.map((p) => (typeof p === 'string' ? el('p', {}, p) : p))]

/** Code to copy. */
export const codeOf = (code: string): Node => el('pre', {}, code)

const MOST_LINKS = 12

/** A list of nodes to go to. */
export const links = (c: PanelContext, ids: readonly string[]): HTMLElement =>
  el(
    'ul',
    {},
    ...ids.slice(0, MOST_LINKS).map((id) => {
      const n = c.index.node.get(id)
      return el(
        'li',
        {},
        button(n === undefined ? id : nodeName(n), () => c.go(id)),
      )
    }),
    ...(ids.length > MOST_LINKS ? [el('li', {}, `and ${ids.length - MOST_LINKS} more`)] : []),
  )

/** Numbers of a run for a node: as it was observed, or as a named result. */
export const numbersFor = (c: PanelContext, n: SceneNode): SceneNumbers | undefined => {
  const { observed, values, numbers } = c.index.scene
  if (Object.hasOwn(numbers, `%${n.id}`)) return numbers[`%${n.id}`]
  if (Object.hasOwn(observed, n.id)) return observed[n.id]
  const name = values.find((v) => v.node === n.id && Object.hasOwn(numbers, v.name))?.name
  return name === undefined ? undefined : numbers[name]
}
