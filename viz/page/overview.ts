/** What the panel says when nothing is selected: what to change, the most costly first; then what is lost at no cost. */
import { nodeName, number } from '../draw/words.js'
import { boxSaid } from '../scene/loops.js'
import { calmCauses, claimedCauses, strippedCauses, type Cause } from '../scene/causes.js'
import { costOf } from '../scene/reach.js'
import { names } from '../scene/written.js'
import type { Advice, SceneFloat, SceneNode } from '../scene/scene.js'
import { button, el } from './dom.js'
import { codeOf, links, section, type PanelContext } from './parts.js'
import { exportSummary } from './exportParts.js'
import { passParts } from './planParts.js'

const MOST_ROWS = 20

/** Where a node stands: its layer is enough, for the link leads to the node itself. */
const place = (n: SceneNode): string => (n.box === '' ? nodeName(n) : boxSaid(n))

/** What a row says of a node: how it looks, what it is, why, what to change, and what it costs. */
type Row = {
  readonly look: string
  readonly head: string
  readonly text: string
  readonly advice: readonly Advice[]
  readonly cost?: Node
}

/** What it costs first, for that is why one reads on; then why; then what to write instead. */
const row = (c: PanelContext, n: SceneNode, { look, head, text, advice: [advice], cost }: Row): Node =>
  el(
    'div',
    { class: 'row' },
    el(
      'h3',
      {},
      button(`${head} ${place(n)}`, () => c.go(n.id), { class: look }),
    ),
    ...(cost === undefined ? [] : [cost]),
    ...(text === '' ? [] : [el('p', {}, text)]),
    ...(advice === undefined
      ? []
      : [
          ...(advice.text === text ? [] : [el('p', {}, el('b', {}, 'Change: '), advice.text)]),
          ...(advice.code === undefined ? [] : [codeOf(advice.code)]),
        ]),
  )

const adviceFor = (c: PanelContext, n: SceneNode): readonly Advice[] =>
  c.index.scene.losses.find((l) => l.node === n.id)?.advice ?? []

const MOST_NAMES = 4

const productPlaces = (c: PanelContext, products: readonly string[]): readonly string[] => [
  ...new Set(products.flatMap((id) => c.index.node.get(id) ?? []).map(place)),
]

/** Which products run in float for it. */
const costs = (c: PanelContext, products: readonly string[]): Node => {
  const places = productPlaces(c, products)
  const names =
    places.length <= MOST_NAMES
      ? places.join(', ')
      : `${places.slice(0, MOST_NAMES - 1).join(', ')} and ${places.length - MOST_NAMES + 1} more`
  return el('p', { class: 'stripped-text' }, `So ${names} ${places.length === 1 ? 'runs' : 'run'} in float.`)
}

/** What a row tells, of the first of some places that would be told alike, and how many they are. */
type Told<A> = { readonly first: A; readonly count: number }

const told = <A>(all: readonly A[], words: (a: A) => unknown): readonly Told<A>[] => {
  const rows = new Map<string, Told<A>>()
  for (const a of all) {
    const key = JSON.stringify(words(a))
    const { first, count } = rows.get(key) ?? { first: a, count: 0 }
    rows.set(key, { first, count: count + 1 })
  }
  return [...rows.values()]
}

/** Of more than one: how many. */
const several = (count: number, what: string): string => (count === 1 ? '' : `${count} ${what} of it. `)

/** Losses in one layer for one reason, that one change ends. */
const dearRows = (c: PanelContext, causes: readonly Cause[]): readonly Told<Cause>[] =>
  told(causes, ({ node, products }) => [place(node), node.why, adviceFor(c, node), productPlaces(c, products)])

const costly = (c: PanelContext, rows: readonly Told<Cause>[]): readonly Node[] =>
  rows.slice(0, MOST_ROWS).map(({ first: x, count }) =>
    row(c, x.node, {
      look: 'stripped-text',
      head: 'Stripped at',
      text: `${several(count, 'places')}Why: ${x.node.why ?? ''}.`,
      advice: adviceFor(c, x.node),
      cost: costs(c, x.products),
    }),
  )

/** Products in float behind no loss: there an operand was never quantized, or comes as it can't be multiplied. */
const bareRows = (c: PanelContext): readonly Told<{ readonly node: SceneNode; readonly float: SceneFloat }>[] =>
  told(
    c.index.scene.floats.flatMap((float) => {
      const node = c.index.node.get(float.node)
      return node === undefined ? [] : [{ node, float }]
    }),
    ({ node, float }) => [place(node), float.why, float.advice],
  )

const bare = (c: PanelContext, rows: ReturnType<typeof bareRows>): readonly Node[] =>
  rows.slice(0, MOST_ROWS).map(({ first: { node, float }, count }) =>
    row(c, node, {
      look: 'stripped-text',
      head: 'In float:',
      text: `${several(count, 'products')}Why: ${float.why}.`,
      advice: float.advice,
    }),
  )

const wastes = (c: PanelContext): readonly Node[] =>
  c.index.scene.wasted.slice(0, MOST_ROWS).flatMap((w) => {
    const n = c.index.node.get(w.node)
    return n === undefined
      ? []
      : [
          row(c, n, {
            look: 'claimed-text',
            head: `${w.used.toFixed(1)} of ${w.bits} bits${w.calls.includes(w.node) ? '' : ` of ${w.quantizer}`} used at`,
            text: w.advice[0]?.text ?? '',
            advice: w.advice,
          }),
        ]
  })

