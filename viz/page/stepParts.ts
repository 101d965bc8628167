/** How the values of a node go from step to step of its loop: a strip from the least to the largest with the mean in it, and what a quantizer cut off. */
import { area, extent, line, max, min, scaleLinear } from 'd3'
import { number } from '../draw/words.js'
import type { SceneNode, SceneSeries } from '../scene/scene.js'
import { el, svgEl } from './dom.js'
import { section, type PanelContext } from './parts.js'

const SIZE = { width: 320, height: 84, top: 4, base: 68 }
/** The height of the strip of what was cut off, at the foot of the other. */
const CUT = 14

const percent = (x: number): string => `${(x * 100).toFixed(x > 0 && x < 0.001 ? 3 : 1)} %`

const said = (s: SceneSeries): string => {
  const steps = s.mean.length
  return `${steps} ${steps === 1 ? 'step' : 'steps'}: ${number(min(s.min) ?? NaN)} … ${number(max(s.max) ?? NaN)}, mean ${number(min(s.mean) ?? NaN)} … ${number(max(s.mean) ?? NaN)}`
}

const cutOff = ({ clipped }: SceneSeries): readonly string[] => {
  if (clipped === undefined) return []
  const most = max(clipped) ?? 0
  return [
    most === 0
      ? 'Nothing was clipped in any step.'
      : `Clipped: at most ${percent(most)}, in step ${clipped.indexOf(most)}.`,
  ]
}

/** The strip. */
export const stripChart = (s: SceneSeries): SVGElement => {
  const last = Math.max(1, s.mean.length - 1)
  const svg = svgEl('svg', {
    class: 'chart strip',
    viewBox: `0 0 ${SIZE.width} ${SIZE.height}`,
    role: 'img',
    'aria-label': `Values over ${said(s)}`,
  })
  const x = scaleLinear([0, last], [0, SIZE.width])
  const [lo, hi] = extent([...s.min, ...s.max])
  const y = scaleLinear([lo ?? 0, hi ?? 1], [SIZE.base - (s.clipped === undefined ? 2 : CUT + 4), SIZE.top])
  const steps = s.mean.map((_, i) => i).filter((i) => Number.isFinite(s.mean[i]))
  const band = area<number>(
    (i) => x(i),
    (i) => y(s.min[i]),
    (i) => y(s.max[i]),
  )
  const mean = line<number>(
    (i) => x(i),
    (i) => y(s.mean[i]),
  )
  svg.append(
    svgEl('path', { class: 'band', d: band(steps) ?? '' }),
    svgEl('path', { class: 'mean', d: mean(steps) ?? '' }),
    ...(s.clipped ?? []).flatMap((share, i) =>
      share > 0
        ? [
            svgEl('rect', {
              class: 'end',
              x: Math.max(0, Math.min(SIZE.width - 3, x(i) - 1.5)),
              y: SIZE.base - Math.max(1, share * CUT),
              width: 3,
              height: Math.max(1, share * CUT),
            }),
          ]
        : [],
    ),
    svgEl('line', { x1: 0, x2: SIZE.width, y1: SIZE.base, y2: SIZE.base }),
    svgEl('text', { x: 0, y: SIZE.height - 2 }, 'step 0'),
    svgEl('text', { x: SIZE.width, y: SIZE.height - 2, 'text-anchor': 'end' }, `step ${s.mean.length - 1}`),
  )
  return svg
}

/** What the panel says of a node of a body. */
export const stepParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const s = c.index.scene.series?.[n.id]
  if (s !== undefined)
    return section('Over the steps of the loop', stripChart(s), el('p', { class: 'soft' }, said(s)), ...cutOff(s))
  return n.step === true
    ? section(
        'Over the steps of the loop',
        el(
          'p',
          { class: 'soft' },
          'Numbers appear when the page is given them: toHtml(program, { overSteps }), of a run with observeStep.',
        ),
      )
    : []
}
