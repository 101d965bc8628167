/** The look of the picture of a front, in both themes. */
import { themes } from '../draw/style.js'
import { FAMILY } from '../scene/type.js'

const drawing = `
.front{font:13px/1.4 ${FAMILY};font-variant-numeric:tabular-nums}
.front text{fill:var(--ink)}.front .tick{fill:var(--soft);font-size:12px}
.front .axis{stroke:var(--edge)}.front .grid{stroke:var(--rule)}
.front .curve{fill:none;stroke:var(--h0);stroke-width:2}
.front .hit{fill:transparent}
.front .dot{fill:var(--h0);stroke:var(--paper);stroke-width:1}
.front .uniform .dot{fill:var(--paper);stroke:var(--soft);stroke-width:2}
.front .chosen .dot{fill:var(--doubt-line);stroke:var(--ink);stroke-width:2}
.front .name{font-weight:600;paint-order:stroke;stroke:var(--halo);stroke-width:4px;stroke-linejoin:round}.front .name.uniform{fill:var(--soft);font-weight:400}
.front .tip{display:none;pointer-events:none}
.front .point{outline:none}.front .point:is(:hover,:focus) .tip{display:block}.front .point:is(:hover,:focus) .dot{stroke:var(--focus);stroke-width:3}
.front .tip rect{fill:var(--panel);stroke:var(--edge)}`

const page = `
html{color-scheme:light dark}body{margin:0;background:var(--paper);color:var(--ink);font:14px/1.5 ${FAMILY}}
main{max-width:800px;margin:0 auto;padding:20px}h1{font-size:16px;font-weight:600;margin:0 0 4px;overflow-wrap:anywhere}p{margin:0 0 14px;color:var(--soft)}
svg{display:block;width:100%;height:auto}
h2{font-size:14px;font-weight:600;margin:20px 0 4px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:3px 14px 3px 0;text-align:right;border-bottom:1px solid var(--rule);font-weight:400}thead th{font-weight:600}th:first-child{text-align:left;overflow-wrap:anywhere}
td.chosen{font-weight:700;text-decoration:underline;text-underline-offset:3px}`

/** Of a picture that stands alone, in the light theme. */
export const frontDrawingStyle = `.front{${themes.light}}${drawing}`
/** Of the page: as the reader's system says. */
export const frontPageStyle = `html{${themes.light}}@media(prefers-color-scheme:dark){html{${themes.dark}}}${page}${drawing}`
