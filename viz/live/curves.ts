/** Charts over one common axis of steps: loss, accuracy, scales. Drawn anew for each frame; a few dozen elements each. */
import { area, line, scaleLinear, scaleLog } from 'd3'
import { number } from '../draw/words.js'
import { svgEl } from '../page/dom.js'
import { extentOf, smoothed, type Bucket, type ScalePoint } from './series.js'

const H = 124
const PAD = { left: 50, right: 12, top: 8, bottom: 20 }

type Scale = (x: number) => number
/** Where a chart draws: its axis of steps, its axis of values, its width. */
type Axes = { readonly x: Scale; readonly y: Scale; readonly width: number }

const text = (classes: string, x: number, y: number, content: string, anchor = 'start'): SVGElement =>
  svgEl('text', { class: classes, x, y, 'text-anchor': anchor }, content)

const frame = (
  ticks: readonly number[],
  show: (v: number) => string,
  axes: Axes,
  last: number,
): readonly SVGElement[] => [
  ...ticks.flatMap((v) => [
    svgEl('line', { class: 'grid', x1: PAD.left, x2: axes.width - PAD.right, y1: axes.y(v), y2: axes.y(v) }),
    text('tick', PAD.left - 6, axes.y(v) + 3.5, show(v), 'end'),
  ]),
  text('tick', PAD.left, H - 6, '0'),
  text('tick', axes.width - PAD.right, H - 6, `step ${last}`, 'end'),
]

/** The step at which the scales became learned values, as a line across a chart. */
const switchMark = (at: number | null, axes: Axes): readonly SVGElement[] =>
  at === null
    ? []
    : [
        svgEl('line', { class: 'switch', x1: axes.x(at), x2: axes.x(at), y1: PAD.top, y2: H - PAD.bottom }),
        ...(axes.x(at) < axes.width * 0.7
          ? [text('switch-name', axes.x(at) + 5, PAD.top + 9, 'learned →')]
          : [text('switch-name', axes.x(at) - 5, PAD.top + 9, '← statistics', 'end')]),
      ]

const xAxis = ({ last, width }: ChartFrame): Scale => scaleLinear([0, Math.max(1, last)], [PAD.left, width - PAD.right])
const yRange = [H - PAD.bottom, PAD.top] as const

const lineOf = (axes: Axes, points: readonly (readonly [number, number])[]): string =>
  line<readonly [number, number]>()
    .defined(([, v]) => Number.isFinite(v))
    .x(([s]) => axes.x(s))
    .y(([, v]) => axes.y(v))([...points]) ?? ''

/** What every chart is told: the last step, the step from which scales are learned, the width of the chart. */
export type ChartFrame = { readonly last: number; readonly switchAt: number | null; readonly width: number }

/** Loss or accuracy: each batch (or stretch of batches) faint, their course as a line, and held-out results as dots. */
export const drawCurve = (
  svg: Element,
  buckets: readonly Bucket[],
  dots: readonly (readonly [number, number])[],
  share: boolean,
  f: ChartFrame,
): void => {
  const top = share ? 1 : Math.max(...buckets.map((b) => b.max), 0.1)
  const axes: Axes = { x: xAxis(f), y: scaleLinear([0, top], [...yRange]), width: f.width }
  const ticks = share ? [0, 0.5, 1] : scaleLinear([0, top], [0, 1]).ticks(3)
  const band =
    area<Bucket>()
      .x((b) => axes.x(b.step))
      .y0((b) => axes.y(b.min))
      .y1((b) => axes.y(b.max))([...buckets]) ?? ''
  const lastDot = dots[dots.length - 1]
  svg.replaceChildren(
    ...frame(ticks, (v) => (share ? `${v * 100} %` : number(v)), axes, f.last),
    ...switchMark(f.switchAt, axes),
    svgEl('path', { class: 'band', d: band }),
    svgEl('path', {
      class: 'raw',
      d: lineOf(
        axes,
        buckets.map((b) => [b.step, b.mean]),
      ),
    }),
    svgEl('path', { class: 'curve', d: lineOf(axes, smoothed(buckets)) }),
    ...dots.map(([s, v]) => svgEl('circle', { class: 'held', cx: axes.x(s), cy: axes.y(v), r: 3.5 })),
    ...(lastDot === undefined
      ? []
      : [
          text(
            'held-name',
            Math.max(axes.x(lastDot[0]) - 8, PAD.left + 90),
            axes.y(lastDot[1]) + 16,
            `held out ${(lastDot[1] * 100).toFixed(1)} %`,
            'end',
          ),
        ]),
  )
}

