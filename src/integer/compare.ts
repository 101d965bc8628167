/** How far the integers are from the float program's, layer by layer, on data. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { runSubstituting } from '../evaluator/reference/reference.js'
import { argumentProblems, fieldProblems, list, oneOf, record, required, type Fields } from '../data/fields.js'
import type { NodeId } from '../data/quant.js'
import { sameShape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { programProblems, type Program } from '../graph/program.js'
import type { Specialized } from '../graph/specialize.js'
import { bindInputs } from '../nn/program/binding.js'
import { integersOfValues, plainInputs, quantizeInputs, valuesOfIntegers } from './borders.js'
import { fixedProblems, integerProgramProblems } from './checks.js'
import { roundHalfEven } from '../data/math.js'
import { evaluateInteger } from './evaluate.js'
import type { Tap } from './lower/session.js'
import type { IntegerProgram } from './program.js'
import { fixedOf, type IntegerOptions } from './toInteger.js'
import type { IntegerTensor } from './values.js'

/** How a layer's integers compare with those of the float program. */
export type LayerComparison = {
  /** Path of the quantizer, or of the result. */
  readonly path: string
  readonly elements: number
  /** Elements with the same integer. */
  readonly equal: number
  /** Share of elements one step apart. */
  readonly oneApart: number
  /** Elements two or more steps apart. */
  readonly further: number
  /** The largest difference. */
  readonly most: number
}

/** What the float program is given of the integer program's: data alone, the layers in front of each layer, or its sums too. */
type Given = 'data' | 'layers' | 'sums'

/** How two programs are compared. */
export type CompareOptions = Pick<IntegerOptions, 'quantInputs'> & {
  /**
   * `data` (default): both programs are given the data, and differences of layers add up. `layers`: each layer of the float program is given the integers that
   * the integer program's layers in front of it made, so that a difference is its own. `sums`: its sums are given too, exactly, so that what is compared is the
   * requantization alone, without the rounding of float32 sums.
   */
  readonly given?: Given
}

const FIELDS: Fields<CompareOptions> = { given: oneOf('data', 'layers', 'sums'), quantInputs: record }

/** For each tap the integers of both programs; null where one has none. */
type Pairs = readonly (readonly [ArrayLike<number>, ArrayLike<number>] | null)[]

type Count = { elements: number; one: number; further: number; most: number }

const compared = (count: Count, a: ArrayLike<number>, b: ArrayLike<number>): void => {
  count.elements += a.length
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i] - b[i])
    if (d === 1) count.one++
    else if (d > 1) count.further++
    if (d > count.most) count.most = d
  }
}

/** What shows that the integer program was made from another one: nothing of it could be compared with this. */
const tapProblems = (p: IntegerProgram, { program }: Specialized): QuantErrors => {
  const { nodes } = program.graph
  const isHere = (t: Tap): boolean => nodes[t.float] !== undefined && sameShape(nodes[t.float].shape, t.shape)
  const isNamed = (t: Tap): boolean =>
    nodes[t.float].path === t.path || program.outputs.some((o) => o.path === t.path && o.node === t.float)
  const odd = [...p.taps, ...p.inner].find((t, k) => !isHere(t) || (k < p.taps.length && !isNamed(t)))
  return odd === undefined
    ? []
    : [
        {
          tag: 'InputError',
          input: 'integer',
          path: odd.path,
          message: `compareInteger was given an integer program that was made from another program: this one has no such value at ${odd.path}`,
          fix: 'give the program, parameters and state (and quantInputs) that toInteger was given',
        },
      ]
}

/** The float program's values at the taps, where what `given` says is the integer program's. */
const floatsOf = (
  p: IntegerProgram,
  float: Specialized,
  data: unknown,
  { given, integers }: { readonly given: Given; readonly integers: ReadonlyMap<NodeId, IntegerTensor> },
): E.Either<QuantErrors, ReadonlyMap<NodeId, Tensor>> => {
  const { nodes } = float.program.graph
  const floats = new Map<NodeId, Tensor>()
  const wanted = new Set(p.taps.map((t) => t.float))
  const layers = given === 'data' ? [] : p.taps.filter((t) => nodes[t.float].op.births === true)
  const standIns = new Map([...layers, ...(given === 'sums' ? p.inner : [])].map((t) => [t.float, t] as const))
  const inputs = bindInputs(float.program, {
    params: float.constants,
    state: {},
    inputs: plainInputs(float.program, data),
  })
  if (E.isLeft(inputs)) return inputs
  const ran = runSubstituting(float.program, inputs.right, (node, value) => {
    if (wanted.has(node.id)) floats.set(node.id, value)
    const tap = standIns.get(node.id)
    const own = tap === undefined ? undefined : integers.get(tap.integer)
    return tap === undefined || own === undefined ? value : valuesOfIntegers(own, tap.grid)
  })
  return E.map(() => floats)(ran)
}

