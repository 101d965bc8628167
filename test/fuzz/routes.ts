/** Every way in which a program can be computed, each compared with the reference: backends, stored forms, passes, gradients, exporters and importers. */
import * as E from 'fp-ts/lib/Either.js'
import { vjpProgram } from '../../src/autodiff/vjp.js'
import type { Backend } from '../../src/evaluator/backend.js'
import type { OpTable } from '../../src/graph/op.js'
import * as q from '../../src/index.js'
import { differenceOf, disturbedTables, onlyFailing, type Computed } from '../../src/testing/agree.js'
import { programOfRecipe, type DrawnProgram } from '../../src/testing/programs/drawn.js'
import {
  allFinite,
  boundTo,
  onBackend,
  onStorage,
  resultsOf,
  unsigned,
  viaFile,
  viaInteger,
  viaJson,
  viaOnnx,
  type Flat,
} from './ways.js'

/** What was found: which way differs, and how. */
export type Finding = { readonly route: string; readonly says: string }

/** The tables are made once: they are pure. */
const TABLES = disturbedTables(q.ops)
const FOREIGN = disturbedTables(q.ops, true)

const cotangentOf = (d: DrawnProgram): q.Tensor | null => {
  const main = d.program.outputs.find((o) => o.kind === 'result' && o.path === 'main')
  if (main === undefined) return null
  const { shape } = d.program.graph.nodes[main.node]
  const n = shape.reduce((a, b) => a * b, 1)
  return { shape, data: Float32Array.from({ length: n }, (_, i) => ((i * 5) % 9) - 4) }
}

const backwardOf = (d: DrawnProgram, table: OpTable): E.Either<q.QuantErrors, q.Program> =>
  vjpProgram(table)(d.program, { output: 'main', inputs: true, cotangent: 'given' })

/** A backend with a name for what is told of it. */
export type Engine = { readonly name: string; readonly backend: Backend }

/**
 * `threads`: a backend with several threads. `rungs`: others whose sums may be off as any, `createWasm` with other instructions. Ways that take their
 * time are gone in turns: `turn` says which of them, 0 to 7; without it, all.
 */
export type RouteOptions = {
  readonly threads: Backend | null
  readonly rungs?: readonly Engine[]
  readonly turn?: number
}

/** What differs between a result and the reference's, in words, or null. */
type Compare = (found: Computed) => string | null

/** One way: its name and what it finds to differ, or null. */
export type Way = { readonly route: string; readonly differs: () => string | null }

/** What threads get wrong only now and then is told from what they always do. */
const threaded = (compare: Compare, run: () => Computed): string | null => {
  const says = compare(run())
  if (says === null) return null
  const again = Array.from({ length: 10 }, () => compare(run()) !== null)
  return `${says} (of 10 more runs ${again.filter(Boolean).length} differ)`
}

const isTurn = ({ turn }: RouteOptions, k: number, of: 4 | 8): boolean => turn === undefined || turn % of === k

/** A program on all engines but the reference: `one` on the calling thread, out of storage, with threads, with other instructions. */
const onEngines = (
  name: string,
  [program, flat]: readonly [q.Program, Flat],
  compare: Compare,
  options: RouteOptions & {
    readonly turns: { readonly resident: number; readonly threads: number; readonly rungs: number }
  },
): readonly Way[] => {
  const { threads, rungs = [], turns } = options
  const way = (route: string, differs: () => string | null): Way => ({ route: `${name}${route}`, differs })
  return [
    way('wasm', () => compare(onBackend(q.wasm, program, flat))),
    ...(isTurn(options, turns.resident, 4)
      ? [way('wasm, resident', () => compare(onStorage(q.wasm, program, flat)))]
      : []),
    ...(threads !== null && isTurn(options, turns.threads, 8)
      ? [way('wasm, threads', () => threaded(compare, () => onBackend(threads, program, flat)))]
      : []),
    ...(isTurn(options, turns.rungs, 8)
      ? rungs.map((r) => way(`wasm, ${r.name}`, () => compare(onBackend(r.backend, program, flat))))
      : []),
  ]
}

/** The first of them that differs. */
const firstOf = (ways: readonly Way[]): Finding | null => {
  for (const { route, differs } of ways) {
    const says = differs()
    if (says !== null) return { route, says }
  }
  return null
}

/** The program again over other tables of ops, on the reference. */
const overTable =
  (d: DrawnProgram, flat: Flat) =>
  (t: OpTable): Computed => {
    const again = programOfRecipe(d.recipe, t)
    return E.isLeft(again) ? again : onBackend(q.reference, again.right.program, flat)
  }

