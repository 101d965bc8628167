/**
 * The numbers must not depend on the engine: runs the conformance cases and the laws with other versions of Node, which
 * come from npm and are kept in the cache folder. Last line: `N passed, N failed`.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Counts } from './counts.js'
import { readCounts, showCounts, total } from './counts.js'
import { cacheFolder, mustRun, run } from './process.js'

const versions = ['24', '26']

/** Milliseconds for one installation, and for one version's tests. */
const limit = 300_000

/** Installs one major version, once, and gives the path of its binary. */
const install = async (major: string): Promise<string> => {
  const folder = join(cacheFolder, `node-${major}`)
  const binary = (base: string): string =>
    join(base, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (!existsSync(folder)) {
    // Installed beside its place and moved there whole, so that an interrupted download is not taken for an installation.
    const partial = `${folder}.${process.pid}`
    try {
      rmSync(partial, { recursive: true, force: true })
      mkdirSync(partial, { recursive: true })
      writeFileSync(join(partial, 'package.json'), JSON.stringify({ name: 'other-node', private: true }))
      await mustRun(
        'npm',
        [
          'install',
          '--no-audit',
          '--no-fund',
          '--no-save',
          '--foreground-scripts',
          '--ignore-scripts=false',
          `node@${major}`,
        ],
        { cwd: partial, limit },
      )
      renameSync(partial, folder)
    } finally {
      rmSync(partial, { recursive: true, force: true })
    }
  }
  const version = (await mustRun(binary(folder), ['--version'], { limit: 20_000 })).trim()
  if (!version.startsWith(`v${major}.`))
    throw new Error(`${binary(folder)} is ${version}, not ${major}. Remove ${folder} and try again.`)
  console.log(`node ${version}`)
  return binary(folder)
}

/** Runs the conformance cases and the laws with one version; a run that ends badly or counts nothing is a failure. */
const tryVersion = async (major: string): Promise<Counts> => {
  const binary = await install(major)
  const ended = await run(binary, ['--import', 'tsx', 'test/support/run-tests.ts', '^test/(laws|conformance)/'], {
    limit,
    live: true,
  })
  const counts = readCounts(ended.output) ?? { passed: 0, failed: 0 }
  if (ended.code === 0 && counts.passed > 0) return counts
  console.log(`FAIL node ${major} ended with ${ended.code ?? ended.signal}`)
  return { ...counts, failed: Math.max(1, counts.failed) }
}

const results: Counts[] = []
for (const major of versions) {
  try {
    results.push(await tryVersion(major))
  } catch (error) {
    console.log(`FAIL node ${major}: ${error instanceof Error ? error.message : String(error)}`)
    results.push({ passed: 0, failed: 1 })
  }
}
const counts = total(results)
console.log(showCounts(counts))
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1
