/**
 * What a user gets: packs the package, installs the tarball in an empty folder, which must say nothing but what npm always says, imports each
 * entry of `exports` with plain Node, and type-checks and runs every block of README.md and `.github` there.
 */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { allBlocks, documents, play, typecheck, writeBlocks } from './blocks.js'
import { root, run, type RunOptions } from './process.js'

type Entry = string | { readonly types?: string; readonly default?: string }
type Manifest = {
  readonly name: string
  readonly exports: Readonly<Record<string, Entry>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const installing = ['install', '--no-audit', '--no-fund', '--prefer-offline']

/** Runs a command and stops everything with its output if it fails. */
const must = async (what: string, command: string, args: readonly string[], settings: RunOptions): Promise<string> => {
  const { code, signal, output } = await run(command, args, { limit: 300_000, ...settings })
  if (code !== 0) throw new Error(`${what}: it ended with ${code ?? signal ?? 'an error'}\n${output}`)
  console.log(`ok   ${what}`)
  return output
}

/** Every block of the documents as a user has it: against the installed declarations, and run with the installed code. */
const checkDocuments = async (folder: string): Promise<void> => {
  const blocks = allBlocks()
  const files = writeBlocks(folder, blocks)
  const tsconfig = join(folder, 'tsconfig.json')
  writeFileSync(
    tsconfig,
    JSON.stringify({
      // What `tsc --init` writes, and our declarations must stand without skipLibCheck.
      compilerOptions: {
        module: 'nodenext',
        target: 'esnext',
        types: [],
        noUncheckedIndexedAccess: true,
        exactOptionalPropertyTypes: true,
        strict: true,
        verbatimModuleSyntax: true,
        isolatedModules: true,
        noUncheckedSideEffectImports: true,
        moduleDetection: 'force',
        skipLibCheck: false,
        noEmit: true,
      },
      include: ['*/*.ts'],
    }),
  )
  const wrong = await typecheck(tsconfig)
  if (wrong !== '') throw new Error(`README.md and .github: blocks don't type-check\n${wrong}`)
  const failed = (await play(folder, files, tsconfig)).flatMap((p, i) =>
    p.error !== null || (blocks[i].prints !== null && blocks[i].prints !== p.printed)
      ? [`${blocks[i].file}, line ${blocks[i].line}: ${p.error ?? `it printed\n${p.printed}`}`]
      : [],
  )
  if (failed.length > 0) throw new Error(failed.join('\n'))
  console.log(`ok   ${blocks.length} blocks of README.md and .github type-check and run`)
}

/** Links to what stands in the repository alone; npm's page of a package leads them there. */
const inRepositoryOnly = /^(\.\.\/)?(test|examples)\/|^(\.github\/)?decisions(\/|$)/

/** Is each file that `exports` names in the tarball, and nothing but the build? */
const checkFiles = (manifest: Manifest, installed: string): void => {
  for (const [path, entry] of Object.entries(manifest.exports)) {
    for (const target of typeof entry === 'string' ? [entry] : Object.values(entry)) {
      if (!existsSync(join(installed, target)))
        throw new Error(`exports['${path}'] names ${target}, which is not in the tarball`)
    }
  }
  const stray = readdirSync(installed, { recursive: true, encoding: 'utf8' }).find(
    (file) =>
      !/^(dist([/\\].*)?|package\.json|README\.md|CHANGELOG\.md|LICENSE|\.github|\.github[/\\]\w+\.md|viz|viz[/\\]page\.png)$/.test(
        file,
      ) || /(^|[/\\])(test|examples)[/\\]|\.test\./.test(file),
  )
  if (stray !== undefined) throw new Error(`${stray} does not belong in the tarball`)
  for (const document of documents) {
    for (const [, link] of readFileSync(join(root, document), 'utf8').matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      if (!existsSync(join(root, dirname(document), link)))
        throw new Error(`${document} links to ${link}, which is not there`)
      if (!inRepositoryOnly.test(link) && !existsSync(join(installed, dirname(document), link)))
        throw new Error(`${document} links to ${link}, which is not in the tarball`)
    }
  }
  // Declarations tell what comments would tell again.
  const commented = readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' }).find(
    (file) => file.endsWith('.js') && /^(\/\/ |\/\*\*)/m.test(readFileSync(join(installed, 'dist', file), 'utf8')),
  )
  if (commented !== undefined) throw new Error(`dist/${commented} is packed with its comments`)
  console.log('ok   the tarball holds what exports names, no tests and no comments')
}

