/** What the panel says of a node's or a layer's time: its steps, and with which nodes it shares them. */
import { shareText, sharesOf } from '../overlays/time.js'
import { stepsAt } from '../scene/profile.js'
import type { SceneStep } from '../scene/scene.js'
import { el } from './dom.js'
import { links, section, type PanelContext, type Part } from './parts.js'

const MOST_STEPS = 6

/** Milliseconds as text, below one of them in µs. */
export const timeText = (ms: number): string => (ms < 1 ? `${(ms * 1000).toFixed(1)} µs` : `${ms.toFixed(2)} ms`)

/** What a product runs on. */
export const productText = (s: SceneStep): string =>
  s.product === undefined ? '' : `on ${s.product.runsOn}: ${s.product.why}`

const stepParts = (c: PanelContext, id: string, s: SceneStep, many: boolean): readonly Part[] => {
  const others = many ? [] : s.nodes.filter((n) => n !== id)
  return [
    el('p', {}, `Step ${s.step}, ${s.kernel}: ${timeText(s.ms)}, ${shareText(s.share)}`),
    ...(s.product === undefined ? [] : [el('p', { class: 'soft' }, `Runs ${productText(s)}`)]),
    ...(others.length === 0 ? [] : [el('p', { class: 'soft' }, 'One pass over memory, shared with'), links(c, others)]),
  ]
}

/** The section of times; nothing where the program was not profiled, and a sentence where the plan has no step for the node. */
export const timeParts = (c: PanelContext, id: string): readonly Node[] => {
  const { scene } = c.index
  if (scene.profile === undefined) return []
  const steps = [...stepsAt(scene, id)].sort((a, b) => b.ms - a.ms)
  const [isNode, sum] = [c.index.node.has(id), steps.reduce((t, s) => t + s.share, 0)]
  const own = sharesOf(scene).get(id) ?? 0
  const together = `${steps.length === 1 ? '' : `${steps.length} steps, `}${shareText(sum)} of the time${steps.length === 1 ? '' : ' together'}`
  const part =
    shareText(own) === shareText(sum)
      ? ''
      : `, ${shareText(own)} of it for this: the rest is for what they share it with`
  if (steps.length === 0)
    return isNode && scene.nodes.some((n) => n.id === id)
      ? section(
          'Time',
          'No step of its own: it is an input, a constant, a view, merged with an equal node, or not needed.',
        )
      : []
  return section(
    'Time',
    ...(steps.length === 1 && part === '' ? [] : [`${together}${part}`]),
    ...steps.slice(0, MOST_STEPS).flatMap((s) => stepParts(c, id, s, !isNode)),
    ...(steps.length > MOST_STEPS ? [`and ${steps.length - MOST_STEPS} more steps`] : []),
  )
}
