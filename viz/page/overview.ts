/** What the panel says when nothing is selected: what to change, the most costly first; then what is lost at no cost. */
import { nodeName, number } from '../draw/words.js'
import { claimedCauses, strippedCauses, type Cause } from '../scene/causes.js'
import type { Advice, SceneNode } from '../scene/scene.js'
import { button, el } from './dom.js'
import { codeOf, links, section, type PanelContext } from './parts.js'

const MOST_ROWS = 20

const row = (c: PanelContext, n: SceneNode, look: string, head: string, text: string, advice: Advice | undefined, cost = ''): Node => el('div', { class: 'row' },
  el('h3', {}, button(`${head}: ${nodeName(n)}`, () => c.go(n.id), { class: look })),
  ...(text === '' ? [] : [el('p', {}, text)]), ...(cost === '' ? [] : [el('p', { class: 'soft' }, cost)]), ...(advice?.code === undefined ? [] : [codeOf(advice.code)]))

const adviceFor = (c: PanelContext, n: SceneNode): Advice | undefined => c.index.scene.losses.find((l) => l.node === n.id)?.advice[0]

const costs = (n: number): string => `Costs ${n} ${n === 1 ? 'product its' : 'products their'} integer path.`

const costly = (c: PanelContext, causes: readonly Cause[]): readonly Node[] =>
  causes.slice(0, MOST_ROWS).map((x) => row(c, x.node, 'stripped-text', 'Stripped', x.node.why ?? '', adviceFor(c, x.node), costs(x.products.length)))

const wastes = (c: PanelContext): readonly Node[] => c.index.scene.wasted.slice(0, MOST_ROWS).flatMap((w) => {
  const n = c.index.node.get(w.node)
  return n === undefined ? [] : [row(c, n, 'claimed-text', `${w.used.toFixed(1)} of ${w.bits} bits used`, w.advice[0]?.text ?? '', w.advice[0])]
})

const broken = (c: PanelContext): readonly Node[] => c.index.scene.nonfinite.slice(0, MOST_ROWS).flatMap((id) => {
  const [n, x] = [c.index.node.get(id), c.index.scene.observed[id]]
  return n === undefined || x === undefined ? [] : [row(c, n, 'stripped-text', 'First NaN or ∞', `${number(x.nonfinite)} of ${number(x.count)} values, from finite operands.`, undefined)]
})

/** Short rows for what needs no change. */
const quiet = (c: PanelContext, title: string, text: string, nodes: readonly SceneNode[]): readonly Node[] =>
  section(title, ...(nodes.length === 0 ? [] : [el('p', { class: 'soft' }, text), links(c, nodes.map((n) => n.id))]))

/** The panel while nothing is selected. */
export const overviewParts = (c: PanelContext, hint = 'n and p walk through them, and through all that follows.'): readonly Node[] => {
  const stripped = [...strippedCauses(c.index)].sort((a, b) => b.products.length - a.products.length)
  const claimed = claimedCauses(c.index)
  const dear = stripped.filter((x) => x.products.length > 0)
  const count = dear.length + c.index.scene.wasted.length + c.index.scene.nonfinite.length
  const free = stripped.filter((x) => x.products.length === 0)
  const any = count + claimed.length + free.length > 0
  const head = count === 0
    ? [el('h2', {}, any ? 'Nothing needs to change' : 'Nothing is lost'), el('p', { class: 'soft' }, any ? 'What is lost or doubtful costs no product its integers.' : 'Select a node or a line to see its scale, zero point and range.')]
    : [el('h2', {}, count === 1 ? 'One place to change' : `${count} places to change`), ...(hint === '' ? [] : [el('p', { class: 'soft' }, hint)])]
  return [
    ...head, ...broken(c), ...costly(c, dear), ...wastes(c),
    ...claimed.slice(0, count === 0 ? 3 : MOST_ROWS).map((n) => row(c, n, 'claimed-text', 'Only claimed', n.why ?? '', undefined)),
    ...quiet(c, 'Stripped at no cost', 'No product comes before the next quantizer, or none at all.', free.map((x) => x.node)),
  ]
}
