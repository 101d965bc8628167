/**
 * `npm run layers`: who may import whom, and no cycles (type-only imports count). Prints each offending edge and exits 1.
 * dpdm reads the imports; this file knows only the order of the folders.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseCircular, parseDependencyTree } from 'dpdm'
import { root as here } from './process.js'

/** The tree that is checked: this one, unless another is named. */
const root = process.argv[2] ?? here

/** What each folder of src may import besides itself. */
const below: Readonly<Record<string, readonly string[]>> = {
  data: [],
  node: ['data'],
  graph: ['data'],
  ops: ['data', 'graph'],
  autodiff: ['data', 'graph', 'ops'],
  quantizers: ['data', 'graph', 'ops'],
  evaluator: ['data', 'graph', 'ops'],
  nn: ['data', 'graph', 'ops', 'autodiff', 'quantizers', 'evaluator'],
  runtime: ['data', 'graph', 'ops', 'evaluator', 'nn'],
  interop: ['data', 'graph', 'ops', 'autodiff', 'quantizers', 'evaluator', 'nn'],
  integer: ['data', 'graph', 'ops', 'autodiff', 'quantizers', 'evaluator', 'nn'],
  quantize: ['data', 'graph', 'ops', 'autodiff', 'quantizers', 'evaluator', 'nn'],
  testing: ['data', 'graph', 'ops', 'autodiff', 'quantizers', 'evaluator', 'nn'],
}

/** Folders with an entry of their own, and why the root may not have them. */
const separate: Readonly<Record<string, string>> = {
  testing: 'quantrace must not need fast-check; testing has its own entry',
  runtime: 'a program that only runs what was precompiled must not need the rest; runtime has its own entry',
  node: 'quantrace must run in a browser; node has its own entry',
  integer: 'integer programs and C are for those who deploy; integer has its own entry',
  quantize: 'quantizing a float network is for those who have one; quantize has its own entry',
  interop: 'protobuf is for those who export; interop has its own entries',
}

/** What stands above src, and what each may import besides itself: the page draws programs, the command line names all of it. */
const above: Readonly<Record<string, readonly string[] | undefined>> = { viz: ['src'], cli: ['src', 'viz'] }

/** The top and the layer in which a file stands. The command line lies in src, but above the page: a top of its own. */
const placeOf = (file: string): readonly [top: string, layer: string] => {
  const [top, layer] = file.split('/')
  return top === 'src' && layer === 'cli' ? ['cli', ''] : [top, layer]
}

/** What examples may import of src. */
const publicEntries = [
  'src/index.ts',
  'src/integer/index.ts',
  'src/interop/arrays/index.ts',
  'src/interop/brevitas/index.ts',
  'src/interop/onnx/index.ts',
  'src/node/index.ts',
  'src/quantize/index.ts',
  'src/runtime/index.ts',
  'src/testing/index.ts',
  'viz/index.ts',
]

const manifest: { readonly dependencies?: Readonly<Record<string, string>> } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
)

/** Why a package may not be imported here, or undefined if it may. */
const packageProblem = (from: string, specifier: string): string | undefined => {
  if (placeOf(from)[0] !== 'src') return undefined
  if (specifier.startsWith('node:')) return from.startsWith('src/node/') ? undefined : 'src must also run in a browser'
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
  // Laws for users' own tests need fast-check, which they bring along.
  if (name === 'fast-check' && from.startsWith('src/testing/')) return undefined
  return name in (manifest.dependencies ?? {}) ? undefined : `${name} is not in package.json's dependencies`
}

/** Why one file may not import another, or undefined if it may. */
const fileProblem = (from: string, to: string): string | undefined => {
  const [fromTop, fromLayer] = placeOf(from)
  const [toTop, toLayer] = placeOf(to)
  if (fromTop === 'src') {
    if (toTop !== 'src') return `src may not import ${toTop}`
    if (from === 'src/index.ts') return separate[toLayer]
    if (to === 'src/index.ts') return 'only src/index.ts re-exports everything; import the module itself'
    if (!(fromLayer in below))
      return `src/${fromLayer} has no place in the order; add it to test/support/check-layers.ts`
    return fromLayer === toLayer || below[fromLayer].includes(toLayer)
      ? undefined
      : `${fromLayer} may not import ${toLayer}`
  }
  const under = above[fromTop]
  if (under !== undefined)
    return toTop === fromTop || under.includes(toTop) ? undefined : `${fromTop} may not import ${toTop}`
  return toTop === 'examples' || publicEntries.includes(to)
    ? undefined
    : `examples import each other and ${publicEntries.join(', ')}`
}

type Edge = { readonly from: string; readonly specifier: string; readonly to: string | null }

const edgeProblem = ({ from, specifier, to }: Edge): string | undefined => {
  if (!specifier.startsWith('.')) return packageProblem(from, specifier)
  return to === null ? 'no such file' : fileProblem(from, to)
}

const folders = /^(src|viz|examples)\//
const tree = await parseDependencyTree(['src/**/*.ts', 'viz/**/*.ts', 'examples/**/*.ts'], {
  cwd: root,
  context: root,
  transform: false,
})
const files = Object.keys(tree)
  .filter((file) => folders.test(file))
  .toSorted()
const edges: readonly Edge[] = files.flatMap((from) =>
  (tree[from] ?? []).map(({ request, id }) => ({ from, specifier: request, to: id })),
)

const forbidden = edges.flatMap((edge) => {
  const problem = edgeProblem(edge)
  return problem === undefined ? [] : [`${edge.from} imports ${edge.to ?? edge.specifier}: ${problem}`]
})
const cycles = parseCircular(tree)
  .filter((path) => path.some((file) => folders.test(file)))
  .map((path) => `cycle: ${[...path, path[0]].join(' -> ')}`)

for (const problem of [...forbidden, ...cycles]) console.error(problem)
console.log(`${files.length} files, ${edges.length} imports: ${forbidden.length} forbidden, ${cycles.length} cycles`)
process.exitCode = files.length > 0 && forbidden.length + cycles.length === 0 ? 0 : 1
