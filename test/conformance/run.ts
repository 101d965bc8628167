/**
 * npm run conformance -- [--backend reference|wasm] [--threads N] [--tag T] [--verbose] [--claims] [--write-not-yet] [--html OUTDIR] DIR…
 * Runs every case file under the folders. Last lines: `carried N of M valid`, `N passed, N failed`.
 * `--onnx OUTDIR [--format qcdq|qonnx]` writes each program case as an ONNX file instead.
 * `--state-dict OUTDIR` writes their states as Brevitas' state dicts, `--from-state-dict INDIR --out OUTDIR` reads such.
 * `--twin OUTDIR` writes PyTorch twins for `check_twin.py`, `--from-twin OUTDIR` reads back what they saved.
 * `--import DIR --out OUTDIR` reads ONNX models, computes them, and writes them again.
 * `--integer OUTDIR` writes each case with a valid quant tensor as result as an integer program in C (integer FORMAT.md).
 * `--html` also writes a page per program case, `OUTDIR/<group>/<name>.html`.
 * `--verbose` prints passing cases and all differences of a failing one, `--claims` why valid values are only claimed.
 */
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { isLeft } from 'fp-ts/lib/Either.js'
import { createWasm, explainAll, reference, type Backend, type WasmBackend } from '../../src/index.js'
import { writePages } from './html.js'
import { readOnnx } from './importOnnx.js'
import { writeOnnx } from './onnx.js'
import { writeIntegers } from './integer.js'
import { readStateDicts, writeStateDicts } from './stateDict.js'
import { readTwins, writeTwins } from './twin.js'
import { judgeFile, type Verdict } from './verdict.js'

const USAGE =
  'npm run conformance -- [--backend reference|wasm] [--threads N] [--tag T] [--verbose] [--claims] [--write-not-yet] [--html OUTDIR] DIR…'
const NOT_YET = fileURLToPath(new URL('not-yet.txt', import.meta.url))
const BACKENDS: readonly string[] = ['reference', 'wasm']

const filesUnder = (path: string): readonly string[] =>
  statSync(path).isDirectory()
    ? readdirSync(path)
        .sort()
        .flatMap((n) => filesUnder(join(path, n)))
    : path.endsWith('.json')
      ? [path]
      : []

/** A mistake on the command line; exit status 2. */
class Usage extends Error {}

type Options = {
  readonly backend: string
  readonly threads: number
  readonly tag: string | null
  readonly verbose: boolean
  readonly claims: boolean
  readonly write: boolean
  readonly html: string | null
  readonly onnx: string | null
  readonly integer: string | null
  readonly stateDict: string | null
  readonly fromStateDict: string | null
  readonly import: string | null
  readonly twin: string | null
  readonly fromTwin: string | null
  readonly out: string
  readonly format: 'qcdq' | 'qonnx'
  readonly files: readonly string[]
  /** The folders that were named. */
  readonly roots: readonly string[]
}

const parse = (args: readonly string[]): Options => {
  const { values: o, positionals: dirs } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      backend: { type: 'string', default: 'reference' },
      threads: { type: 'string', default: '1' },
      tag: { type: 'string' },
      verbose: { type: 'boolean', default: false },
      claims: { type: 'boolean', default: false },
      'write-not-yet': { type: 'boolean', default: false },
      html: { type: 'string' },
      onnx: { type: 'string' },
      integer: { type: 'string' },
      'state-dict': { type: 'string' },
      'from-state-dict': { type: 'string' },
      import: { type: 'string' },
      twin: { type: 'string' },
      'from-twin': { type: 'string' },
      out: { type: 'string', default: 'out' },
      format: { type: 'string', default: 'qcdq' },
    },
  })
  if (!BACKENDS.includes(o.backend))
    throw new Usage(`this build has no ${o.backend} backend, only ${BACKENDS.join(', ')}`)
  if (!/^[1-9]\d*$/.test(o.threads)) throw new Usage(`--threads ${o.threads} is not a number of threads`)
  if (o.format !== 'qcdq' && o.format !== 'qonnx') throw new Usage(`--format ${o.format}: give qcdq or qonnx`)
  if (o.import !== undefined && !existsSync(o.import)) throw new Usage(`there is no ${o.import}`)
  if (dirs.length === 0 && o.import === undefined)
    throw new Usage('name a folder of case files, for instance test/conformance/cases')
  const missing = dirs.find((d) => !existsSync(d))
  if (missing !== undefined) throw new Usage(`there is no ${missing}`)
  return {
    backend: o.backend,
    threads: Number(o.threads),
    tag: o.tag ?? null,
    verbose: o.verbose,
    claims: o.claims,
    write: o['write-not-yet'],
    html: o.html ?? null,
    onnx: o.onnx ?? null,
    integer: o.integer ?? null,
    roots: dirs,
    stateDict: o['state-dict'] ?? null,
    fromStateDict: o['from-state-dict'] ?? null,
    import: o.import ?? null,
    twin: o.twin ?? null,
    fromTwin: o['from-twin'] ?? null,
    out: o.out,
    format: o.format,
    files: dirs.flatMap(filesUnder),
  }
}

