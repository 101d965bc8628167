/**
 * `npm run mutate -- --group ops --sample 50 --seed 1`: changes one operator, number or name at a time, and asks the tests whether they notice. What was asked
 * before, of the same file and the same tests, is taken from `out/mutants.json`. Prints the share that was killed, and every survivor.
 */
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { random } from '../hostile/mutate.js'
import { root, run } from '../support/process.js'
import { GROUPS, type Group } from './groups.js'
import { mutantsOf, mutated, type Mutant } from './mutants.js'

const { values } = parseArgs({
  options: {
    group: { type: 'string', default: '' },
    file: { type: 'string', default: '' },
    sample: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: 'Infinity' },
  },
})
const start = performance.now()
const out = join(root, 'out')
const ledgerFile = join(out, 'mutants.json')
mkdirSync(out, { recursive: true })
const ledger: Record<string, string> = existsSync(ledgerFile) ? JSON.parse(readFileSync(ledgerFile, 'utf8')) : {}

/** A copy of the tree, in which sources can be changed. */
const copy = mkdtempSync(join(tmpdir(), 'quantrace-mutants-'))
for (const name of ['src', 'test', 'viz', 'examples', 'package.json', 'tsconfig.json'])
  cpSync(join(root, name), join(copy, name), { recursive: true })
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))

const sha = (...texts: readonly string[]): string => {
  const h = createHash('sha256')
  for (const t of texts) h.update(t).update('\0')
  return h.digest('hex').slice(0, 24)
}

const filesOf = (g: Group): readonly string[] =>
  readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .map((f) => `src/${f}`)
    .filter((f) => g.sources.test(f) && f.includes(values.file))
    .toSorted()

const testsOf = (g: Group): string =>
  g.stages
    .flat()
    .map((f) => (f.endsWith('.ts') && existsSync(join(root, f)) ? readFileSync(join(root, f), 'utf8') : f))
    .join('\n')

/** The first command that notices the change, or `survived`. */
const verdictOf = async (g: Group, m: Mutant): Promise<string> => {
  for (const stage of g.stages) {
    const args = stage.map((a) => (a === 'FILE' ? m.file : a))
    const ended = await run(process.execPath, ['--import', 'tsx', ...args], { limit: 240_000, cwd: copy })
    if (ended.code !== 0) return args[0]
  }
  return 'survived'
}

const sampled = (all: readonly Mutant[]): readonly Mutant[] => {
  const r = random(Number(values.seed))
  const rest = [...all]
  const most = Math.min(Number(values.sample), rest.length)
  return Array.from({ length: most }, () => rest.splice(r.int(rest.length), 1)[0])
}

/** The unchanged tree must pass, or everything would count as noticed. */
const soundness = async (g: Group): Promise<void> => {
  const [file] = filesOf(g)
  const found = await verdictOf(g, { file, at: 0, from: '', to: '', line: 0 })
  if (found !== 'survived') throw new Error(`${g.name}: ${found} fails without a change`)
}

for (const g of GROUPS.filter((group) => group.name.includes(values.group))) {
  const sources = new Map(filesOf(g).map((f) => [f, readFileSync(join(root, f), 'utf8')]))
  const all = [...sources].flatMap(([f, s]) => mutantsOf(f, s))
  const tests = testsOf(g)
  if (all.length === 0) continue
  await soundness(g)
  let [killed, asked] = [0, 0]
  for (const m of sampled(all)) {
    if ((performance.now() - start) / 60_000 > Number(values.minutes)) break
    const source = sources.get(m.file) ?? ''
    const key = sha(source, tests, String(m.at), m.to)
    if (!(key in ledger)) {
      writeFileSync(join(copy, m.file), mutated(source, m))
      ledger[key] = await verdictOf(g, m)
      writeFileSync(join(copy, m.file), source)
      writeFileSync(ledgerFile, JSON.stringify(ledger, null, 1))
    }
    asked++
    if (ledger[key] === 'survived')
      console.log(
        `survived  ${m.file}:${m.line}  ${m.from.trim()} → ${m.to.trim()}   ${source.split('\n')[m.line - 1].trim()}`,
      )
    else killed++
  }
  console.log(
    `${g.name}: ${killed} of ${asked} killed (${((100 * killed) / Math.max(1, asked)).toFixed(1)} %), of ${all.length} mutants`,
  )
}
rmSync(copy, { recursive: true, force: true })
