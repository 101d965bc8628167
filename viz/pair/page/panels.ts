/** The two panels: of each side what differs, then all that a page of that program alone would say. */
import { nodeName } from '../../draw/words.js'
import { button, el } from '../../page/dom.js'
import { overviewParts } from '../../page/overview.js'
import { boxParts, lineParts, nodeParts, type PanelContext } from '../../page/panel.js'
import type { SceneNode } from '../../scene/scene.js'
import { leavingLines, type Visible } from '../../scene/visible.js'
import { factsOf } from '../facts.js'
import { across, type PairScene, type Side } from '../sides.js'
import type { Twins } from '../twins.js'
import { nodeFor } from '../words.js'
import type { Ids } from './view.js'

/** What the panels need of the page. */
export type PanelsContext = {
  readonly pair: PairScene
  readonly twins: Twins
  readonly sides: readonly [PanelContext, PanelContext]
  readonly visible: () => readonly [Visible, Visible]
}

const MOST = 8

const nodeOf = (c: PanelsContext, side: Side, id: string | null): SceneNode | undefined =>
  id === null
    ? undefined
    : (c.visible()[side].lines.find((l) => l.id === id)?.source ?? nodeFor(c.pair.scenes[side], c.twins[side], id))

const differenceParts = (c: PanelsContext, side: Side, ids: Ids): readonly Node[] => {
  const facts = factsOf(c.pair, c.twins, [nodeOf(c, 0, ids[0]), nodeOf(c, 1, ids[1])]).filter((f) => f.differs)
  const changes = (ids[0] === null ? [] : (c.twins[0].changes.get(ids[0]) ?? [])).filter(
    (x) => x.kind === 'attribute' || x.kind === 'shape',
  )
  if (facts.length + changes.length === 0) return []
  return [
    el('h3', {}, 'Differs here'),
    el(
      'table',
      { class: 'facts' },
      el(
        'tbody',
        {},
        ...facts.map((f) => el('tr', {}, el('th', { scope: 'row' }, f.label), el('td', {}, f.texts[side] ?? '—'))),
        ...changes.map((x) => el('tr', {}, el('th', { scope: 'row' }, 'Option'), el('td', {}, x.text))),
      ),
    ),
  ]
}

/** Nodes inside a box that stand on this side alone, or differ from their twins. */
const insideParts = (c: PanelsContext, side: Side, id: string): readonly Node[] => {
  const { status } = c.twins[side]
  const inside = c.pair.scenes[side].nodes.filter((n) => n.flow && `${n.box}.`.startsWith(`${id}.`))
  const list = (title: string, wanted: string): readonly Node[] => {
    const found = inside.filter((n) => status.get(n.id) === wanted)
    return found.length === 0
      ? []
      : [
          el('h3', {}, title),
          el(
            'ul',
            {},
            ...found.slice(0, MOST).map((n) =>
              el(
                'li',
                {},
                button(nodeName(n), () => c.sides[side].go(n.id)),
              ),
            ),
            ...(found.length > MOST ? [el('li', {}, `and ${found.length - MOST} more`)] : []),
          ),
        ]
  }
  return [...list('Only here', 'only'), ...list('Differs inside', 'differs')]
}

/** What a page of this program alone says of an item or a line. */
const ownParts = (c: PanelsContext, side: Side, id: string): readonly Node[] => {
  const [v, own] = [c.visible()[side], c.sides[side]]
  const item = v.at.get(id)
  const line = v.lines.find((l) => l.id === id || (item?.kind === 'result' && l.tail && l.to === id))
  if (item?.kind === 'box' && item.box?.kind !== 'phase') return boxParts(own, item, leavingLines(own.index, v, item))
  if (line !== undefined) return lineParts(own, line, v.at.get(line.from), v.at.get(line.to))
  return item?.node === undefined ? [] : nodeParts(own, item.node)
}

/** What the panel of one side says when these are selected; with neither an overview of the program. */
export const sideParts = (c: PanelsContext, side: Side, ids: Ids): readonly Node[] => {
  const title = el('p', { class: 'which' }, c.pair.scenes[side].title)
  const id = ids[side]
  if (id !== null) {
    const own = ownParts(c, side, id)
    const name = own.findIndex((n) => n.nodeName === 'H2') + 1
    const head = name + (own[name]?.nodeName === 'P' ? 1 : 0)
    return [
      title,
      ...own.slice(0, head),
      ...differenceParts(c, side, ids),
      ...insideParts(c, side, id),
      ...own.slice(head),
    ]
  }
  if (ids[across(side)] !== null) return [title, el('p', { class: 'soft' }, 'Nothing here corresponds to it.')]
  return [title, el('p', {}, ...c.pair.scenes[side].sentence.map((p) => p.text)), ...overviewParts(c.sides[side], '')]
}
