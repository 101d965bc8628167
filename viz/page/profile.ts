/** The table of a profile: one row per step, sorted by any column; a row selects its nodes, a selection marks its rows. */
import { shareText } from '../overlays/time.js'
import { stepsAt } from '../scene/profile.js'
import type { SceneProfile, SceneStep } from '../scene/scene.js'
import type { App } from './app.js'
import { button, byId, el, svgEl } from './dom.js'
import { productText, timeText } from './timeParts.js'

type Column = {
  readonly title: string
  readonly text: (s: SceneStep) => string
  readonly key: (s: SceneStep) => number | string
  readonly bar?: (s: SceneStep) => number
  readonly left?: boolean
}

const amount = (n: number): string => {
  if (n >= 1e9) return `${(n / 1e9).toFixed(2)} G`
  if (n >= 1e6) return `${(n / 1e6).toFixed(2)} M`
  return n >= 1e3 ? `${(n / 1e3).toFixed(1)} k` : String(n)
}
const rate = (n: number): string => (n === 0 ? '–' : n.toFixed(1))

const columnsOf = ({ limits }: SceneProfile): readonly Column[] => [
  { title: 'Step', text: (s) => `${s.step} ${s.kernel}`, key: (s) => s.step, left: true },
  { title: 'Layer', text: (s) => s.path, key: (s) => s.path, left: true },
  { title: 'Time', text: (s) => timeText(s.ms), key: (s) => s.ms },
  { title: 'Share', text: (s) => shareText(s.share), key: (s) => s.share, bar: (s) => s.share },
  { title: 'Bytes', text: (s) => amount(s.bytes), key: (s) => s.bytes },
  { title: 'Flops', text: (s) => amount(s.flops), key: (s) => s.flops },
  { title: 'GB/s', text: (s) => rate(s.gbs), key: (s) => s.gbs, bar: (s) => s.gbs / limits.cacheGBs },
  {
    title: 'GFLOP/s',
    text: (s) => rate(s.gflops),
    key: (s) => s.gflops,
    bar: (s) => s.gflops / (s.product?.runsOn === 'integers' ? limits.integerGops : limits.gflops),
  },
  { title: 'Nodes', text: (s) => String(s.nodes.length), key: (s) => s.nodes.length },
  { title: 'Stages', text: (s) => (s.on === 'host' ? 'host' : String(s.stages)), key: (s) => s.stages },
  { title: 'Runs', text: productText, key: productText, left: true },
]

const WIDTH = 76

/** A bar from 0 to 1; the number beside it says the same. */
const meter = (part: number): SVGElement => {
  const svg = svgEl('svg', {
    class: 'meter',
    viewBox: `0 0 ${WIDTH} 4`,
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  })
  svg.append(
    svgEl('rect', { width: WIDTH, height: 4 }),
    svgEl('rect', { class: 'fill', width: WIDTH * Math.max(0, Math.min(1, part)), height: 4 }),
  )
  return svg
}

/** Selects the node of a step, and lights all that it computes. */
const choose = (app: App, s: SceneStep): void => {
  const [first] = s.nodes.filter((n) => app.index.node.has(n))
  if (first === undefined) return
  app.go(first)
  if (s.nodes.length > 1) app.lightUp(s.nodes)
}

const cellOf = (app: App, s: SceneStep, c: Column, i: number): HTMLElement =>
  el(
    'td',
    c.left === true ? { class: 'text' } : {},
    i === 0 && s.nodes.length > 0 ? button(c.text(s), () => choose(app, s)) : c.text(s),
    ...(c.bar === undefined ? [] : [meter(c.bar(s))]),
  )

const rowOf = (app: App, s: SceneStep, columns: readonly Column[]): HTMLElement => {
  const row = el('tr', { 'data-step': String(s.step) }, ...columns.map((c, i) => cellOf(app, s, c, i)))
  row.addEventListener('click', (e) => {
    // The button in the row has done it already.
    if (!(e.target instanceof HTMLButtonElement)) choose(app, s)
  })
  return row
}

const by =
  (c: Column, falling: boolean) =>
  (a: SceneStep, b: SceneStep): number => {
    const [x, y] = [c.key(a), c.key(b)]
    return (
      (falling ? -1 : 1) * (typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y)))
    )
  }

const tableOf = (app: App, p: SceneProfile): HTMLElement => {
  const columns = columnsOf(p)
  const rows = new Map(p.steps.map((s) => [s.step, rowOf(app, s, columns)]))
  const body = el('tbody')
  let [sorted, falling] = [2, true]
  const heads = columns.map((c, i) =>
    el(
      'th',
      { scope: 'col', ...(c.left === true ? { class: 'text' } : {}) },
      button(c.title, () => {
        falling = sorted === i ? !falling : c.left !== true
        sorted = i
        sort()
      }),
    ),
  )
  const sort = (): void => {
    body.replaceChildren(...[...p.steps].sort(by(columns[sorted], falling)).flatMap((s) => rows.get(s.step) ?? []))
    heads.forEach((h, i) =>
      i === sorted ? h.setAttribute('aria-sort', falling ? 'descending' : 'ascending') : h.removeAttribute('aria-sort'),
    )
  }
  sort()
  app.onChange(() => {
    const id = app.selected()
    const chosen = new Set(id === null ? [] : stepsAt(app.scene, id).map((s) => s.step))
    for (const [step, row] of rows) row.classList.toggle('chosen', chosen.has(step))
    if (!body.contains(document.activeElement)) body.querySelector('.chosen')?.scrollIntoView({ block: 'nearest' })
  })
  return el('table', {}, el('thead', {}, el('tr', {}, ...heads)), body)
}

const summary = (p: SceneProfile): string =>
  `${timeText(p.ms)} an execution on one thread; its ${p.steps.length} steps timed alone take ${timeText(p.total)}. Bars: share of the whole; of this machine's ${p.limits.cacheGBs.toFixed(0)} GB/s in cache (${p.limits.memoryGBs.toFixed(0)} from memory), ${p.limits.gflops.toFixed(0)} GFLOP/s, on integers ${p.limits.integerGops.toFixed(0)} GOP/s.`

/** Fills the table that is shown with the overlay of times, in pages of profiled programs. */
export const fillTimes = (app: App): void => {
  const p = app.scene.profile
  if (p === undefined) return
  byId('profile').replaceChildren(el('h2', {}, 'Time'), el('span', { class: 'soft' }, summary(p)), tableOf(app, p))
}
