/** Two programs as one file: both drawings level with each other, what differs between them, a panel for each side. */
import type { Program } from '../../src/graph/program.js'
import { htmlDocument } from '../document.js'
import { escapeJSON, escapeText } from '../draw/mark.js'
import { pairAssets } from '../generated/assets.js'
import { helpDialog, lineLegend, overlayButtons, overlayLegends, phrase, policy, type Keys } from '../shell.js'
import { stepsTable } from '../steps.js'
import { packPair } from './pack.js'
import { pairOf, type PairOptions } from './scene.js'

const KEYS: Keys = [
  ['n  p', 'next, previous difference'],
  ['arrows', 'along the lines, and sideways to the twin'],
  ['Enter', 'open or close a layer on both sides'],
  ['Esc', 'deselect'],
  ['f', 'fit the window'],
  ['+  −', 'zoom'],
]

/** The whole file. */
export const toPairHtml = (programs: readonly [Program, Program], options: PairOptions = {}): string => {
  const pair = pairOf(programs, options)
  const [a, b] = pair.scenes
  return htmlDocument({
    title: pair.title,
    policy: policy(pairAssets),
    kind: 'pair',
    head: `<style>${pairAssets.style}</style>\n`,
    body: `<header>
<h1>${escapeText(pair.title)}</h1><span class="mode">${a.mode === b.mode ? a.mode : `${a.mode} · ${b.mode}`}</span>
<button type="button" id="theme" aria-pressed="false">Dark</button>
<button type="button" id="ask" aria-label="Keys and help">?</button>
</header>
<section id="sentence" aria-label="In short"><p>${pair.sentence.map(phrase).join('')}</p></section>
<aside id="panel-0" aria-label="Left: ${escapeText(a.title)}" tabindex="0"></aside>
<main aria-label="Two programs as graphs, side by side">
<svg id="canvas" role="group" aria-label="Two graphs, level with each other: values flow from top to bottom" tabindex="-1"></svg>
<div id="tools"><button type="button" id="next">Next difference</button><button type="button" id="fit">Fit</button><button type="button" id="details" aria-pressed="false">Scales</button><button type="button" id="expand">Expand all</button><button type="button" id="collapse">Collapse</button>${overlayButtons(a, b)}<output id="note"></output></div>
</main>
<aside id="panel-1" aria-label="Right: ${escapeText(b.title)}" tabindex="0"></aside>
${b.steps === undefined ? stepsTable(a) : stepsTable(b)}<footer>${lineLegend}<span>Between the halves: what differs. Dashed frame: on this side only</span>${overlayLegends(a, b)}</footer>
${helpDialog(KEYS)}
<script type="application/json" id="scene">${escapeJSON(packPair(pair))}</script>
<script>${pairAssets.script}</script>
`,
  })
}
