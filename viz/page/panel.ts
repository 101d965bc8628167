/** The panel: what is it; has it metadata, formula then numbers; why not; what does it cost; what to change; pictures. */
import { lineLabel, nodeName, number, saysOf, scaleName, setFormula, typeName } from '../draw/words.js'
import { birthsOf, costOf } from '../scene/reach.js'
import type { SceneNode, SceneNumbers } from '../scene/scene.js'
import type { Item, Line } from '../scene/visible.js'
import { histogramChart, scalesChart } from './charts.js'
import { button, el } from './dom.js'
import { gradientParts } from './gradientParts.js'
import { codeOf, links, numbersFor, section, type PanelContext } from './parts.js'
import { exportParts } from './exportParts.js'
import { fateParts } from './planParts.js'
import { timeParts } from './timeParts.js'
import { trackParts } from './trackParts.js'

export type { PanelContext } from './parts.js'

const TONE = { carries: 'good', claimed: 'claimed-text', stripped: 'stripped-text', float: 'soft' } as const
const HEAD = {
  carries: 'Carries integer metadata',
  claimed: 'Only claimed: kept, but not guaranteed',
  stripped: 'Stripped here',
  float: 'Never had metadata',
} as const

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
  if (op === 'get') return `${name}: statistics while collecting, then a learned value`
  return op === 'input' ? `${name}: given to the program` : name
}

const gridParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  if (n.scale === undefined) return []
  const x = numbersFor(c, n)
  const sure =
    n.lo === undefined || n.hi === undefined || Math.abs(n.hi) > 1e15
      ? ''
      : `integers ${number(n.lo)} … ${number(n.hi)}`
  const numeric =
    x?.scales === undefined
      ? [el('p', { class: 'soft' }, 'Numbers appear when the page is given a run: toHtml(program, { values }).')]
      : [
          el(
            'p',
            { class: 'range' },
            (x.channels ?? 1) > 1
              ? `${x.channels} channels, s = ${number(Math.min(...x.scales))} … ${number(Math.max(...x.scales))}`
              : `s = ${number(x.scales[0])}, z = ${number(x.zeroPoints?.[0] ?? 0)}`,
          ),
          ...((x.channels ?? 1) > 1 ? [scalesChart(x.scales)] : [el('p', { class: 'range' }, rangeLine(n, x))]),
        ]
  return [
    el('p', { class: 'formula' }, `${typeName(n)}${sure === '' ? '' : `, ${sure}`}`),
    el('p', { class: 'formula' }, scaleLine(c, n.scale, n.formula ?? '')),
    el('p', { class: 'formula' }, `z = ${n.zeroPoint === undefined ? '0' : setFormula(n.zeroPoint)}`),
    ...numeric,
  ]
}

const costParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  if (!n.flow || (n.carry !== 'stripped' && n.carry !== 'claimed') || n.calm !== undefined) return []
  const { products, results } = costOf(c.index, n.id)
  const what = (k: number): string => {
    if (n.carry === 'stripped') return k === 1 ? 'loses its integer path' : 'lose their integer path'
    return k === 1 ? 'runs in float for the claim' : 'run in float for the claim'
  }
  const verdict =
    products.length === 0 && results.length > 0
      ? `No product comes after it. ${results.length === 1 ? 'Result' : 'Results'} ${results.slice(0, 6).join(', ')}: plain numbers.`
      : ''
  const nothing = products.length + results.length === 0 ? ['Nothing: no product and no result lies behind it.'] : []
  return section(
    'What it costs',
    ...(products.length > 0
      ? [
          `${products.length} ${products.length === 1 ? 'product' : 'products'} ${what(products.length)}:`,
          links(c, products),
        ]
      : []),
    ...(products.length > 0 && results.length > 0 ? [`Results concerned: ${results.slice(0, 6).join(', ')}`] : []),
    ...(n.carry === 'stripped' && verdict !== '' ? [verdict] : nothing),
  )
}

/** What stands over a node: how it is with its metadata. */
const headOf = (n: SceneNode): readonly [text: string, look: string] => {
  if (n.calm === 'exact') return ['Exact in integers, though not in float32', 'soft']
  if (n.calm === 'training') return ['Two scales of one quantizer, in training only', 'soft']
  return [HEAD[n.carry], TONE[n.carry]]
}

