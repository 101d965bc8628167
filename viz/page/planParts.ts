/** What the panel says of the compiler: counts after each pass, and what became of a node. */
import type { SceneNode } from '../scene/scene.js'
import { el } from './dom.js'
import { section, type PanelContext } from './parts.js'

const some = (n: number, one: string): string => `${n} ${one}${n === 1 ? '' : 's'}`

/** Before and after every pass; nothing without a plan. */
export const passParts = (c: PanelContext): readonly Node[] => {
  const { plan } = c.index.scene
  if (plan === undefined) return []
  const p = plan.passes
  const collecting = plan.phases.filter((t) => t.phase === 'collecting').length
  const rows = [
    ['traced', some(p.programNodes, 'node'), 'branches of phases not counted'],
    [
      'flattened',
      some(p.flatNodes, 'node'),
      `${some(plan.phases.length, 'phase')} decided, ${collecting} collecting; views, equal nodes and dead code gone; rewritten for the kernels`,
    ],
    ['levelled', some(plan.levels, 'level'), 'a level needs nothing of its own but what its loop makes'],
    ['fused', `${some(p.loops, 'loop')}, ${some(p.kernels, 'kernel')}`, `${some(p.hostSteps, 'step')} on the host`],
    [
      'placed',
      `${(plan.bytes / 1024).toFixed(1)} KiB`,
      `${some(p.storedValues, 'value')} stored, ${some(p.inPlace, 'step')} in place`,
    ],
  ]
  return section(
    'What each pass of the compiler left',
    ...rows.map(([name, count, text]) =>
      el('p', {}, el('b', {}, `${name}: ${count}`), el('span', { class: 'soft' }, ` ${text}`)),
    ),
  )
}

/** What became of a node. */
export const fateParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const { plan, nodes } = c.index.scene
  if (plan === undefined || !nodes.some((x) => x.id === n.id)) return []
  const found = plan.steps.flatMap((s, k) => (s.nodes.includes(n.id) ? [{ s, k }] : []))
  if (found.length === 0)
    return section(
      'In the plan',
      'No step: an input, a constant, a view of its operand, merged with an equal node, or not needed.',
    )
  return section(
    'In the plan',
    ...found.map(
      ({ s, k }) =>
        `Step ${k}, level ${s.level}, ${s.on === 'host' ? 'on the host' : s.kernel}${s.ops > 1 ? `, in one pass with ${s.ops - 1} more` : ''}${s.once ? ', done once' : ''}: ${s.stores.length === 0 ? 'stores nothing' : `stores at ${s.stores.join(', ')}`}.`,
    ),
  )
}
