/** The report on the terminal. */
import { casesOf, idOf, WORKLOADS, type Case } from './cases.js'
import { LIMITS, PEERS, type PeerName } from './events.js'
import { summaryOf, type Verdict } from './goals.js'
import { cellOf, geometricMean, SINGLE, type Ledger, type Loss, type Row } from './ledger.js'

/** Lines of cells in columns; the first line is the head. */
export const columns = (lines: readonly (readonly string[])[], left: number): string => {
  const widths = lines[0].map((_, i) => Math.max(...lines.map((l) => l[i].length)))
  return lines
    .map((l) =>
      l
        .map((cell, i) => (i < left ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Three digits. */
export const ms = (x: number): string => (x >= 1000 ? x.toFixed(0) : x >= 0.001 ? x.toPrecision(3) : x.toFixed(5))

const LOST: Readonly<Record<Loss['tag'], string>> = {
  unable: '·',
  slow: 'skipped',
  failed: 'failed',
  mismatch: 'ERROR',
}

const theirs = (ledger: Ledger, peer: PeerName, threads: number, id: string, ours: number): string => {
  const cell = cellOf(ledger.entries, peer, threads, id)
  if (cell !== null) return `${ms(cell.best)} / ${ms(cell.median)}  ${(cell.best / ours).toPrecision(3)}×`
  // One job of W7 gives every phase; what keeps a peer from it stands under its last.
  const whole = id.startsWith('W7') ? id.replace(/[^/]+$/, 'cold') : id
  const loss = ledger.losses.find((l) => l.peer === peer && l.threads === threads && l.id === whole)
  return loss === undefined ? '' : LOST[loss.tag]
}

/** One line per case and number of threads: our times, then each peer's with the ratio. */
export const mainTable = (ledger: Ledger, threads: readonly number[]): string => {
  const present = PEERS.filter(
    (p) => ledger.entries.some((e) => e.peer === p) || ledger.losses.some((l) => l.peer === p && l.tag !== 'unable'),
  )
  const lines = casesOf(WORKLOADS).flatMap((c) =>
    [...new Set([1, ...threads])].flatMap((t) => {
      const id = idOf(c)
      const ours = cellOf(ledger.entries, 'ours', t, id)
      if (ours === null) {
        const loss = ledger.losses.find((l) => l.peer === 'ours' && l.threads === t && l.id === id)
        return loss === undefined
          ? []
          : [[c.workload, c.size, c.phase, String(t), LOST[loss.tag], ...present.map(() => '')]]
      }
      const others = present.map((p) =>
        (SINGLE.includes(p) ? t === 1 : threads.includes(t)) ? theirs(ledger, p, t, id, ours.best) : '',
      )
      return [[c.workload, c.size, c.phase, String(t), `${ms(ours.best)} / ${ms(ours.median)}`, ...others]]
    }),
  )
  return columns([['', 'size', 'phase', 'threads', 'ours', ...present], ...lines], 3)
}

/** Cases in as few words as they can be said in: whole workloads, and phases of all sizes, by their names. */
export const shortList = (ids: readonly string[]): string => {
  // W7's phases come out of one job, which is named by the last of them.
  const given = (c: Case): boolean =>
    ids.includes(idOf(c)) || (c.workload === 'W7' && ids.includes(idOf({ ...c, phase: 'cold' })))
  return WORKLOADS.flatMap((w) => {
    const all = casesOf([w])
    if (!all.some(given)) return []
    if (all.every(given)) return [w]
    const phases = [...new Set(all.map((c) => c.phase))]
    const whole = phases.length === 1 ? [] : phases.filter((p) => all.every((c) => c.phase !== p || given(c)))
    return [
      ...whole.map((p) => `${w} ${p}`),
      ...all.filter((c) => given(c) && !whole.includes(c.phase)).map((c) => idOf(c).replaceAll('/', ' ')),
    ]
  }).join(', ')
}

const threadsText = (threads: readonly number[]): string =>
  `${threads.join(', ')} ${threads.length === 1 && threads[0] === 1 ? 'thread' : 'threads'}`

/** What a peer can't do, did not do, or did wrong: one line per reason. */
const lossNotes = (losses: readonly Loss[]): readonly string[] => {
  const grouped = new Map<string, { readonly loss: Loss; readonly ids: string[]; readonly threads: Set<number> }>()
  for (const loss of losses) {
    if (LIMITS.some((l) => l === loss.peer)) continue
    const key = `${loss.peer} ${loss.tag} ${loss.why}`
    const group = grouped.get(key) ?? { loss, ids: [], threads: new Set<number>() }
    group.ids.push(loss.id)
    group.threads.add(loss.threads)
    grouped.set(key, group)
  }
  const words: Readonly<Record<Loss['tag'], string>> = {
    unable: 'does not do',
    slow: 'skipped:',
    failed: 'failed:',
    mismatch: 'ERROR, wrong result:',
  }
  return [...grouped.values()].map(
    ({ loss, ids, threads }) =>
      `${loss.peer}${SINGLE.includes(loss.peer as PeerName) ? '' : ` (${threadsText([...threads])})`} ${words[loss.tag]} ${shortList(ids)}: ${loss.why}`,
  )
}

const remarkNotes = (ledger: Ledger): readonly string[] => {
  const seen = ledger.remarks.map(
    (r) =>
      `${r.peer}, ${r.id.replaceAll('/', ' ')}, ${threadsText([r.threads])}: ${r.note ?? `accuracy ${((r.accuracy ?? NaN) * 100).toFixed(2)}% on the held-out digits`}`,
  )
  return [...new Set(seen)]
}

/** Which way to run PyTorch was the best, case by case. */
const variantNotes = (ledger: Ledger, threads: readonly number[]): readonly string[] =>
  (['brevitas', 'torch-float'] as const).flatMap((peer) => {
    const ways = new Map<string, string[]>()
    for (const c of casesOf(WORKLOADS))
      for (const t of threads) {
        const cell = cellOf(ledger.entries, peer, t, idOf(c))
        if (cell !== null) ways.set(cell.variant, [...(ways.get(cell.variant) ?? []), idOf(c)])
      }
    return ways.size === 0
      ? []
      : [`${peer} was fastest with: ${[...ways].map(([v, ids]) => `${v} (${shortList(ids)})`).join('; ')}`]
  })

const METHOD = [
  "cells: best / median of all rounds in ms, then the ratio peer ÷ ours of the bests (above 1: ours is faster); · : it can't do that, see below",
  'tfjs-wasm, jax-js and the reference have one thread: they stand beside our one thread',
  "tfjs-wasm and jax-js run the quantizers of W1 to W4 from their own operations; W5 and W6 on them, and ort-web's float export, are the float net: less work than ours",
  'W7: phase cold is the sum of trace, grad and compile, in a fresh process each time; a plan is made when it is first wanted, so compile ends with a first execution (of one image); making the backend is not in it',
  "W1 to W6 of ours: parameters, state and inputs stay in the backend's memory, as PyTorch's tensors stay where they are; W5 and W8 copy their inputs in at every step",
]

/** The notes below the table. */
export const notesOf = (ledger: Ledger, threads: readonly number[], more: readonly string[]): string =>
  [...METHOD, ...more, ...variantNotes(ledger, threads), ...remarkNotes(ledger), ...lossNotes(ledger.losses)]
    .map((n) => `- ${n}`)
    .join('\n')

/** Ratios by workload and peer, as geometric means. */
export const meansTable = (rows: readonly Row[]): string => {
  const present = PEERS.filter((p) => rows.some((r) => r.peer === p))
  const lines = WORKLOADS.flatMap((w) =>
    [...new Set(rows.map((r) => r.threads))].flatMap((t) => {
      const cells = present.map((p) =>
        rows.filter((r) => r.workload === w && r.threads === t && r.peer === p).map((r) => r.ratio),
      )
      return cells.every((c) => c.length === 0)
        ? []
        : [[w, String(t), ...cells.map((c) => (c.length === 0 ? '' : `${geometricMean(c).toPrecision(3)}×`))]]
    }),
  )
  return columns([['', 'threads', ...present], ...lines], 1)
}

/** Every goal that was measured, and whether it holds. */
export const goalsTable = (verdicts: readonly Verdict[]): string => {
  const measured = verdicts.filter((v) => v.holds !== null)
  const lines = measured.map((v) => [v.goal, String(v.threads), v.holds === true ? 'yes' : 'NO', v.wanted, v.measured])
  return `${measured.length === 0 ? '' : `${columns([['goal', 'threads', 'holds', 'wanted', 'measured'], ...lines], 5)}\n\n`}${summaryOf(verdicts)}`
}