const adviceParts = (c: PanelContext, n: SceneNode): readonly Node[] =>
  section(
    'What to change',
    ...[
      ...(c.index.scene.losses.find((l) => l.node === n.id)?.advice ?? []),
      ...(c.index.scene.floats.find((f) => f.node === n.id)?.advice ?? []),
    ].flatMap((a) => [el('p', {}, a.text), ...(a.code === undefined ? [] : [codeOf(a.code)])]),
  )

const share = (x: number): string => `${(x * 100).toFixed(x > 0 && x < 0.001 ? 3 : 1)} %`

const endLines = ({ clipped, atEnds }: SceneNumbers): readonly Node[] => {
  if (clipped !== undefined)
    return [el('p', { class: 'soft' }, `clipped: ${share(clipped[0])} below, ${share(clipped[1])} above`)]
  if (atEnds === undefined) return []
  return [el('p', { class: 'soft' }, `at the ends: ${share(atEnds[0])} low, ${share(atEnds[1])} high`)]
}

const gridLines = (n: SceneNode, x: SceneNumbers): readonly Node[] =>
  x.usedBits === undefined
    ? [el('p', { class: 'range' }, `${number(x.min)} … ${number(x.max)}`)]
    : [
        el(
          'p',
          { class: 'range' },
          `${x.usedBits.toFixed(1)} of ${n.bits ?? '?'} bits used${x.levels === undefined ? '' : `, ${number(x.levels)} of ${number(2 ** (n.bits ?? 0))} integers occur`}`,
        ),
        ...endLines(x),
        ...(x.sqnr === undefined
          ? []
          : [
              el(
                'p',
                { class: 'soft' },
                x.sqnr === null
                  ? 'quantization changed nothing'
                  : `signal over quantization noise: ${x.sqnr.toFixed(1)} dB`,
              ),
            ]),
      ]

const numberParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const x = numbersFor(c, n)
  if (x === undefined || x.count === 0 || (n.side === 'backward' && x.bins.length === 0)) return []
  const single = x.count === 1
  const plainTitle = single ? 'Value' : 'Values'
  return section(
    x.usedBits === undefined ? plainTitle : 'Over the integer grid',
    ...(single || x.bins.length === 0 ? [] : [histogramChart(x)]),
    ...(single ? [el('p', { class: 'range' }, number(x.min))] : gridLines(n, x)),
    ...(x.nonfinite > 0
      ? [
          el(
            'p',
            { class: 'stripped-text' },
            `${x.nonfinite} of ${x.count} values are NaN or ∞${c.index.scene.nonfinite.includes(n.id) ? ': they were first made here' : ''}`,
          ),
        ]
      : []),
  )
}

const place = (c: PanelContext, id: string): string => {
  const n = c.index.node.get(id)
  return n === undefined || n.box === '' ? `%${id}` : n.box
}

const wasteParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const w = c.index.scene.wasted.find((x) => x.node === n.id || x.calls.includes(n.id))
  return w === undefined
    ? []
    : [
        el(
          'p',
          { class: 'tag claimed-text' },
          `${w.node === n.id ? 'Wastes' : `At ${place(c, w.node)} it wastes`} ${(w.bits - w.used).toFixed(1)} of ${w.bits} bits`,
        ),
        ...w.advice.flatMap((a) => [el('p', {}, a.text), ...(a.code === undefined ? [] : [codeOf(a.code)])]),
      ]
}

