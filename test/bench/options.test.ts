import * as assert from 'uvu/assert'
import { join } from 'node:path'
import { root, run } from '../support/process.js'
import { suite } from '../support/suite.js'
import { WORKLOADS } from './cases.js'
import { readCommandLine, type Options } from './options.js'

const test = suite('bench options')

const optionsOf = (...args: readonly string[]): Options => {
  const line = readCommandLine(args)
  if (line.tag !== 'run') throw new Error(`${args.join(' ')} is ${line.tag}`)
  return line.options
}

test('without arguments: every workload, one and two threads, no Python', () => {
  assert.equal(optionsOf(), {
    only: WORKLOADS,
    threads: [1, 2],
    brevitas: false,
    python: 'python3',
    quick: false,
    json: null,
    heap: false,
    history: false,
    models: false,
  })
})

test('every argument is read', () => {
  const o = optionsOf(
    '--only',
    'W4,W1,W4',
    '--threads=2',
    '--peer',
    'brevitas',
    '--python',
    '/opt/python',
    '--quick',
    '--json',
    'a/b.json',
    '--heap',
    '--models',
  )
  assert.equal(o, {
    only: ['W4', 'W1'],
    threads: [2],
    brevitas: true,
    python: '/opt/python',
    quick: true,
    json: 'a/b.json',
    heap: true,
    history: false,
    models: true,
  })
})

test('help wins over the rest', () => assert.equal(readCommandLine(['--only', 'W1', '--help']), { tag: 'help' }))

test('what is unknown or wrong is said, not passed over', () => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['--fast'], /--fast/],
    [['W1'], /W1/],
    [['--only', 'W13'], /"W13"/],
    [['--only', ''], /--only/],
    [['--only'], /only/],
    [['--threads', '0'], /"0"/],
    [['--threads', '1,two'], /"two"/],
    [['--threads', '1,'], /""/],
    [['--threads', '1.5'], /"1.5"/],
    [['--threads', '65'], /"65"/],
    [['--peer', 'torch'], /torch/],
    [['--json', ''], /--json/],
    [['--quick=yes'], /quick/],
  ]
  for (const [args, words] of wrong) {
    const line = readCommandLine(args)
    if (line.tag !== 'wrong') throw new Error(`${args.join(' ')} was taken`)
    assert.match(line.message, words)
  }
})

test('wrong arguments end the process with 2, help with 0, before anything is measured', async () => {
  const bench = join(root, 'test', 'bench', 'run.ts')
  const [wrong, help] = await Promise.all(
    [['--only', 'W0'], ['--help']].map((args) => run(process.execPath, ['--import', 'tsx', bench, ...args])),
  )
  assert.is(wrong.code, 2)
  assert.match(wrong.output, /usage/)
  assert.is(help.code, 0)
  assert.match(help.output, /--python/)
})

test.run()
