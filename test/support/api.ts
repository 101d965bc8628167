/**
 * `npm run api`: what is exported, read from the declarations that the compiler writes. Renews `test/api.txt` (names and signatures; a test
 * compares), `.github/API.md` (names with the first sentence of their docstrings, for people), and README's table of quantizers.
 */
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parsers } from 'prettier/plugins/typescript'
import { sourcesOfEntries } from './blocks.js'
import { withQuantizerTable } from './quantizerTable.js'
import { mustRun, root } from './process.js'

/** One exported name. */
export type Exported = {
  readonly name: string
  /** Its declaration on one line, without comments. */
  readonly signature: string
  /** The first sentence of its docstring, or empty. */
  readonly says: string
  /** The source file that declares it, `src/ops/index.ts`. */
  readonly from: string
}
/** An entry of the package, `quantrace/onnx`, what it exports, by name, and the entries of which it has all names besides. */
export type Entry = { readonly name: string; readonly exported: readonly Exported[]; readonly parts: readonly string[] }

/** What is used of the parser's trees. */
type Ast = {
  readonly type: string
  readonly range: readonly [number, number]
  readonly body?: readonly Ast[]
  readonly comments?: readonly Ast[]
  readonly declaration?: Ast | null
  readonly declarations?: readonly Ast[]
  readonly id?: Ast
  readonly name?: string
  readonly value?: unknown
  readonly specifiers?: readonly Ast[]
  readonly source?: Ast | null
  readonly local?: Ast
  readonly imported?: Ast
  readonly exported?: Ast | null
}

/** A declaration file, taken apart. */
type Module = {
  readonly path: string
  readonly text: string
  readonly ast: Ast
  readonly comments: readonly Ast[]
}

const parse = (path: string): Module => {
  const text = readFileSync(path, 'utf8')
  const ast = parsers.typescript.parse(text, { filepath: path } as never) as Ast
  return { path, text, ast, comments: ast.comments ?? [] }
}

const namesIn = (declaration: Ast): readonly string[] =>
  (declaration.declarations ?? [declaration]).flatMap((d) => (d.id?.name === undefined ? [] : [d.id.name]))

/** The text of a node on one line, comments left out. */
const signatureOf = ({ text, comments }: Module, [from, to]: Ast['range']): string => {
  let out = ''
  let at = from
  for (const c of comments.filter((c) => c.range[0] >= from && c.range[1] <= to)) {
    out += text.slice(at, c.range[0])
    at = c.range[1]
  }
  return (out + text.slice(at, to))
    .replace(/\s+/g, ' ')
    .replace(/^export /, '')
    .replace(/^declare /, '')
    .replace(/;$/, '')
}

/** The first sentence of the docstring in front of a place. A dot inside brackets or backquotes ends none. */
const sentenceBefore = ({ text, comments }: Module, place: number): string => {
  const doc = comments.findLast((c) => c.range[1] <= place && text.slice(c.range[1], place).trim() === '')
  if (doc === undefined) return ''
  const said = text
    .slice(doc.range[0], doc.range[1])
    .replace(/^\/\*\*?|\*\/$/g, '')
    .replace(/^\s*\* ?/gm, '')
    .split(/^@/m)[0]
    .replace(/\s+/g, ' ')
    .trim()
  return /^(?:`[^`]*`|\([^)]*\)|[^.`(]|\.(?! |$))*\.?/.exec(said)?.[0] ?? said
}