/** The first difference between ways to compute a program, or null. */
export const checkRoutes = async (d: DrawnProgram, options: RouteOptions): Promise<Finding | null> => {
  const bound = boundTo(d.program, d.args)
  if (E.isLeft(bound)) return { route: 'bind', says: q.explainAll(bound.left) }
  const flat = bound.right
  const expected = onBackend(q.reference, d.program, flat)
  const over = overTable(d, flat)
  let known: readonly Computed[] | undefined
  const disturbed = (): readonly Computed[] => (known ??= TABLES.map(over))
  const failing = (op: string): Computed => over(onlyFailing(q.ops, op))
  const all: Compare = (found) => differenceOf(expected, found, disturbed, failing)
  const results: Compare = (found) =>
    differenceOf(resultsOf(expected), resultsOf(found), () => disturbed().map(resultsOf), failing)
  const stored = viaJson(d.program)
  if (E.isLeft(stored)) return { route: 'store and parse', says: stored.left }
  const file = isTurn(options, 0, 4) ? await viaFile(d) : null
  const turns = { resident: 1, threads: 2, rungs: 4 }
  return (
    firstOf([
      ...onEngines('', [d.program, flat], all, { ...options, turns }),
      { route: 'store and parse', differs: () => all(onBackend(q.reference, stored.right, flat)) },
      ...specialized(d, results, isTurn(options, 3, 4)),
      { route: 'precompile', differs: () => (file === null ? null : results(file)) },
      ...exported(d, expected),
      ...(isTurn(options, 1, 4) ? [onIntegers(d, expected)] : []),
    ]) ?? checkBackward(d, flat, options)
  )
}

const specialized = (d: DrawnProgram, results: Compare, isOnWasm: boolean): readonly Way[] => {
  const fixed = q.specialize(d.program as q.Program<unknown, unknown>, d.args)
  const on = (backend: Backend): Computed => {
    if (E.isLeft(fixed)) return fixed
    const { program, constants } = fixed.right
    const own = boundTo(program as q.Program, { params: constants, state: {}, inputs: d.args.inputs })
    return E.isLeft(own) ? own : onBackend(backend, program as q.Program, own.right)
  }
  return [
    { route: 'specialize', differs: () => results(on(q.reference)) },
    ...(isOnWasm ? [{ route: 'specialize, wasm', differs: () => results(on(q.wasm)) }] : []),
  ]
}

/** ONNX has no checks, no NaN behind a quantizer, no signs of zeros, and functions of its own: what it computes for log2, say, has other last bits. */
export const exported = (d: DrawnProgram, expected: Computed): readonly Way[] => {
  const mine = unsigned(resultsOf(expected))
  if (E.isLeft(mine) || !allFinite(mine.right)) return []
  const bound = boundTo(d.program, d.args)
  const foreign = (): readonly Computed[] =>
    E.isLeft(bound) ? [] : FOREIGN.map(overTable(d, bound.right)).map(resultsOf)
  const via = (format: 'qcdq' | 'qonnx'): string | null => {
    const found = viaOnnx(d, format)
    return found === null ? null : differenceOf(mine, unsigned(resultsOf(found)), foreign)
  }
  return [
    { route: 'ONNX and back', differs: () => via('qcdq') },
    { route: 'QONNX and back', differs: () => via('qonnx') },
  ]
}

/** Integers are made of finite numbers. */
const onIntegers = (d: DrawnProgram, expected: Computed): Way => ({
  route: 'integers',
  differs: () => {
    const says = E.isLeft(expected) || !allFinite(expected.right) ? 'refused' : viaInteger(d)
    return says === 'refused' ? null : says
  },
})

const checkBackward = (d: DrawnProgram, flat: Flat, options: RouteOptions): Finding | null => {
  const made = backwardOf(d, q.ops)
  if (E.isLeft(made))
    return made.left.every((e) => e.tag === 'NotDifferentiable')
      ? null
      : { route: 'vjp', says: q.explainAll(made.left) }
  const cotangent = cotangentOf(d)
  if (cotangent === null) return null
  const given = [...flat, cotangent]
  const expected = onBackend(q.reference, made.right, given)
  const over = (t: OpTable): Computed => {
    const again = programOfRecipe(d.recipe, t)
    if (E.isLeft(again)) return again
    const back = backwardOf(again.right, t)
    return E.isLeft(back) ? back : onBackend(q.reference, back.right, given)
  }
  const compare: Compare = (found) =>
    differenceOf(
      expected,
      found,
      () => TABLES.map(over),
      (op) => over(onlyFailing(q.ops, op)),
    )
  const stored = viaJson(made.right)
  if (E.isLeft(stored)) return { route: 'vjp, store and parse', says: stored.left }
  const turns = { resident: 3, threads: 6, rungs: 7 }
  return firstOf([
    ...onEngines('vjp, ', [made.right, given], compare, { ...options, turns }),
    { route: 'vjp, store and parse', differs: () => compare(onBackend(q.reference, stored.right, given)) },
  ])
}
