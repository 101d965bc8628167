/** The time axis under the drawing: loss, accuracy, scales and statistics over the steps of training, and a cursor that scrubs. */
import { bisectCenter, extent, line, max, min, scaleLinear, scaleLog, scaleSqrt, type ScaleContinuousNumeric } from 'd3'
import { huesOf } from '../draw/marks.js'
import { scalesByPath } from '../draw/overlay.js'
import { number } from '../draw/words.js'
import type { Column, SceneLog, SceneTrack } from '../scene/scene.js'
import type { App } from './app.js'
import { byId, svgEl } from './dom.js'

const GUTTER = { left: 150, right: 128 }
const AXIS = 20
const TOP = 14
const GAP = 8
const MOST_NAMES = 8

type X = (step: number) => number
type Scale = ScaleContinuousNumeric<number, number>
/** A row of the chart: its height and what is drawn in it, with texts for its gutter at a step. */
type Row = {
  readonly height: number
  readonly draw: (g: SVGElement, x: X, height: number, right: number) => void
  readonly say: (i: number) => readonly (readonly [name: string, value: string, look: string])[]
}

const known = (c: Column): readonly number[] => c.filter((v): v is number => v !== null)
const shown = (v: number | null | undefined): string => (v === null || v === undefined ? '–' : number(v))
const percent = (v: number | null | undefined): string =>
  v === null || v === undefined ? '–' : `${(v * 100).toFixed(1)} %`

/** A path through the steps at which there is a value. */
const pathOf = (log: SceneLog, c: Column, x: X, y: Scale): string =>
  line<number>()
    .defined((i) => c[i] !== null)
    .x((i) => Math.round(x(log.steps[i]) * 10) / 10)
    .y((i) => Math.round(y(c[i] ?? 0) * 10) / 10)(log.steps.map((_, i) => i)) ?? ''

const drawLine = (g: SVGElement, log: SceneLog, c: Column, x: X, y: Scale, look: string): void =>
  void g.append(svgEl('path', { class: `trace ${look}`, d: pathOf(log, c, x, y) }))

const progressRow = (log: SceneLog): Row => ({
  height: 40,
  draw: (g, x, h) => {
    drawLine(g, log, log.loss, x, scaleLinear([0, max(known(log.loss)) ?? 1], [h, 0]), 'loss')
    if (known(log.accuracy).length > 0) drawLine(g, log, log.accuracy, x, scaleLinear([0, 1], [h, 0]), 'accuracy')
  },
  say: (i) => [
    ['loss', shown(log.loss[i]), 'loss'],
    ...(known(log.accuracy).length > 0 ? [['accuracy', percent(log.accuracy[i]), 'accuracy'] as const] : []),
    ['learning rate', shown(log.lr[i]), 'soft'],
  ],
})

/** Texts at the right ends of lines, moved apart. */
const endLabels = (
  g: SVGElement,
  x: number,
  h: number,
  names: readonly { readonly name: string; readonly y: number; readonly look: string }[],
): void => {
  let least = -Infinity
  const placed = [...names]
    .sort((a, b) => a.y - b.y)
    .map((n) => {
      least = Math.max(n.y, least + 11.5)
      return { ...n, y: least }
    })
  const over = Math.max(0, least - h - 4)
  for (const n of placed)
    g.append(
      svgEl(
        'text',
        { class: `end ${n.look}`, x: x + 8, y: n.y - over + 3.5 },
        n.name.length > 20 ? `${n.name.slice(0, 19)}…` : n.name,
      ),
    )
}

type Looks = (t: SceneTrack) => string

const scaleRow = (log: SceneLog, chosen: SceneTrack | undefined, looks: Looks): Row => {
  const all = log.tracks.flatMap((t) => known(t.scale)).filter((v) => v > 0)
  const domain = extent(all)
  return {
    height: 56,
    draw: (g, x, h, right) => {
      const y = scaleLog([domain[0] ?? 1e-3, (domain[1] ?? 1) * 1.0001], [h, 0])
      const rest = log.tracks.filter((t) => t !== chosen && known(t.scale).some((v) => v > 0))
      for (const t of [...rest, ...(chosen === undefined ? [] : [chosen])])
        drawLine(
          g,
          log,
          t.scale.map((v) => (v !== null && v > 0 ? v : null)),
          x,
          y,
          `${looks(t)}${t === chosen ? ' chosen' : ''}`,
        )
      const named = [...(chosen === undefined ? [] : [chosen]), ...rest.filter((t) => looks(t) !== 'soft')].slice(
        0,
        MOST_NAMES,
      )
      endLabels(
        g,
        right,
        h,
        named.flatMap((t) => {
          const v = t.scale[t.scale.length - 1]
          return v === null || !(v > 0)
            ? []
            : [
                {
                  name: t.path.replace(/\.actQuant$/, ''),
                  y: y(v),
                  look: `${looks(t)}${t === chosen ? ' chosen' : ''}`,
                },
              ]
        }),
      )
    },
    say: (i) => [
      ['scales', 'logarithmic', 'soft'],
      ...(chosen === undefined
        ? []
        : [
            [chosen.path, '', looks(chosen)] as const,
            ['s', shown(chosen.scale[i]), looks(chosen)] as const,
            ...(known(chosen.zeroPoint).some((z) => z !== 0)
              ? [['z', shown(chosen.zeroPoint[i]), looks(chosen)] as const]
              : []),
          ]),
    ],
  }
}

