/** The frame of a live page, and its style: the report's, with controls above, quantizers at the left and curves below. */
import { escapeText } from '../draw/mark.js'
import { pageStyle } from '../draw/style.js'
import { frame } from '../shell.js'
import { liveStyle } from './style.js'
import { transportMarkup } from './transport.js'

/** A title, and where script and style stand beside the page. */
export type LivePageOptions = { readonly title: string; readonly script: string; readonly style: string }

const chart = (id: string, name: string, note = ''): string => `<figure><figcaption>${name} <output id="${id}-now"></output> <span>${note}</span></figcaption><svg id="${id}" class="axes" viewBox="0 0 420 124" role="img" aria-label="${name} over steps"></svg></figure>`

const left = '<section id="quantizers" aria-label="Quantizers" tabindex="0"></section>\n'
const below = `<section id="curves" aria-label="Curves">${chart('loss', 'Loss', 'of a batch, and its course')}${chart('accuracy', 'Accuracy', 'of a batch; dots: held out, after each epoch')}${chart('scales', 'Scales of the values', 'dotted: statistics of a batch, line: learned')}</section>\n`

/** The page as HTML. Its policy allows its own files, WebAssembly and workers, and nothing else. */
export const livePage = ({ title, script, style }: LivePageOptions): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="quantrace">
<title>${escapeText(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${escapeText(style)}">
<script type="module" src="${escapeText(script)}"></script>
</head>
<body class="live">
${frame({ title, mode: 'train', sentence: [] }, { above: transportMarkup, left, below })}
</body>
</html>
`

/** The style of the page. */
export const livePageStyle = `${pageStyle}${liveStyle}`
