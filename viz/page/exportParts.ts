/** What the panel says of an export: what the model can't say of a node, of a layer, or at all. */
import type { SceneExport } from '../scene/scene.js'
import { el } from './dom.js'
import { section, type PanelContext, type Part } from './parts.js'

type Entry = SceneExport['entries'][number]

const NAMES: { readonly [target in SceneExport['target']]: string } = { qcdq: 'QCDQ', qonnx: 'QONNX' }
const MOST = 6

const entryParts = (e: Entry): readonly Part[] => [
  el('p', {}, e.what),
  el('p', { class: 'soft' }, `Instead: ${e.instead}.`),
  el('p', { class: 'soft' }, `Fix: ${e.fix}.`),
]

const listed = (title: string, entries: readonly Entry[]): readonly Node[] =>
  section(
    title,
    ...entries.slice(0, MOST).flatMap(entryParts),
    ...(entries.length > MOST ? [`and ${entries.length - MOST} more`] : []),
  )

/** Of a node, or of all that is in a layer; nothing where no report was given, or it has nothing to say of it. */
export const exportParts = (c: PanelContext, id: string): readonly Node[] => {
  const { exported } = c.index.scene
  if (exported === undefined) return []
  const within = (about: string): boolean =>
    about === id || about.startsWith(`${id}.`) || `${c.index.node.get(about)?.box ?? ''}.`.startsWith(`${id}.`)
  return listed(
    `As ${NAMES[exported.target]}`,
    exported.entries.filter((e) => e.about.some(within)),
  )
}

/** Of the whole: how much there is, and what concerns no single layer. */
export const exportSummary = (c: PanelContext): readonly Node[] => {
  const { exported } = c.index.scene
  if (exported === undefined) return []
  const name = NAMES[exported.target]
  const count = (severity: Entry['severity']): number => exported.entries.filter((e) => e.severity === severity).length
  const counts = [
    [count('blocking'), 'refused'],
    [count('warning'), 'in bare floats'],
    [count('note'), 'said by other means'],
  ].flatMap(([n, what]) => (n === 0 ? [] : [`${n} ${what}`]))
  const whole = exported.entries.filter((e) => e.about.length === 0)
  return [
    ...section(
      `As ${name}`,
      counts.length === 0 ? `${name} says all that the program says.` : `${counts.join(', ')}.`,
      ...whole.slice(0, MOST).flatMap(entryParts),
    ),
  ]
}
