/** What the page of two programs looks like beyond a page of one: two panels, and the notes between the halves. */
export const pairStyle = `
body.pair{grid-template:auto auto minmax(0,1fr) auto/300px minmax(0,1fr) 300px}
.pair aside{grid-column:auto;grid-row:auto;padding:14px 18px 28px}.pair main{--map:0}
.pair:has(.below:not([hidden])) aside{grid-row:auto}
.pair #panel-0{border-left:0;border-right:1px solid var(--rule)}
.which{margin:0 0 10px!important;padding-bottom:6px;border-bottom:2px solid var(--ink);font-weight:600}
.pair aside h2{margin-top:16px}
.tie{fill:none;stroke:var(--ink);stroke-width:1;stroke-opacity:.55}
.chip{cursor:pointer}
.pill{fill:var(--ink)}
.scene .pill-text{fill:var(--paper);font-size:12px;font-weight:600}#canvas.far .pill-text{display:none}
.chip.only .pill{fill:var(--panel);stroke:var(--ink)}.scene .chip.only .pill-text{fill:var(--ink)}
.chip.only .tie{stroke-dasharray:3 3}
.chip:hover .pill,.chip.selected .pill{stroke:var(--focus);stroke-width:3}
.item.pair-only>.frame{stroke:var(--ink);stroke-dasharray:4 3}
.item.pair-differs.box:not(.open)>.frame,.item.pair-differs.op>.frame{stroke:var(--ink);stroke-width:2}
.pair .item.selected>.frame{stroke:var(--focus);stroke-width:3}
.dimming .chip{opacity:.28}
.facts{border-collapse:collapse;width:100%;margin:2px 0 8px;font-size:12.5px}
.facts th{font-weight:400;color:var(--soft);text-align:left;padding:2px 10px 2px 8px;vertical-align:top;white-space:nowrap;border-left:3px solid var(--ink)}
.facts td{font-family:ui-monospace,'SF Mono',Menlo,Consolas,monospace;font-variant-numeric:tabular-nums;padding:2px 0;overflow-wrap:anywhere}
@media(max-width:1080px){body.pair{grid-template:auto auto minmax(50vh,1fr) minmax(0,34vh) auto/minmax(0,1fr) minmax(0,1fr)}.pair main{grid-column:1/-1}.pair #panel-0{order:3}.pair #panel-1{order:4;border-left:0}.pair .below{order:4}.pair footer{order:5}.pair aside{border-top:1px solid var(--rule)}}
@media(max-width:620px){body.pair{height:auto;min-height:100dvh;grid-template:auto auto 60vh auto auto auto/minmax(0,1fr)}.pair #panel-0{border-right:0}}
@media print{.pair aside{page-break-inside:avoid}.pair main{height:60vh}}`