/** The command as `npx` finds it in the folder of a user, with nothing fetched. */
const checkCommand = async (folder: string): Promise<void> => {
  const said = await must('npx quantrace --help', 'npx', ['--no-install', 'quantrace', '--help'], { cwd: folder })
  if (!said.startsWith('usage: quantrace COMMAND')) throw new Error(`npx quantrace --help says\n${said}`)
  writeFileSync(
    join(folder, 'net.mjs'),
    "import { QuantLinear, tensorInput } from 'quantrace'\nexport const net = QuantLinear({ inFeatures: 2, outFeatures: 2 })\nexport const inputs = tensorInput([1, 2])\n",
  )
  // A network of the installed package, by the command of the installed package: out as ONNX and in again.
  for (const args of [
    ['export', 'net.mjs', '--to', 'qcdq'],
    ['import', 'net.onnx'],
    ['explain', 'net/net.json', '--brief'],
  ])
    await must(`npx quantrace ${args.join(' ')}`, 'npx', ['--no-install', 'quantrace', ...args], { cwd: folder })
  // TypeScript too: by Node itself, or by the tsx that stands in the folder.
  symlinkSync(join(root, 'node_modules', 'tsx'), join(folder, 'node_modules', 'tsx'), 'dir')
  cpSync(join(folder, 'net.mjs'), join(folder, 'net.ts'))
  await must('npx quantrace explain net.ts', 'npx', ['--no-install', 'quantrace', 'explain', 'net.ts'], { cwd: folder })
}

/** Imports each entry with plain Node; one that needs an optional peer, and says so, gets another try once the peers are installed. */
const importEntries = async (manifest: Manifest, folder: string): Promise<void> => {
  const peers = Object.entries(manifest.peerDependencies ?? {})
  const names = Object.keys(manifest.exports)
    .filter((path) => !path.endsWith('.json'))
    .map((path) => path.replace(/^\./, manifest.name))
  const commandFor = (name: string): readonly string[] => [
    '--input-type=module',
    '-e',
    `const names = Object.keys(await import('${name}')); if (names.length === 0) throw new Error('it exports nothing')`,
  ]
  const waiting: string[] = []
  for (const name of names) {
    const first = await run(process.execPath, commandFor(name), { cwd: folder, limit: 60_000 })
    const lacksPeer = peers.some(([peer]) => first.output.includes(`Cannot find package '${peer}'`))
    if (first.code === 0) console.log(`ok   import '${name}' with plain node`)
    else if (lacksPeer && name !== manifest.name) waiting.push(name)
    else throw new Error(`import '${name}': it ended with ${first.code ?? first.signal}\n${first.output}`)
  }
  if (waiting.length === 0) return
  await must(
    'npm install of the optional peers',
    'npm',
    [...installing, ...peers.map(([peer, range]) => `${peer}@${range}`)],
    { cwd: folder },
  )
  for (const name of waiting)
    await must(`import '${name}' with plain node and the optional peers`, process.execPath, commandFor(name), {
      cwd: folder,
    })
}

const main = async (folder: string): Promise<void> => {
  const manifest: Manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  // Stale files of an earlier build would be packed too, and hide that a file is missing.
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  await must('build', 'npm', ['run', 'build'], {})
  const packed = await must(
    'npm pack',
    'npm',
    ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder],
    {},
  )
  const tarball = packed
    .trim()
    .split('\n')
    .findLast((line) => line.trim().endsWith('.tgz'))
    ?.trim()
  if (tarball === undefined) throw new Error(`npm pack named no tarball:\n${packed}`)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }))
  const said = await must('npm install of the tarball', 'npm', [...installing, join(folder, tarball)], { cwd: folder })
  if (/warn|error/i.test(said)) throw new Error(`npm install of the tarball warns:\n${said}`)

  checkFiles(manifest, join(folder, 'node_modules', manifest.name))
  await importEntries(manifest, folder)
  await checkCommand(folder)
  await checkDocuments(folder)
}

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'quantrace-pack-')))
try {
  await main(folder)
} catch (error) {
  console.error(`FAIL ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
