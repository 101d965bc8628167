/**
 * What a user gets: packs the package, installs the tarball in an empty folder, imports each entry of `exports` with plain
 * Node, and type-checks and runs README.md's first TypeScript block there.
 */
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root, run, type RunOptions } from './process.js'

type Entry = string | { readonly types?: string; readonly default?: string }
type Manifest = { readonly name: string; readonly exports: Readonly<Record<string, Entry>>; readonly dependencies?: Readonly<Record<string, string>> }

/** Runs a command and stops everything with its output if it fails. */
const must = async (what: string, command: string, args: readonly string[], settings: RunOptions): Promise<string> => {
  const { code, signal, output } = await run(command, args, { limit: 300_000, ...settings })
  if (code !== 0) throw new Error(`${what}: it ended with ${code ?? signal ?? 'an error'}\n${output}`)
  console.log(`ok   ${what}`)
  return output
}

/** The first block of TypeScript in a Markdown text. */
const firstBlock = (markdown: string): string | undefined => /^```(?:ts|typescript)\b[^\n]*\n([\s\S]*?)^```/m.exec(markdown)?.[1]

const checkReadme = async (folder: string): Promise<void> => {
  const readme = join(root, 'README.md')
  if (!existsSync(readme)) return console.log('skip README.md: there is none')
  const block = firstBlock(readFileSync(readme, 'utf8'))
  if (block === undefined) throw new Error('README.md has no ```ts block')
  writeFileSync(join(folder, 'readme.ts'), block)
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
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
  }))
  await must('README.md: its first block type-checks', process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', folder], { cwd: folder })
  const tsx = pathToFileURL(join(root, 'node_modules', 'tsx', 'dist', 'loader.mjs')).href
  await must('README.md: its first block runs', process.execPath, ['--import', tsx, 'readme.ts'], { cwd: folder })
}

const main = async (folder: string): Promise<void> => {
  const manifest: Manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  // Stale files of an earlier build would be packed too, and hide that a file is missing.
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  await must('build', 'npm', ['run', 'build'], {})
  const packed = await must('npm pack', 'npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {})
  const tarball = packed.trim().split('\n').findLast((line) => line.trim().endsWith('.tgz'))?.trim()
  if (tarball === undefined) throw new Error(`npm pack named no tarball:\n${packed}`)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }))
  await must('npm install of the tarball', 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, tarball)], { cwd: folder })

  for (const [path, entry] of Object.entries(manifest.exports)) {
    const name = path.replace(/^\./, manifest.name)
    const installed = join(folder, 'node_modules', manifest.name)
    for (const target of typeof entry === 'string' ? [entry] : Object.values(entry)) {
      if (!existsSync(join(installed, target))) throw new Error(`exports['${path}'] names ${target}, which is not in the tarball`)
    }
    if (path.endsWith('.json')) continue
    const script = `const names = Object.keys(await import('${name}')); if (names.length === 0) throw new Error('it exports nothing')`
    await must(`import '${name}' with plain node`, process.execPath, ['--input-type=module', '-e', script], { cwd: folder })
  }
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