const zeroRow = (log: SceneLog, looks: Looks): Row => ({
  height: 34,
  draw: (g, x, h) => {
    const all = log.tracks.flatMap((t) => known(t.zeroPoint))
    const y = scaleLinear([min(all) ?? 0, (max(all) ?? 1) + 1e-9], [h, 0])
    for (const t of log.tracks)
      if (known(t.zeroPoint).some((z) => z !== 0)) drawLine(g, log, t.zeroPoint, x, y, looks(t))
  },
  say: () => [['zero points', '', 'soft']],
})

const statisticRow = (log: SceneLog, t: SceneTrack, look: string): Row => ({
  height: 30,
  draw: (g, x, h) => {
    const all = [...known(t.buffer), ...known(t.statistic)]
    const [least, most] = [min(all) ?? 0, max(all) ?? 1]
    const y = scaleLinear([least, most > least ? most : least + 1], [h - 2, 2])
    log.steps.forEach((s, i) => {
      const v = t.statistic[i]
      if (v !== null && v !== undefined) g.append(svgEl('circle', { class: 'batch', cx: x(s), cy: y(v), r: 2 }))
    })
    drawLine(g, log, t.buffer, x, y, `${look} chosen`)
  },
  say: (i) => [
    ['running statistic', shown(t.buffer[i]), look],
    ['of the batch', shown(t.statistic[i]), 'soft'],
  ],
})

const rowsOf = (log: SceneLog, chosen: SceneTrack | undefined, looks: Looks): readonly Row[] => [
  progressRow(log),
  ...(log.tracks.length === 0 ? [] : [scaleRow(log, chosen, looks)]),
  ...(log.tracks.some((t) => known(t.zeroPoint).some((z) => z !== 0)) ? [zeroRow(log, looks)] : []),
  ...(chosen !== undefined && known(chosen.buffer).length > 0 ? [statisticRow(log, chosen, looks(chosen))] : []),
]

/** Where scales stop being statistics: a line through all rows, once per step at which that happens. */
const switches = (svg: SVGElement, log: SceneLog, x: X, height: number): void => {
  const at = [...new Set(log.tracks.flatMap((t) => t.learnedAt ?? []))].slice(0, 4)
  at.forEach((step, k) => {
    svg.append(svgEl('line', { class: 'switch', x1: x(step), x2: x(step), y1: 4, y2: height }))
    if (k === 0)
      svg.append(
        svgEl('text', { class: 'switch', x: x(step) - 5, y: 10, 'text-anchor': 'end' }, 'statistics'),
        svgEl('text', { class: 'switch', x: x(step) + 5, y: 10 }, `learned from step ${step}`),
      )
  })
}

const axis = (svg: SVGElement, log: SceneLog, x: X, ticks: readonly number[], y: number): void => {
  log.epochs.forEach((e, i) => {
    if (i > 0 && e !== log.epochs[i - 1])
      svg.append(svgEl('line', { class: 'epoch', x1: x(log.steps[i]), x2: x(log.steps[i]), y1: TOP, y2: y }))
  })
  for (const t of ticks)
    svg.append(svgEl('text', { class: 'tick', x: x(t), y: y + 14, 'text-anchor': 'middle' }, number(t)))
}

/** The track of what is selected, or else the first of an activation. */
const chosenTrack = (app: App, log: SceneLog): SceneTrack | undefined => {
  const id = app.selected()
  const node =
    id === null ? undefined : (app.index.node.get(id) ?? app.view.visible().lines.find((l) => l.id === id)?.source)
  const paths = scalesByPath(app.scene)
  const box = node === undefined ? (id ?? '') : node.box
  return (
    log.tracks.find((t) => node?.scale !== undefined && paths.get(t.path) === node.scale) ??
    log.tracks.find(
      (t) =>
        box !== '' &&
        known(t.buffer).length > 0 &&
        (`${t.path}.`.startsWith(`${box}.`) || `${box}.`.startsWith(`${t.path}.`)),
    ) ??
    log.tracks.find((t) => box !== '' && `${t.path}.`.startsWith(`${box}.`)) ??
    log.tracks.find((t) => new Set(known(t.buffer)).size > 1) ??
    log.tracks[0]
  )
}

