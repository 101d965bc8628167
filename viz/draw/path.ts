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

/** The `d` of a path through points; `across`: it leaves and reaches its ends sideways. */
export const wayPath = (points: readonly Point[], across = false): string =>
  (across ? sideways : upright)([...points]) ?? ''
