/** Writes the pages of the tutorial's ideas, and one that leads to them. */
import { createHash } from 'node:crypto'
import type { Either } from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../src/index.js'
import { writeFolder } from '../../src/node/index.js'
import { drawingsOf, ideas, pageOf, sentenceOf, type Idea } from './pages.js'

const STYLE = `
:root{color-scheme:light;--paper:#fbfbfa;--panel:#fff;--ink:#1b1e23;--soft:#5b626d;--rule:#d9dce1}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
header,main{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:40px;padding-bottom:12px}
h1{font-size:24px;font-weight:600;margin:0 0 6px}
header p{max-width:64ch;margin:0;color:var(--soft)}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:20px;padding-bottom:56px;padding-top:20px}
article{display:flex;flex-direction:column;background:var(--panel);border:1px solid var(--rule);border-radius:10px;overflow:hidden}
.text{padding:16px 18px 18px;display:flex;flex-direction:column;flex:1}
h2{font-size:16px;font-weight:600;line-height:1.35;margin:0 0 6px}
h2 a{color:inherit;text-decoration-color:var(--soft);text-underline-offset:3px}
a:focus-visible{outline:2px solid #1456d8;outline-offset:3px;border-radius:2px}
.text p{margin:0 0 10px}
.text .says{margin:auto 0 0;padding-top:10px;border-top:1px solid var(--rule);font-size:13px;color:var(--soft)}
.cells{font-size:12px;color:var(--soft);margin:0 0 4px}
.pictures{display:grid;grid-template-columns:1fr 1fr;height:230px;background:var(--paper);border-bottom:1px solid var(--rule)}
.pictures img{width:100%;height:230px;object-fit:contain;padding:10px}
.pictures img+img{border-left:1px solid var(--rule)}
@media(max-width:420px){main{grid-template-columns:1fr}}
@media print{article{break-inside:avoid}}`

const ENTITIES: { readonly [character: string]: string } = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escape = (text: string): string => text.replace(/[&<>"]/g, (c) => ENTITIES[c])

const picture = (svg: string, alt: string): string =>
  `<img src="data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}" alt="${escape(alt)}">`

const card = (idea: Idea): string => `<article>
<div class="pictures">${drawingsOf(idea)
  .map((svg, i) => picture(svg, `Graph of “${idea.ways[i].name}”`))
  .join('')}</div>
<div class="text"><p class="cells">Cells ${idea.cells}</p><h2><a href="${idea.file}.html">${escape(idea.title)}</a></h2>
<p>${escape(idea.text)}</p><p class="says">${escape(sentenceOf(idea))}</p></div>
</article>`

/** The page that leads to all others. */
export const indexPage = (all: readonly Idea[]): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Quantized activations, seen</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header><h1>Quantized activations, seen</h1><p>Brevitas’ tutorial as pictures: each page puts two ways to say a thing side by side, level with each other, with the numbers of a run and what differs between them.</p></header>
<main>
${all.map(card).join('\n')}
</main>
</body>
</html>
`

/** Writes all pages into a folder, and gives their paths, the index first. */
export const writePages = (folder: string): Either<QuantErrors, readonly string[]> => {
  const all = ideas()
  const pages = Object.fromEntries(all.map((idea) => [`${idea.file}.html`, pageOf(idea)]))
  return writeFolder(folder, { 'index.html': indexPage(all), ...pages })
}
