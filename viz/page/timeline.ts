/** The time axis under the drawing: loss, accuracy, scales and statistics over the steps of training, and a cursor that scrubs. */
import { bisectCenter, scaleSqrt } from 'd3'
import { hueOf } from '../draw/hues.js'
import { scalesByPath } from '../draw/overlay.js'
import { number } from '../draw/words.js'
import type { Scene, SceneLog, SceneTrack } from '../scene/scene.js'
import { cutTo, type Measure } from '../scene/type.js'
import type { App } from './app.js'
import { byId, svgEl } from './dom.js'
import { pageMeasure } from './measure.js'
import { hasBuffer, rowsOf, shown, type Row, type Rows, type Said, type X } from './timeRows.js'

/** Room at the left, for names at the right (none in a narrow window), and for the line of words above a plot. */
const GUTTER = { left: 8, names: 150, right: 24 }
const NARROW = 620
const [WORDS, GAP, AXIS, SWITCH] = [16, 3, 19, 16]

const switchSteps = (log: SceneLog): readonly number[] =>
  [...new Set(log.tracks.flatMap((t) => t.learnedAt ?? []))].slice(0, 4)

/** Where each row's plot begins, and where the last one ends. */
const placesOf = (
  log: SceneLog,
  rows: readonly Row[],
): { readonly tops: readonly number[]; readonly bottom: number } => {
  let at = switchSteps(log).length === 0 ? 0 : SWITCH
  const tops = rows.map((r) => {
    at += WORDS
    const top = at
    at += r.height + GAP
    return top
  })
  return { tops, bottom: at - GAP }
}

/** How tall the plot of scales may be in this window. */
const tallOf = (): number => Math.round(innerHeight * 0.085)

const PLAIN = { looks: () => '', names: 0, chosen: undefined } as const

/** Makes room for the chart before anything is drawn, so that the drawing above knows its own. */
export const reserveTime = (scene: Scene): void => {
  const svg = document.getElementById('history')
  if (scene.log === undefined || svg === null) return
  const rows = rowsOf({ ...PLAIN, log: scene.log, measure: pageMeasure() }, tallOf())
  svg.setAttribute('height', String(placesOf(scene.log, rows).bottom + AXIS))
}

/** How far the rows reach. */
type Reach = { readonly height: number; readonly right: number }

/** Where scales stop being statistics: a line through all rows, once per step at which that happens. */
const switches = (svg: SVGElement, log: SceneLog, x: X, { height, right }: Reach, measure: Measure): void => {
  switchSteps(log).forEach((step, k) => {
    svg.append(svgEl('line', { class: 'switch', x1: x(step), x2: x(step), y1: 2, y2: height }))
    if (k > 0) return
    const [before, after] = ['statistics', `learned from step ${step}`]
    const fits = x(step) + measure(after, 'label') + 6 < right
    if (fits && x(step) - GUTTER.left > measure(before, 'label') + 8)
      svg.append(svgEl('text', { class: 'switch', x: x(step) - 5, y: 12, 'text-anchor': 'end' }, before))
    svg.append(
      fits
        ? svgEl('text', { class: 'switch', x: x(step) + 5, y: 12 }, after)
        : svgEl('text', { class: 'switch', x: x(step) - 5, y: 12, 'text-anchor': 'end' }, after),
    )
  })
}

/** Whole steps whose numbers have room beside each other. */
const ticksFor = (ticks: readonly number[], x: X, measure: Measure): readonly number[] => {
  let free = -Infinity
  return ticks.filter((t) => {
    const half = measure(number(t), 'label') / 2
    if (!Number.isInteger(t) || x(t) - half < free) return false
    free = x(t) + half + 12
    return true
  })
}

const axis = (svg: SVGElement, log: SceneLog, x: X, ticks: readonly number[], y: number): void => {
  log.epochs.forEach((e, i) => {
    if (i > 0 && e !== log.epochs[i - 1])
      svg.append(svgEl('line', { class: 'epoch', x1: x(log.steps[i]), x2: x(log.steps[i]), y1: WORDS, y2: y }))
  })
  for (const t of ticks)
    svg.append(svgEl('text', { class: 'tick', x: x(t), y: y + 15, 'text-anchor': 'middle' }, number(t)))
}

/** Words and numbers in one line, as far as there is room. */
const wordsOf = (said: readonly Said[], y: number, room: number, measure: Measure): SVGElement => {
  const text = svgEl('text', { y })
  let x: number = GUTTER.left
  for (const [name, value, look] of said) {
    const short = cutTo(measure, name, 'label', Math.max(60, room * 0.4))
    const [a, b] = [measure(short, 'label'), value === '' ? 0 : measure(value, 'label') + 6]
    if (x + a + b > room) break
    text.append(svgEl('tspan', { class: `name ${look}`, x }, short))
    if (value !== '') text.append(svgEl('tspan', { class: 'value', x: x + a + 6 }, value))
    x += a + b + 18
  }
  return text
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
      (t) => box !== '' && hasBuffer(t) && (`${t.path}.`.startsWith(`${box}.`) || `${box}.`.startsWith(`${t.path}.`)),
    ) ??
    log.tracks.find((t) => box !== '' && `${t.path}.`.startsWith(`${box}.`)) ??
    log.tracks.find((t) => new Set(t.buffer).size > 2) ??
    log.tracks[0]
  )
}

/** Draws the chart; gives back what moves its cursor. */
const drawChart = (
  app: App,
  log: SceneLog,
  svg: SVGSVGElement,
  measure: Measure,
): { readonly move: (i: number) => void; readonly at: (px: number) => number } => {
  const width = Math.max(200, svg.getBoundingClientRect().width)
  const names = width < NARROW ? 0 : GUTTER.names
  const right = width - Math.max(names, GUTTER.right)
  const scale = scaleSqrt(
    [log.steps[0], Math.max(log.steps[0] + 1, log.steps[log.steps.length - 1])],
    [GUTTER.left, right],
  )
  const x: X = (step) => Math.round(scale(step) * 10) / 10
  const paths = scalesByPath(app.scene)
  const looks: Rows['looks'] = (t) => {
    const own = paths.get(t.path)
    return own === undefined ? 'soft' : hueOf(app.hues(), own)
  }
  const rows = rowsOf({ log, chosen: chosenTrack(app, log), looks, measure, names }, tallOf())
  const { tops, bottom } = placesOf(log, rows)
  svg.setAttribute('viewBox', `0 0 ${width} ${bottom + AXIS}`)
  svg.setAttribute('height', String(bottom + AXIS))
  svg.replaceChildren()
  axis(svg, log, x, ticksFor(scale.ticks(10), x, measure), bottom)
  rows.forEach((r, k) => {
    const g = svgEl('g', { transform: `translate(0 ${tops[k]})` })
    g.append(svgEl('line', { class: 'base', x1: GUTTER.left, x2: right, y1: r.height, y2: r.height }))
    r.draw(g, x, r.height, right)
    svg.append(g)
  })
  switches(svg, log, x, { height: bottom, right }, measure)
  const words = svgEl('g')
  const cursor = svgEl('line', { class: 'cursor', y1: 4, y2: bottom })
  svg.append(words, cursor)
  return {
    move: (i) => {
      for (const end of ['x1', 'x2']) cursor.setAttribute(end, String(x(log.steps[i])))
      words.replaceChildren(...rows.map((r, k) => wordsOf(r.say(i), tops[k] - 4, right, measure)))
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
  const [last, measure] = [log.steps.length - 1, pageMeasure()]
  let chart = drawChart(app, log, svg, measure)
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
    chart = drawChart(app, log, svg, measure)
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
