#!/usr/bin/env node
/** `quantrace viz program.json -o out.html`: the page, or by the ending of the name an SVG or a Mermaid chart, of a stored program. */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, extname } from 'node:path'
import { parseArgs } from 'node:util'
import { explainAll, ops, parseProgram, type Program } from '../src/index.js'
import { toHtml, toMermaid, toSvg } from './index.js'

const USAGE = `usage: quantrace viz PROGRAM.json -o OUT.html|OUT.svg|OUT.mmd [--title TEXT] [--all]
PROGRAM.json is what programToJSON gives. --all draws every node (SVG only; a page does that with #expand=all).`

/** A mistake on the command line. */
class Usage extends Error {}

const isMistake = (e: unknown): e is Error => e instanceof Usage || (e instanceof Error && 'code' in e && typeof e.code === 'string')

type Options = { readonly title: string; readonly all: boolean }

const WRITERS: { readonly [ending: string]: (program: Program, o: Options) => string } = {
  '.html': (program, { title }) => toHtml(program, { title }),
  '.svg': (program, { title, all }) => toSvg(program, { title, expand: all ? 'all' : 'first' }),
  '.mmd': (program) => toMermaid(program),
}

const main = (args: readonly string[]): void => {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: { out: { type: 'string', short: 'o' }, title: { type: 'string' }, all: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } } })
  if (values.help) return console.log(USAGE)
  const [command, file] = positionals
  if (command !== 'viz' || file === undefined || positionals.length !== 2) throw new Usage('one command, viz, and one program are needed')
  const out = values.out ?? ''
  if (!Object.hasOwn(WRITERS, extname(out))) throw new Usage(`-o must name a file that ends in ${Object.keys(WRITERS).join(', ')}`)
  const parsed = parseProgram(ops)(readFileSync(file, 'utf8'))
  if (parsed._tag === 'Left') throw new Usage(`${file} is not a program: ${explainAll(parsed.left)}`)
  const text = WRITERS[extname(out)](parsed.right, { title: values.title ?? basename(file, '.json'), all: values.all })
  writeFileSync(out, text)
  console.log(`${out}: ${text.length} characters`)
}

try {
  main(process.argv.slice(2))
} catch (e) {
  if (!isMistake(e)) throw e
  console.error(`${e.message}\n${USAGE}`)
  process.exitCode = 2
}
