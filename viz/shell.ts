/** The page around the drawing: header, sentence, panel, legend, help. All names are escaped; nothing is fetched. */
import { htmlDocument } from './document.js'
import { SCISSORS } from './draw/lines.js'
import { escapeJSON, escapeText } from './draw/mark.js'
import { overlays, type Colouring } from './overlays/index.js'
import { pack } from './scene/pack.js'
import { hasBackward } from './scene/sides.js'
import type { Phrase, Scene, SceneLog } from './scene/scene.js'
import { stepsTable } from './steps.js'

/** What the page is made of besides the scene, with the hashes that its policy allows. */
export type Assets = {
  readonly script: string
  readonly scriptHash: string
  readonly style: string
  readonly styleHash: string
}

const TONE = { plain: '', good: 'good', claimed: 'claimed-text', stripped: 'stripped-text' } as const

/** A part of the sentence: text, or a button that lights what it counts. */
export const phrase = (p: Phrase, i: number): string =>
  p.targets === undefined
    ? escapeText(p.text)
    : `<button type="button" class="${TONE[p.tone]}" data-phrase="${i}">${escapeText(p.text)}</button>`

const sample = (name: string, classes: string, width: number, text: string, glyph = ''): string =>
  `<span><svg class="scene" viewBox="0 0 34 12" aria-hidden="true"><g class="line ${classes}"><path class="way" d="M0 6H34" stroke-width="${width}"/>${glyph === '' ? '' : `<circle class="ring" cx="17" cy="6" r="6"/><path class="scissors" transform="translate(17 6) scale(.62)" d="${glyph}"/>`}</g></svg>${name}${text}</span>`

/** What the lines mean. */
export const lineLegend = [
  sample('carries', 'carries hue0', 3.6, ': width = bits, colour and core = scale'),
  sample('claimed', 'claimed', 3, ': kept, but maybe off its grid'),
  sample('stripped', 'stripped', 2, ': lost here', SCISSORS),
  sample('float', 'float', 1, ': never quantized'),
].join('')

/** The overlays that have something to show of one scene, or of either of two. */
const shownBy = (scenes: readonly Scene[]): readonly Colouring[] =>
  overlays.filter((o) => scenes.some((s) => o.knows(s)))

/** A button for each overlay, of which one at a time is pressed. */
export const overlayButtons = (...scenes: readonly Scene[]): string =>
  shownBy(scenes)
    .map(
      ({ id, button, title }) =>
        `<button type="button" id="${id}s" data-overlay="${id}" aria-pressed="false" title="${escapeText(title)}">${escapeText(button)}</button>`,
    )
    .join('')

/** What the colours of each overlay mean; shown with it. */
export const overlayLegends = (...scenes: readonly Scene[]): string =>
  shownBy(scenes)
    .map(({ id, legend: { says, classes } }) => {
      const swatches = classes.flatMap((t, k) => (t === '' ? [] : [`<i class="swatch ${id}${k}">${escapeText(t)}</i>`]))
      return `<span id="${id}-legend" class="swatches" data-with="${id}" hidden>${escapeText(says)} ${swatches.join('')}</span>`
    })
    .join('')

const below = (scene: Scene): string => `${profileTable(scene)}${stepsTable(scene)}${timeline(scene)}`

const profileTable = (scene: Scene): string =>
  scene.profile === undefined
    ? ''
    : '<section id="profile" class="below" data-with="time" aria-label="Where the time goes, step by step" tabindex="0" hidden></section>\n'

/** Only where there is a backward pass. */
const sideButtons = (scene: Scene): string =>
  hasBackward(scene)
    ? `<span role="group" aria-label="Pass" class="choice">${[
        ['forward', 'Forward'],
        ['backward', 'Backward'],
        ['both', 'Both'],
      ]
        .map(
          ([id, text]) => `<button type="button" data-side="${id}" aria-pressed="${id === 'forward'}">${text}</button>`,
        )
        .join('')}</span>`
    : ''

const key = (mark: string, text: string): string =>
  `<span class="key"><svg viewBox="0 0 16 12" aria-hidden="true">${mark}</svg>${text}</span>`

/** What the lines and dots of the time axis mean, of those that occur. */
const timeLegendOf = (log: SceneLog): string =>
  [
    ...(new Set(log.epochs).size > 1 ? [key('<path class="epoch" d="M8 0V12"/>', 'epoch')] : []),
    ...(log.tracks.some((t) => t.learnedAt !== null)
      ? [key('<path class="switch" d="M8 0V12"/>', 'scales learned')]
      : []),
    ...(log.tracks.some((t) => t.statistic.some((v) => v !== null))
      ? [key('<circle class="batch" cx="8" cy="6" r="2.5"/>', 'batch statistic')]
      : []),
  ].join('')

