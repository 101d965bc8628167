/**
 * The numbers must not depend on the engine: runs the conformance cases and the laws with other versions of Node, which
 * come from npm and are kept in the cache folder. Last line: `N passed, N failed`.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Counts } from './counts.js'
import { readCounts, showCounts, total } from './counts.js'
import { cacheFolder, mustRun, root, run } from './process.js'

const versions = ['24', '26']

/** Milliseconds for one of the two parts with one version. */
const limit = 300_000

/** Installs one major version, once, and gives the path of its binary. */
const install = async (major: string): Promise<string> => {
  const folder = join(cacheFolder, `node-${major}`)
  const binary = (base: string): string => join(base, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (!existsSync(folder)) {
    // Installed beside its place and moved there whole, so that an interrupted download is not taken for an installation.
    const partial = `${folder}.${process.pid}`
    try {
      rmSync(partial, { recursive: true, force: true })
      mkdirSync(partial, { recursive: true })
      writeFileSync(join(partial, 'package.json'), JSON.stringify({ name: 'other-node', private: true }))
      await mustRun('npm', ['install', '--no-audit', '--no-fund', '--no-save', '--foreground-scripts', '--ignore-scripts=false', `node@${major}`], { cwd: partial, limit })
      renameSync(partial, folder)
    } finally {
      rmSync(partial, { recursive: true, force: true })
    }
  }
  const version = (await mustRun(binary(folder), ['--version'], { limit: 20_000 })).trim()
  if (!version.startsWith(`v${major}.`)) throw new Error(`${binary(folder)} is ${version}, not ${major}. Remove ${folder} and try again.`)
  console.log(`node ${version}`)
  return binary(folder)
}

/** uvu's totals, as it prints them last. */
const readTotals = (output: string): Counts | null => {
  // eslint-disable-next-line no-control-regex
  const plain = output.replace(/\u001b\[[0-9;]*m/g, '')
  const last = [...plain.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)$/gm)].at(-1)
  return last === undefined ? null : { passed: Number(last[2]), failed: Number(last[1]) - Number(last[2]) }
}

/** Runs one part; a process that ends badly or counts nothing is a failure. */
const part = async (name: string, binary: string, args: readonly string[], read: (output: string) => Counts | null): Promise<Counts> => {
  const ended = await run(binary, ['--import', 'tsx', ...args], { limit })
  const counted = read(ended.output)
  const good = ended.code === 0 && counted !== null && counted.failed === 0 && counted.passed > 0
  const counts = good ? counted : { passed: counted?.passed ?? 0, failed: Math.max(1, counted?.failed ?? 1) }
  console.log(`${good ? 'ok  ' : 'FAIL'} ${name}  ${showCounts(counts)}  ${ended.seconds.toFixed(1)} s`)
  if (!good) console.log(`  it ended with ${ended.code ?? ended.signal}${counted === null ? ' and without counts' : ''}\n${ended.output}`)
  return counts
}

const hasTests = (folder: string): boolean =>
  existsSync(join(root, folder)) && readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).some((file) => file.endsWith('.test.ts'))

const tryVersion = async (major: string): Promise<Counts> => {
  const binary = await install(major)
  const parts: Counts[] = []
  if (existsSync(join(root, 'test/conformance/run.ts'))) {
    parts.push(await part('conformance', binary, ['test/conformance/run.ts', 'test/conformance/cases'], readCounts))
  } else console.log('skip conformance: there is no test/conformance/run.ts')
  if (hasTests('test/laws')) {
    parts.push(await part('laws', binary, ['node_modules/uvu/bin.js', 'test/laws', '\\.test\\.ts$'], readTotals))
  } else console.log('skip laws: test/laws has no tests')
  return total(parts)
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
