/** A quantizer as a picture: the staircase that it computes, and under it the gradient that it hands on. */
import { extent, line, scaleLinear } from 'd3'
import { number } from '../draw/words.js'
import type { SceneCurve } from '../scene/scene.js'
import { svgEl } from './dom.js'

const SIZE = { width: 320, stairs: 92, gap: 20, gradient: 44, axis: 16 }

const path = (ys: readonly number[], x: (i: number) => number, y: (v: number) => number): string =>
  line<number>()
    .x((_, i) => Math.round(x(i) * 10) / 10)
    .y((v) => Math.round(y(v) * 10) / 10)([...ys]) ?? ''

/** Two plots over one axis. The derivative proper, 0, stands dashed under the estimate. */
export const curveChart = (c: SceneCurve): SVGElement => {
  const height = SIZE.stairs + SIZE.gap + SIZE.gradient + SIZE.axis
  const svg = svgEl('svg', {
    class: 'chart curve',
    viewBox: `0 0 ${SIZE.width} ${height}`,
    role: 'img',
    'aria-label': `What it computes from ${number(c.from)} to ${number(c.to)}, and the gradient that it hands on: ${number(Math.min(...c.gradient))} to ${number(Math.max(...c.gradient))}`,
  })
  const x = scaleLinear([0, c.forward.length - 1], [0, SIZE.width])
  const [low, high] = extent(c.forward)
  const up = scaleLinear([low ?? 0, high ?? 1], [SIZE.stairs - 2, 12])
  const base = SIZE.stairs + SIZE.gap + SIZE.gradient
  const down = scaleLinear([Math.min(0, ...c.gradient), Math.max(1, ...c.gradient)], [base, SIZE.stairs + SIZE.gap + 2])
  const identity = [c.from, c.to].map((v) => Math.max(low ?? v, Math.min(high ?? v, v)))
  svg.append(
    svgEl('path', {
      class: 'ideal',
      d: path(
        [identity[0], identity[1]],
        (i) => x(((identity[i] - c.from) / (c.to - c.from)) * (c.forward.length - 1)),
        up,
      ),
    }),
    svgEl('path', { class: 'forward', d: path(c.forward, x, up) }),
    svgEl('text', { x: 0, y: 10 }, 'forward'),
    svgEl(
      'text',
      { x: 0, y: SIZE.stairs + 14 },
      `gradient handed on: ${[...new Set([Math.max(...c.gradient), Math.min(...c.gradient)])].map(number).join(' or ')}`,
    ),
    svgEl('line', { class: 'zero', x1: 0, x2: SIZE.width, y1: down(0), y2: down(0) }),
    svgEl('path', { class: 'gradient', d: path(c.gradient, x, down) }),
    svgEl('text', { x: 0, y: height - 2 }, number(c.from)),
    svgEl('text', { x: SIZE.width / 2, y: height - 2, 'text-anchor': 'middle' }, c.unit),
    svgEl('text', { x: SIZE.width, y: height - 2, 'text-anchor': 'end' }, number(c.to)),
  )
  return svg
}
