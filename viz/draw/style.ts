/** The look of the page and of exported drawings: two themes, one set of names. */
import { overlays } from '../overlays/index.js'
import { FAMILY, FONTS, type Style } from '../scene/type.js'

const coloursIn = (theme: 'light' | 'dark'): string =>
  overlays.flatMap(({ id, classes }) => classes[theme].map((colour, k) => `--${id}${k}:${colour};`)).join('')
/** A rule for each class of each overlay. */
const perClass = (rule: (name: string) => string): string =>
  overlays.flatMap(({ id, classes }) => classes.light.map((_, k) => rule(`${id}${k}`))).join('')

const light = `
--paper:#fbfbfa;--panel:#ffffff;--ink:#1b1e23;--soft:#5b626d;--rule:#d9dce1;--node:#ffffff;--group:#f1f3f5;--edge:#8b929c;--focus:#1456d8;
--good:#186a3b;--doubt:#8a5300;--doubt-line:#c97a00;--lost:#b3261e;--code:#f3f4f6;--halo:#fbfbfa;
${coloursIn('light')}
--h0:#2563c9;--h1:#0f8a6d;--h2:#7c4bc4;--h3:#0b7fab;--h4:#b04a93;--h5:#5f7d12;--h6:#4b5bd6;--h7:#8c5a3c;--h8:#5f6b7a;`

const dark = `
--paper:#14171b;--panel:#1b1f24;--ink:#e9ebee;--soft:#a4acb7;--rule:#343a42;--node:#22272e;--group:#1a1e23;--edge:#727b87;--focus:#8ab4ff;
--good:#6fd39a;--doubt:#f2b24c;--doubt-line:#e8a33a;--lost:#ff8a80;--code:#262b32;--halo:#14171b;
${coloursIn('dark')}
--h0:#6ea8ff;--h1:#45c9a5;--h2:#b794f4;--h3:#4cc2ee;--h4:#eb8fd0;--h5:#b5d04f;--h6:#97a3ff;--h7:#d1a184;--h8:#a9b4c2;`

const hues = Array.from(
  { length: 9 },
  (_, i) => `.hue${i} .way{stroke:var(--h${i})}.scene .hue${i} .label{fill:var(--h${i})}`,
).join('')
const fontOf = (style: Style): string => `font-size:${FONTS[style].size}px;font-weight:${FONTS[style].weight}`

const drawing = `
.scene{font:13px/1.4 ${FAMILY};text-rendering:geometricPrecision}
.scene text{fill:var(--ink);font-variant-numeric:tabular-nums}
.scene .title{${fontOf('title')}}
.frame{fill:var(--node);stroke:var(--edge);stroke-width:1}
.item.box .frame{fill:var(--group)}
.item.box.open .frame{fill:var(--group);fill-opacity:.75;stroke:var(--rule)}
.scene .item.box .title{font-weight:${FONTS.strong.weight}}
.item.input .frame,.item.result .frame{fill:var(--paper)}
.item.result .frame{stroke-width:1.5}
.item.const .frame{fill:none;stroke:var(--rule)}
.item.quiet .frame{stroke:var(--rule)}
.item.quiet .title,.scene .item.quiet .sub{fill:var(--soft)}
.scene .sub{fill:var(--soft);font-size:${FONTS.sub.size}px}
.scene .toggle{fill:var(--soft);font-size:15px}
.scene .badge{font-weight:${FONTS.sub.weight}}.scene .item .badge.plain{fill:var(--ink)}
.scene .item .badge.good{fill:var(--good)}.scene .item .badge.lost{fill:var(--lost)}.scene .item .badge.doubt{fill:var(--doubt)}
.item.at-stripped .frame{stroke:var(--lost)}.item.at-stripped.costly .frame{stroke-width:2}
.item.at-claimed .frame{stroke:var(--doubt-line);stroke-width:2;stroke-dasharray:6 3}
.way{fill:none;stroke:var(--edge);stroke-linecap:butt}
.core{fill:none;stroke:var(--halo);stroke-width:1.3;pointer-events:none}.core.ply2{stroke-width:1.8;stroke-dasharray:.01 6;stroke-linecap:round}
.line.back .tip{stroke-dasharray:none;stroke-linejoin:round}.scene .line.back .next{font-weight:400}
.hit{fill:none;stroke:transparent;stroke-width:12}
.line.quiet .way{stroke-opacity:.55}
.claimed .way{stroke:var(--doubt-line);stroke-dasharray:9 4}
.stripped .way{stroke:var(--lost);stroke-dasharray:3 4}.stripped.free .way{stroke-width:1.2;stroke-opacity:.75}
.line.quiet.stripped .way,.line.quiet.claimed .way{stroke-width:1}
.ring{fill:var(--panel);stroke:var(--edge)}
.stripped .ring{stroke:var(--lost);stroke-width:1.5}.claimed .ring{stroke:var(--doubt-line);stroke-width:1.5}
.scissors{fill:none;stroke:var(--lost);stroke-width:1.3;stroke-linecap:round}
.scene .sign{font-size:12px;font-weight:700}
.scene .stripped .sign{fill:var(--lost)}.scene .claimed .sign{fill:var(--doubt)}
.scene .label{${fontOf('label')};paint-order:stroke;stroke:var(--halo);stroke-width:4px;stroke-linejoin:round}
.scene .stripped .label{fill:var(--lost)}.scene .stripped.free .label{fill:var(--soft);font-weight:400}.scene .claimed .label{fill:var(--doubt)}
${hues}
.scene .waste{fill:var(--doubt)}
.item.at-nan .frame{stroke:var(--lost);stroke-width:3}
.item.backward .frame{stroke-dasharray:1.5 2.5;stroke:var(--soft);stroke-linecap:round}.item.backward.box .frame{fill:var(--paper)}
${perClass((c) => `.item.${c}:not(.open) .frame{fill:var(--${c})}`)}`

