/** What each step of a quantization gained, as a table: a row for each layer, a column for each step. */
import { escapeText } from './draw/mark.js'
import { dBClass, dBText } from './overlays/drift.js'
import { decibels } from './scene/steps.js'
import type { Scene, SceneSteps } from './scene/scene.js'

/** What a step gained over the one before it, with its sign; empty where there is nothing to compare. */
const gainOf = (now: number, before: number | null): string => {
  const gain = before === null ? NaN : now - before
  if (!Number.isFinite(gain)) return ''
  return gain < 0 ? `−${(-gain).toFixed(1)}` : `+${gain.toFixed(1)}`
}

const cell = (error: number | null, before: number | null): string => {
  if (error === null) return '<td></td>'
  const dB = decibels(error)
  const gain = gainOf(dB, before === null ? null : decibels(before))
  return `<td><i class="swatch drift${dBClass(dB)}">${dBText(dB)}</i>${gain === '' ? '' : ` <span class="soft">${gain}</span>`}</td>`
}

const row = ({ path, box, errors }: SceneSteps['layers'][number]): string => {
  const name = escapeText(path === '' ? 'results' : path)
  const head = box === null ? name : `<button type="button" data-go="${escapeText(box)}">${name}</button>`
  return `<tr><th scope="row">${head}</th>${errors.map((e, k) => cell(e, errors[k - 1] ?? null)).join('')}</tr>`
}

/** The section of a page, shown with the overlay; empty where no steps are known. */
export const stepsTable = ({ steps }: Pick<Scene, 'steps'>): string =>
  steps === undefined || steps.layers.length === 0
    ? ''
    : `<section id="steps" class="below" data-with="drift" aria-label="What each step gained, layer by layer" tabindex="0" hidden>
<h2>From float</h2><span class="soft">results of the float network over the error of these, in dB (6 are a bit), and what each step gained</span>
<table><thead><tr><th scope="col">Layer</th>${steps.names.map((n) => `<th scope="col">${escapeText(n)}</th>`).join('')}</tr></thead><tbody>${steps.layers.map(row).join('')}</tbody></table>
</section>
`
