/** All laws of a backend. */
import fc from 'fast-check'
import * as E from 'fp-ts/lib/Either.js'
import type { Backend } from '../../evaluator/backend.js'
import { reference } from '../../evaluator/reference/reference.js'
import type { Op } from '../../graph/op.js'
import { ops as registry } from '../../ops/index.js'
import { differenceOf, disturbedTables } from '../agree.js'
import { bindInputs } from '../../nn/program/binding.js'
import { compile } from '../../nn/program/program.js'
import { programArb, programOfRecipe, tableOf, type DrawnProgram } from '../programs/drawn.js'
import { recipeArb, type ProgramOptions } from '../programs/recipe.js'
import { computedBy, programLaw } from './programLaw.js'
import {
  guarded,
  misused,
  optionsProblem,
  tried,
  verdictOf,
  type CheckOptions,
  type Law,
  type Verdict,
} from './verdict.js'

/** How a backend is checked. */
export type CheckBackendOptions = CheckOptions & {
  /** The ops to draw from (default: every primitive), your own too. */
  readonly ops?: readonly Op[]
  /** Most ops of a program (default 30). */
  readonly most?: number
}

const FIELDS = {
  ops: { says: 'a list of ops', like: '[ops.relu]', holds: (x: unknown) => Array.isArray(x) && x.length > 0 },
  most: {
    says: 'a whole number from 1 to 200',
    like: '30',
    holds: (x: unknown) => Number.isInteger(x) && Number(x) > 0 && Number(x) <= 200,
  },
}

const isBackend = (x: unknown): x is Backend =>
  typeof x === 'object' && x !== null && 'prepare' in x && typeof x.prepare === 'function' && 'name' in x

/** Runs again give the same bits, operands are not changed, and after `dispose` there is an error and no number. */
const keepsContract = (backend: Backend, d: DrawnProgram): string | null => {
  const bound = bindInputs(d.program, d.args)
  if (E.isLeft(bound)) return null
  const flat = bound.right
  const before = flat.map((t) => t.data.slice())
  const [first, second] = [computedBy(backend, d.program, flat), computedBy(backend, d.program, flat)]
  const apart = differenceOf(first, second, () => [])
  if (apart !== null) return `two runs over the same numbers differ: ${apart}`
  if (!flat.every((t, i) => t.data.every((x, k) => Object.is(x, before[i][k])))) return 'a run changes its inputs'
  const compiled = compile(d.program, backend)
  if (E.isLeft(compiled)) return null
  compiled.right.dispose()
  const late = compiled.right.run(d.args)
  return E.isLeft(late) && late.left[0].tag === 'BackendError' ? null : 'a run after dispose is no BackendError'
}

const contractLaw = (backend: Backend, options: ProgramOptions): Law<DrawnProgram> => ({
  law: 'the same inputs give the same bits, are not changed, and nothing runs after dispose',
  fix: "the backend's run and dispose; the contract stands at Executable",
  inputs: programArb(options),
  holds: (d) => keepsContract(backend, d),
  show: (d) => `\n${d.code}`,
  share: 0.3,
})

/** What half of the inputs begin with. */
const HARD = [NaN, 1.5, Infinity, -2.5, -0, -Infinity, 0.5]

/** Each op by itself, on hard numbers. */
const singleLaw = (backend: Backend, ops: readonly Op[]): Law<DrawnProgram> => ({
  law: 'single ops are computed as the reference does, NaN and infinities included',
  fix: 'how the backend computes the op in the printed program',
  inputs: fc
    .constantFrom(...ops)
    .chain((op) =>
      fc
        .tuple(recipeArb({ ops: [op], most: 1, nonFinite: true }), fc.boolean())
        .map(([r, hard]) =>
          programOfRecipe(hard ? { ...r, numbers: [...HARD, ...r.numbers] } : r, tableOf({ ops: [op] })),
        ),
    )
    .filter(E.isRight)
    .map((made) => made.right),
  holds: (d) => {
    const bound = bindInputs(d.program, d.args)
    if (E.isLeft(bound)) return bound.left[0].message
    return differenceOf(
      computedBy(reference, d.program, bound.right),
      computedBy(backend, d.program, bound.right),
      () =>
        disturbedTables({ ...registry, ...Object.fromEntries(ops.map((o) => [o.name, o])) }).flatMap((t) => {
          const other = programOfRecipe(d.recipe, t)
          return E.isRight(other) ? [computedBy(reference, other.right.program, bound.right)] : []
        }),
    )
  },
  show: (d) => `\n${d.code}`,
  share: 4,
})

/**
 * Checks a backend against the reference: single ops of the registry on hard numbers, random programs forward, backward and out of storage of their own, and
 * the contract (the same bits each time, inputs untouched, a `BackendError` after `dispose`). Sums may be in any order. Never throws: Left holds each broken law
 * with the smallest program that was found, as code.
 * @example
 * const verdict = checkBackend(wasm, { runs: 100 })
 */
export const checkBackend = (backend: Backend, options: CheckBackendOptions = {}): Verdict => {
  const wrong = optionsProblem('checkBackend', options, FIELDS)
  if (wrong !== null) return wrong
  if (!isBackend(backend))
    return misused(
      'checkBackend',
      'it was given no backend',
      'give a value with name and prepare, as reference and wasm are',
    )
  const { ops, most = 30, ...how } = options
  const drawn: ProgramOptions = { most, ...(ops === undefined ? {} : { ops }) }
  const all = ops ?? Object.values(registry).filter((op) => op.examples.length > 0)
  return guarded(backend.name, () =>
    verdictOf(backend.name, [
      tried(backend.name, singleLaw(backend, all), how),
      tried(backend.name, programLaw({ ...drawn, how: backend }), how),
      tried(backend.name, contractLaw(backend, drawn), how),
    ]),
  )
}