/** Draws the chart; gives back what moves its cursor. */
const drawChart = (
  app: App,
  log: SceneLog,
  svg: SVGSVGElement,
): { readonly move: (i: number) => void; readonly at: (px: number) => number } => {
  const width = Math.max(480, svg.getBoundingClientRect().width)
  const right = width - GUTTER.right
  const scale = scaleSqrt([log.steps[0], log.steps[log.steps.length - 1]], [GUTTER.left, right])
  const x: X = (step) => Math.round(scale(step) * 10) / 10
  const [paths, hues] = [scalesByPath(app.scene), huesOf(app.view.visible().lines)]
  const looks: Looks = (t) => {
    const hue = hues.get(paths.get(t.path) ?? '')
    return hue === undefined ? 'soft' : `track${hue}`
  }
  const chosen = chosenTrack(app, log)
  const rows = rowsOf(log, chosen, looks)
  const tops = rows.map((_, k) => TOP + rows.slice(0, k).reduce((sum, r) => sum + r.height + GAP, 0))
  const bottom = tops[tops.length - 1] + rows[rows.length - 1].height
  svg.setAttribute('viewBox', `0 0 ${width} ${bottom + AXIS}`)
  svg.setAttribute('height', String(bottom + AXIS))
  svg.replaceChildren()
  axis(svg, log, x, scale.ticks(10), bottom)
  rows.forEach((r, k) => {
    const g = svgEl('g', { transform: `translate(0 ${tops[k]})` })
    g.append(svgEl('line', { class: 'base', x1: GUTTER.left, x2: right, y1: r.height, y2: r.height }))
    r.draw(g, x, r.height, right)
    svg.append(g)
  })
  switches(svg, log, x, bottom)
  const gutter = svgEl('g')
  const cursor = svgEl('line', { class: 'cursor', y1: 4, y2: bottom })
  svg.append(gutter, cursor)
  return {
    move: (i) => {
      for (const end of ['x1', 'x2']) cursor.setAttribute(end, String(x(log.steps[i])))
      gutter.replaceChildren(
        ...rows.flatMap((r, k) =>
          r
            .say(i)
            .flatMap(([name, value, look], n) => [
              svgEl(
                'text',
                { class: `name ${look}`, x: 20, y: tops[k] + 9 + n * 14 },
                name.length > 24 ? `${name.slice(0, 23)}…` : name,
              ),
              svgEl(
                'text',
                { class: 'value', x: GUTTER.left - 10, y: tops[k] + 9 + n * 14, 'text-anchor': 'end' },
                value,
              ),
            ]),
        ),
      )
    },
    at: (px) => bisectCenter(log.steps, scale.invert(px)),
  }
}

/** Wires the time axis to the page. Does nothing where there is no log. */
export const timeOf = (app: App): void => {
  const { log } = app.scene
  const [svg, slider, say] = [
    document.getElementById('history'),
    document.getElementById('step'),
    document.getElementById('at'),
  ]
  if (log === undefined || !(svg instanceof SVGSVGElement) || !(slider instanceof HTMLInputElement) || say === null)
    return
  const last = log.steps.length - 1
  let chart = drawChart(app, log, svg)
  const show = (): void => {
    const i = app.at() ?? last
    chart.move(i)
    slider.value = String(i)
    const text = `step ${log.steps[i]}, epoch ${(log.epochs[i] ?? 0) + 1}`
    slider.setAttribute('aria-valuetext', `${text}, loss ${shown(log.loss[i])}`)
    say.textContent = app.at() === null ? `${text}: the end` : text
    byId('latest').toggleAttribute('disabled', app.at() === null)
  }
  const redraw = (): void => {
    chart = drawChart(app, log, svg)
    show()
  }
  const scrub = (e: PointerEvent): void => {
    const box = svg.getBoundingClientRect()
    app.goTo(chart.at(e.clientX - box.left))
  }
  slider.addEventListener('input', () => app.goTo(Number(slider.value)))
  svg.addEventListener('pointerdown', (e) => {
    svg.setPointerCapture(e.pointerId)
    scrub(e)
  })
  svg.addEventListener('pointermove', (e) => {
    if (svg.hasPointerCapture(e.pointerId)) scrub(e)
  })
  byId('latest').addEventListener('click', () => app.goTo(null))
  let drawn = ''
  app.onChange(() => {
    const key = `${app.selected()} ${svg.getBoundingClientRect().width}`
    if (key === drawn) return show()
    drawn = key
    return redraw()
  })
  new ResizeObserver(redraw).observe(byId('timeline'))
  show()
}
