/** All laws of an op, for a user's own as for ours. */
import fc from 'fast-check'
import * as E from 'fp-ts/lib/Either.js'
import { sizeOf } from '../../data/shape.js'
import type { QuantTensor } from '../../data/quantTensor.js'
import { isQuantTensor, valueOf } from '../../data/quantTensor.js'
import type { Tensor } from '../../data/tensor.js'
import { fastestHere } from '../../evaluator/fastest.js'
import type { Backend } from '../../evaluator/backend.js'
import { reference } from '../../evaluator/reference/reference.js'
import { parseProgram, programToJSON } from '../../graph/json.js'
import { hasVjp, isOp, type Example, type Op, type OpTable } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { ops as registry } from '../../ops/index.js'
import { cotangentArb, operandsArb } from '../arbitraries.js'
import { differenceOf, disturbedTables, type Computed } from '../agree.js'
import { carriedOn, carrySoundOn, GRIDS } from '../gridLaws.js'
import { lanesAgree } from '../lanesLaw.js'
import { carriedBy, carrySound, gradientMatches, programOf, surrogateLaw, vjpLinear } from '../laws.js'
import { programOver } from '../programOver.js'
import { isNarrow } from '../programs/cells.js'
import { hardTensorArb } from '../programs/numbers.js'
import { programLaw } from './programLaw.js'
import {
  guarded,
  misused,
  once,
  optionsProblem,
  showData,
  tried,
  verdictOf,
  type CheckOptions,
  type Law,
  type Verdict,
} from './verdict.js'

type Operands = readonly (Tensor | QuantTensor)[]
type AnyLaw = { readonly try: (options: CheckOptions) => ReturnType<typeof tried> }

/** A law of any input type, closed over it. */
const closed = <A>(of: string, law: Law<A>): AnyLaw => ({ try: (options) => tried(of, law, options) })

const callText = (op: Op, e: Example, xs: unknown): string =>
  `kit.apply(${op.name}, ${showData(xs)}, ${JSON.stringify(e.attrs)})`

const evaluated = (op: Op, e: Example, args: readonly Tensor[], fill: number): Tensor | string => {
  const shape = op.shape(
    args.map((a) => a.shape),
    e.attrs,
  )
  if (!Array.isArray(shape)) return 'its shape rule refuses its own example'
  const out = { shape, data: new Float32Array(sizeOf(shape)).fill(fill) }
  return op.evaluate(args, e.attrs, out) ?? out
}

const same = (a: Tensor, b: Tensor): boolean => a.data.every((x, i) => Object.is(x, b.data[i]))

/** Evaluated twice, into storage that held something else: the same bits, and operands as they were. */
const isPure = (op: Op, e: Example, operands: Operands): string | null => {
  const args = operands.map(valueOf)
  const before = args.map((a) => ({ shape: a.shape, data: a.data.slice() }))
  const [a, b] = [evaluated(op, e, args, NaN), evaluated(op, e, args, 12345)]
  if (typeof a === 'string' || typeof b === 'string')
    return a === b ? null : `once it says ${String(a)}, once ${String(b)}`
  if (!args.every((x, i) => same(x, before[i]))) return 'evaluate changes an operand'
  return same(a, b) ? null : 'evaluated twice it gives different numbers, or leaves elements of the result unwritten'
}

/** What its traits promise of the numbers of a result. */
const keepsTraits = (op: Op, e: Example, operands: Operands): string | null => {
  const args = operands.map(valueOf)
  const out = evaluated(op, e, args, NaN)
  if (typeof out === 'string') return null
  if (op.dtype === 'boolean' && !out.data.every((x) => x === 0 || x === 1))
    return "dtype is 'boolean', yet not all are 0 or 1"
  if (op.dtype === 'integer' && !out.data.every(Number.isInteger)) return "dtype is 'integer', yet not all are whole"
  if (op.bounded === true && !out.data.every(Number.isFinite)) return 'bounded, yet a result is not finite'
  if ((op.layout === 'view' || op.layout === 'alias') && !out.data.every((x, i) => Object.is(x, args[0].data[i])))
    return `layout is '${op.layout}', yet the elements are not those of the operand in their order`
  return null
}

