import * as assert from 'uvu/assert'
import { suite } from '../support/suite.js'
import { caseOf, casesOf, idOf, WORKLOADS } from './cases.js'
import { parseEvent, type Runner } from './events.js'
import { GOALS, judge, summaryOf, verdictsOf } from './goals.js'
import { cellOf, geometricMean, rowsOf, worthwhile, type Entry } from './ledger.js'
import { medianOf } from './measure.js'
import { cannot, groupsOf, roundOf } from './plan.js'
import { shortList } from './table.js'

const test = suite('bench ledger')

const entry = (peer: Runner, threads: number, id: string, best: number, variant = '', median = best * 2): Entry => ({
  tag: 'times',
  peer,
  threads,
  id,
  variant,
  best,
  median,
  samples: 7,
})
const W4 = 'W4/64-64-8x28x28/fwd'

test('a cell is the least of all rounds, with the median of that variant', () => {
  const entries = [
    entry('brevitas', 1, W4, 5, 'a', 6),
    entry('brevitas', 1, W4, 4, 'b', 7),
    entry('brevitas', 1, W4, 4.5, 'b', 9),
    entry('brevitas', 2, W4, 1, 'a', 1),
  ]
  assert.equal(cellOf(entries, 'brevitas', 1, W4), { best: 4, median: 8, rounds: 2, variant: 'b' })
  assert.is(cellOf(entries, 'ours', 1, W4), null)
})

test('medians of odd and even lists', () => {
  assert.is(medianOf([3, 1, 2]), 2)
  assert.is(medianOf([4, 1, 2, 3]), 2.5)
  assert.ok(Number.isNaN(medianOf([])))
})

test('a row has exactly the fields of the issue, numbers as numbers, and ratio = peer / ours of the bests', () => {
  const rows = rowsOf(
    [entry('ours', 1, W4, 2), entry('ours', 1, W4, 1.6), entry('tfjs-wasm', 1, W4, 8), entry('tfjs-wasm', 1, W4, 9)],
    [1],
  )
  assert.equal(rows, [
    {
      workload: 'W4',
      size: '64-64-8x28x28',
      phase: 'fwd',
      threads: 1,
      ours_ms: 1.6,
      peer: 'tfjs-wasm',
      peer_ms: 8,
      ratio: 5,
    },
  ])
  assert.equal(Object.keys(rows[0]), ['workload', 'size', 'phase', 'threads', 'ours_ms', 'peer', 'peer_ms', 'ratio'])
})

test('a peer without threads is compared with our one thread, whichever were asked for; others with the same number', () => {
  const entries = [
    entry('ours', 1, W4, 2),
    entry('ours', 2, W4, 1),
    entry('jax-js', 1, W4, 10),
    entry('brevitas', 1, W4, 6),
    entry('brevitas', 2, W4, 4),
  ]
  assert.equal(
    rowsOf(entries, [2]).map((r) => [r.peer, r.threads, r.ratio]),
    [
      ['jax-js', 1, 5],
      ['brevitas', 2, 4],
    ],
  )
  assert.equal(
    rowsOf(entries, [1, 2]).map((r) => [r.peer, r.threads, r.ratio]),
    [
      ['brevitas', 1, 3],
      ['jax-js', 1, 5],
      ['brevitas', 2, 4],
    ],
  )
})

test('no comparison without both sides, and the limits of the machine are no peers', () => {
  assert.equal(rowsOf([entry('brevitas', 1, W4, 6)], [1]), [])
  assert.equal(rowsOf([entry('ours', 1, W4, 6), entry('copy-wasm', 1, W4, 6)], [1]), [])
})

test('the sizes and phases of the issue', () => {
  const ids = casesOf(WORKLOADS).map(idOf)
  assert.is(new Set(ids).size, ids.length)
  for (const id of [
    'W1/50/learned-fwd',
    'W2/12.8M/collecting-fwd-bwd',
    'W3/1.6M/learned-fwd-bwd',
    'W4/3-32-32x32x32/fwd-bwd',
    'W5/b128/step',
    'W6/b1/eval',
    'W8/8bit/train',
  ])
    assert.equal(idOf(caseOf(id)), id)
  assert.equal(
    casesOf(['W3']).map((c) => c.size),
    ['1.6M', '1.6M', '1.6M', '1.6M'],
  )
  assert.throws(() => caseOf('W3/50/learned-fwd'))
})

