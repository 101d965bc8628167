/** What the panel says when nothing is selected: what to change, the most costly first; then what is lost at no cost. */
import { nodeName, number } from '../draw/words.js'
import { claimedCauses, strippedCauses, type Cause } from '../scene/causes.js'
import type { Advice, SceneNode } from '../scene/scene.js'
import { button, el } from './dom.js'
import { codeOf, links, section, type PanelContext } from './parts.js'
import { passParts } from './planParts.js'

const MOST_ROWS = 20

/** Where a node stands: its layer is enough, for the link leads to the node itself. */
const place = (n: SceneNode): string => (n.box === '' ? nodeName(n) : n.box)

/** What it costs first, for that is why one reads on; then why; then what to write instead. */
const row = (
  c: PanelContext,
  n: SceneNode,
  look: string,
  head: string,
  text: string,
  advice: Advice | undefined,
  cost: Node | null = null,
): Node =>
  el(
    'div',
    { class: 'row' },
    el(
      'h3',
      {},
      button(`${head} ${place(n)}`, () => c.go(n.id), { class: look }),
    ),
    ...(cost === null ? [] : [cost]),
    ...(text === '' ? [] : [el('p', {}, text)]),
    ...(advice === undefined
      ? []
      : [
          ...(advice.text === text ? [] : [el('p', {}, el('b', {}, 'Change: '), advice.text)]),
          ...(advice.code === undefined ? [] : [codeOf(advice.code)]),
        ]),
  )

const adviceFor = (c: PanelContext, n: SceneNode): Advice | undefined =>
  c.index.scene.losses.find((l) => l.node === n.id)?.advice[0]

const MOST_NAMES = 4

/** Which products run in float for it. */
const costs = (c: PanelContext, products: readonly string[]): Node => {
  const places = [...new Set(products.flatMap((id) => c.index.node.get(id) ?? []).map(place))]
  const names =
    places.length <= MOST_NAMES
      ? places.join(', ')
      : `${places.slice(0, MOST_NAMES - 1).join(', ')} and ${places.length - MOST_NAMES + 1} more`
  return el('p', { class: 'stripped-text' }, `So ${names} ${places.length === 1 ? 'runs' : 'run'} in float.`)
}

const costly = (c: PanelContext, causes: readonly Cause[]): readonly Node[] =>
  causes
    .slice(0, MOST_ROWS)
    .map((x) =>
      row(
        c,
        x.node,
        'stripped-text',
        'Stripped at',
        `Why: ${x.node.why ?? ''}.`,
        adviceFor(c, x.node),
        costs(c, x.products),
      ),
    )

/** Products in float behind no loss: there an operand was never quantized. */
const bare = (c: PanelContext, causes: readonly Cause[]): readonly Node[] => {
  const behind = new Set(causes.flatMap((x) => x.products))
  // Where nothing was ever quantized the sentence says so once.
  if (!c.index.scene.nodes.some((n) => n.flow && n.scale !== undefined)) return []
  return c.index.scene.nodes
    .filter((n) => n.flow && n.side === undefined && n.integer === false && !behind.has(n.id))
    .slice(0, MOST_ROWS)
    .map((n) =>
      row(c, n, 'stripped-text', 'In float:', 'Why: an operand was never quantized.', {
        text: 'quantize what goes into it, and its weight.',
        code: 'input: QuantIdentity({ returnQuantTensor: true })',
      }),
    )
}

const wastes = (c: PanelContext): readonly Node[] =>
  c.index.scene.wasted.slice(0, MOST_ROWS).flatMap((w) => {
    const n = c.index.node.get(w.node)
    return n === undefined
      ? []
      : [
          row(
            c,
            n,
            'claimed-text',
            `${w.used.toFixed(1)} of ${w.bits} bits used at`,
            w.advice[0]?.text ?? '',
            w.advice[0],
          ),
        ]
  })

const broken = (c: PanelContext): readonly Node[] =>
  c.index.scene.nonfinite.slice(0, MOST_ROWS).flatMap((id) => {
    const [n, x] = [c.index.node.get(id), c.index.scene.observed[id]]
    return n === undefined || x === undefined
      ? []
      : [
          row(
            c,
            n,
            'stripped-text',
            'First NaN or ∞ at',
            `${number(x.nonfinite)} of ${number(x.count)} values, from finite operands.`,
            undefined,
          ),
        ]
  })

/** Short rows for what needs no change. */
const quiet = (c: PanelContext, title: string, text: string, nodes: readonly SceneNode[]): readonly Node[] =>
  section(
    title,
    ...(nodes.length === 0
      ? []
      : [
          el('p', { class: 'soft' }, text),
          links(
            c,
            nodes.map((n) => n.id),
          ),
        ]),
  )

/** Claims with their reasons: short, for nothing has to change for them. */
const claims = (c: PanelContext, nodes: readonly SceneNode[]): readonly Node[] =>
  section(
    'Claimed: kept, but maybe off the grid',
    ...nodes.slice(0, MOST_ROWS).map((n) =>
      el(
        'p',
        {},
        button(place(n), () => c.go(n.id), { class: 'claimed-text' }),
        el('span', { class: 'soft' }, `: ${n.why ?? ''}`),
      ),
    ),
  )

/** The panel while nothing is selected. */
export const overviewParts = (
  c: PanelContext,
  hint = 'n and p walk through them, and through all that follows.',
): readonly Node[] => {
  const stripped = [...strippedCauses(c.index)].sort((a, b) => b.products.length - a.products.length)
  const claimed = claimedCauses(c.index)
  const dear = stripped.filter((x) => x.products.length > 0)
  const never = bare(c, dear)
  const count = dear.length + never.length + c.index.scene.wasted.length + c.index.scene.nonfinite.length
  const free = stripped.filter((x) => x.products.length === 0)
  const any = count + claimed.length + free.length > 0
  const head =
    count === 0
      ? [
          el('h2', {}, any ? 'Nothing needs to change' : 'Nothing is lost'),
          el(
            'p',
            { class: 'soft' },
            any
              ? 'All that multiplies runs on integers. What is lost or doubtful is listed below.'
              : 'Select a node or a line to see its scale, zero point and range.',
          ),
        ]
      : [
          el('h2', {}, count === 1 ? 'One place to change' : `${count} places to change`),
          ...(hint === '' ? [] : [el('p', { class: 'soft' }, hint)]),
        ]
  return [
    ...head,
    ...broken(c),
    ...costly(c, dear),
    ...never,
    ...wastes(c),
    ...claims(c, claimed),
    ...quiet(
      c,
      'Stripped at no cost',
      'Nothing multiplies before the next quantizer, or at all.',
      free.map((x) => x.node),
    ),
    ...passParts(c),
  ]
}