const broken = (c: PanelContext): readonly Node[] =>
  c.index.scene.nonfinite.slice(0, MOST_ROWS).flatMap((id) => {
    const [n, x] = [c.index.node.get(id), c.index.scene.observed[id]]
    return n === undefined || x === undefined
      ? []
      : [
          row(c, n, {
            look: 'stripped-text',
            head: 'First NaN or ∞ at',
            text: `${number(x.nonfinite)} of ${number(x.count)} values, from finite operands.`,
            advice: [],
          }),
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

/** Claims with their reasons, and what ends them where something does. */
const claims = (c: PanelContext, nodes: readonly SceneNode[]): readonly Node[] =>
  section(
    'Claimed: kept, but maybe off the grid',
    ...nodes.slice(0, MOST_ROWS).map((n) => {
      const cost = rest(c, n)
      return row(c, n, {
        look: 'claimed-text',
        head: 'Claimed at',
        text: `Why: ${n.why ?? ''}.`,
        advice: adviceFor(c, n),
        ...(cost === null ? {} : { cost }),
      })
    }),
  )

/** Which products run in float for a claim, and which results rest on it. */
const rest = (c: PanelContext, n: SceneNode): Node => {
  const { products, results } = costOf(c.index, n.id)
  const places = productPlaces(c, products)
  const ends = results.map((r) => `the result ${r}`)
  const said = [
    ...(places.length === 0 ? [] : [`${names(places)} ${places.length === 1 ? 'runs' : 'run'} in float for it`]),
    ...(ends.length === 0 ? [] : [`${names(ends)} ${ends.length === 1 ? 'rests' : 'rest'} on it`]),
  ]
  return el(
    'p',
    { class: said.length === 0 ? 'soft' : 'claimed-text' },
    said.length === 0 ? 'It costs nothing: nothing multiplies before the next quantizer.' : `${said.join('; ')}.`,
  )
}

/** Claims that need no change: what integers keep, and what only training doubts. */
const calm = (c: PanelContext, nodes: readonly SceneNode[]): readonly Node[] => [
  ...quiet(
    c,
    'Exact in integers',
    'float32 does not hold these grids, or a test of validity does not know them; the integers are right.',
    nodes.filter((n) => n.calm === 'exact'),
  ),
  ...quiet(
    c,
    'Two scales in training only',
    'One quantizer gives each of its calls a scale while it collects; in eval they are one.',
    nodes.filter((n) => n.calm === 'training'),
  ),
]

/** That all products run on integers, if they do. */
const multiplied = ({ index }: PanelContext): string =>
  index.scene.nodes.some((n) => n.flow && n.integer === false) ? '' : 'All that multiplies runs on integers.'

/** How much there is to do. */
const heading = (
  c: PanelContext,
  count: number,
  claimed: readonly SceneNode[],
  others: number,
  hint: string,
): readonly Node[] => {
  const soft = (text: string): readonly Node[] => (text === '' ? [] : [el('p', { class: 'soft' }, text)])
  if (count > 0) return [el('h2', {}, count === 1 ? 'One place to change' : `${count} places to change`), ...soft(hint)]
  if (claimed.length > 0)
    return [
      el('h2', {}, claimed.length === 1 ? 'One claim in doubt' : `${claimed.length} claims in doubt`),
      ...soft(multiplied(c)),
    ]
  return others > 0
    ? [
        el('h2', {}, 'Nothing needs to change'),
        ...soft(`${multiplied(c)} What is listed below can stay as it is.`.trim()),
      ]
    : [el('h2', {}, 'Nothing is lost'), ...soft('Select a node or a line to see its scale, zero point and range.')]
}

/** The panel while nothing is selected. */
export const overviewParts = (
  c: PanelContext,
  hint = 'n and p walk through them, and through all that follows.',
): readonly Node[] => {
  const stripped = [...strippedCauses(c.index)].sort((a, b) => b.products.length - a.products.length)
  const claimed = claimedCauses(c.index)
  const dear = dearRows(
    c,
    stripped.filter((x) => x.products.length > 0),
  )
  const floats = bareRows(c)
  const { wasted, nonfinite } = c.index.scene
  const resting = claimed.filter((n) => {
    const { products, results } = costOf(c.index, n.id)
    return products.length + results.length > 0
  })
  const count = dear.length + floats.length + wasted.length + nonfinite.length + resting.length
  const free = stripped.filter((x) => x.products.length === 0)
  const quietly = calmCauses(c.index)
  return [
    ...heading(c, count, claimed, free.length + quietly.length, hint),
    ...broken(c),
    ...costly(c, dear),
    ...bare(c, floats),
    ...wastes(c),
    ...claims(c, claimed),
    ...calm(c, quietly),
    ...quiet(
      c,
      'Stripped at no cost',
      'Nothing multiplies before the next quantizer, or at all.',
      free.map((x) => x.node),
    ),
    ...exportSummary(c),
    ...passParts(c),
  ]
}
