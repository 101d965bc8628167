/** Lines as smooth paths that leave and reach their ends vertically, or between two columns sideways. */
import { curveBumpX, curveBumpY, line, type CurveFactory } from 'd3'
import type { Point } from '../scene/level.js'

const round = (x: number): number => Math.round(x * 10) / 10
const smooth = (curve: CurveFactory) =>
  line<Point>()
    .x((p) => round(p[0]))
    .y((p) => round(p[1]))
    .curve(curve)
const [upright, sideways] = [smooth(curveBumpY), smooth(curveBumpX)]

/** Radius of the corners of a line that leads back. */
const BEND = 7

/** The point at a distance from one towards another. */
const towards = ([x0, y0]: Point, [x1, y1]: Point, most: number): Point => {
  const length = Math.hypot(x1 - x0, y1 - y0)
  const t = length === 0 ? 0 : Math.min(0.5, most / length)
  return [round(x0 + (x1 - x0) * t), round(y0 + (y1 - y0) * t)]
}

/** The `d` of straight stretches with round corners: a line that leads back looks like no other. */
export const backPath = (points: readonly Point[]): string =>
  points
    .map((p, i) => {
      const at = `${round(p[0])} ${round(p[1])}`
      if (i === 0) return `M${at}`
      if (i === points.length - 1) return `L${at}`
      return `L${towards(p, points[i - 1], BEND).join(' ')}Q${at} ${towards(p, points[i + 1], BEND).join(' ')}`
    })
    .join('')

/** An arrow head at the last of these points. */
export const tipPath = (points: readonly Point[]): string => {
  const [[, before], [x, y]] = [points.at(-2) ?? [0, 0], points.at(-1) ?? [0, 0]]
  const up = y >= before ? -1 : 1
  return `M${round(x - 4.5)} ${round(y + 8 * up)}L${round(x)} ${round(y + up)}L${round(x + 4.5)} ${round(y + 8 * up)}`
}

/** The `d` of a path through points; `across`: it leaves and reaches its ends sideways. */
export const wayPath = (points: readonly Point[], across = false): string =>
  (across ? sideways : upright)([...points]) ?? ''
