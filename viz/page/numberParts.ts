/** Part of the panel: the numbers of a run, and the bits that they waste. */
import { number } from '../draw/words.js'
import type { SceneNode, SceneNumbers } from '../scene/scene.js'
import { histogramChart } from './charts.js'
import { el } from './dom.js'
import { codeOf, numbersFor, section, type PanelContext } from './parts.js'

const share = (x: number): string => `${(x * 100).toFixed(x > 0 && x < 0.001 ? 3 : 1)} %`

const endLines = ({ clipped, atEnds }: SceneNumbers): readonly Node[] => {
  if (clipped !== undefined)
    return [el('p', { class: 'soft' }, `clipped: ${share(clipped[0])} below, ${share(clipped[1])} above`)]
  if (atEnds === undefined) return []
  return [el('p', { class: 'soft' }, `at the ends: ${share(atEnds[0])} low, ${share(atEnds[1])} high`)]
}

const gridLines = (n: SceneNode, x: SceneNumbers): readonly Node[] =>
  x.usedBits === undefined
    ? [el('p', { class: 'range' }, `${number(x.min)} … ${number(x.max)}`)]
    : [
        el(
          'p',
          { class: 'range' },
          `${x.usedBits.toFixed(1)} of ${n.bits ?? '?'} bits used${x.levels === undefined ? '' : `, ${number(x.levels)} of ${number(2 ** (n.bits ?? 0))} integers occur`}`,
        ),
        ...endLines(x),
        ...(x.sqnr === undefined
          ? []
          : [
              el(
                'p',
                { class: 'soft' },
                x.sqnr === null
                  ? 'quantization changed nothing'
                  : `signal over quantization noise: ${x.sqnr.toFixed(1)} dB`,
              ),
            ]),
      ]

/** The values of a node in a run. */
export const numberParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const x = numbersFor(c, n)
  if (x === undefined || x.count === 0 || (n.side === 'backward' && x.bins.length === 0)) return []
  const single = x.count === 1
  const plainTitle = single ? 'Value' : 'Values'
  return section(
    x.usedBits === undefined ? plainTitle : 'Over the integer grid',
    ...(single || x.bins.length === 0 ? [] : [histogramChart(x)]),
    ...(single ? [el('p', { class: 'range' }, number(x.min))] : gridLines(n, x)),
    ...(x.nonfinite > 0
      ? [
          el(
            'p',
            { class: 'stripped-text' },
            `${x.nonfinite} of ${x.count} values are NaN or ∞${c.index.scene.nonfinite.includes(n.id) ? ': they were first made here' : ''}`,
          ),
        ]
      : []),
  )
}

const place = (c: PanelContext, id: string): string => {
  const n = c.index.node.get(id)
  return n === undefined || n.box === '' ? `%${id}` : n.box
}

/** Bits that a quantizer wastes. */
export const wasteParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const w = c.index.scene.wasted.find((x) => x.node === n.id || x.calls.includes(n.id))
  return w === undefined
    ? []
    : [
        el(
          'p',
          { class: 'tag claimed-text' },
          `${w.node === n.id ? 'Wastes' : `At ${place(c, w.node)} it wastes`} ${(w.bits - w.used).toFixed(1)} of ${w.bits} bits`,
        ),
        ...w.advice.flatMap((a) => [el('p', {}, a.text), ...(a.code === undefined ? [] : [codeOf(a.code)])]),
      ]
}
