/** The picture of a front: loss over cost, the chosen plan marked, values at each point. Pure; d3 gives scales and the curve. */
import { curveStepAfter, extent, line, scaleLinear, scaleLog, type ScaleContinuousNumeric } from 'd3'
import { number } from '../draw/words.js'
import { mark, type Mark } from '../draw/mark.js'
import type { FrontPoint, Unit } from './points.js'

/** The size of the drawing. */
export const SIZE = { width: 760, height: 440 }
const INSIDE = { left: 72, right: 24, top: 24, bottom: 56 }
const TIP = { width: 320, line: 17 }

const UNITS: { readonly [unit in Unit]: string } = {
  bytes: 'bytes of weights',
  bitOperations: 'bit operations of one sample',
}

type Scale = ScaleContinuousNumeric<number, number>
type Axes = { readonly x: Scale; readonly y: Scale }

/** A number as short as it can be read: `1.2M`. */
const short = (n: number): string => {
  const [size, sign] = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ].find(([s]) => n >= Number(s)) ?? [1, '']
  return `${Number((n / Number(size)).toPrecision(3))}${sign}`
}

/** A range that is none is widened, so that its only value stands in the middle. */
const range = (values: readonly number[]): readonly [number, number] => {
  const [low = 0, high = 1] = extent(values)
  return low === high ? [low / 2, high === 0 ? 1 : high * 2] : [low, high]
}

/** Losses on a logarithmic axis where they are far apart; those that are 0 stand at its foot. */
const axesOf = (points: readonly FrontPoint[]): Axes => {
  const x = scaleLinear([...range(points.map((p) => p.cost))], [INSIDE.left, SIZE.width - INSIDE.right]).nice()
  const losses = points.map((p) => p.loss)
  const positive = losses.filter((l) => l > 0)
  const [low, high] = range(positive.length === 0 ? [0] : positive)
  const up: [number, number] = [SIZE.height - INSIDE.bottom, INSIDE.top]
  if (low <= 0 || high / low < 50) return { x, y: scaleLinear([0, high], up).nice() }
  return { x, y: scaleLog([losses.includes(0) ? low / 2 : low, high], up).clamp(true) }
}

const at = (n: number): number => Math.round(n * 10) / 10

const xAxis = ({ x }: Axes): readonly Mark[] => {
  const base = SIZE.height - INSIDE.bottom
  return [
    mark('line', 'x', { class: 'axis', x1: INSIDE.left, x2: SIZE.width - INSIDE.right, y1: base, y2: base }),
    ...x
      .ticks(6)
      .map((t) =>
        mark('text', `x${t}`, { class: 'tick', x: at(x(t)), y: base + 18, 'text-anchor': 'middle' }, short(t)),
      ),
  ]
}

const yAxis = ({ y }: Axes): readonly Mark[] =>
  // A logarithmic scale gives all of its minor ticks: those that begin a decade are enough.
  y
    .ticks(5)
    .filter((t, _, all) => all.length <= 8 || /^1(e|$)|^0\.0*1$|^10*$/.test(String(t)))
    .flatMap((t) => [
      mark('line', `g${t}`, {
        class: 'grid',
        x1: INSIDE.left,
        x2: SIZE.width - INSIDE.right,
        y1: at(y(t)),
        y2: at(y(t)),
      }),
      mark(
        'text',
        `y${t}`,
        { class: 'tick', x: INSIDE.left - 8, y: at(y(t)) + 4, 'text-anchor': 'end' },
        String(t).replace('-', '−'),
      ),
    ])

/** Text in lines of some length, cut between its parts. */
const wrapped = (text: string, most: number, lines: number): readonly string[] => {
  const out: string[] = ['']
  for (const part of text.split(', ')) {
    const last = out[out.length - 1]
    const next = last === '' ? part : `${last}, ${part}`
    if (next.length <= most) out[out.length - 1] = next
    else if (out.length < lines) out.push(part)
    else return [...out.slice(0, -1), `${last}, …`]
  }
  return out
}