const reader = (folder: string) => {
  const modules = new Map<string, Module>()
  const module = (path: string): Module => {
    const known = modules.get(path) ?? parse(path)
    modules.set(path, known)
    return known
  }
  const targetOf = (of: Module, source: Ast): Module =>
    module(join(dirname(of.path), String(source.value).replace(/\.js$/, '.d.ts')))
  const told = (m: Module, name: string, node: Ast): Exported => ({
    name,
    signature: withSchemas(m, signatureOf(m, node.range)),
    says: sentenceBefore(m, node.range[0]),
    from: m.path.slice(folder.length + 1).replace(/\.d\.ts$/, '.ts'),
  })
  /** A signature whose options derive from schemas, and these schemas: a change of an option is to be seen, too. */
  const withSchemas = (m: Module, signature: string): string => {
    const schemas = /OptionsOf<|PlaceOptions<|keyof typeof/.test(signature)
      ? [...signature.matchAll(/typeof (\w+)/g)].map((x) => x[1])
      : []
    const found = [...new Set(schemas)].flatMap((name) => find(m, name)?.signature ?? [])
    const said = found.map((x) => x.replace(/^const /, '').replace(/import\([^)]*\)\./g, ''))
    return said.length === 0 ? signature : `${signature} where ${said.join('; ')}`
  }
  /** What a module means by a name: its own declaration, exported or not, or what it imports. */
  const find = (m: Module, name: string): Exported | undefined => {
    for (const node of m.ast.body ?? []) {
      const declared = node.type === 'ExportNamedDeclaration' ? node.declaration : node
      if (declared !== null && declared !== undefined && namesIn(declared).includes(name)) return told(m, name, node)
      const imported = (node.type === 'ImportDeclaration' ? node.specifiers : [])?.find((s) => s.local?.name === name)
      if (imported?.imported?.name !== undefined && node.source)
        return find(targetOf(m, node.source), imported.imported.name)
    }
    return exportsOf(m).find((e) => e.name === name)
  }
  const ofNode = (m: Module, node: Ast): readonly Exported[] => {
    if (node.type === 'ExportAllDeclaration' && node.source) {
      const target = targetOf(m, node.source)
      const name = node.exported?.name
      // A namespace says what its module's first comment says.
      const says = sentenceBefore(target, target.comments[0]?.range[1] ?? 0)
      return name === undefined ? exportsOf(target) : [{ ...told(m, name, node), says }]
    }
    if (node.type !== 'ExportNamedDeclaration') return []
    if (node.declaration) return namesIn(node.declaration).map((name) => told(m, name, node))
    return (node.specifiers ?? []).flatMap((s) => {
      const [local, name] = [s.local?.name ?? '', s.exported?.name ?? '']
      const found = find(node.source ? targetOf(m, node.source) : m, local)
      return [found === undefined ? told(m, name, node) : { ...found, name }]
    })
  }
  const exportsOf = (m: Module): readonly Exported[] => (m.ast.body ?? []).flatMap((node) => ofNode(m, node))
  return (path: string): readonly Exported[] => {
    const all = exportsOf(module(path))
    // Overloads are declared one by one.
    const names = [...new Set(all.map((e) => e.name))].toSorted()
    return names.map((name) => {
      const same = all.filter((e) => e.name === name)
      return { ...same[0], signature: same.map((e) => e.signature).join(' & ') }
    })
  }
}

const keyOf = (e: Exported): string => `${e.from} ${e.name}`

/** Names stand once: those that the root has from an entry with all of its names stand there. */
const withParts = (entries: readonly Omit<Entry, 'parts'>[]): readonly Entry[] => {
  const [root, ...others] = entries
  const ofRoot = new Set(root.exported.map(keyOf))
  const parts = others.filter((o) => o.exported.every((e) => ofRoot.has(keyOf(e))))
  const elsewhere = new Set(parts.flatMap((p) => p.exported.map(keyOf)))
  const own = root.exported.filter((e) => !elsewhere.has(keyOf(e)))
  return [
    { name: root.name, exported: own, parts: parts.map((p) => p.name) },
    ...others.map((o) => ({ ...o, parts: [] })),
  ]
}

