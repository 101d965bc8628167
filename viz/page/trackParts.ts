/** What the panel says of a quantizer in training: when its scale was learned, and its numbers at the step that is shown. */
import { trackOf } from '../draw/overlay.js'
import { number } from '../draw/words.js'
import type { SceneNode } from '../scene/scene.js'
import { el } from './dom.js'
import { section, type PanelContext } from './parts.js'

const shown = (v: number | null | undefined): string => (v === null || v === undefined ? '–' : number(v))

/** The part of the panel about the training log. */
export const trackParts = (c: PanelContext, n: SceneNode): readonly Node[] => {
  const { log } = c.index.scene
  const track = n.scale === undefined ? undefined : trackOf(c.index.scene, n.scale)
  if (log === undefined || track === undefined) return []
  const i = c.at() ?? log.steps.length - 1
  const step = log.steps[i]
  const how =
    track.learnedAt === null
      ? []
      : [
          step < track.learnedAt
            ? `Still a running statistic; learned from step ${track.learnedAt} on.`
            : `A running statistic until step ${track.learnedAt - 1}, learned since.`,
        ]
  return section(
    `At step ${step} of training`,
    el(
      'p',
      { class: 'range' },
      `s = ${shown(track.scale[i])}, z = ${shown(track.zeroPoint[i])}${track.bits[i] === null ? '' : `, ${shown(track.bits[i])} bits (learned)`}`,
    ),
    ...(track.buffer[i] === null
      ? []
      : [
          el(
            'p',
            { class: 'soft' },
            `running statistic ${shown(track.buffer[i])}${track.statistic[i] === null ? '' : `, of this batch ${shown(track.statistic[i])}`}`,
          ),
        ]),
    ...how.map((t) => el('p', { class: 'soft' }, t)),
  )
}
