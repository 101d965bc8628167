/** A program as a Mermaid flow chart, for Markdown. */
import type { Program } from '../src/graph/program.js'
import { demandScene } from './border.js'
import { lineLabel, lookOf } from './draw/words.js'
import { sceneOf } from './scene/fromProgram.js'
import { nameOf } from './scene/text.js'
import { firstOpen } from './scene/opening.js'
import { onSide } from './scene/sides.js'
import { visibleOf, type Item, type Line } from './scene/visible.js'

const COLOURS: { readonly [carry: string]: string } = {
  carries: '#2563c9',
  claimed: '#c97a00',
  stripped: '#b3261e',
  float: '#8b929c',
}

/** Text inside quotes: Mermaid reads `#60;` as a character, and would read markup as markup. */
const quoted = (text: string): string =>
  `"${text.replace(/[^\p{L}\p{N} ._~·×%,₀-₉-]/gu, (c) => `#${c.codePointAt(0)};`)}"`

/** The shape of a node tells what it is: a box, an input or result, an op. */
const outlined = (i: Item, text: string): string => {
  if (i.kind === 'result' || i.node?.op === 'input') return `([${text}])`
  return i.kind === 'box' ? `[[${text}]]` : `[${text}]`
}

const nodeLines = (items: readonly Item[], names: Map<string, string>, indent: string): readonly string[] =>
  items.flatMap((i) => {
    const name = `n${names.size}`
    names.set(i.id, name)
    const text = quoted(nameOf(i))
    if (!i.open) return [`${indent}${name}${outlined(i, text)}`]
    return [`${indent}subgraph ${name} [${text}]`, ...nodeLines(i.children, names, `${indent}  `), `${indent}end`]
  })

const arrow = (l: Line): string => {
  const label = lineLabel(l.source)
  const bare = l.source.carry === 'float' ? '-->' : '-.->'
  const stroke = lookOf(l.source) === 'carries' ? '==>' : bare
  return label === '' ? stroke : `${stroke}|${quoted(label)}|`
}

/** The layers of a program and what flows between them: thick where metadata is carried, dotted where it is claimed or stripped. */
export const toMermaid = (program: Program): string => {
  demandScene('toMermaid', program, {})
  const scene = onSide(sceneOf(program), 'forward')
  const visible = visibleOf(scene, firstOpen(scene), false)
  const names = new Map<string, string>()
  const nodes = nodeLines(visible.items, names, '  ')
  const links = visible.lines.map((l) => `  ${names.get(l.from) ?? ''} ${arrow(l)} ${names.get(l.to) ?? ''}`)
  const styles = visible.lines.map((l, i) => `  linkStyle ${i} stroke:${COLOURS[lookOf(l.source)]}`)
  return ['flowchart TB', ...nodes, ...links, ...styles, ''].join('\n')
}