/** What is said of a point. */
export const saidOf = (p: FrontPoint, unit: Unit): string =>
  `${p.is === 'chosen' ? 'chosen: ' : ''}${number(p.cost)} ${UNITS[unit]}, loss ${number(p.loss)}: ${p.says}`

const tipOf = (p: FrontPoint, [px, py]: readonly [number, number]): Mark => {
  const lines = [`cost ${number(p.cost)}, loss ${number(p.loss)}`, ...wrapped(p.says, 46, 2)]
  const x = Math.min(Math.max(px - TIP.width / 2, 4), SIZE.width - TIP.width - 4)
  const height = lines.length * TIP.line + 13
  const y = py > height + 20 ? py - height - 14 : py + 14
  return mark('g', 'tip', { class: 'tip', 'aria-hidden': 'true' }, [
    mark('rect', 'box', { x: at(x), y: at(y), width: TIP.width, height, rx: 6 }),
    ...lines.map((l, k) => mark('text', `l${k}`, { x: at(x) + 10, y: at(y) + 19 + k * TIP.line }, l)),
  ])
}

const RADIUS = { front: 4, chosen: 8, uniform: 5 } as const

const pointMark = (p: FrontPoint, k: number, { x, y }: Axes, unit: Unit): Mark => {
  const place = [x(p.cost), y(p.loss)] as const
  return mark(
    'g',
    `p${k}`,
    {
      class: `point ${p.is}`,
      'data-point': p.is,
      'data-cost': p.cost,
      'data-loss': p.loss,
      role: 'img',
      tabindex: 0,
      'aria-label': saidOf(p, unit),
    },
    [
      mark('title', 'title', {}, saidOf(p, unit)),
      mark('circle', 'hit', { class: 'hit', cx: at(place[0]), cy: at(place[1]), r: 11 }),
      mark('circle', 'dot', { class: 'dot', cx: at(place[0]), cy: at(place[1]), r: RADIUS[p.is] }),
      tipOf(p, place),
    ],
  )
}

/** The words beside the chosen point, and beside those of equal bits. */
const labels = (points: readonly FrontPoint[], { x, y }: Axes): readonly Mark[] =>
  points.flatMap((p, k): readonly Mark[] => {
    if (p.is === 'front') return []
    const text = p.is === 'chosen' ? 'chosen' : p.says.replace('all layers ', '')
    const right = x(p.cost) > SIZE.width - 110
    const place = {
      x: at(x(p.cost) + (right ? -13 : 13)),
      y: at(y(p.loss) - 8),
      'text-anchor': right ? 'end' : 'start',
    }
    return [mark('text', `label${k}`, { class: `name ${p.is}`, ...place, 'aria-hidden': 'true' }, text)]
  })

/** All marks of the picture. */
export const frontMarks = (points: readonly FrontPoint[], unit: Unit): readonly Mark[] => {
  const axes = axesOf(points)
  const front = points.filter((p) => p.is !== 'uniform').toSorted((a, b) => a.cost - b.cost)
  const curve = line<FrontPoint>()
    .x((p) => at(axes.x(p.cost)))
    .y((p) => at(axes.y(p.loss)))
    .curve(curveStepAfter)
  return [
    ...yAxis(axes),
    ...xAxis(axes),
    mark(
      'text',
      'xname',
      { class: 'tick', x: SIZE.width - INSIDE.right, y: SIZE.height - 14, 'text-anchor': 'end' },
      UNITS[unit],
    ),
    mark('text', 'yname', { class: 'tick', x: 8, y: 14 }, 'loss'),
    mark('path', 'curve', { class: 'curve', d: curve(front) ?? '' }),
    ...labels(points, axes),
    ...points.map((p, k) => pointMark(p, k, axes, unit)),
  ]
}