const computed = (backend: Backend, program: Program, args: readonly Tensor[]): Computed => {
  const prepared = backend.prepare(program)
  if (E.isLeft(prepared)) return prepared
  const ran = prepared.right.run(args)
  const kept = E.map(
    (r: { readonly outputs: readonly Tensor[] }): ReadonlyMap<string, Tensor> =>
      new Map(r.outputs.map((t, i) => [`output ${i}`, { shape: t.shape, data: t.data.slice() }])),
  )(ran)
  prepared.right.dispose()
  return kept
}

const partsOf = (t: Tensor | QuantTensor): readonly Tensor[] =>
  isQuantTensor(t) ? [t.value, t.scale, t.zeroPoint] : [t]

/** A backend and the reference agree about the program of one call. */
const kernelsAgree = (backend: Backend, op: Op, e: Example, metadata: boolean) => {
  const program = programOf(op, e, metadata)
  const table: OpTable = { ...registry, [op.name]: op }
  const others = disturbedTables(table).map((t) => () => programOver(t, t[op.name], e, metadata))
  return (operands: Operands): string | null => {
    const args = metadata ? operands.flatMap(partsOf) : operands.map(valueOf)
    return differenceOf(computed(reference, program, args), computed(backend, program, args), () =>
      others.map((make) => computed(reference, make(), args)),
    )
  }
}

/** Stored as JSON and read again: the same numbers. */
const storesWell = (op: Op, e: Example): string | null => {
  const program = programOf(op, e)
  const text = programToJSON(program)
  const read = parseProgram({ ...registry, [op.name]: op })(text)
  if (E.isLeft(read)) return `its program can't be read again: ${read.left[0].message}`
  return programToJSON(read.right) === text ? null : 'its program is stored otherwise the second time'
}

const reasonsOf = (op: Op, e: Example): string | null => {
  const c = carriedBy(op, e)
  return (c.tag === 'stripped' || c.tag === 'claimed') && c.why.length < 10
    ? `metadata is ${c.tag}, and ${JSON.stringify(c.why)} is no reason`
    : null
}

const resultShape = (op: Op, e: Example): readonly number[] => {
  const program = programOf(op, e)
  return program.graph.nodes[program.outputs[0].node].shape
}

const LOOK = {
  carry:
    'the carry rule: carry only what holds for every operand on its grid, else claimed(quant, why) or stripped(why)',
  vjp: 'the vjp rule, or smooth: false where it is an estimator and not the derivative',
  linear: 'the vjp rule: it may multiply g and add up, and nothing else may be done with it',
  lanes: 'lanes, which must compute what evaluate does, rounded once',
  kernel: 'the traits from which loops are made (lanes, reduces, layout), or exact, if the order of a sum is free',
  pure: 'evaluate: it must write every element of out, change nothing else, and depend on nothing else',
  traits: 'the trait, or evaluate',
  stored: 'attributes: they must be JSON, and the schema must know them',
  surrogate: 'the surrogate: make it with surrogate(f, g)',
} as const

