/** The code in our Markdown: every `ts` block, with what it says that it prints, so that tests run what readers read. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root, run } from './process.js'
import type { Played } from './play-blocks.js'

/** A block of TypeScript; `prints` is the `text` block that follows it, with only white space between. */
export type Block = {
  readonly file: string
  readonly line: number
  readonly code: string
  readonly prints: string | null
}

const FENCE = /^```([a-z]*)[^\n]*\n([\s\S]*?)^```[^\S\n]*$/gm
const isTs = (language: string): boolean => ['ts', 'typescript', 'js', 'javascript', 'tsx', 'mts'].includes(language)

/** The blocks of one text. */
export const blocksOf = (file: string, markdown: string): readonly Block[] => {
  const fences = [...markdown.matchAll(FENCE)]
  return fences.flatMap((m, i): readonly Block[] => {
    if (!isTs(m[1])) return []
    const next = fences[i + 1]
    const follows = next?.[1] === 'text' && markdown.slice(m.index + m[0].length, next.index).trim() === ''
    const line = markdown.slice(0, m.index).split('\n').length
    return [{ file, line, code: m[2], prints: follows ? next[2] : null }]
  })
}

/** A block of a docstring's `@example`, and whose it is. */
export type Example = { readonly name: string; readonly block: Block }

const DOCSTRING = /\/\*\*((?:(?!\*\/)[\s\S])*?)\*\/\s*export (?:declare )?(?:const|type|(?:async )?function\*?) (\w+)/g

/** The fenced blocks of the docstrings' `@example`s in one source. */
export const examplesOf = (file: string, source: string): readonly Example[] =>
  [...source.matchAll(DOCSTRING)].flatMap((m): readonly Example[] => {
    const [, doc, name] = m
    const before = source.slice(0, m.index).split('\n').length - 1
    const bare = doc.replace(/^[^\S\n]*\* ?/gm, '')
    const at = bare.indexOf('@example')
    if (at < 0) return []
    const blank = bare.slice(0, at).replace(/[^\n]/g, '')
    return blocksOf(file, blank + bare.slice(at)).map((b) => ({ name, block: { ...b, line: b.line + before } }))
  })

