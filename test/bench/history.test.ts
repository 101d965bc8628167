/** Runs of the benchmark are kept as lines, and the last one is compared with this one row by row. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { against, append, changes, entriesOf, entryOf, readHistory, type Entry } from './history.js'
import type { Row } from './ledger.js'
import { suite } from '../support/suite.js'

const test = suite('history of the benchmark')

const row = (size: string, ratio: number): Row => ({
  workload: 'W1',
  size,
  phase: 'learned-fwd',
  threads: 1,
  ours_ms: 1,
  peer: 'tfjs-wasm',
  peer_ms: ratio,
  ratio,
})

const run = (date: string, rows: readonly Row[], more: Partial<Entry> = {}): Entry => ({
  ...entryOf({ date, commit: 'abc', machine: 'm', node: '20', quick: false }, rows),
  ...more,
})

test('what is appended is read back, in order; a missing file is an empty history', () => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-history-'))
  try {
    const file = join(folder, 'history.jsonl')
    assert.deepEqual(readHistory(file), [])
    const [a, b] = [run('2026-01-01', [row('50', 2)]), run('2026-01-02', [row('50', 2.1234)])]
    append(a, file)
    append(b, file)
    assert.deepEqual(readHistory(file), [a, b])
    assert.equal(b.rows['W1/50/learned-fwd t1 tfjs-wasm'], 2.123)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a line that is no run is told by its number', () => {
  assert.throws(() => entriesOf(`${JSON.stringify(run('x', []))}\n{"date":"x"}\n`), /line 2/)
})

test('changes are of rows that both runs have, losses first', () => {
  const before = run('a', [row('50', 2), row('1.6M', 4), row('12.8M', 1)])
  const after = run('b', [row('50', 4), row('1.6M', 2)])
  assert.deepEqual(
    changes(before, after).map((c) => [c.row.split('/')[1], c.times]),
    [
      ['1.6M', 0.5],
      ['50', 2],
    ],
  )
})

test('the last run of the same kind and machine is compared with', () => {
  const now = run('d', [row('50', 2)])
  const history = [
    run('a', [row('50', 1)]),
    run('b', [row('50', 1)], { machine: 'another' }),
    run('c', [row('50', 1)], { quick: true }),
  ]
  assert.match(against(history, now), /^against a \(abc\): 1 rows, geometric mean 2\.000 ×, 1 changed/)
  assert.match(against(history.slice(1), now), /^against b \(abc\) on another machine/)
  assert.match(against([], now), /no run to compare with/)
  assert.match(against([run('a', [row('50', 1.99)])], now), /0 changed by more than 5 %$/)
})

test.run()