/** Only where there is a training log. */
const timeline = (scene: Scene): string =>
  scene.log === undefined
    ? ''
    : `<section id="timeline" aria-label="Training, step by step">
<div class="bar"><h2>Training</h2><output id="at" for="step"></output>${timeLegendOf(scene.log)}<input type="range" id="step" min="0" max="${scene.log.steps.length - 1}" step="1" value="${scene.log.steps.length - 1}" aria-label="Step of training"><button type="button" id="latest" disabled>To the end</button></div>
<svg id="history" role="img" aria-label="Loss, accuracy, scales, learned bit widths and statistics over the steps of training; the step axis is a square-root axis"></svg>
</section>
`

const legend = `${lineLegend}<span><b class="good">int</b><b class="stripped-text">float</b>how it multiplies</span>`

/** Keys, and what they do. */
export type Keys = readonly (readonly [key: string, text: string])[]

const KEYS: Keys = [
  ['n  p', 'next, previous place where metadata is lost or doubtful'],
  ['arrows', 'along the lines, and sideways'],
  ['Enter', 'open or close a layer'],
  ['Esc', 'deselect'],
  ['/', 'search'],
  ['f', 'fit the window'],
  ['+  −', 'zoom'],
]

/** The dialog that tells the keys. */
export const helpDialog = (keys: Keys): string =>
  `<dialog id="help" aria-labelledby="help-title"><h2 id="help-title">Keys</h2><dl>${keys.map(([k, text]) => `<dt><kbd>${k}</kbd></dt><dd>${text}</dd>`).join('')}</dl><button type="button" id="close">Close</button></dialog>`

/** The policy of a page: its own script and style, and nothing else. */
export const policy = (a: Assets): string =>
  `default-src 'none'; script-src 'sha256-${a.scriptHash}'; style-src 'sha256-${a.styleHash}'; img-src data:; base-uri 'none'; form-action 'none'`

/** What may stand in the frame besides the scene, as markup: above the drawing, at its left, below it, among its tools, in the legend. */
export type Slots = {
  readonly above?: string
  readonly left?: string
  readonly below?: string
  readonly tools?: string
  readonly signs?: string
}

/** The frame of a page: everything in its body but data and script. */
export const frame = (scene: Pick<Scene, 'title' | 'mode' | 'sentence'>, slots: Slots = {}): string => `<header>
<h1>${escapeText(scene.title)}</h1><span class="mode">${scene.mode}</span>
<input id="search" type="search" list="names" placeholder="Search  /" aria-label="Search layers and nodes" autocomplete="off"><datalist id="names"></datalist>
<button type="button" id="theme" aria-pressed="false">Dark</button>
<button type="button" id="ask" aria-label="Keys and help">?</button>
</header>
<section id="sentence" aria-label="In short"><p>${scene.sentence.map(phrase).join('')}</p></section>
${slots.above ?? ''}${slots.left ?? ''}<main aria-label="The program as a graph">
<svg id="canvas" role="group" aria-label="Graph: values flow from top to bottom" tabindex="-1"></svg>
<div id="tools"><button type="button" id="fit">Fit</button><button type="button" id="details" aria-pressed="false">Scales</button><button type="button" id="expand">Expand all</button><button type="button" id="collapse">Collapse</button>${slots.tools ?? ''}<output id="where" aria-live="off"></output><output id="note"></output></div>
<svg id="minimap" class="whole" aria-hidden="true" preserveAspectRatio="xMidYMid meet"></svg>
</main>
<aside id="panel" aria-label="Details" tabindex="0"></aside>
${slots.below ?? ''}<footer>${legend}${slots.signs ?? ''}</footer>
${helpDialog(KEYS)}`

/** The whole file. */
export const shell = (scene: Scene, a: Assets): string =>
  htmlDocument({
    title: scene.title,
    policy: policy(a),
    head: `<style>${a.style}</style>\n`,
    body: `${frame(scene, { tools: `${overlayButtons(scene)}${sideButtons(scene)}`, below: below(scene), signs: `${scene.nodes.some((n) => n.estimator !== undefined) ? '<span><b>∂ est.</b>estimated gradient</span>' : ''}${overlayLegends(scene)}` })}
<script type="application/json" id="scene">${escapeJSON(pack(scene))}</script>
<script>${a.script}</script>
`,
  })
