/** What checking laws comes to: a report of what held, or every law that was broken, each on the smallest input that was found. */
import fc from 'fast-check'
import * as E from 'fp-ts/lib/Either.js'
import { explainAll, isFailure, type QuantError } from '../../data/error.js'
import {
  count,
  demandArguments,
  fieldProblems,
  isEither,
  required,
  whole,
  type Field,
  type Fields,
} from '../../data/fields.js'
import { isQuantTensor, type Output } from '../../data/quantTensor.js'
import { isTensor } from '../../data/tensor.js'
import { dataText } from '../programs/code.js'

/** A law that does not hold. */
export type Broken = {
  /** The law, in a few words: `the vjp agrees with differences`. */
  readonly law: string
  /** Of what: the name of an op, a layer, … */
  readonly of: string
  /** What went wrong. */
  readonly message: string
  /** The smallest input that was found to break it, as code; empty where no input is at fault. */
  readonly input: string
  /** What to look at. */
  readonly fix: string
  /** Draws the same again: `{ seed }` of the options. */
  readonly seed: number
}

/** What held, and how often each law was tried. */
export type Held = {
  readonly of: string
  readonly laws: readonly { readonly law: string; readonly runs: number }[]
}

/** Every broken law, or what held. Checkers never throw: what is no op, layer, … breaks the law `arguments`. */
export type Verdict = E.Either<readonly Broken[], Held>

/** How laws are tried. */
export type CheckOptions = {
  /** Inputs for each law (default 30). */
  readonly runs?: number
  /** Seed of what is drawn (default 1): the same seed, the same inputs. */
  readonly seed?: number
}

const isBroken = (x: unknown): boolean =>
  typeof x === 'object' && x !== null && ['law', 'of', 'message', 'input', 'fix'].every((k) => k in x)
const isHeld = (x: unknown): boolean =>
  typeof x === 'object' &&
  x !== null &&
  'of' in x &&
  'laws' in x &&
  Array.isArray(x.laws) &&
  x.laws.every((l: unknown) => typeof l === 'object' && l !== null && 'law' in l && 'runs' in l)
const verdictField: Field = {
  says: 'what a checker returned',
  like: 'checkOp(op)',
  holds: (x) =>
    isEither(x) &&
    ((x._tag === 'Left' && 'left' in x && Array.isArray(x.left) && x.left.every(isBroken)) ||
      (x._tag === 'Right' && 'right' in x && isHeld(x.right))),
}

const OPTIONS: Fields<CheckOptions> = { runs: count, seed: whole }

/** One law over inputs that are drawn: null where it holds, else what is wrong, in words. */
export type Law<A = never> = {
  readonly law: string
  readonly fix: string
  readonly inputs: fc.Arbitrary<A>
  readonly holds: (x: A) => string | null
  /** The input as code. */
  readonly show: (x: A) => string
  /** Share of the runs that it is worth (default 1): what compiles programs is dear. */
  readonly share?: number
}

/** A law without inputs, tried once. */
export const once = (law: string, fix: string, holds: () => string | null): Law<null> => ({
  law,
  fix,
  inputs: fc.constant(null),
  holds,
  show: () => '',
  share: 0,
})

/** What was thrown, in words. */
export const thrown = (e: unknown): string => {
  if (isFailure(e)) return explainAll(e.errors)
  return e instanceof Error ? `${e.name}: ${e.message}` : String(e)
}

/** Tensors, quant tensors and trees of them as code. */
export const showData = (x: unknown): string => {
  if (isTensor(x) || (typeof x === 'object' && x !== null && isQuantTensor(x as Output))) return dataText(x as Output)
  if (Array.isArray(x)) return `[${x.map(showData).join(', ')}]`
  if (typeof x === 'object' && x !== null)
    return `{ ${Object.entries(x)
      .map(([k, v]) => `${k}: ${showData(v)}`)
      .join(', ')} }`
  return String(x)
}

const said = <A>(law: Law<A>, x: A): string | null => {
  try {
    return law.holds(x)
  } catch (e) {
    return `it threw ${thrown(e)}`
  }
}

type Outcome = { readonly broken: Broken | null; readonly law: string; readonly runs: number }

/** Tries one law. */
export const tried = <A>(of: string, law: Law<A>, { runs = 30, seed = 1 }: CheckOptions): Outcome => {
  const numRuns = Math.max(1, Math.ceil(runs * (law.share ?? 1)))
  // The last message is that of the smallest input: what an input breaks only once would say nothing when asked again.
  let message = ''
  const property = fc.property(law.inputs, (x) => {
    const what = said(law, x)
    if (what === null) return true
    message = what
    return false
  })
  const details = fc.check(property, { numRuns, seed })
  const broken =
    !details.failed || details.counterexample === null
      ? null
      : { law: law.law, of, message, input: law.show(details.counterexample[0]), fix: law.fix, seed }
  return { broken, law: law.law, runs: details.numRuns }
}

/** What was given is wrong. */
export const misused = (of: string, message: string, fix: string): Verdict =>
  E.left([{ law: 'arguments', of, message, input: '', fix, seed: 0 }])

/** What is wrong with the options, as a verdict; null where nothing is. */
export const optionsProblem = (asker: string, options: unknown, more: Fields = {}): Verdict | null => {
  const problems: readonly QuantError[] = fieldProblems(asker, options, { ...OPTIONS, ...more })
  const [first] = problems
  return first === undefined ? null : misused(asker, first.message, first.fix)
}

/** Each law once, with all its runs. */
const tallied = (outcomes: readonly Outcome[]): Held['laws'] => {
  const runs = new Map<string, number>()
  for (const o of outcomes) runs.set(o.law, (runs.get(o.law) ?? 0) + o.runs)
  return [...runs].map(([law, n]) => ({ law, runs: n }))
}

/** The verdict over what came of each law. */
export const verdictOf = (of: string, outcomes: readonly Outcome[]): Verdict => {
  const all = outcomes.flatMap((o) => (o.broken === null ? [] : [o.broken]))
  // A law that several examples break is said once, of the first.
  const broken = all.filter((b, i) => all.findIndex((a) => a.law === b.law) === i)
  return broken.length > 0 ? E.left(broken) : E.right({ of, laws: tallied(outcomes) })
}

/** A verdict whose making may throw what it likes. */
export const guarded = (of: string, make: () => Verdict): Verdict => {
  try {
    return make()
  } catch (e) {
    return misused(
      of,
      `it can't be checked: ${thrown(e)}`,
      'mend what was thrown; laws are tried on what can be traced',
    )
  }
}

/**
 * A verdict as text: what held, or for each broken law what, on which input, and what to look at.
 * @example
 * const verdict = checkOp(mine)
 * if (isLeft(verdict)) throw new Error(showVerdict(verdict))
 */
export const showVerdict = (verdict: Verdict): string => {
  demandArguments('showVerdict', { verdict }, { verdict: required(verdictField) })
  return E.isRight(verdict)
    ? `${verdict.right.of}: ${verdict.right.laws.length} laws hold (${verdict.right.laws.map((l) => `${l.law}, ${l.runs}`).join('; ')})`
    : verdict.left
        .map(
          (b) =>
            `${b.of} breaks the law "${b.law}": ${b.message}${b.input === '' ? '' : `\n  on ${b.input}`}\n  fix: ${b.fix} (seed ${b.seed})`,
        )
        .join('\n')
}
