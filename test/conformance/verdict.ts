/** What is wrong with one case file, if anything. A crash is a failure of its case, never of the run. */
import * as q from '../../src/index.js'
import { executeCase, type Outcome } from './execute.js'
import { isRng, readCase, type Case, type ExpectError } from './format.js'
import { rngDifference } from './rng.js'

/** A case's name, its differences (none: it passes), and the count of its metadata check. */
export type Verdict = {
  readonly name: string
  readonly differences: readonly string[]
  readonly carried: number
  readonly valid: number
  readonly claims: readonly string[]
}

/** A case that must fail: at its step or, where tracing shows it, earlier; and one of the errors must say all the words. */
const refusalDifferences = (expected: ExpectError, { refusal }: Outcome): readonly string[] => {
  if (refusal === null) return ['it must fail, but ran to its end']
  const { errors, stage, step } = refusal
  const said = q.explainAll(errors)
  if (errors.some((e) => e.tag === 'Internal')) return [`it must fail by a refusal, not by a bug: ${said}`]
  if (expected.step !== undefined && (step > expected.step || (stage === 'run' && step < expected.step)))
    return [`it must fail in step ${expected.step}, not in the ${stage} of step ${step}: ${said}`]
  const words = expected.message_contains
  return errors.some((e) => words.every((w) => e.message.includes(w) || e.fix.includes(w)))
    ? []
    : [`an error must say ${words.map((w) => JSON.stringify(w)).join(' and ')}, but they say: ${said}`]
}

const outcomeDifferences = (c: Case, o: Outcome): readonly string[] => {
  if (c.expect_error !== undefined) return [...o.differences, ...refusalDifferences(c.expect_error, o)]
  return o.refusal === null
    ? o.differences
    : [...o.differences, `step ${o.refusal.step} was refused (${o.refusal.stage}): ${q.explainAll(o.refusal.errors)}`]
}

const crash = (e: unknown): string =>
  `crashed: ${e instanceof Error ? (e.stack ?? e.message).split('\n').slice(0, 4).join('\n') : String(e)}`

/** The group and name that a file's path stands for. */
const nameOf = (file: string): string =>
  file
    .split(/[\\/]/)
    .slice(-2)
    .join('/')
    .replace(/\.json$/, '')

/** Judges a file; null if it has not the tag that was asked for. */
export const judgeFile = (file: string, backend: q.Backend, tag: string | null): Verdict | null => {
  const verdict = { name: nameOf(file), differences: [], carried: 0, valid: 0, claims: [] }
  try {
    const c = readCase(file)
    if (tag !== null && !c.tags.includes(tag)) return null
    if (isRng(c)) return { ...verdict, name: c.name, differences: [rngDifference(c)].filter((d) => d !== null) }
    const o = executeCase(c, backend)
    const { carried, valid, claims } = o.metadata
    return { name: c.name, differences: outcomeDifferences(c, o), carried, valid, claims }
  } catch (e) {
    return { ...verdict, differences: [crash(e)] }
  }
}