/** Writes examples into a folder, each a module of its own. */
export const writeExamples = (folder: string, examples: readonly Example[]): readonly string[] =>
  examples.map(({ name, block }) => {
    const path = join(folder, `${name}_${block.line}.ts`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(path, block.code)
    return path
  })

/** A command of a `console` block, `$ npx quantrace …`, with what is said to come of it. */
export type Command = {
  readonly file: string
  readonly line: number
  readonly args: readonly string[]
  readonly prints: string
}

/** Words of a command line; quotes hold one together, and a comment ends it. */
const wordsOf = (command: string): readonly string[] => {
  const words = [...command.matchAll(/\s*(?:"([^"]*)"|'([^']*)'|(#.*)|([^\s"'#]\S*))/g)]
  return words.flatMap(([, double, single, comment, plain]) =>
    comment === undefined ? [double ?? single ?? plain] : [],
  )
}

/** The calls of quantrace in the `console` blocks of one text; what another command prints is nobody's affair. */
export const commandsOf = (file: string, markdown: string): readonly Command[] =>
  [...markdown.matchAll(FENCE)]
    .filter((m) => m[1] === 'console')
    .flatMap((m) => {
      const first = markdown.slice(0, m.index).split('\n').length + 1
      const lines = m[2].split('\n').slice(0, -1)
      const starts = lines.flatMap((l, i) => (l.startsWith('$ ') ? [i] : []))
      return starts.flatMap((at, k): readonly Command[] => {
        const [, call] = /^\$ (?:npx )?quantrace(?: (.*))?$/.exec(lines[at]) ?? []
        if (call === undefined) return []
        const prints = lines.slice(at + 1, starts[k + 1] ?? lines.length).map((l) => `${l}\n`)
        return [{ file, line: first + at, args: wordsOf(call), prints: prints.join('') }]
      })
    })

/** Does a text look as it is said to? `…` stands for anything in a line, and alone in one for any lines. */
export const looksAs = (said: string, text: string): boolean => {
  const quoted = (s: string): string => s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const lines = said.split('\n').map((l) => (l === '…' ? '[^]*?' : quoted(l).replaceAll('…', '.*')))
  return new RegExp(`^${lines.join('\n')}$`).test(text)
}

/** Every command of every document. */
export const allCommands = (): readonly Command[] =>
  documents.flatMap((file) => commandsOf(file, readFileSync(join(root, file), 'utf8')))

/** Runs commands in the folders of their documents' blocks, and gives what each printed. */
export const playCommands = async (
  folder: string,
  commands: readonly Command[],
  tsconfig: string,
): Promise<readonly string[]> => {
  const list = join(folder, 'commands.json')
  const calls = commands.map(({ file, args }) => ({ folder: join(folder, basename(file, '.md')), args }))
  for (const call of calls) mkdirSync(call.folder, { recursive: true })
  writeFileSync(list, JSON.stringify(calls))
  return played('play-commands.ts', [list], { folder, tsconfig })
}

/** Markdown files for people, as paths from the root. */
export const documents: readonly string[] = [
  'README.md',
  ...readdirSync(join(root, '.github'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `.github/${name}`),
]

/** Every block of every document. */
export const allBlocks = (): readonly Block[] =>
  documents.flatMap((file) => blocksOf(file, readFileSync(join(root, file), 'utf8')))

/**
 * Where a block's file stands in a folder of blocks: each document has a folder of its own, and a block that begins with `// net.ts` that
 * name, so that later ones can import it as a reader's files do; others are named by their line.
 */
export const nameOf = ({ file, line, code }: Block): string => {
  const [, named] = /^\/\/ ([\w-]+\.ts)\b/.exec(code) ?? []
  return join(basename(file, '.md'), named ?? `line_${line}.ts`)
}

/** Writes blocks into a folder, each a module of its own. */
export const writeBlocks = (folder: string, blocks: readonly Block[]): readonly string[] =>
  blocks.map((block) => {
    const path = join(folder, nameOf(block))
    if (existsSync(path)) throw new Error(`${block.file}, line ${block.line}: there is a ${nameOf(block)} above`)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, block.code)
    return path
  })

type Manifest = { readonly exports: { readonly [entry: string]: { readonly types: string } } }

/** Our entries by the names that users import, as files of `src` and `viz`. */
export const sourcesOfEntries = (): { readonly [name: string]: string } => {
  const { exports: entries }: Manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return Object.fromEntries(
    Object.entries(entries).map(([path, { types }]) => [
      path.replace(/^\./, 'quantrace'),
      types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts'),
    ]),
  )
}

/** A folder in which `quantrace` means the sources here, with our own compiler options. */
export const linkSources = (folder: string): string => {
  mkdirSync(folder, { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir')
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  const paths = Object.fromEntries(Object.entries(sourcesOfEntries()).map(([name, file]) => [name, [join(root, file)]]))
  const tsconfig = join(folder, 'tsconfig.json')
  // Sources lie elsewhere, so that `rootDir` must be above both.
  const compilerOptions = { rootDir: '/', paths, typeRoots: [join(root, 'node_modules', '@types')] }
  writeFileSync(
    tsconfig,
    JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include: [join(folder, '**/*.ts')] }),
  )
  return tsconfig
}

/** What the compiler says of a folder of blocks; empty if nothing. */
export const typecheck = async (tsconfig: string): Promise<string> => {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const { code, output } = await run(process.execPath, [tsc, '-p', tsconfig], { limit: 120_000 })
  return code === 0 ? '' : output
}

/** What a player of this folder says that it played. */
const played = async <A>(
  player: string,
  args: readonly string[],
  { folder, tsconfig }: { readonly folder: string; readonly tsconfig: string | undefined },
): Promise<A> => {
  const tsx = pathToFileURL(join(root, 'node_modules', 'tsx', 'dist', 'loader.mjs')).href
  const script = join(root, 'test/support', player)
  const env = { ...process.env, ...(tsconfig === undefined ? {} : { TSX_TSCONFIG_PATH: tsconfig }) }
  const ended = await run(process.execPath, ['--import', tsx, script, ...args], { cwd: folder, env, limit: 180_000 })
  const [report] = /(?<=^PLAYED ).*$/m.exec(ended.output) ?? []
  if (ended.code !== 0 || report === undefined)
    throw new Error(`the blocks ended with ${ended.code ?? ended.signal}\n${ended.output}`)
  return JSON.parse(report)
}

/** Runs blocks, one after the other in one process, in their folder. */
export const play = (folder: string, files: readonly string[], tsconfig?: string): Promise<readonly Played[]> =>
  played('play-blocks.ts', files, { folder, tsconfig })