/** What the panel says of a node. */
export const nodeParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const births = n.flow && n.scale !== undefined ? birthsOf(c.index, n.id).filter((id) => id !== n.id) : []
  const integer =
    n.integer === undefined
      ? []
      : [
          el(
            'p',
            { class: n.integer ? 'good' : 'stripped-text' },
            n.integer ? 'Runs on integers' : `Runs in float: ${n.whyFloat ?? ''}`,
          ),
        ]
  return [
    el('h2', {}, nodeName(n)),
    el(
      'p',
      { class: 'soft' },
      [n.shape.length === 0 ? 'scalar' : n.shape.join('×'), n.attrs ?? ''].filter((t) => t !== '').join(' · '),
    ),
    ...(n.location === undefined ? [] : [el('p', { class: 'soft' }, n.location)]),
    ...integer,
    ...(n.side === 'backward'
      ? [el('p', { class: 'tag soft' }, 'Backward pass')]
      : [el('p', { class: `tag ${headOf(n)[1]}` }, headOf(n)[0])]),
    ...gridParts(c, n),
    ...(n.why === undefined ? [] : section('Why', n.why)),
    ...costParts(c, n),
    ...adviceParts(c, n),
    ...(births.length === 0 ? [] : section('Where its metadata was born', links(c, births))),
    ...numberParts(c, n),
    ...wasteParts(c, n),
    ...trackParts(c, n),
    ...gradientParts(c, n),
    ...exportParts(c, n.id),
    ...timeParts(c, n.id),
    ...fateParts(c, n),
  ]
}

/** Of a layer that is differentiated: its box in the other pass, and the gradients that it gives. */
const mirrorParts = (c: PanelContext, i: Item): readonly Node[] => {
  const [mirror] = c.partners.of(i.id)
  const given =
    i.box?.side === 'backward'
      ? c.index.scene.nodes.filter((n) => n.gradientOf !== undefined && `${n.box}.`.startsWith(`${i.id}.`))
      : []
  return [
    ...section(
      'Gradients that it gives',
      ...given.slice(0, 8).map((n) =>
        el(
          'p',
          {},
          button(n.gradientOf ?? '', () => c.go(n.id)),
          ` ${n.shape.join('×')}`,
        ),
      ),
    ),
    ...(mirror === undefined
      ? []
      : section(
          i.box?.side === 'backward' ? 'Forward pass' : 'Backward pass',
          el(
            'p',
            {},
            button(mirror, () => c.go(mirror)),
          ),
        )),
  ]
}

/** What the panel says of a box: its losses, and the metadata of what leaves it. */
export const boxParts = (c: PanelContext, i: Item, leaving: readonly Line[]): readonly Node[] => {
  const inside = c.index.scene.losses.filter((l) => `${c.index.node.get(l.node)?.box ?? ''}.`.startsWith(`${i.id}.`))
  const out = [...new Map(leaving.filter((l) => l.flow).map((l) => [l.source.id, l.source])).values()]
  return [
    el('h2', {}, i.id),
    el(
      'p',
      { class: 'soft' },
      `${i.box?.layer ?? i.box?.kind ?? 'layer'} · ${i.open ? 'Enter closes it' : 'Enter opens it'}`,
    ),
    ...section(
      'What leaves it',
      ...out
        .slice(0, 8)
        .map((n) =>
          el(
            'p',
            {},
            el('span', { class: TONE[n.carry] }, lineLabel(n) === '' ? 'float' : lineLabel(n)),
            ` from ${n.op} %${n.id}`,
          ),
        ),
    ),
    ...section(
      'Losses inside',
      ...(inside.length === 0
        ? []
        : [
            links(
              c,
              inside.map((l) => l.node),
            ),
          ]),
    ),
    ...out.flatMap((n) =>
      n.why === undefined ? [] : [...section('Why', n.why), ...costParts(c, n), ...adviceParts(c, n)],
    ),
    ...out
      .slice(0, 1)
      .flatMap((n) => [
        ...(n.scale === undefined ? [] : section('Metadata', ...gridParts(c, n))),
        ...numberParts(c, n),
        ...wasteParts(c, n),
        ...trackParts(c, n),
      ]),
    ...mirrorParts(c, i),
    ...exportParts(c, i.id),
    ...timeParts(c, i.id),
  ]
}

/** What the panel says of a line: the value that flows. */
export const lineParts = (c: PanelContext, l: Line, from: Item | undefined, to: Item | undefined): readonly Node[] => [
  el('p', { class: 'soft' }, `From ${from?.label ?? l.from} to ${to?.label ?? l.to}`),
  el('p', { class: 'away' }, saysOf(l.source)),
  ...nodeParts(c, l.source),
]
