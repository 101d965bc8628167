/**
 * The rules of size (file ≤ 300 lines, function ≤ 60, ≤ 5 positional parameters, no nested ternary, complexity ≤ 15) hold
 * everywhere but in tests; what is excepted says why in a comment beside it, and there are ten such places at most.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './process.js'
import { suite } from './suite.js'

const test = suite('size rules')

const LIMITS = {
  'max-lines': ['error', { max: 300 }],
  'max-lines-per-function': ['error', { max: 60 }],
  'max-params': ['error', { max: 5 }],
  'no-nested-ternary': 'error',
  complexity: ['error', { max: 15 }],
} as const
const RULES = Object.keys(LIMITS)
const MOST = 10
/** Shorter ones say nothing. */
const SHORTEST_REASON = 20

type Rules = { readonly [rule: string]: unknown }
type Config = {
  readonly rules: Rules
  readonly overrides: readonly { readonly files: readonly string[]; readonly rules: Rules }[]
}
const config: Config = JSON.parse(readFileSync(join(root, '.oxlintrc.json'), 'utf8'))

/** A comment that switches rules off: all of them where it names none. */
type Exception = { readonly where: string; readonly rules: readonly string[]; readonly reason: string }

/** The exceptions of a text, in either of the spellings that oxlint reads. */
const exceptionsIn = (file: string, text: string): readonly Exception[] =>
  text.split('\n').flatMap((line, i) => {
    const found = /\b(?:ox|es)lint-disable(?:-next-line|-line)?(?<rules>[^*]*?)(?:--(?<reason>.*?))?(?:\*\/.*)?$/.exec(
      line,
    )
    if (found === null) return []
    const rules = (found.groups?.rules ?? '').split(/[\s,]+/).filter((r) => r !== '')
    return [{ where: `${file}:${i + 1}`, rules, reason: (found.groups?.reason ?? '').trim() }]
  })

const isOfSize = ({ rules }: Exception): boolean => rules.length === 0 || rules.some((r) => RULES.includes(r))

/** Those of the code that is linted. */
const exceptions = (): readonly Exception[] =>
  ['src', 'viz', 'examples']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (path) => `${folder}/${path.replaceAll('\\', '/')}`,
      ),
    )
    .filter((path) => path.endsWith('.ts') && !/^(?:src\/interop\/onnx\/proto|viz\/generated)\//.test(path))
    .flatMap((path) => exceptionsIn(path, readFileSync(join(root, path), 'utf8')))
    .filter(isOfSize)

test('comments are read as oxlint reads them', () => {
  const of = (line: string) => exceptionsIn('x.ts', line).map(({ rules, reason }) => [rules, reason])
  assert.deepEqual(of('// oxlint-disable-next-line max-params -- public since 0.1'), [
    [['max-params'], 'public since 0.1'],
  ])
  assert.deepEqual(of('/* oxlint-disable max-lines, complexity -- one table */'), [
    [['max-lines', 'complexity'], 'one table'],
  ])
  assert.deepEqual(of('/* eslint-disable */'), [[[], '']])
  assert.deepEqual(of('const a = 1'), [])
  assert.ok(isOfSize({ where: '', rules: [], reason: '' }), 'a comment without rules switches all of them off')
  assert.ok(!isOfSize({ where: '', rules: ['no-control-regex'], reason: '' }))
})

test('the limits are those that are agreed on, and only tests are free of them', () => {
  for (const [rule, limit] of Object.entries(LIMITS)) assert.deepEqual(config.rules[rule], limit, rule)
  const free = config.overrides.filter(({ rules }) => RULES.some((r) => r in rules))
  assert.deepEqual(
    free.map(({ files }) => files),
    [['test/**']],
  )
})

test('exceptions are few, and each says why', () => {
  const found = exceptions()
  const silent = found.filter(({ reason }) => reason.length < SHORTEST_REASON)
  assert.deepEqual(
    silent.map(({ where }) => where),
    [],
  )
  const count = found.reduce((n, { rules }) => n + Math.max(1, rules.filter((r) => RULES.includes(r)).length), 0)
  assert.ok(count <= MOST, `${count} exceptions, ${MOST} at most: ${found.map(({ where }) => where).join(', ')}`)
})

test.run()