/** Rounding of float32, in parts of a number of steps. */
const OF_STEPS = 2 ** -20

/**
 * Rounds a result that no quantizer made: its constants are whole steps, so that its integers are up to half a step from the float value. What is exactly half is
 * as near to the one as to the other.
 */
const wholeBeside =
  (own: IntegerTensor) =>
  (steps: number, i: number): number =>
    Math.abs(steps - own.data[i]) <= 0.5 + OF_STEPS * Math.abs(steps) ? own.data[i] : Math.round(steps)

/** Both programs on one batch, each layer's integers side by side. */
const onBatch = (p: IntegerProgram, float: Specialized, data: unknown, given: Given): E.Either<QuantErrors, Pairs> => {
  const entered = quantizeInputs(p, data)
  if (E.isLeft(entered)) return entered
  const integers = new Map<NodeId, IntegerTensor>(p.inputs.map((i) => [i.node, entered.right[i.name]]))
  evaluateInteger(p, entered.right, (node, value) => integers.set(node.id, value))
  return E.map((floats: ReadonlyMap<NodeId, Tensor>) =>
    p.taps.map((t): Pairs[number] => {
      const [value, own] = [floats.get(t.float), integers.get(t.integer)]
      if (value === undefined || own === undefined) return null
      const round = float.program.graph.nodes[t.float].op.births === true ? roundHalfEven : wholeBeside(own)
      return [integersOfValues(value, t.grid, round).data, own.data]
    }),
  )(floatsOf(p, float, data, { given, integers }))
}

/**
 * Runs an integer program and the float program that it was made from on batches of data, and counts per quantizer and result how many integers differ;
 * with `given: 'layers'` each layer's own differences alone. `program` and `fixed` are those that `toInteger` was given, `options` too; each batch is what a run takes as `inputs`. Errors: those of a run.
 *
 * @example
 * const [first] = orThrow(compareInteger(integer, program, { params, state }, [x])) // { path, elements, equal, oneApart, further, most }
 */
export const compareInteger = <P, S, I, O>(
  integer: IntegerProgram,
  program: Program<P, S, I, O>,
  fixed: { readonly params: P; readonly state: S },
  data: readonly I[],
  options: CompareOptions = {},
): E.Either<QuantErrors, readonly LayerComparison[]> => {
  const bad = [
    ...integerProgramProblems('compareInteger', integer),
    ...programProblems('compareInteger', program),
    ...fixedProblems('compareInteger', fixed),
    ...argumentProblems(
      'compareInteger',
      { data },
      { data: required({ ...list, like: '[x]', says: 'a list of batches' }) },
    ),
    ...fieldProblems('compareInteger', options, FIELDS),
  ]
  if (bad.length > 0) return E.left(bad)
  const special = fixedOf(program as Program, fixed, options.quantInputs)
  if (E.isLeft(special)) return special
  const strangers = tapProblems(integer, special.right)
  if (strangers.length > 0) return E.left(strangers)
  const counts = integer.taps.map((): Count => ({ elements: 0, one: 0, further: 0, most: 0 }))
  for (const batch of data) {
    const pairs = onBatch(integer, special.right, batch, options.given ?? 'data')
    if (E.isLeft(pairs)) return pairs
    pairs.right.forEach((pair, k) => {
      if (pair !== null) compared(counts[k], ...pair)
    })
  }
  return E.right(
    integer.taps.map((t, k) => {
      const { elements, one, further, most } = counts[k]
      const oneApart = elements === 0 ? 0 : one / elements
      return { path: t.path, elements, equal: elements - one - further, oneApart, further, most }
    }),
  )
}
