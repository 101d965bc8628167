/**
 * `npm run layers`: who may import whom, and no cycles (type-only imports count). Prints each offending edge and exits 1.
 * Imports are read from the text: comments are dropped, then statements at the start of a line and `import(...)` are taken.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { root } from './process.js'

/** What each folder of src may import besides itself. */
const below: Readonly<Record<string, readonly string[]>> = {
  data: [],
  graph: ['data'],
  ops: ['data', 'graph'],
  autodiff: ['data', 'graph', 'ops'],
  quantizers: ['data', 'graph', 'ops', 'autodiff'],
  evaluator: ['data', 'graph'],
  nn: ['data', 'graph', 'ops', 'autodiff', 'quantizers', 'evaluator'],
  interop: ['data', 'graph', 'ops', 'autodiff', 'quantizers', 'evaluator', 'nn'],
  testing: ['data', 'graph', 'ops', 'autodiff', 'quantizers', 'evaluator', 'nn'],
}

/** What examples may import of src. */
const publicEntries = ['src/index.ts', 'src/testing/index.ts']

type Edge = { readonly from: string; readonly line: number; readonly specifier: string; readonly to: string | undefined }

const sources = (folder: string): readonly string[] =>
  !existsSync(join(root, folder)) ? [] : readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sources(path)
    return /\.[cm]?tsx?$/.test(entry.name) ? [path] : []
  }).toSorted()

/** Blanks comments and template literals, keeping strings and line numbers. */
const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g, (piece) =>
    piece.startsWith("'") || piece.startsWith('"') ? piece : piece.replace(/[^\n]/g, ' '))

const statement = /^[ \t]*(?:import|export)\b(?:[^'";=()]*?\bfrom)?\s*(['"])([^'"\n]+)\1|\bimport\s*\(\s*(['"])([^'"\n]+)\3|\bimport\.meta\.resolve\(\s*(['"])([^'"\n]+)\5|\bnew\s+URL\(\s*(['"])(\.[^'"\n]+\.[jt]s)\7/gm

const findEdges = (from: string): readonly Edge[] => {
  const text = withoutComments(readFileSync(join(root, from), 'utf8'))
  return [...text.matchAll(statement)].map((match) => {
    const specifier = match[2] ?? match[4] ?? match[6] ?? match[8] ?? ''
    // The end of the match, because it may start with the indentation or an import list of many lines.
    const line = text.slice(0, match.index + match[0].length).split('\n').length
    if (!specifier.startsWith('.')) return { from, line, specifier, to: undefined }
    const target = relative(root, resolve(root, dirname(from), specifier)).split(sep).join('/')
    return { from, line, specifier, to: target.replace(/\.js$/, '.ts') }
  })
}

const manifest: { readonly dependencies?: Readonly<Record<string, string>> } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Why a package may not be imported here, or undefined if it may. */
const packageProblem = (from: string, specifier: string): string | undefined => {
  if (!from.startsWith('src/')) return undefined
  if (specifier.startsWith('node:')) return 'src must also run in a browser'
  const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
  // Laws for users' own tests need fast-check, which they bring along.
  if (name === 'fast-check' && from.startsWith('src/testing/')) return undefined
  return name in (manifest.dependencies ?? {}) ? undefined : `${name} is not in package.json's dependencies`
}

/** Why one file may not import another, or undefined if it may. */
const fileProblem = (from: string, to: string): string | undefined => {
  if (!existsSync(join(root, to))) return 'no such file (relative imports end in .js and name a .ts file)'
  const [fromTop, fromLayer] = from.split('/')
  const [toTop, toLayer] = to.split('/')
  if (fromTop === 'src') {
    if (toTop !== 'src') return `src may not import ${toTop}`
    if (from === 'src/index.ts') return undefined
    if (to === 'src/index.ts') return 'only src/index.ts re-exports everything; import the module itself'
    if (!(fromLayer in below)) return `src/${fromLayer} has no place in the order; add it to test/support/check-layers.ts`
    return fromLayer === toLayer || below[fromLayer].includes(toLayer) ? undefined : `${fromLayer} may not import ${toLayer}`
  }
  if (fromTop === 'viz') return toTop === 'viz' || toTop === 'src' ? undefined : `viz may not import ${toTop}`
  return toTop === 'examples' || publicEntries.includes(to) ? undefined : `examples import each other and ${publicEntries.join(', ')}`
}

/** One import cycle per group of files that reach each other, as a path that ends where it starts. */
const findCycles = (files: readonly string[], next: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] => {
  const done = new Set<string>()
  const path: string[] = []
  const cycles: (readonly string[])[] = []
  const visit = (file: string): void => {
    const start = path.indexOf(file)
    if (start >= 0) cycles.push([...path.slice(start), file])
    if (start >= 0 || done.has(file)) return
    path.push(file)
    for (const target of next.get(file) ?? []) visit(target)
    path.pop()
    done.add(file)
  }
  for (const file of files) visit(file)
  return cycles
}

const files = ['src', 'viz', 'examples'].flatMap(sources)
const edges = files.flatMap(findEdges)

const forbidden = edges.flatMap(({ from, line, specifier, to }) => {
  const problem = to === undefined ? packageProblem(from, specifier) : fileProblem(from, to)
  return problem === undefined ? [] : [`${from}:${line} imports ${to ?? specifier}: ${problem}`]
})
const targets = new Map(files.map((file) => [file, edges.flatMap(({ from, to }) => from === file && to !== undefined ? [to] : [])]))
const cycles = findCycles(files, targets).map((path) => `cycle: ${path.join(' -> ')}`)

const problems = [...forbidden, ...cycles]
for (const problem of problems) console.error(problem)
console.log(`${files.length} files, ${edges.length} imports: ${forbidden.length} forbidden, ${cycles.length} cycles`)
process.exitCode = problems.length === 0 ? 0 : 1
