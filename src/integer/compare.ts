/** How far the integers are from the float program's, layer by layer, on data. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { argumentProblems, list, required } from '../data/fields.js'
import type { NodeId } from '../data/quant.js'
import type { Tensor } from '../data/tensor.js'
import { programProblems, type Program } from '../graph/program.js'
import type { Specialized } from '../graph/specialize.js'
import { run } from '../nn/program/program.js'
import { integersOfValues, plainInputs, quantizeInputs } from './borders.js'
import { fixedProblems, integerProgramProblems } from './checks.js'
import { evaluateInteger } from './evaluate.js'
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

/** Both programs on one batch, each layer's integers side by side. */
const onBatch = (p: IntegerProgram, float: Specialized, data: unknown, counts: readonly Count[]): QuantErrors => {
  const given = quantizeInputs(p, data)
  if (E.isLeft(given)) return given.left
  const floats = new Map<NodeId, Tensor>()
  const wanted = new Set(p.taps.map((t) => t.float))
  const ran = run(
    float.program,
    { params: float.constants, state: {}, inputs: plainInputs(float.program, data) },
    { observe: (node, value) => void (wanted.has(node.id) && floats.set(node.id, value)) },
  )
  if (E.isLeft(ran)) return ran.left
  const integers = new Map<NodeId, IntegerTensor>(p.inputs.map((i) => [i.node, given.right[i.name]]))
  evaluateInteger(p, given.right, (node, value) => integers.set(node.id, value))
  p.taps.forEach((t, k) => {
    const [value, own] = [floats.get(t.float), integers.get(t.integer)]
    if (value !== undefined && own !== undefined) compared(counts[k], integersOfValues(value, t.grid).data, own.data)
  })
  return []
}

/**
 * Runs an integer program and the float program that it was made from on batches of data, and counts per quantizer and result how many integers differ.
 * `program` and `fixed` are those that `toInteger` was given, `options` too; each batch is what a run takes as `inputs`. Errors: those of a run.
 *
 * @example
 * const [first] = orThrow(compareInteger(integer, program, { params, state }, [x])) // { path, elements, equal, oneApart, further, most }
 */
export const compareInteger = <P, S, I, O>(
  integer: IntegerProgram,
  program: Program<P, S, I, O>,
  fixed: { readonly params: P; readonly state: S },
  data: readonly I[],
  options: Pick<IntegerOptions, 'quantInputs'> = {},
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
  ]
  if (bad.length > 0) return E.left(bad)
  const special = fixedOf(program as Program, fixed, options.quantInputs)
  if (E.isLeft(special)) return special
  const counts = integer.taps.map((): Count => ({ elements: 0, one: 0, further: 0, most: 0 }))
  for (const batch of data) {
    const errors = onBatch(integer, special.right, batch, counts)
    if (errors.length > 0) return E.left(errors)
  }
  return E.right(
    integer.taps.map((t, k) => {
      const { elements, one, further, most } = counts[k]
      const oneApart = elements === 0 ? 0 : one / elements
      return { path: t.path, elements, equal: elements - one - further, oneApart, further, most }
    }),
  )
}
