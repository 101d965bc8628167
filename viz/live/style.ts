/** What a live page adds to the look of the report. */

const hues = Array.from(
  { length: 9 },
  (_, i) => `.curve.hue${i}{stroke:var(--h${i})}.tip.hue${i}{fill:var(--h${i})}`,
).join('')

/** Style of controls, rows and curves. */
export const liveStyle = `
body.live{grid-template:auto auto auto minmax(0,1fr) auto auto/392px minmax(0,1fr) 340px}
body.live aside{grid-column:auto;grid-row:auto}
select{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--rule);border-radius:6px;padding:4px 6px}
button:disabled{color:var(--soft);cursor:default;border-color:var(--rule)}
#transport{grid-column:1/-1;display:flex;flex-wrap:wrap;align-items:center;gap:6px 10px;padding:8px 20px;border-bottom:1px solid var(--rule);background:var(--panel);font-variant-numeric:tabular-nums}
#transport label{margin-left:8px}
#transport .soft,#quantizers .soft{color:var(--soft)}
#go{min-width:76px}
#progress{width:90px;height:8px;margin-left:8px;accent-color:var(--focus)}
#backend{margin-left:auto;font-size:12px}
#transport nav a{color:var(--focus);margin-left:8px}
#quantizers{border-right:1px solid var(--rule);background:var(--panel);overflow:auto;min-height:0;padding:0 0 8px}
.rows-head{display:flex;align-items:center;justify-content:space-between;padding:6px 12px 5px 20px}
.rows-head h2{font-size:14px;font-weight:600;margin:0}
#quantizers ol{list-style:none;margin:0;padding:0}
.quantizer{display:grid;grid-template:auto auto/118px minmax(0,1fr) minmax(0,1fr);gap:0 12px;padding:5px 12px 5px 20px;border-top:1px solid var(--rule);font-size:12px}
.quantizer .who{grid-area:1/1;display:flex;gap:6px;align-items:center;justify-content:space-between}
.quantizer .who button{font-size:14px;font-weight:600;padding:0;border:0;background:none;text-decoration:underline;text-decoration-color:var(--rule);text-underline-offset:3px}
.quantizer .phase{grid-area:2/1;color:var(--soft);white-space:nowrap}
.quantizer[data-phase=learned] .phase{color:var(--good);font-weight:600}
.quantizer[data-phase=statistics] .phase{color:var(--doubt)}
.quantizer select{padding:1px 2px;font-size:12px}
.quantizer .picture{grid-row:1/3;display:flex;flex-direction:column;gap:2px;justify-content:center}
.picture .value{font-variant-numeric:tabular-nums;white-space:nowrap}
.spark{display:block;width:100%;height:26px;overflow:visible}
.curve{fill:none;stroke:var(--h0);stroke-width:1.6;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.curve.dotted{stroke-dasharray:1.5 3}
.tip{fill:var(--h0)}
.bars{fill:var(--h8)}.bars.end{fill:var(--lost)}
.base{stroke:var(--edge);stroke-width:1}
#curves{grid-column:1/-1;display:grid;grid-template-columns:repeat(3,minmax(0,1fr));border-top:1px solid var(--rule);background:var(--panel)}
#curves figure{margin:0;padding:8px 20px 4px}
#curves figure+figure{border-left:1px solid var(--rule)}
#curves figcaption{font-size:12px;font-weight:600}
.axes{display:block;width:100%;height:124px}
.axes .grid{stroke:var(--rule);stroke-width:1}
.axes text{fill:var(--soft);font-size:12px;font-variant-numeric:tabular-nums}
.axes .switch{stroke:var(--good);stroke-width:1;stroke-dasharray:4 3}
.axes .switch-name{fill:var(--good)}
.axes .raw{fill:none;stroke:var(--h0);stroke-width:1;opacity:.35}
.axes .held-name,.axes .switch-name{paint-order:stroke;stroke:var(--panel);stroke-width:4px;stroke-linejoin:round}
#curves figcaption output{font-variant-numeric:tabular-nums;margin-left:4px}
#curves figcaption span{margin-left:4px;font-weight:400;color:var(--soft)}
.axes .band{fill:var(--h0);opacity:.16}
.axes .held{fill:var(--panel);stroke:var(--ink);stroke-width:1.8}
.axes .held-name{fill:var(--ink);font-weight:600}
.scene .now{font-weight:400}
.labels{pointer-events:none}
.scene .idle{opacity:.32}
${hues}
@media(max-width:1180px){body.live{grid-template:auto auto auto minmax(420px,1fr) auto auto auto/392px minmax(0,1fr);height:auto;min-height:100dvh}body.live aside{grid-column:1/-1;border-left:0;border-top:1px solid var(--rule)}}
@media(max-width:760px){body.live{grid-template:auto auto auto auto 60vh auto auto auto/minmax(0,1fr)}#quantizers{border-right:0;border-bottom:1px solid var(--rule)}#curves{grid-template-columns:minmax(0,1fr)}#curves figure+figure{border-left:0;border-top:1px solid var(--rule)}header{flex-wrap:wrap}}
@media(forced-colors:active){.curve,.tip,.bars{forced-color-adjust:none}}`
