/** One row per quantizer: its bits (to choose), its phase, the course of its scale, and the levels that it uses. */
import { number, scaleName } from '../draw/words.js'
import { button, el, svgEl } from '../page/dom.js'
import type { Scene, SceneNode } from '../scene/scene.js'
import { drawBars, drawSpark } from './curves.js'
import type { LiveQuantizer } from './frame.js'
import type { ScalePoint } from './series.js'

/** What the rows can do to the page. */
export type RowActions = {
  readonly bits: readonly number[]
  readonly onBits: (layers: readonly string[], bits: number) => void
  readonly go: (node: string) => void
}

/** The quantizers of a scene: nodes in which metadata is born at the top level, in the order of the trace. */
export const quantizersOf = (scene: Scene): readonly SceneNode[] =>
  scene.nodes.filter((n) => n.quantizes === 'integers' && n.flow)

/** The layer whose bits a quantizer has: `relu1` of `relu1.actQuant`. */
export const layerOf = (path: string): string => path.split('.').slice(0, -1).join('.') || path

const isWeight = (path: string): boolean => path.endsWith('weightQuant')

/** A choice of bits; a width that is not offered is offered too. */
const chooser = (
  label: string,
  offered: readonly number[],
  chosen: number | null,
  act: (bits: number) => void,
): HTMLSelectElement => {
  const all = chosen === null || offered.includes(chosen) ? offered : [...offered, chosen].sort((a, b) => a - b)
  const select = el(
    'select',
    { 'aria-label': label },
    ...(chosen === null ? [el('option', { value: '' }, 'mixed')] : []),
    ...all.map((b) => el('option', { value: String(b) }, `${b} bits`)),
  )
  select.value = chosen === null ? '' : String(chosen)
  select.addEventListener('change', () => {
    if (select.value !== '') act(Number(select.value))
  })
  return select
}

const spark = (label: string): SVGElement =>
  svgEl('svg', { class: 'spark', viewBox: '0 0 110 26', preserveAspectRatio: 'none', role: 'img', 'aria-label': label })

/** A row that can be brought up to date. */
type Row = {
  readonly element: HTMLElement
  readonly update: (q: LiveQuantizer, history: readonly ScalePoint[], last: number, hue: string) => void
}

const setText = (e: Element, text: string): void => {
  if (e.textContent !== text) e.textContent = text
}

const phaseName = ({ phase }: LiveQuantizer): string => {
  if (phase === null) return 'weights'
  return phase.collected < phase.limit ? 'statistics' : 'learned'
}

const phaseText = (q: LiveQuantizer): string => {
  if (q.phase === null) return 'weights, by range'
  return q.phase.collected < q.phase.limit ? `statistics ${q.phase.collected} of ${q.phase.limit}` : 'values, learned'
}

const rowOf = (n: SceneNode, a: RowActions): Row => {
  const path = n.box
  const layer = layerOf(path)
  const [phase, scale, used] = [
    el('span', { class: 'phase' }, isWeight(path) ? 'weights' : 'values'),
    el('span', { class: 'value' }, scaleName(n.scale ?? '')),
    el('span', { class: 'value' }, ''),
  ]
  const [course, bars] = [spark(`Course of the scale of ${layer}`), spark(`Levels used by ${layer}`)]
  const element = el(
    'li',
    { class: 'quantizer', 'data-quantizer': path, 'data-bits': String(n.bits ?? '') },
    el(
      'div',
      { class: 'who' },
      button(layer, () => a.go(n.id), { title: `Show ${path} in the graph` }),
      chooser(`Bits of ${layer}`, a.bits, n.bits ?? null, (b) => a.onBits([layer], b)),
    ),
    phase,
    el('div', { class: 'picture' }, course, scale),
    el('div', { class: 'picture' }, bars, used),
  )
  const update: Row['update'] = (q, history, last, hue) => {
    const s = q.numbers.scales ?? []
    element.setAttribute('data-phase', phaseName(q))
    element.setAttribute('data-scale', String(s[0] ?? ''))
    setText(phase, phaseText(q))
    setText(
      scale,
      `${scaleName(n.scale ?? '')} ${element.getAttribute('data-phase') === 'statistics' ? '≈' : '='} ${number(s[0] ?? NaN)}`,
    )
    setText(used, `${(q.numbers.usedBits ?? 0).toFixed(1)} of ${n.bits ?? '?'} bits used`)
    drawSpark(course, history, last, hue)
    const [low, high] = q.numbers.atEnds ?? [0, 0]
    drawBars(bars, q.numbers.bins, [q.numbers.from < 0 ? low : 0, high])
  }
  return { element, update }
}

/** All rows. */
export type Rows = {
  readonly update: (q: LiveQuantizer, history: readonly ScalePoint[], last: number, hue: string) => void
}

/** Builds the rows of a scene into a host; the reader's focus stays on the same control. */
export const buildRows = (host: Element, scene: Scene, a: RowActions): Rows => {
  const focused =
    document.activeElement instanceof HTMLSelectElement ? document.activeElement.getAttribute('aria-label') : null
  const nodes = quantizersOf(scene)
  const rows = new Map(nodes.map((n) => [n.id, rowOf(n, a)]))
  const widths = [...new Set(nodes.map((n) => n.bits ?? 0))]
  const all = chooser('Bits of all layers', a.bits, widths.length === 1 ? widths[0] : null, (b) =>
    a.onBits(
      nodes.map((n) => layerOf(n.box)),
      b,
    ),
  )
  host.replaceChildren(
    el(
      'div',
      { class: 'rows-head' },
      el('h2', {}, 'Quantizers'),
      el('label', {}, el('span', {}, 'All layers at '), all),
    ),
    el('ol', {}, ...[...rows.values()].map((r) => r.element)),
  )
  if (focused !== null) host.querySelector<HTMLSelectElement>(`select[aria-label="${CSS.escape(focused)}"]`)?.focus()
  return { update: (q, history, last, hue) => rows.get(q.node)?.update(q, history, last, hue) }
}