const listed = (): ReadonlySet<string> =>
  new Set(
    existsSync(NOT_YET)
      ? readFileSync(NOT_YET, 'utf8')
          .split('\n')
          .map((l) => l.trim())
          .filter((l) => l !== '')
      : [],
  )

/** Prints what is red about a case; is it? */
const report = (v: Verdict, allowed: boolean, verbose: boolean): boolean => {
  const failed = v.differences.length > 0
  if (failed && !allowed)
    for (const d of verbose ? v.differences : v.differences.slice(0, 1)) console.log(`FAIL ${v.name}: ${d}`)
  else if (!failed && allowed) console.log(`FAIL ${v.name}: it passes, but ${basename(NOT_YET)} lists it`)
  else if (verbose) console.log(`${failed ? 'not yet' : 'ok'} ${v.name}`)
  return failed !== allowed
}

const reportClaims = (verdicts: readonly Verdict[]): void => {
  const counts = new Map<string, number>()
  for (const why of verdicts.flatMap((v) => v.claims)) counts.set(why, (counts.get(why) ?? 0) + 1)
  for (const [why, n] of [...counts].sort((a, b) => b[1] - a[1])) console.log(`claimed ${n}: ${why}`)
}

const writeNotYet = (failures: readonly string[]): void => {
  if (failures.length === 0) rmSync(NOT_YET, { force: true })
  else writeFileSync(NOT_YET, failures.join('\n') + '\n')
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

const main = (options: Options, backend: Backend): number => {
  if (options.stateDict !== null) return writeStateDicts(options.files, options.stateDict)
  if (options.fromStateDict !== null) return readStateDicts(options.files, options.fromStateDict, options.out)
  if (options.twin !== null) return writeTwins(options.files, options.twin)
  if (options.fromTwin !== null) return readTwins(options.files, options.fromTwin)
  if (options.import !== null) return readOnnx(options.import, options.out)
  if (options.onnx !== null) return writeOnnx(options.files, options.onnx, options.format)
  if (options.integer !== null) return writeIntegers(options.roots, options.files, options.integer)
  const notYet = options.write ? new Set<string>() : listed()
  const verdicts: Verdict[] = []
  let failed = 0
  for (const file of options.files) {
    const v = judgeFile(file, backend, options.tag)
    if (v === null) continue
    verdicts.push(v)
    if (report(v, notYet.has(v.name), options.verbose)) failed++
  }
  if (verdicts.length === 0) throw new Usage('no case was found there')
  if (options.claims) reportClaims(verdicts)
  if (options.html !== null) console.log(`${writePages(options.files, options.html)} pages written to ${options.html}`)
  if (options.write) writeNotYet(verdicts.filter((v) => v.differences.length > 0).map((v) => v.name))
  console.log(`carried ${sum(verdicts.map((v) => v.carried))} of ${sum(verdicts.map((v) => v.valid))} valid`)
  console.log(`${verdicts.length - failed} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}

/** The backend that was asked for. Recorded cases are small: with threads everything that can be split is, however short. */
const backendOf = async ({ backend, threads }: Options): Promise<Backend & Partial<WasmBackend>> => {
  if (backend === 'reference') return reference
  const made = await createWasm({ threads, splitAbove: 0 })
  if (isLeft(made)) throw new Usage(explainAll(made.left))
  const { level, notes } = made.right.features
  console.log(`wasm: ${level}, ${made.right.features.threads} threads${notes.map((n) => `; ${n}`).join('')}`)
  return made.right
}

try {
  const options = parse(process.argv.slice(2))
  const backend = await backendOf(options)
  process.exitCode = main(options, backend)
  backend.dispose?.()
} catch (e) {
  if (!(e instanceof Usage || (e instanceof Error && 'code' in e && String(e.code).startsWith('ERR_PARSE_ARGS'))))
    throw e
  console.error(`${e.message}\nusage: ${USAGE}`)
  process.exitCode = 2
}
