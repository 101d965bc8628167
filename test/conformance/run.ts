/**
 * npm run conformance -- [--backend reference|wasm] [--threads N] [--tag T] [--claims] [--write-not-yet] DIR…
 * Runs every case file under the folders. Last lines: `carried N of M valid`, `N passed, N failed`.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { reference, type Backend } from '../../src/index.js'
import { executeCase, Refused } from './execute.js'
import { isRng, readCase, type Case } from './format.js'
import { rngDifference } from './rng.js'

type Verdict = { readonly difference: string | null; readonly carried: number; readonly valid: number; readonly claims: readonly string[] }
const plain = (difference: string | null): Verdict => ({ difference, carried: 0, valid: 0, claims: [] })

const filesUnder = (path: string): readonly string[] =>
  statSync(path).isDirectory() ? readdirSync(path).sort().flatMap((n) => filesUnder(join(path, n))) : path.endsWith('.json') ? [path] : []

/** A case that must fail: it must, with all the words it asks for, and not before the steps that must work. */
const mustFail = (c: Case, backend: Backend): string | null => {
  const words = c.expect_error?.message_contains ?? []
  try {
    const { difference } = executeCase(c, backend)
    return difference ?? 'it must fail, but ran to its end'
  } catch (e) {
    if (!(e instanceof Refused)) throw e
    const missing = words.find((w) => !e.message.includes(w))
    return missing === undefined ? null : `the error must say ${JSON.stringify(missing)}, but says: ${e.message}`
  }
}

const verdictOf = (file: string, backend: Backend, tag: string | null): Verdict | 'other tag' => {
  const c = readCase(file)
  if (tag !== null && !c.tags.includes(tag)) return 'other tag'
  if (isRng(c)) return plain(rngDifference(c))
  return c.expect_error === undefined ? executeCase(c, backend) : plain(mustFail(c, backend))
}

const messageOf = (e: unknown): string => (e instanceof Refused ? e.message : e instanceof Error ? `${e.message}\n${(e.stack ?? '').split('\n').slice(1, 4).join('\n')}` : String(e))

const judge = (file: string, backend: Backend, tag: string | null): Verdict | 'other tag' => {
  try {
    return verdictOf(file, backend, tag)
  } catch (e) {
    return plain(messageOf(e))
  }
}

type Options = { readonly backend: string; readonly tag: string | null; readonly claims: boolean; readonly write: boolean; readonly dirs: readonly string[] }

const parse = (argv: readonly string[]): Options => {
  const value = (flag: string): string | null => { const i = argv.indexOf(flag); return i < 0 ? null : (argv[i + 1] ?? '') }
  const valued = ['--backend', '--threads', '--tag']
  return {
    backend: value('--backend') ?? 'reference', tag: value('--tag'), claims: argv.includes('--claims'), write: argv.includes('--write-not-yet'),
    dirs: argv.filter((a, i) => !a.startsWith('--') && !valued.includes(argv[i - 1] ?? '')),
  }
}

const BACKENDS: { readonly [name: string]: Backend } = { reference }
const NOT_YET = join(dirname(fileURLToPath(import.meta.url)), 'not-yet.txt')

const main = (): number => {
  const options = parse(process.argv.slice(2))
  const backend = BACKENDS[options.backend]
  if (backend === undefined || options.dirs.length === 0) {
    console.error(backend === undefined ? `there is no backend ${options.backend}; this build has ${Object.keys(BACKENDS).join(', ')}` : 'name a folder of case files: npm run conformance -- test/conformance/cases')
    return 2
  }
  const notYet = new Set(existsSync(NOT_YET) && !options.write ? readFileSync(NOT_YET, 'utf8').split('\n').map((l) => l.trim()).filter((l) => l !== '') : [])
  let [passed, failed, carried, valid] = [0, 0, 0, 0]
  const failures: string[] = []
  const claims = new Map<string, number>()
  for (const file of options.dirs.flatMap(filesUnder)) {
    const v = judge(file, backend, options.tag)
    if (v === 'other tag') continue
    const name = file.split(/[\\/]/).slice(-2).join('/').replace(/\.json$/, '')
    carried += v.carried
    valid += v.valid
    for (const why of v.claims) claims.set(why, (claims.get(why) ?? 0) + 1)
    const listed = notYet.has(name)
    if ((v.difference === null) === listed) {
      failed++
      console.log(`FAIL ${name}: ${v.difference ?? 'it passes, but not-yet.txt lists it'}`)
    } else passed++
    if (v.difference !== null) failures.push(name)
  }
  if (options.claims) for (const [why, n] of [...claims].sort((a, b) => b[1] - a[1])) console.log(`claimed ${n}: ${why}`)
  if (options.write) writeFileSync(NOT_YET, failures.join('\n') + '\n')
  console.log(`carried ${carried} of ${valid} valid`)
  console.log(`${passed} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}

process.exitCode = main()