const page = `
*{box-sizing:border-box}
html{color-scheme:light}html.dark{color-scheme:dark}
body{margin:0;height:100vh;display:grid;grid-template:auto auto minmax(0,1fr)/minmax(0,1fr) 360px;grid-auto-rows:auto;background:var(--paper);color:var(--ink);font:14px/1.5 ${FAMILY}}
header{grid-column:1/-1;display:flex;align-items:center;gap:12px;padding:10px 20px;border-bottom:1px solid var(--rule);background:var(--panel)}
h1{font-size:14px;font-weight:600;margin:0;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.mode{color:var(--soft);margin-right:auto;white-space:nowrap}
button,input{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--rule);border-radius:6px;padding:4px 10px}
button[aria-pressed=true]{border-color:var(--focus);box-shadow:inset 0 0 0 1px var(--focus)}button{cursor:pointer}button:hover{border-color:var(--edge)}
input{width:180px}
:focus-visible{outline:2px solid var(--focus);outline-offset:2px}
.scene [tabindex]:focus{outline:none}
.scene .item:focus-visible .frame{stroke:var(--focus);stroke-width:3}.scene .line:focus-visible .hit{stroke:var(--focus);stroke-opacity:.35}
#sentence{grid-column:1/-1;margin:0;padding:10px 20px;border-bottom:1px solid var(--rule);background:var(--panel);font-size:16px;line-height:1.5}
#sentence p{margin:0}
#sentence button{font:inherit;font-weight:600;padding:0;border:0;border-radius:0;background:none;text-align:left;text-decoration:underline 1.5px;text-underline-offset:.28em;max-width:calc(100% - .6em)}
.good{color:var(--good)}.claimed-text{color:var(--doubt)}.stripped-text{color:var(--lost)}
main{display:grid;grid-template:minmax(0,1fr) auto/minmax(0,1fr) auto;min-height:0;overflow:hidden;--map:129}
#canvas{grid-area:1/1;width:100%;height:calc(100% - 1px);min-height:0;display:block;cursor:grab;touch-action:none}
#canvas.far :is(.sub,.label,.sign),#canvas.farther text{display:none}
.item,.line{cursor:pointer}
.item:hover .frame{stroke:var(--ink)}.line:hover .hit{stroke:var(--ink);stroke-opacity:.09}
.item.selected .frame{stroke:var(--focus);stroke-width:3}.line.selected .hit{stroke:var(--focus);stroke-opacity:.25}
.dimming .item:not(.lit),.dimming .line:not(.lit){opacity:.28}
.dimming .item.open{opacity:1}
#tools{grid-area:2/1/3/-1;display:flex;flex-wrap:wrap;align-items:center;gap:6px;padding:6px 16px;border-top:1px solid var(--rule)}#note,#where{color:var(--soft);font-size:12px}#where{max-width:60ch;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
#minimap{grid-area:1/2;width:128px;margin-left:1px;height:100%;min-height:0;padding:8px;background:var(--panel);border-left:1px solid var(--rule)}
#minimap.whole{display:none}#minimap .dot{fill:var(--edge)}#minimap .dot.lost{fill:var(--lost)}#minimap .dot.doubt{fill:var(--doubt-line)}#minimap .view{fill:none;stroke:var(--focus);stroke-width:1.5;vector-effect:non-scaling-stroke}
aside{grid-column:-2;grid-row:3/span 3;border-left:1px solid var(--rule);background:var(--panel);overflow:auto;padding:16px 20px 28px;min-height:0}
aside h2{font-size:14px;font-weight:600;margin:0 0 2px;overflow-wrap:anywhere}
aside h3{font-size:12px;font-weight:600;margin:18px 0 4px;color:var(--soft)}
aside p{margin:2px 0;overflow-wrap:anywhere}aside .soft{color:var(--soft);font-size:12px}
.formula,.range,code,pre{font-family:ui-monospace,'SF Mono',Menlo,Consolas,monospace;font-size:12.5px;font-variant-numeric:tabular-nums}
.formula,.range{overflow-wrap:anywhere}
pre{margin:4px 0 8px;padding:8px 10px;border-radius:6px;background:var(--code);white-space:pre-wrap;overflow-wrap:anywhere}
.tag{display:inline-block;font-weight:600;margin:2px 0 4px}
aside ul{margin:2px 0;padding-left:18px}aside li button,aside p button,aside h3 button{font-weight:inherit;padding:0;border:0;background:none;text-decoration:underline;text-underline-offset:3px;text-align:left;vertical-align:top;overflow-wrap:anywhere}
.choice{display:inline-flex;margin-left:10px}.choice button{border-radius:0;margin-left:-1px}.choice button:first-child{border-radius:6px 0 0 6px}.choice button:last-child{border-radius:0 6px 6px 0}.choice button[aria-pressed=true]{z-index:1}
.item.partner .frame{stroke:var(--focus);stroke-width:2.5;stroke-dasharray:none}
.row{margin-top:14px}.row h3{margin-top:0}
#timeline{grid-column:1/-2;border-top:1px solid var(--rule);background:var(--panel);padding:6px 20px 2px;min-width:0}
#timeline .bar{display:flex;flex-wrap:wrap;align-items:center;gap:2px 14px}#timeline h2{font-size:14px;font-weight:600;margin:0}
#at{color:var(--soft);font-variant-numeric:tabular-nums;}#step{flex:1;min-width:90px;padding:0;accent-color:var(--focus)}
#latest{padding:1px 10px}#latest:disabled{opacity:.55;cursor:default}
#history{display:block;width:100%;cursor:ew-resize;touch-action:none;font:12px/1.3 ${FAMILY};font-variant-numeric:tabular-nums}
#history text{fill:var(--soft);paint-order:stroke;stroke:var(--panel);stroke-width:4px;stroke-linejoin:round}#history .value{fill:var(--ink);font-weight:600}#history .name:not(.soft){font-weight:600;fill:var(--ink)}#history .name.soft{fill:var(--soft)}
.key{display:inline-flex;align-items:center;gap:4px;color:var(--soft);font-size:12px}.key svg{width:16px;height:12px}
#history .base{stroke:var(--rule)}#history .break{stroke:var(--edge);stroke-dasharray:2 5;stroke-opacity:.7}#timeline .epoch{stroke:var(--edge);stroke-dasharray:1 3}
#timeline .switch{stroke:var(--ink);stroke-dasharray:3 3}#history text.switch{stroke-dasharray:none;stroke:var(--panel);fill:var(--ink)}
#history .cursor{stroke:var(--focus);stroke-width:1.5}
#history .trace{fill:none;stroke:var(--edge);stroke-width:1.1}#history .trace.chosen{stroke-width:2.2}#history .trace.loss{stroke:var(--ink);stroke-width:1.5}#history .trace.accuracy{stroke:var(--good);stroke-width:1.5}
#history .name.accuracy{fill:var(--good)}#history .end.chosen{font-weight:600}
#timeline .batch{fill:none;stroke:var(--soft)}
${Array.from({ length: 9 }, (_, i) => `#history .trace.hue${i}{stroke:var(--h${i})}#history .hue${i}:is(text,tspan){fill:var(--h${i})}`).join('')}
.swatch{font-style:normal;color:var(--ink);padding:0 7px;border:1px solid var(--rule)}${perClass((c) => `.swatch.${c}{background:var(--${c})}`)}
footer .swatches{gap:0}.swatches i:first-of-type{margin-left:7px}footer .swatches[hidden]{display:none}
.below{grid-column:1/-1;min-width:0;border-top:1px solid var(--rule);background:var(--panel);padding:8px 20px;height:34vh;overflow:auto}.below[hidden]{display:none}
body:has(.below:not([hidden])) #timeline{display:none}body:has(.below:not([hidden])) aside{grid-row:3}
.below h2{display:inline;font-size:14px;font-weight:600;margin:0 14px 0 0}.below .soft{color:var(--soft);font-size:12px}
.below table{border-collapse:collapse;width:100%;min-width:960px;margin-top:6px;font-size:12px;font-variant-numeric:tabular-nums}
.below th{position:sticky;top:-8px;background:var(--panel);text-align:right;font-weight:600;padding:0;border-bottom:1px solid var(--rule)}.below th button{border:0;background:none;padding:3px 8px;font-weight:600;white-space:nowrap}
.below td{padding:2px 8px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}.below .text{text-align:left}.below td.text{white-space:normal;overflow-wrap:anywhere}
.below tbody tr{cursor:pointer}.below tbody tr:hover td{background:var(--group)}.below tr.chosen td{background:var(--code);box-shadow:inset 0 2px 0 -1px var(--focus),inset 0 -2px 0 -1px var(--focus)}
.below td button{white-space:nowrap;border:0;background:none;padding:0;text-align:left;text-decoration:underline;text-underline-offset:3px}
#steps{height:auto;max-height:34vh}#steps table{width:auto;min-width:0}#steps tbody tr{cursor:auto}#steps :is(th,td):first-child{text-align:left}#steps tbody th{position:static;font-weight:400;padding:2px 8px}#steps thead th{padding:3px 8px}#steps th button{font-weight:400;padding:0;border:0;text-decoration:underline;text-underline-offset:3px;white-space:normal;overflow-wrap:anywhere;text-align:left}
.below .meter{display:block;width:76px;height:4px;margin:1px 0 2px auto}.below .meter rect{fill:var(--rule)}.below .meter .fill{fill:var(--h0)}
.chart.curve{height:172px}.curve path{fill:none;stroke-width:1.6}.curve .forward{stroke:var(--h0)}.curve .ideal{stroke:var(--edge);stroke-width:1;stroke-dasharray:3 3}.curve .gradient{stroke:var(--doubt-line);stroke-width:2}.curve .zero{stroke:var(--edge);stroke-dasharray:2 3}
.chart{display:block;width:100%;height:84px}.chart rect{fill:var(--h0)}.chart .end{fill:var(--lost)}.strip .band{fill:var(--h0);fill-opacity:.28;stroke:var(--h0);stroke-opacity:.55}.strip .mean{fill:none;stroke:var(--ink);stroke-width:1.6}.chart line{stroke:var(--edge)}.chart text{fill:var(--soft);font-size:12px}
footer{grid-column:1/-1;display:flex;flex-wrap:wrap;gap:4px 18px;padding:7px 20px;border-top:1px solid var(--rule);background:var(--panel);color:var(--soft);font-size:12px}
footer span{display:inline-flex;align-items:center;gap:7px}
footer svg{width:34px;height:12px}
dialog{border:1px solid var(--rule);border-radius:10px;background:var(--panel);color:var(--ink);max-width:440px;padding:18px 24px}
dialog::backdrop{background:rgba(0,0,0,.35)}dialog dl{display:grid;grid-template-columns:auto 1fr;gap:4px 16px;margin:8px 0 14px}dialog dd{margin:0}
kbd{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;border:1px solid var(--rule);border-radius:4px;padding:0 5px}
.away{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
@media(max-width:860px){body{grid-template:auto auto 56vh/minmax(0,1fr);height:auto;min-height:100dvh}main{--map:0}aside,#timeline,.below{grid-column:1/-1;grid-row:auto}aside{border-left:0;border-top:1px solid var(--rule)}#minimap{display:none}header{padding:8px 12px;gap:8px}#sentence{padding:8px 12px}input{width:110px}#step{width:100%}}
@media(prefers-reduced-motion:reduce){*{transition:none!important;animation:none!important}}
@media print{body{display:block;height:auto}html{--paper:#fff;--panel:#fff;--ink:#000;--soft:#333;--lost:#000;--doubt:#000;--good:#000}header button,header input,#tools,#minimap{display:none}main{height:68vh}aside{border:0}}`

/** The colours of both themes, as declarations. */
export const themes = { light, dark }

/** Style of an exported drawing, in the light theme. */
export const drawingStyle = `.scene{${light}}${drawing}`

/** Style of the page. */
export const pageStyle = `html{${light}}html.dark{${dark}}${page}${drawing}`
