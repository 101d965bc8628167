/** The goals, as data, and which of them hold. */
import type { PeerName } from './events.js'
import { cellOf, geometricMean, type Ledger, type Row } from './ledger.js'
import { elements, SHAPES } from './cases.js'

/** So many times as fast as a peer, by number of threads, in every row that matches. */
export type Goal = {
  readonly name: string
  readonly workloads: readonly string[]
  readonly size?: string
  readonly phases?: readonly string[]
  readonly peers: readonly PeerName[]
  readonly least: { readonly [threads: number]: number }
}

const WASM: readonly PeerName[] = ['tfjs-wasm', 'jax-js', 'ort-web']
const brevitas = (
  workloads: readonly string[],
  size: string,
  phases: readonly string[],
  one: number,
  two: number,
): Goal => ({
  name: `${workloads.join(', ')} ${size} ${phases.join(', ')}`.trim(),
  workloads,
  size,
  ...(phases.length === 0 ? {} : { phases }),
  peers: ['brevitas'],
  least: { 1: one, 2: two },
})
const against = (workload: string, size: string, peers: readonly PeerName[], least: number): Goal => ({
  name: `${workload} ${size}`,
  workloads: [workload],
  size,
  peers,
  least: { 1: least, 2: least },
})

/** Ratios to reach. */
export const GOALS: readonly Goal[] = [
  brevitas(['W1', 'W2'], '50', [], 100, 100),
  brevitas(['W1', 'W2', 'W3'], '1.6M', ['learned-fwd'], 11, 12),
  brevitas(['W1', 'W2', 'W3'], '1.6M', ['learned-fwd-bwd'], 8, 10),
  brevitas(['W1', 'W2'], '12.8M', ['learned-fwd'], 11, 8),
  brevitas(['W1', 'W2'], '12.8M', ['learned-fwd-bwd'], 7, 7),
  brevitas(['W1'], '1.6M', ['collecting-fwd'], 16, 16),
  brevitas(['W1'], '1.6M', ['collecting-fwd-bwd'], 14, 14),
  brevitas(['W2'], '1.6M', ['collecting-fwd'], 9, 9),
  brevitas(['W3'], '1.6M', ['collecting-fwd'], 12, 8),
  brevitas(['W9', 'W10'], '1.6M', [], 10, 10),
  brevitas(['W4'], '64-64-8x28x28', ['fwd'], 1.5, 1.5),
  brevitas(['W4'], '64-64-8x28x28', ['fwd-bwd'], 1, 1),
  brevitas(['W4'], '3-32-32x32x32', ['fwd'], 3, 3),
  brevitas(['W4'], '3-32-32x32x32', ['fwd-bwd'], 2.5, 2.5),
  brevitas(['W5'], 'b1', [], 12, 9),
  brevitas(['W5'], 'b32', [], 3, 3.3),
  brevitas(['W5'], 'b128', [], 2.3, 2.7),
  against('W5', 'b1', ['torch-float'], 1),
  against('W5', 'b32', ['torch-float'], 1),
  against('W5', 'b128', ['torch-float'], 1),
  brevitas(['W6'], 'b1', [], 40, 35),
  brevitas(['W6'], 'b32', [], 8, 8),
  brevitas(['W6'], 'b128', [], 6, 6),
  against('W6', 'b1', WASM, 1.8),
  against('W6', 'b32', WASM, 2.5),
  against('W6', 'b128', WASM, 2.8),
  brevitas(['W11'], 'b1', [], 3, 3),
  brevitas(['W11'], 'b32', [], 3, 3),
  {
    name: 'every workload',
    workloads: ['W1', 'W2', 'W3', 'W4', 'W5', 'W6'],
    peers: ['tfjs-wasm', 'jax-js'],
    least: { 1: 1 },
  },
  against('W8', '8bit', ['brevitas'], 3),
  against('W8', '8bit', ['torch-float'], 1),
]

/** How a goal stands. `holds` is null where nothing was measured. */
export type Verdict = {
  readonly goal: string
  readonly threads: number
  readonly wanted: string
  readonly measured: string
  readonly holds: boolean | null
  /** Measured over wanted, so that 1 is just reached. */ readonly margin: number | null
}

const matches = (g: Goal, r: Row, threads: number): boolean =>
  r.threads === threads &&
  g.peers.includes(r.peer) &&
  g.workloads.includes(r.workload) &&
  (g.size === undefined || g.size === r.size) &&
  (g.phases === undefined || g.phases.includes(r.phase))

