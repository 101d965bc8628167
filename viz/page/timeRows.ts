/** The rows of the time axis: loss and accuracy, scales, zero points, a statistic. Each has a line of words above its plot. */
import { extent, line, max, min, scaleLinear, scaleLog, type ScaleContinuousNumeric } from 'd3'
import { number } from '../draw/words.js'
import { bandsOf } from '../scene/align.js'
import type { Column, SceneLog, SceneTrack } from '../scene/scene.js'
import { cutTo, type Measure } from '../scene/type.js'
import { svgEl } from './dom.js'

/** From a step to a place. */
export type X = (step: number) => number
type Scale = ScaleContinuousNumeric<number, number>
/** A word and its number above a plot, and how they look. */
export type Said = readonly [name: string, value: string, look: string]
/** A row of the chart: the height of its plot and what is drawn in it, and what is said above it at a step. */
export type Row = {
  readonly height: number
  readonly draw: (g: SVGElement, x: X, height: number, right: number) => void
  readonly say: (i: number) => readonly Said[]
}
/** What the rows are made from. `names`: room at the right ends of lines. */
export type Rows = {
  readonly log: SceneLog
  readonly chosen: SceneTrack | undefined
  readonly looks: (t: SceneTrack) => string
  readonly measure: Measure
  readonly names: number
}

/** Height of a line of names at the ends of scales. */
const NAME = 15
const MOST_NAMES = 8
const HEIGHT = { progress: 26, least: 44, zero: 14, statistic: 16, bits: 24 }
/** Scales this far apart, in decades, have nothing between them that is worth the room. */
const APART = 0.3
const BREAK = 8

const known = (c: Column): readonly number[] => c.filter((v): v is number => v !== null)
/** A value as text. */
export const shown = (v: number | null | undefined): string => (v === null || v === undefined ? '–' : number(v))
const percent = (v: number | null | undefined): string =>
  v === null || v === undefined ? '–' : `${(v * 100).toFixed(1)} %`
/** Has a quantizer a running statistic? */
export const hasBuffer = (t: SceneTrack): boolean => known(t.buffer).length > 0
const hasBits = (t: SceneTrack): boolean => known(t.bits).length > 0
const hasZeros = (t: SceneTrack): boolean => known(t.zeroPoint).some((z) => z !== 0)

/** A path through the steps at which there is a value. */
const pathOf = (log: SceneLog, c: Column, x: X, y: Scale): string =>
  line<number>()
    .defined((i) => c[i] !== null)
    .x((i) => Math.round(x(log.steps[i]) * 10) / 10)
    .y((i) => Math.round(y(c[i] ?? 0) * 10) / 10)(log.steps.map((_, i) => i)) ?? ''

/** Where a step and a number lie. */
type Axes = { readonly x: X; readonly y: Scale }

const drawLine = (g: SVGElement, log: SceneLog, c: Column, { x, y }: Axes, look: string): void =>
  void g.append(svgEl('path', { class: `trace ${look}`, d: pathOf(log, c, x, y) }))

const progressRow = ({ log }: Rows): Row => ({
  height: HEIGHT.progress,
  draw: (g, x, h) => {
    drawLine(g, log, log.loss, { x, y: scaleLinear([0, max(known(log.loss)) ?? 1], [h, 0]) }, 'loss')
    if (known(log.accuracy).length > 0)
      drawLine(g, log, log.accuracy, { x, y: scaleLinear([0, 1], [h, 0]) }, 'accuracy')
  },
  say: (i) => [
    ['loss', shown(log.loss[i]), 'loss'],
    ...(known(log.accuracy).length > 0 ? [['accuracy', percent(log.accuracy[i]), 'accuracy'] as const] : []),
    ['learning rate', shown(log.lr[i]), 'soft'],
  ],
})

type End = { readonly name: string; readonly y: number; readonly look: string }

/** Names at the right ends of lines, moved apart within the height of the row. */
const endLabels = (g: SVGElement, { measure, names }: Rows, x: number, h: number, ends: readonly End[]): void => {
  const sorted = [...ends].sort((a, b) => a.y - b.y)
  const ys = sorted.map((n) => n.y)
  for (let k = 1; k < ys.length; k++) ys[k] = Math.max(ys[k], ys[k - 1] + NAME)
  for (let k = ys.length - 1, most = h; k >= 0; k--, most -= NAME) ys[k] = Math.min(ys[k], most)
  sorted.forEach((n, k) =>
    g.append(
      svgEl('text', { class: `end ${n.look}`, x: x + 8, y: ys[k] + 4 }, cutTo(measure, n.name, 'label', names - 12)),
    ),
  )
}

/** A logarithmic axis without the ranges in which there is no scale, and where those were. */
const brokenAxis = (
  tracks: readonly SceneTrack[],
  h: number,
): { readonly y: Scale; readonly breaks: readonly number[] } => {
  const ranges = tracks.map((t) =>
    extent(
      known(t.scale)
        .filter((v) => v > 0)
        .map(Math.log10),
    ),
  )
  const bands = bandsOf(ranges.map(([a = 0, b = 0]): readonly [number, number] => [a - APART / 2, b + APART / 2]))
  const sizes = bands.map(([a, b]) => b - a)
  const room = (h - BREAK * (bands.length - 1)) / sizes.reduce((sum, s) => sum + s, 0)
  const edges: number[] = []
  let at = h
  for (const s of sizes) {
    edges.push(at, at - s * room)
    at -= s * room + BREAK
  }
  const y = scaleLog(
    bands.flatMap(([a, b]) => [10 ** a, 10 ** b]),
    edges,
  )
  return {
    y,
    breaks: edges
      .slice(1, -1)
      .filter((_, k) => k % 2 === 0)
      .map((e) => e - BREAK / 2),
  }
}

