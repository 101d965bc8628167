/** The page that quantizes, as HTML and style. Its policy lets nothing out: no address but its own files can be reached, and those are loaded once. */
import { schemes } from '../../../src/quantize/index.js'

/** The policies of the pages that are shown inside: their scripts and styles by hash. */
const hashesIn = (html: string, directive: string): readonly string[] => {
  const [, list = ''] = new RegExp(`${directive} ([^;"]*)`).exec(html) ?? []
  return list.split(' ').filter((h) => h.startsWith("'sha256-"))
}

const option = (name: string): string => `<option value="${name}">${name}</option>`

/** The page; `inside` are pages of the kinds that it will show. */
export const quantizePage = (inside: readonly string[]): string => {
  const hashes = (directive: string): string => [...new Set(inside.flatMap((h) => hashesIn(h, directive)))].join(' ')
  const policy = `default-src 'none'; script-src 'self' 'wasm-unsafe-eval' ${hashes('script-src')}; style-src 'self' ${hashes('style-src')}; worker-src 'self'; frame-src blob:; img-src data:; connect-src 'none'; base-uri 'none'; form-action 'none'`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>quantize an ONNX model in this page</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="quantize.css">
<script type="module" src="quantize.js"></script>
</head>
<body>
<header><h1>Quantize an ONNX model</h1><nav aria-label="Pages"><a href="./">Train the digits</a></nav></header>
<form id="desk" aria-label="What to quantize, and how">
<label>Model <input type="file" id="file" accept=".onnx"></label>
<label>Shapes of inputs <input type="text" id="shapes" size="28" placeholder="x=1,3,224,224" autocomplete="off"></label>
<label>Samples <input type="file" id="samples" accept=".npz"></label><output id="samples-name">none: noise is drawn</output>
<label>Scheme <select id="scheme">${Object.keys(schemes).map(option).join('')}</select></label>
<button type="button" id="go" disabled>Quantize</button>
<progress id="progress" hidden aria-label="How far it is"></progress>
<a id="save" hidden>Download</a>
</form>
<output id="status" role="status"></output>
<iframe id="drawing" title="The model as a graph" hidden></iframe>
<details><summary>Layer by layer</summary><pre id="report"></pre></details>
<footer>Nothing leaves this machine: the file is read, quantized and written by this page and its worker.</footer>
</body>
</html>
`
}

/** Its style. */
export const quantizeStyle = `
:root{color-scheme:light dark;--paper:light-dark(#fbfbfa,#14171b);--panel:light-dark(#fff,#1b1f24);--ink:light-dark(#1b1e23,#e9ebee);--soft:light-dark(#5b626d,#a4acb7);--rule:light-dark(#d9dce1,#343a42);--focus:light-dark(#1456d8,#8ab4ff);--lost:light-dark(#b3261e,#ff8a80)}
*{box-sizing:border-box}
[hidden]{display:none!important}
body{margin:0;min-height:100dvh;display:grid;grid-template-rows:auto auto auto minmax(480px,1fr) auto auto;font:14px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
header,#desk,#status,footer,details{padding:8px 20px}
header{display:flex;align-items:baseline;gap:20px;border-bottom:1px solid var(--rule);background:var(--panel)}
h1{font-size:17px;margin:0}
a{color:var(--focus)}
#desk{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:center;background:var(--panel);border-bottom:1px solid var(--rule)}
input,select,button{font:inherit;color:inherit}
button{padding:4px 14px;border:1px solid var(--focus);border-radius:6px;background:var(--paper)}
button:disabled{border-color:var(--rule);color:var(--soft)}
#status{white-space:pre-wrap;min-height:38px}
body[data-status=failed] #status{color:var(--lost)}
iframe{grid-row:4;width:100%;height:100%;border:0;border-top:1px solid var(--rule)}
details{grid-row:5}
footer{grid-row:6;color:var(--soft);border-top:1px solid var(--rule)}
pre{overflow:auto;max-height:40vh;font-size:12px}
`
