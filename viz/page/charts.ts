/** Small charts of the panel: a histogram over the integer grid, and scales per channel. */
import { max, scaleBand, scaleSqrt } from 'd3'
import { number } from '../draw/words.js'
import type { SceneNumbers } from '../scene/scene.js'
import { svgEl } from './dom.js'

const SIZE = { width: 320, height: 84, base: 70 }

const bars = (heights: readonly number[], title: string, isEnd: (i: number) => boolean): SVGElement => {
  const svg = svgEl('svg', {
    class: 'chart',
    viewBox: `0 0 ${SIZE.width} ${SIZE.height}`,
    role: 'img',
    'aria-label': title,
  })
  const x = scaleBand(
    heights.map((_, i) => i),
    [0, SIZE.width],
  ).paddingInner(heights.length > 40 ? 0 : 0.1)
  const y = scaleSqrt([0, max(heights) ?? 1], [0, SIZE.base - 6])
  heights.forEach((h, i) => {
    if (h > 0)
      svg.append(
        svgEl('rect', {
          class: isEnd(i) ? 'end' : 'bar',
          x: x(i) ?? 0,
          y: SIZE.base - Math.max(1, y(h)),
          width: Math.max(1, x.bandwidth()),
          height: Math.max(1, y(h)),
        }),
      )
  })
  svg.append(svgEl('line', { x1: 0, x2: SIZE.width, y1: SIZE.base, y2: SIZE.base }))
  return svg
}

const ends = (svg: SVGElement, left: string, right: string): SVGElement => {
  svg.append(
    svgEl('text', { x: 0, y: SIZE.height - 2 }, left),
    svgEl('text', { x: SIZE.width, y: SIZE.height - 2, 'text-anchor': 'end' }, right),
  )
  return svg
}

/** How often each integer (or range of values) occurs; the clipped ends stand out. */
export const histogramChart = (n: SceneNumbers): SVGElement => {
  const [low, high] = n.clipped ?? n.atEnds ?? [0, 0]
  const title = `Histogram from ${number(n.from)} to ${number(n.to)} over ${n.count} values`
  return ends(
    bars(n.bins, title, (i) => (i === 0 && low > 0.01) || (i === n.bins.length - 1 && high > 0.01)),
    number(n.from),
    number(n.to),
  )
}

/** Scales of the channels. */
export const scalesChart = (scales: readonly number[], one: 'channel' | 'head' = 'channel'): SVGElement =>
  ends(
    bars(
      scales,
      `Scales of ${scales.length} ${one}s, ${number(Math.min(...scales))} to ${number(Math.max(...scales))}`,
      () => false,
    ),
    `${one} 0`,
    `${one} ${scales.length - 1}`,
  )