const scaleRow = (r: Rows, tall: number): Row => {
  const { log, chosen, looks } = r
  const drawn = log.tracks.filter((t) => known(t.scale).some((v) => v > 0))
  const rest = drawn.filter((t) => t !== chosen)
  const most = Math.min(MOST_NAMES, drawn.length)
  const height = Math.max(HEIGHT.least, Math.min(tall, most * NAME))
  const lookOf = (t: SceneTrack): string => `${looks(t)}${t === chosen ? ' chosen' : ''}`
  return {
    height,
    draw: (g, x, h, right) => {
      if (drawn.length === 0) return
      const { y, breaks } = brokenAxis(drawn, h)
      for (const b of breaks) g.append(svgEl('line', { class: 'break', x1: x(log.steps[0]), x2: right, y1: b, y2: b }))
      const inOrder = [...rest, ...(chosen !== undefined && drawn.includes(chosen) ? [chosen] : [])]
      for (const t of inOrder)
        drawLine(
          g,
          log,
          t.scale.map((v) => (v !== null && v > 0 ? v : null)),
          { x, y },
          lookOf(t),
        )
      if (r.names === 0) return
      const room = Math.floor(h / NAME)
      const named = [...inOrder].reverse().slice(0, drawn.length > room ? room - 1 : room)
      const left = drawn.length - named.length
      const ends = named.flatMap((t): readonly End[] => {
        const v = t.scale[t.scale.length - 1]
        return v === null || !(v > 0) ? [] : [{ name: t.path.replace(/\.actQuant$/, ''), y: y(v), look: lookOf(t) }]
      })
      endLabels(g, r, right, h, left === 0 ? ends : [...ends, { name: `and ${left} more`, y: h, look: 'soft' }])
    },
    say: (i) => [
      ['scales, logarithmic', '', 'soft'],
      ...(chosen === undefined
        ? []
        : [
            [chosen.path, '', looks(chosen)] as const,
            ['s', shown(chosen.scale[i]), looks(chosen)] as const,
            ...(hasZeros(chosen) ? [['z', shown(chosen.zeroPoint[i]), looks(chosen)] as const] : []),
          ]),
    ],
  }
}

const zeroRow = ({ log, looks }: Rows): Row => ({
  height: HEIGHT.zero,
  draw: (g, x, h) => {
    const all = log.tracks.flatMap((t) => known(t.zeroPoint))
    const y = scaleLinear([min(all) ?? 0, (max(all) ?? 1) + 1e-9], [h, 0])
    for (const t of log.tracks) if (hasZeros(t)) drawLine(g, log, t.zeroPoint, { x, y }, looks(t))
  },
  say: () => [['zero points', '', 'soft']],
})

const statisticRow = ({ log, chosen, looks }: Rows): Row => ({
  height: HEIGHT.statistic,
  draw: (g, x, h) => {
    if (chosen === undefined) return
    const all = [...known(chosen.buffer), ...known(chosen.statistic)]
    const [least, most] = [min(all) ?? 0, max(all) ?? 1]
    const y = scaleLinear([least, most > least ? most : least + 1], [h - 2, 2])
    log.steps.forEach((s, i) => {
      const v = chosen.statistic[i]
      if (v !== null && v !== undefined) g.append(svgEl('circle', { class: 'batch', cx: x(s), cy: y(v), r: 2 }))
    })
    drawLine(g, log, chosen.buffer, { x, y }, `${looks(chosen)} chosen`)
  },
  say: (i) =>
    chosen === undefined
      ? []
      : [
          ['running statistic', shown(chosen.buffer[i]), looks(chosen)],
          ['of the batch', shown(chosen.statistic[i]), 'soft'],
        ],
})

/** Learned bit widths: a line each, between whole numbers of bits. Only whole numbers of them are used, so lines go in steps. */
const bitsRow = ({ log, chosen, looks }: Rows): Row => {
  const drawn = log.tracks.filter(hasBits)
  const first = chosen !== undefined && hasBits(chosen) ? chosen : drawn[0]
  return {
    height: HEIGHT.bits,
    draw: (g, x, h, right) => {
      const all = drawn.flatMap((t) => known(t.bits))
      const [least, most] = [Math.floor(min(all) ?? 0), Math.ceil(max(all) ?? 1)]
      const y = scaleLinear([least, Math.max(most, least + 1)], [h - 1, 1])
      for (const t of drawn) drawLine(g, log, t.bits, { x, y }, `${looks(t)}${t === first ? ' chosen' : ''}`)
      for (const [b, at] of [[most, 8] as const, ...(most > least ? [[least, h - 2] as const] : [])])
        g.append(svgEl('text', { class: 'end soft', x: right + 8, y: at }, `${b} bits`))
    },
    say: (i) => [
      ['learned bits', '', 'soft'],
      ...(first === undefined ? [] : [[first.path, shown(first.bits[i]), looks(first)] as const]),
    ],
  }
}

/** The rows of a log; which there are doesn't depend on what is chosen. `tall`: room for the plot of scales. */
export const rowsOf = (r: Rows, tall: number): readonly Row[] => [
  progressRow(r),
  ...(r.log.tracks.length === 0 ? [] : [scaleRow(r, tall)]),
  ...(r.log.tracks.some(hasZeros) ? [zeroRow(r)] : []),
  ...(r.log.tracks.some(hasBits) ? [bitsRow(r)] : []),
  ...(r.log.tracks.some(hasBuffer) ? [statisticRow(r)] : []),
]
