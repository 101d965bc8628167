/** One bundle of a group: its sources with all their mutants, and its tests, each file evaluated when it is asked for. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { root } from '../support/process.js'
import type { Group } from './groups.js'
import { mutantsOf, type Mutant } from './mutants.js'

/** What was built. */
export type Bundle = {
  readonly path: string
  /** The process that holds it (`worker.ts`). */
  readonly worker: string
  readonly mutants: readonly Mutant[]
  readonly sources: ReadonlyMap<string, string>
  /** Test files, as paths from the root. */
  readonly files: readonly string[]
}

const under = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((f) => `${folder}/${f.replaceAll('\\', '/')}`)
    .filter((f) => f.endsWith('.ts'))
    .toSorted()

/** Tests that run elsewhere than in their own process, or that read sources. */
const OUTSIDE =
  /support\/process|child_process|worker_threads|createWasm|playwright|support\/cli|readdirSync\(join\(root/

/** The test files of a group. */
export const testsOf = (g: Group): readonly string[] =>
  under('test').filter(
    (f) =>
      g.tests.test(f) &&
      (f.startsWith('test/mutate/tests/') ||
        (f.endsWith('.test.ts') && !OUTSIDE.test(readFileSync(join(root, f), 'utf8')))),
  )

/** All sources. */
export const sourceFiles = (): readonly string[] => under('src')

/** The sources of a group. */
export const sourcesOf = (g: Group, only = ''): readonly string[] =>
  sourceFiles().filter((f) => g.sources.test(f) && f.includes(only))

const entryOf = (sources: readonly string[], files: readonly string[]): string =>
  [
    ...sources.map((f, i) => `import * as s${i} from ${JSON.stringify(`./${f}`)}`),
    `export { taken } from './test/mutate/collected.ts'`,
    `export const sources = [${sources.map((_, i) => `s${i}`).join()}]`,
    `export const files = {${files.map((f) => `${JSON.stringify(f)}: () => import(${JSON.stringify(`./${f}`)})`).join()}}`,
  ].join('\n')

/** Sources come as they are given; `suite` is the one that collects; modules know where they stood. */
const plugin = (texts: ReadonlyMap<string, string>): Plugin => ({
  name: 'mutants',
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /support\/suite\.js$/ }, () => ({ path: join(root, 'test/mutate/collected.ts') }))
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const text = texts.get(relative(root, path)) ?? readFileSync(path, 'utf8')
      const url = JSON.stringify(pathToFileURL(path).href)
      return { contents: text.replaceAll('import.meta.url', url), loader: 'ts', resolveDir: dirname(path) }
    })
  },
})

/** Builds it at `path`. */
export const bundled = async (path: string, sources: readonly string[], files: readonly string[]): Promise<Bundle> => {
  const [mutants, texts, originals]: readonly [Mutant[], Map<string, string>, Map<string, string>] = [
    [],
    new Map(),
    new Map(),
  ]
  for (const file of sources) {
    const source = readFileSync(join(root, file), 'utf8')
    const made = await mutantsOf(file, source, mutants.length)
    mutants.push(...made.mutants)
    texts.set(file, made.text)
    originals.set(file, source)
  }
  mkdirSync(dirname(path), { recursive: true })
  const worker = join(dirname(path), `${basename(path, '.mjs')}.worker.mjs`)
  const common = { bundle: true, format: 'esm', platform: 'node', target: 'node20', packages: 'external' } as const
  await build({ ...common, entryPoints: [join(root, 'test/mutate/worker.ts')], outfile: worker, logLevel: 'error' })
  await build({
    ...common,
    stdin: { contents: entryOf(sources, files), resolveDir: root, loader: 'ts' },
    outfile: path,
    logLevel: 'error',
    banner: { js: 'const $M = globalThis.$M;' },
    plugins: [plugin(texts)],
  })
  return { path, worker, mutants, sources: originals, files }
}
