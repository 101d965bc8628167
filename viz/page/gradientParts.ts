/** What the panel says of gradients: where that of a node is, which nodes its rule made, and how an estimator differs from the derivative. */
import { nodeName, number } from '../draw/words.js'
import type { SceneCurve, SceneNode } from '../scene/scene.js'
import { curveChart } from './curveChart.js'
import { histogramChart } from './charts.js'
import { button, el } from './dom.js'
import { links, section, type PanelContext } from './parts.js'

const go = (c: PanelContext, before: string, id: string): Node => {
  const n = c.index.node.get(id)
  return el(
    'p',
    {},
    before,
    button(n === undefined ? id : nodeName(n), () => c.go(id)),
  )
}

/** The size of a gradient, where it was observed. */
const sizeOf = (c: PanelContext, id: string): readonly Node[] => {
  const x = c.index.scene.observed[id]
  if (x === undefined) return []
  const range = el('p', { class: 'range' }, x.count === 1 ? number(x.min) : `${number(x.min)} … ${number(x.max)}`)
  return x.bins.length === 0 || x.count === 1 ? [range] : [histogramChart(x), range]
}

const forward = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const made = c.index.scene.nodes.filter((m) => m.backwardOf === n.id).map((m) => m.id)
  if (n.cotangent === undefined) return []
  return section(
    'Gradient',
    go(c, 'With respect to its value: ', n.cotangent),
    ...sizeOf(c, n.cotangent),
    ...(made.length === 0
      ? ['Its rule made no node: it hands the gradient on as it is.']
      : [
          el('p', { class: 'soft' }, `Its rule made ${made.length} ${made.length === 1 ? 'node' : 'nodes'}:`),
          links(c, made),
        ]),
  )
}

const backward = (c: PanelContext, n: SceneNode): readonly Node[] => [
  ...(n.gradientOf === undefined ? [] : section('Gradient of', n.gradientOf)),
  ...(n.backwardOf === undefined ? [] : section('Belongs to', go(c, 'Made by the rule of ', n.backwardOf))),
]

const estimator = (n: SceneNode, curve: SceneCurve | undefined): readonly Node[] =>
  n.estimator === undefined
    ? []
    : section(
        'Its gradient is an estimate',
        n.estimator,
        ...(curve === undefined
          ? []
          : [
              curveChart(curve),
              ...(curve.note === '' ? [] : [el('p', { class: 'soft' }, `Over ${curve.unit}: ${curve.note}.`)]),
            ]),
      )

/** The part of the panel about gradients. */
export const gradientParts = (c: PanelContext, n: SceneNode): readonly Node[] => [
  ...estimator(n, n.curve === undefined ? undefined : c.index.scene.curves[n.curve]),
  ...(n.side === 'backward' ? backward(c, n) : forward(c, n)),
]