/** Splits a history where a statistic became a learned value; the parts share a point. */
export const partsOf = (
  history: readonly ScalePoint[],
): readonly [statistics: readonly ScalePoint[], learned: readonly ScalePoint[]] => {
  const at = history.findIndex((p) => p.learned)
  return at < 0 ? [history, []] : [history.slice(0, at + 1), history.slice(at)]
}

/** Scales over steps on a logarithmic axis: dotted while they are statistics, a line once they are learned. */
export const drawScales = (
  svg: Element,
  curves: readonly { readonly name: string; readonly hue: string; readonly history: readonly ScalePoint[] }[],
  f: ChartFrame,
): void => {
  const domain = extentOf(curves.flatMap((c) => c.history.map((p) => p.scale).filter((s) => s > 0)))
  if (domain === null) return svg.replaceChildren(text('tick', PAD.left, H / 2, 'Scales appear with the first batch.'))
  const log = scaleLog([domain[0] * 0.9, domain[1] * 1.1], [...yRange])
  const axes: Axes = { width: f.width, x: xAxis(f), y: (v) => log(Math.max(v, Number.MIN_VALUE)) }
  const ticks = apart(log.ticks(3), log)
  svg.replaceChildren(
    ...frame(ticks, (v) => String(Number(v.toPrecision(2))), axes, f.last),
    ...switchMark(f.switchAt, axes),
    ...curves.flatMap(({ hue, history }) => {
      const [statistics, learned] = partsOf(history).map((part) =>
        lineOf(
          axes,
          part.map((p) => [p.step, p.scale]),
        ),
      )
      return [
        svgEl('path', { class: `curve dotted ${hue}`, d: statistics }),
        svgEl('path', { class: `curve ${hue}`, d: learned }),
      ]
    }),
  )
}

/** Of rising ticks those whose labels do not touch. */
const apart = (ticks: readonly number[], y: Scale): readonly number[] =>
  ticks.reduce<readonly number[]>(
    (kept, v) => (kept.length === 0 || y(kept[kept.length - 1]) - y(v) > 14 ? [...kept, v] : kept),
    [],
  )

const SPARK = { width: 110, height: 26 }

/** A small line without axes: the course of one scale. */
export const drawSpark = (svg: Element, history: readonly ScalePoint[], last: number, hue: string): void => {
  const domain = extentOf(history.map((p) => p.scale)) ?? [0, 1]
  const axes: Axes = {
    width: SPARK.width,
    x: scaleLinear([0, Math.max(1, last)], [1, SPARK.width - 4]),
    y: scaleLinear([...domain], [SPARK.height - 3, 3]),
  }
  const [statistics, learned] = partsOf(history).map((part) =>
    lineOf(
      axes,
      part.map((p) => [p.step, p.scale]),
    ),
  )
  const end = history[history.length - 1]
  svg.replaceChildren(
    svgEl('path', { class: `curve dotted ${hue}`, d: statistics }),
    svgEl('path', { class: `curve ${hue}`, d: learned }),
    ...(end === undefined
      ? []
      : [svgEl('circle', { class: `tip ${hue}`, cx: axes.x(end.step), cy: axes.y(end.scale), r: 2.2 })]),
  )
}

/** A small histogram as one path; the square root of each count, so that rare levels are seen. */
export const drawBars = (svg: Element, bins: readonly number[], clipped: readonly [number, number]): void => {
  const most = Math.sqrt(Math.max(1, ...bins))
  const w = SPARK.width / Math.max(1, bins.length)
  const bar = (count: number, i: number): string =>
    count === 0
      ? ''
      : `M${(i * w).toFixed(2)} ${SPARK.height}v${(-Math.max(1, (Math.sqrt(count) / most) * (SPARK.height - 2))).toFixed(2)}h${Math.max(0.8, w - (w > 4 ? 1 : 0.2)).toFixed(2)}V${SPARK.height}z`
  const isEnd = (i: number): boolean => (i === 0 && clipped[0] > 0.01) || (i === bins.length - 1 && clipped[1] > 0.01)
  svg.replaceChildren(
    svgEl('path', { class: 'bars', d: bins.map((n, i) => (isEnd(i) ? '' : bar(n, i))).join('') }),
    svgEl('path', { class: 'bars end', d: bins.map((n, i) => (isEnd(i) ? bar(n, i) : '')).join('') }),
    svgEl('line', { class: 'base', x1: 0, x2: SPARK.width, y1: SPARK.height - 0.5, y2: SPARK.height - 0.5 }),
  )
}