/** Laws of one example. */
const lawsOf = (op: Op, e: Example, backend: Backend): readonly AnyLaw[] => {
  const operands = operandsArb(e)
  const show = (xs: unknown): string => callText(op, e, xs)
  const law = (name: string, fix: string, holds: (xs: Operands) => string | null, share = 1): AnyLaw =>
    closed(op.name, { law: name, fix, inputs: operands, holds, show, share })
  const withCotangent = (name: string, fix: string, holds: (xs: Operands, g: Tensor) => string | null): AnyLaw =>
    closed(op.name, {
      law: name,
      fix,
      inputs: fc.tuple(operands, cotangentArb(resultShape(op, e))),
      holds: ([xs, g]) => holds(xs, g),
      show: ([xs, g]) => `${show(xs)} with the cotangent ${showData(g)}`,
      share: 0.4,
    })
  const grids = GRIDS.filter((grid) => e.args.some((a) => a.shape.length > 0) && carriesOn(op, e, grid))
  const hard = fc.tuple(
    ...e.args.map((a) =>
      isNarrow(a.range) || a.fixed === true
        ? operandsArb({ args: [a], attrs: {} }).map(([x]) => x)
        : hardTensorArb(a.shape, { nonFinite: true }),
    ),
  )
  return [
    closed(
      op.name,
      once('metadata is lost or claimed for a reason', LOOK.carry, () => reasonsOf(op, e)),
    ),
    law('carry is sound: what carries lies on its grid', LOOK.carry, (xs) => carrySound(op, e, xs)),
    ...grids.map((grid) => law(`carry is sound on ${grid}`, LOOK.carry, (xs) => carrySoundOn(op, e, xs, grid), 0.3)),
    law('evaluate is pure', LOOK.pure, (xs) => isPure(op, e, xs)),
    law('traits are kept', LOOK.traits, (xs) => keepsTraits(op, e, xs)),
    closed(
      op.name,
      once('a stored program is the program', LOOK.stored, () => storesWell(op, e)),
    ),
    law('backends agree with evaluate', LOOK.kernel, kernelsAgree(backend, op, e, true), 0.3),
    closed(op.name, {
      law: 'backends agree with evaluate on hard numbers',
      fix: LOOK.kernel,
      inputs: hard,
      holds: kernelsAgree(backend, op, e, false),
      show,
      share: 0.3,
    }),
    ...(op.lanes === undefined
      ? []
      : [law('lanes have the bits of evaluate', LOOK.lanes, (xs) => lanesAgree(op, e, xs), 0.2)]),
    ...(hasVjp(op)
      ? [withCotangent('the vjp is linear in the cotangent', LOOK.linear, (xs, g) => vjpLinear(op, e, xs, g))]
      : []),
    ...(hasVjp(op) && op.smooth
      ? [withCotangent('the vjp agrees with differences', LOOK.vjp, (xs, g) => gradientMatches(op, e, xs, g))]
      : []),
    ...surrogateLaws(op, e, withCotangent),
  ]
}

const carriesOn = (op: Op, e: Example, grid: (typeof GRIDS)[number]): boolean => {
  try {
    return carriedOn(op, e, grid).tag === 'carries'
  } catch {
    // Not every op takes every grid; what it refuses it does not carry.
    return false
  }
}

const surrogateLaws = (
  op: Op,
  e: Example,
  make: (name: string, fix: string, holds: (xs: Operands, g: Tensor) => string | null) => AnyLaw,
): readonly AnyLaw[] => {
  const { forward: f, backward: g } = op
  return f === undefined || g === undefined
    ? []
    : [
        make('a surrogate evaluates as f and differentiates as g', LOOK.surrogate, (xs, ct) =>
          surrogateLaw(op, f, g, e, xs, ct),
        ),
      ]
}

const BACKEND = {
  backend: {
    says: 'a backend',
    like: 'wasm',
    holds: (x: unknown) => typeof x === 'object' && x !== null && 'prepare' in x,
  },
}

/** How an op is checked. */
export type CheckOpOptions = CheckOptions & {
  /** The backend that is compared with `evaluate` (default: the fastest here). */
  readonly backend?: Backend
}

/**
 * Checks an op against every law of the registry: metadata that is promised holds, evaluation is pure, traits say the truth, its program can be
 * stored, backends and lanes have its bits, its vjp is linear and (if `smooth`) the derivative, a surrogate is one, and random programs that
 * contain it are computed alike. Never throws: Left holds each broken law with the smallest input that was found.
 * @example
 * const verdict = checkOp(unary({ name: 'cube', doc: 'x³.', attrs: {}, f: (x) => x * x * x, carry: strips('off the grid'), vjp: … }))
 * assert.ok(isRight(verdict), showVerdict(verdict))
 */
export const checkOp = (op: Op, options: CheckOpOptions = {}): Verdict => {
  const wrong = optionsProblem('checkOp', options, BACKEND)
  if (wrong !== null) return wrong
  if (!isOp(op) || op.examples.length === 0)
    return misused(
      'checkOp',
      'it was given no op with examples',
      'give a record as ops.relu is one; examples say on which operands it is tried',
    )
  const { backend = fastestHere(), ...how } = options
  return guarded(op.name, () => {
    const context = programLaw({
      ops: [op, registry.add, registry.mul, registry.relu, registry.reshape],
      most: 8,
      how: backend,
    })
    const laws = [...op.examples.flatMap((e) => lawsOf(op, e, backend)), closed(op.name, context)]
    return verdictOf(
      op.name,
      laws.map((l) => l.try(how)),
    )
  })
}