test('variants far behind the best are not run again; unseen ones are', () => {
  const entries = [
    entry('brevitas', 1, W4, 4, 'a'),
    entry('brevitas', 1, W4, 4.3, 'b'),
    entry('brevitas', 1, W4, 8, 'c'),
  ]
  assert.equal(worthwhile(entries, 'brevitas', 1, W4, ['a', 'b', 'c', 'd']), ['a', 'b', 'd'])
  assert.equal(worthwhile([], 'brevitas', 1, W4, ['a', 'c']), ['a', 'c'])
})

test('a round has ours with every number of threads, single-threaded peers once, Python only where asked for', () => {
  const names = (brevitas: boolean, threads: readonly number[]): readonly string[] =>
    roundOf({ brevitas, threads, quick: false }, 'W4').map((t) => `${t.peer} ${t.threads}`)
  assert.equal(names(false, [1, 2]), [
    'ours 1',
    'reference 1',
    'tfjs-wasm 1',
    'jax-js 1',
    'ort-web 1',
    'ours 2',
    'ort-web 2',
  ])
  assert.ok(names(true, [2]).includes('brevitas 2'))
  assert.not(names(true, [2]).includes('brevitas 1'))
  assert.ok(names(true, [2]).includes('ours 1'))
})

test('three rounds of everything, one of W8; each size of W7 in processes of its own', () => {
  assert.equal(
    groupsOf(WORKLOADS, 3).map((g) => [g.name, g.rounds]),
    [
      ['W1, W2, W3, W9, W10', 3],
      ['W4', 3],
      ['W5, W6', 3],
      ['W11, W12', 3],
      ['W7 net', 3],
      ['W7 1k', 3],
      ['W7 10k', 3],
      ['W7 100k', 3],
      ['W8', 1],
    ],
  )
  assert.equal(groupsOf(['W7'], 3)[0].ids, ['W7/net/cold'])
})

test('a goal is judged by its worst row', () => {
  const goal = GOALS.find((g) => g.name === 'W1, W2 50')
  if (goal === undefined) throw new Error('the goal is gone')
  const all = casesOf(['W1'])
    .filter((c) => c.size === '50')
    .map(idOf)
  const rows = rowsOf(
    [
      ...all.map((id) => entry('ours', 1, id, 0.001)),
      ...all.map((id, i) => entry('brevitas', 1, id, i === 2 ? 0.05 : 0.2)),
    ],
    [1],
  )
  const v = judge(goal, rows, 1)
  assert.is(v.holds, false)
  assert.match(v.measured, /^50\.0 \(W1 50 collecting-fwd, brevitas\)$/)
  assert.is(judge(goal, rows, 2).holds, null)
})

test('what was not measured is not counted as reached', () => {
  const verdicts = verdictsOf({ entries: [], losses: [], remarks: [] }, [], [1, 2])
  assert.ok(verdicts.every((v) => v.holds === null))
  assert.match(summaryOf(verdicts), /no goal was measured/)
})

test('the geometric mean', () => assert.ok(Math.abs(geometricMean([1, 100]) - 10) < 1e-12))

test('lines that are no events are passed over', () => {
  assert.is(parseEvent('warning: {"tag"'), null)
  assert.is(parseEvent('{"tag":"times"'), null)
  assert.equal(parseEvent('{"tag": "begin", "id": "W4/b/c"}'), { tag: 'begin', id: 'W4/b/c' })
})

test('whole workloads and phases are named as such', () => {
  assert.is(shortList([...casesOf(['W4']).map(idOf), 'W6/b1/eval']), 'W4, W6 b1 eval')
  assert.is(
    shortList(
      casesOf(['W1'])
        .filter((c) => c.phase === 'learned-fwd')
        .map(idOf),
    ),
    'W1 learned-fwd',
  )
})

test('what a peer cannot do is known for every case, and somebody meets ours in each but the trained one', () => {
  for (const c of casesOf(WORKLOADS)) {
    assert.is(cannot('ours', idOf(c)), null)
    assert.is(cannot('brevitas', idOf(c)) === null, c.workload !== 'W7')
    assert.is(cannot('reference', idOf(c)) === null, c.workload !== 'W8')
    assert.is(cannot('ort-web', idOf(c)) === null, c.workload === 'W6')
  }
})

test.run()
