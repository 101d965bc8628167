/** Lines as smooth paths that leave and reach their ends vertically. */
import { curveBumpY, line } from 'd3'
import type { Point } from '../scene/level.js'

const smooth = line<Point>().x((p) => round(p[0])).y((p) => round(p[1])).curve(curveBumpY)
const round = (x: number): number => Math.round(x * 10) / 10

/** The `d` of a path through points. */
export const wayPath = (points: readonly Point[]): string => smooth([...points]) ?? ''
