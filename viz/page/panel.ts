/** The panel: what is it; has it metadata, formula then numbers; why not; what does it cost; what to change; pictures. */
import { lineLabel, nodeName, number, saysOf, scaleName, setFormula, typeName } from '../draw/words.js'
import { claimedCauses, strippedCauses } from '../scene/causes.js'
import { birthsOf, costOf, type Index } from '../scene/reach.js'
import type { SceneNode, SceneNumbers } from '../scene/scene.js'
import type { Item, Line } from '../scene/visible.js'
import { histogramChart, scalesChart } from './charts.js'
import { button, el } from './dom.js'

/** What the panel needs of the page. */
export type PanelContext = { readonly index: Index; readonly go: (node: string) => void }

type Part = Node | string
const section = (title: string, ...parts: readonly Part[]): readonly Node[] => (parts.length === 0 ? [] : [el('h3', {}, title), ...parts.map((p) => (typeof p === 'string' ? el('p', {}, p) : p))])

const TONE = { carries: 'good', claimed: 'claimed-text', stripped: 'stripped-text', float: 'soft' } as const
const HEAD = { carries: 'Carries integer metadata', claimed: 'Only claimed: kept, but not guaranteed', stripped: 'Stripped here', float: 'Never had metadata' } as const

const links = (c: PanelContext, ids: readonly string[]): HTMLElement => el('ul', {}, ...ids.slice(0, 12).map((id) => {
  const n = c.index.node.get(id)
  return el('li', {}, button(n === undefined ? id : nodeName(n), () => c.go(id)))
}), ...(ids.length > 12 ? [el('li', {}, `and ${ids.length - 12} more`)] : []))

const numbersFor = (c: PanelContext, n: SceneNode): SceneNumbers | undefined => {
  if (Object.hasOwn(c.index.scene.numbers, `%${n.id}`)) return c.index.scene.numbers[`%${n.id}`]
  const name = c.index.scene.values.find((v) => v.node === n.id && Object.hasOwn(c.index.scene.numbers, v.name))?.name
  return name === undefined ? undefined : c.index.scene.numbers[name]
}

/** Netron's form: `−2.435 ≤ 0.0190·q ≤ 2.416`. */
const rangeLine = (n: SceneNode, x: SceneNumbers): string => {
  const [s, z] = [x.scales?.[0] ?? 1, x.zeroPoints?.[0] ?? 0]
  const [lo, hi] = [n.lo ?? x.from, n.hi ?? x.to].map((q) => (q - z) * s)
  return `${number(lo)} ≤ ${number(s)}·${z === 0 ? 'q' : `(q − ${number(z)})`} ≤ ${number(hi)}`
}

/** The scale as a formula, or in words where it has none. */
const scaleLine = (c: PanelContext, scale: string, formula: string): string => {
  const [name, text, op] = [scaleName(scale), setFormula(formula), c.index.node.get(scale)?.op]
  if (text !== name) return `${name} = ${text}`
  return op === 'get' ? `${name}: statistics while collecting, then a learned value` : op === 'input' ? `${name}: given to the program` : name
}

const gridParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  if (n.scale === undefined) return []
  const x = numbersFor(c, n)
  const sure = n.lo === undefined || n.hi === undefined || Math.abs(n.hi) > 1e15 ? '' : `integers ${number(n.lo)} … ${number(n.hi)}`
  const numeric = x?.scales === undefined
    ? [el('p', { class: 'soft' }, 'Numbers appear when the page is given a run: toHtml(program, { outputs }).')]
    : [el('p', { class: 'range' }, (x.channels ?? 1) > 1 ? `${x.channels} channels, s = ${number(Math.min(...x.scales))} … ${number(Math.max(...x.scales))}` : `s = ${number(x.scales[0])}, z = ${number(x.zeroPoints?.[0] ?? 0)}`),
      ...((x.channels ?? 1) > 1 ? [scalesChart(x.scales)] : [el('p', { class: 'range' }, rangeLine(n, x))])]
  return [
    el('p', { class: 'formula' }, `${typeName(n)}${sure === '' ? '' : `, ${sure}`}`),
    el('p', { class: 'formula' }, scaleLine(c, n.scale, n.formula ?? '')),
    el('p', { class: 'formula' }, `z = ${n.zeroPoint === undefined ? '0' : setFormula(n.zeroPoint)}`), ...numeric,
  ]
}

const costParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  if (!n.flow || (n.carry !== 'stripped' && n.carry !== 'claimed')) return []
  const { products, results } = costOf(c.index, n.id)
  const what = (k: number): string => (n.carry === 'stripped' ? (k === 1 ? 'loses its integer path' : 'lose their integer path') : k === 1 ? 'rests on the claim' : 'rest on the claim')
  const verdict = products.length === 0 && results.length > 0 ? `No product comes after it. ${results.length === 1 ? 'Result' : 'Results'} ${results.slice(0, 6).join(', ')}: plain numbers.` : ''
  return section('What it costs', ...(products.length > 0 ? [`${products.length} ${products.length === 1 ? 'product' : 'products'} ${what(products.length)}:`, links(c, products)] : []),
    ...(products.length > 0 && results.length > 0 ? [`Results concerned: ${results.slice(0, 6).join(', ')}`] : []), ...(n.carry === 'stripped' && verdict !== '' ? [verdict] : products.length + results.length === 0 ? ['Nothing: no product and no result lies behind it.'] : []))
}

const adviceParts = (c: PanelContext, n: SceneNode): readonly Node[] => section('What to change',
  ...(c.index.scene.losses.find((l) => l.node === n.id)?.advice ?? []).flatMap((a) => [el('p', {}, a.text), ...(a.code === undefined ? [] : [el('pre', {}, a.code)])]))

const numberParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const x = numbersFor(c, n)
  if (x === undefined) return []
  return section(x.usedBits === undefined ? 'Values' : 'Over the integer grid', histogramChart(x),
    el('p', { class: 'range' }, x.usedBits === undefined ? `${number(x.min)} … ${number(x.max)}` : `${x.usedBits.toFixed(1)} of ${n.bits ?? '?'} bits used`),
    ...(x.clipped === undefined ? [] : [el('p', { class: 'soft' }, `at the ends: ${(x.clipped[0] * 100).toFixed(1)} % low, ${(x.clipped[1] * 100).toFixed(1)} % high`)]),
    ...(x.nonfinite > 0 ? [el('p', { class: 'stripped-text' }, `${x.nonfinite} of ${x.count} values are NaN or ∞`)] : []))
}

/** What the panel says of a node. */
export const nodeParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const births = n.flow && n.scale !== undefined ? birthsOf(c.index, n.id).filter((id) => id !== n.id) : []
  const integer = n.integer === undefined ? [] : [el('p', { class: n.integer ? 'good' : 'stripped-text' }, n.integer ? 'Runs on integers' : 'Runs in float: a factor has no metadata')]
  return [
    el('h2', {}, nodeName(n)), el('p', { class: 'soft' }, [n.shape.length === 0 ? 'scalar' : n.shape.join('×'), n.attrs ?? ''].filter((t) => t !== '').join(' · ')),
    ...(n.location === undefined ? [] : [el('p', { class: 'soft' }, n.location)]), ...integer,
    el('p', { class: `tag ${TONE[n.carry]}` }, HEAD[n.carry]), ...gridParts(c, n),
    ...(n.why === undefined ? [] : section('Why', n.why)), ...costParts(c, n), ...adviceParts(c, n),
    ...(births.length === 0 ? [] : section('Where its metadata was born', links(c, births))), ...numberParts(c, n),
  ]
}

/** What the panel says of a box: its losses, and the metadata of what leaves it. */
export const boxParts = (c: PanelContext, i: Item, leaving: readonly Line[]): readonly Node[] => {
  const inside = c.index.scene.losses.filter((l) => `${c.index.node.get(l.node)?.box ?? ''}.`.startsWith(`${i.id}.`))
  const out = [...new Map(leaving.filter((l) => l.flow).map((l) => [l.source.id, l.source])).values()]
  return [
    el('h2', {}, i.id), el('p', { class: 'soft' }, `${i.box?.kind ?? 'layer'} · ${i.open ? 'Enter closes it' : 'Enter opens it'}`),
    ...section('What leaves it', ...out.slice(0, 8).map((n) => el('p', {}, el('span', { class: TONE[n.carry] }, lineLabel(n) === '' ? 'float' : lineLabel(n)), ` from ${n.op} %${n.id}`))),
    ...section('Losses inside', ...(inside.length === 0 ? [] : [links(c, inside.map((l) => l.node))])),
    ...out.flatMap((n) => (n.why === undefined ? [] : [...section('Why', n.why), ...costParts(c, n), ...adviceParts(c, n)])),
    ...out.slice(0, 1).flatMap((n) => [...(n.scale === undefined ? [] : section('Metadata', ...gridParts(c, n))), ...numberParts(c, n)]),
  ]
}

const causeRow = (c: PanelContext, n: SceneNode, cost: string): Node => {
  const code = c.index.scene.losses.find((l) => l.node === n.id)?.advice[0]?.code
  return el('div', {}, el('h3', {}, button(`${n.carry === 'stripped' ? 'Stripped' : 'Claimed'}: ${nodeName(n)}`, () => c.go(n.id), { class: TONE[n.carry] })),
    el('p', {}, n.why ?? ''), ...(cost === '' ? [] : [el('p', { class: 'soft' }, cost)]), ...(code === undefined ? [] : [el('pre', {}, code)]))
}

const MOST_ROWS = 20

/** What the panel says when nothing is selected: where losses begin, the most costly first. */
export const overviewParts = (c: PanelContext, hint = 'n and p walk through all losses, also those that follow from these.'): readonly Node[] => {
  const stripped = [...strippedCauses(c.index)].sort((a, b) => b.products.length - a.products.length)
  const claimed = claimedCauses(c.index)
  const count = stripped.length + claimed.length
  if (count === 0) return [el('h2', {}, 'Nothing is lost'), el('p', { class: 'soft' }, 'Select a node or a line to see its scale, zero point and range.')]
  const costs = (n: number, atExit: boolean): string => (n > 0 ? `Costs ${n} ${n === 1 ? 'product its' : 'products their'} integer path.` : atExit ? 'A result: nothing runs after it.' : 'Costs nothing: no product comes before the next quantizer.')
  return [
    el('h2', {}, count === 1 ? 'One place to look at' : `${count} places to look at`), ...(hint === '' ? [] : [el('p', { class: 'soft' }, hint)]),
    ...stripped.slice(0, MOST_ROWS).map((x) => causeRow(c, x.node, costs(x.products.length, x.atExit))),
    ...claimed.slice(0, MOST_ROWS).map((n) => causeRow(c, n, '')),
  ]
}

/** What the panel says of a line: the value that flows. */
export const lineParts = (c: PanelContext, l: Line, from: Item | undefined, to: Item | undefined): readonly Node[] =>
  [el('p', { class: 'soft' }, `From ${from?.label ?? l.from} to ${to?.label ?? l.to}`), el('p', { class: 'away' }, saysOf(l.source)), ...nodeParts(c, l.source)]
