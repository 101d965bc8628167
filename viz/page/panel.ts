/** The panel: what is it; has it metadata, formula then numbers; why not; what does it cost; what to change; pictures. */
import { lineLabel, nodeName, saysOf } from '../draw/words.js'
import { birthsOf, costOf } from '../scene/reach.js'
import type { SceneNode } from '../scene/scene.js'
import type { Item, Line } from '../scene/visible.js'
import { button, el } from './dom.js'
import { gradientParts } from './gradientParts.js'
import { gridParts } from './gridParts.js'
import { numberParts, wasteParts } from './numberParts.js'
import { codeOf, links, section, type PanelContext } from './parts.js'
import { exportParts } from './exportParts.js'
import { fateParts } from './planParts.js'
import { stepParts } from './stepParts.js'
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
    ...stepParts(c, n),
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
      `${i.box?.layer ?? i.box?.kind ?? 'layer'}${i.box?.heads === undefined ? '' : ` · ${i.box.heads} heads`} · ${i.open ? 'Enter closes it' : 'Enter opens it'}`,
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
