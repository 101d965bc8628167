/**
 * What a user gets: packs the package, installs the tarball in an empty folder, imports each entry of `exports` with plain
 * Node, and type-checks and runs README.md's first TypeScript block there.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
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

/** The first block of TypeScript in a Markdown text. */
const firstBlock = (markdown: string): string | undefined =>
  /^```(?:ts|typescript)\b[^\n]*\n([\s\S]*?)^```/m.exec(markdown)?.[1]

const checkReadme = async (folder: string): Promise<void> => {
  const readme = join(root, 'README.md')
  if (!existsSync(readme)) return console.log('skip README.md: there is none')
  const block = firstBlock(readFileSync(readme, 'utf8'))
  if (block === undefined) throw new Error('README.md has no ```ts block')
  writeFileSync(join(folder, 'readme.ts'), block)
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        module: 'nodenext',
        moduleResolution: 'nodenext',
        target: 'es2022',
        lib: ['es2023', 'dom'],
        strict: true,
        noEmit: true,
        // A user's own settings: our declarations must stand without skipLibCheck.
        skipLibCheck: false,
        types: ['node'],
        typeRoots: [join(root, 'node_modules', '@types')],
      },
      include: ['readme.ts'],
    }),
  )
  await must(
    'README.md: its first block type-checks',
    process.execPath,
    [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', folder],
    { cwd: folder },
  )
  const tsx = pathToFileURL(join(root, 'node_modules', 'tsx', 'dist', 'loader.mjs')).href
  await must('README.md: its first block runs', process.execPath, ['--import', tsx, 'readme.ts'], { cwd: folder })
}

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
      !/^(dist([/\\].*)?|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(file) ||
      /(^|[/\\])(test|examples)[/\\]|\.test\./.test(file),
  )
  if (stray !== undefined) throw new Error(`${stray} does not belong in the tarball`)
  console.log('ok   the tarball holds what exports names, and no tests')
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
  await must('npm install of the tarball', 'npm', [...installing, join(folder, tarball)], { cwd: folder })

  checkFiles(manifest, join(folder, 'node_modules', manifest.name))
  await importEntries(manifest, folder)
  await checkReadme(folder)
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