/** The verdict over the worst row that matches. */
export const judge = (g: Goal, rows: readonly Row[], threads: number): Verdict => {
  const wanted = g.least[threads]
  const own = rows.filter((r) => matches(g, r, threads))
  const base = { goal: `${g.name}, against ${g.peers.join(', ')}`, threads, wanted: `≥ ${wanted}` }
  if (own.length === 0) return { ...base, measured: 'not measured', holds: null, margin: null }
  const worst = own.reduce((a, b) => (b.ratio < a.ratio ? b : a))
  const where = own.length === 1 ? '' : ` (${worst.workload} ${worst.size} ${worst.phase}, ${worst.peer})`
  return {
    ...base,
    measured: `${worst.ratio.toPrecision(3)}${where}`,
    holds: worst.ratio >= wanted,
    margin: worst.ratio / wanted,
  }
}

const COPY_GOAL = 0.85
const COLD_GOAL_MS = 100
/** Time per node may grow by this from 10,000 to 100,000. */
const LINEAR_GOAL = 1.5
const ACCURACY_GOAL = 0.005

const verdict = (
  goal: string,
  threads: number,
  wanted: string,
  measured: string | null,
  margin: number | null,
): Verdict => ({
  goal,
  threads,
  wanted,
  measured: measured ?? 'not measured',
  holds: margin === null ? null : margin >= 1,
  margin,
})

const copyVerdict = (ledger: Ledger): Verdict => {
  const id = 'W1/12.8M/learned-fwd'
  const [ours, copy, moved] = [
    cellOf(ledger.entries, 'ours', 1, id),
    cellOf(ledger.entries, 'copy-wasm', 1, id),
    cellOf(ledger.entries, 'copy-memmove', 1, id),
  ]
  const rate = (ms: number): string => `${((elements(SHAPES['12.8M']) * 8) / ms / 1e6).toFixed(1)} GB/s`
  const margin = ours === null || copy === null ? null : copy.best / ours.best / COPY_GOAL
  const text =
    ours === null || copy === null
      ? null
      : `${((copy.best / ours.best) * 100).toFixed(0)}% (ours ${rate(ours.best)}, copy ${rate(copy.best)}${moved === null ? '' : `, memmove ${rate(moved.best)}`})`
  return verdict('W1 12.8M learned-fwd, share of the copy rate', 1, `≥ ${COPY_GOAL * 100}%`, text, margin)
}

const buildVerdicts = (ledger: Ledger): readonly Verdict[] => {
  const cold = (size: string) => cellOf(ledger.entries, 'ours', 1, `W7/${size}/cold`)
  const [net, small, large] = [cold('net'), cold('10k'), cold('100k')]
  const growth = small === null || large === null ? null : large.best / small.best / 10
  return [
    verdict(
      'W7, the net traced, differentiated and compiled, cold',
      1,
      `< ${COLD_GOAL_MS} ms`,
      net === null ? null : `${net.best.toFixed(1)} ms`,
      net === null ? null : COLD_GOAL_MS / net.best,
    ),
    verdict(
      'W7, time per node at 100k over that at 10k',
      1,
      `≤ ${LINEAR_GOAL}`,
      growth === null ? null : growth.toFixed(2),
      growth === null ? null : LINEAR_GOAL / growth,
    ),
  ]
}

const accuracyVerdict = (ledger: Ledger, threads: number): Verdict => {
  const of = (peer: string): number | null =>
    ledger.remarks.find((r) => r.peer === peer && r.threads === threads && r.accuracy !== undefined)?.accuracy ?? null
  const [ours, theirs] = [of('ours'), of('brevitas')]
  const percent = (x: number): string => `${(x * 100).toFixed(2)}%`
  const apart = ours === null || theirs === null ? null : Math.abs(ours - theirs)
  return verdict(
    'W8 8bit, accuracy as that of brevitas',
    threads,
    '± 0.5 points',
    ours === null || theirs === null ? null : `ours ${percent(ours)}, brevitas ${percent(theirs)}`,
    apart === null ? null : apart <= ACCURACY_GOAL ? 1 : ACCURACY_GOAL / apart,
  )
}

/** Every goal with every number of threads that has one. */
export const verdictsOf = (ledger: Ledger, rows: readonly Row[], threads: readonly number[]): readonly Verdict[] => [
  ...GOALS.flatMap((g) =>
    [1, 2]
      .filter((t) => g.least[t] !== undefined && (threads.includes(t) || rows.some((r) => matches(g, r, t))))
      .map((t) => judge(g, rows, t)),
  ),
  copyVerdict(ledger),
  ...buildVerdicts(ledger),
  ...threads.map((t) => accuracyVerdict(ledger, t)),
]

/** In one sentence: how many hold, and by how much they are reached on the geometric mean. */
export const summaryOf = (verdicts: readonly Verdict[]): string => {
  const measured = verdicts.filter((v) => v.holds !== null)
  const margins = measured.flatMap((v) => (v.margin === null ? [] : [v.margin]))
  if (measured.length === 0) return 'no goal was measured (most are ratios to Brevitas: --peer brevitas)'
  return `${measured.filter((v) => v.holds === true).length} of ${measured.length} measured goals hold; on the geometric mean they are reached ${geometricMean(margins).toFixed(2)} times over; ${verdicts.length - measured.length} were not measured`
}