/** Every entry of the package and what it exports; asks the compiler, which takes seconds. */
export const readApi = async (): Promise<readonly Entry[]> => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'quantrace-api-')))
  try {
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const settings = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', folder]
    await mustRun(process.execPath, [tsc, ...settings], { limit: 120_000 })
    const read = reader(folder)
    return withParts(
      Object.entries(sourcesOfEntries()).map(([name, file]) => ({
        name,
        exported: read(join(folder, file.replace(/\.ts$/, '.d.ts'))),
      })),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Names and signatures as text, a line each. */
export const signatures = (entries: readonly Entry[]): string =>
  entries
    .flatMap(({ name, exported, parts }) => [
      `# ${[name, ...parts].join(' + ')}`,
      ...exported.map((e) => e.signature),
      '',
    ])
    .join('\n')

const LAYERS = /^src\/nn\/layers\/\w+Layers\.ts$/
const PRESETS = /^src\/quantizers\/presets\/\w+\.ts$/
const isConstant = (e: Exported): boolean =>
  e.signature.startsWith('const ') && /^[A-Z][a-z]|^[A-Z]+LU\d?\b|^(FP|MX)/.test(e.name)

/** Presets that `brevitas.quant` itself doesn't export. */
const FIXED_POINT = [
  'Int4WeightPerTensorFixedPointDecoupled',
  'Int8ActPerTensorFixedPointMinMaxInit',
  'Int8WeightPerChannelFixedPoint',
]
/** Those that only the examples of Brevitas have. */
const EXAMPLES = /Dynamic|(Group)Quant|^Int8WeightPerChannelFloatHQO$/

/** Where Brevitas or torch has the class of this name. */
const originOf = ({ name, from }: Exported): string => {
  if (FIXED_POINT.includes(name)) return 'brevitas.quant.fixed_point'
  if (!PRESETS.test(from)) return /^(Quant|Trunc)|ToQuant/.test(name) ? 'brevitas.nn' : 'torch.nn'
  return EXAMPLES.test(name) ? 'brevitas_examples.common.generative.quantizers' : 'brevitas.quant'
}

const escaped = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')

const originTable = (title: string, exported: readonly Exported[]): readonly string[] => [
  `### ${title}`,
  '',
  '| there | here | |',
  '|---|---|---|',
  ...exported.map((e) => `| \`${originOf(e)}.${e.name}\` | \`${e.name}\` | ${escaped(e.says)} |`),
  '',
]

const listed = (title: string, exported: readonly Exported[]): readonly string[] => [
  `### ${title}`,
  '',
  ...exported.map((e) => `- \`${e.name}\`${e.says === '' ? '' : `: ${escaped(e.says)}`}`),
  '',
]

const entryText = ({ name, exported, parts }: Entry): readonly string[] => {
  const tables = [
    ['Layers', exported.filter((e) => LAYERS.test(e.from) && isConstant(e))],
    ['Quantizers', exported.filter((e) => PRESETS.test(e.from) && isConstant(e))],
  ] as const
  const inTables = new Set(tables.flatMap(([, all]) => all))
  const rest = exported.filter((e) => !inTables.has(e))
  const files = [...new Set(rest.map((e) => e.from))].toSorted()
  return [
    `## ${name}`,
    '',
    ...(parts.length === 0 ? [] : [`Also all of ${parts.map((p) => `\`${p}\``).join(', ')}, below.`, '']),
    ...tables.flatMap(([title, all]) => (all.length === 0 ? [] : originTable(title, all))),
    ...files.flatMap((file) =>
      listed(
        file,
        rest.filter((e) => e.from === file),
      ),
    ),
  ]
}

/** The names for people: layers and presets beside those of Brevitas and torch, the rest by the file that declares it. */
export const apiPage = (entries: readonly Entry[]): string =>
  [
    '# What is exported',
    '',
    'Generated by `npm run api` from the docstrings. Signatures stand in `test/api.txt`; `npm run docs` writes the whole reference to `out/api`.',
    'Options have the names of Brevitas and torch in camelCase: `weight_bit_width` is `weightBitWidth`; what a layer takes and is not told, its error says.',
    '',
    ...entries.flatMap(entryText),
  ].join('\n')

/** The files that hold both, by path from the root. */
export const apiFiles = (entries: readonly Entry[]): { readonly [path: string]: string } => ({
  'test/api.txt': signatures(entries),
  '.github/API.md': apiPage(entries),
  'README.md': withQuantizerTable(readFileSync(join(root, 'README.md'), 'utf8')),
})

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const entries = await readApi()
  for (const [path, text] of Object.entries(apiFiles(entries))) writeFileSync(join(root, path), text)
  console.log(entries.map((e) => `${e.name}: ${e.exported.length} names`).join('\n'))
}
