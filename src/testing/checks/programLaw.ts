/** The law of backends: random programs are computed as the reference does, forward and backward. */
import * as E from 'fp-ts/lib/Either.js'
import type { Tensor } from '../../data/tensor.js'
import { sizeOf } from '../../data/shape.js'
import { vjpProgram } from '../../autodiff/vjp.js'
import type { Backend } from '../../evaluator/backend.js'
import { reference } from '../../evaluator/reference/reference.js'
import type { OpTable } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { bindInputs } from '../../nn/program/binding.js'
import { differenceOf, disturbedTables, onlyFailing, type Computed } from '../agree.js'
import { programArb, programOfRecipe, tableOf, type DrawnProgram } from '../programs/drawn.js'
import type { ProgramOptions } from '../programs/recipe.js'
import type { Law } from './verdict.js'

type Flat = readonly Tensor[]

/** What a backend gives of a program, by the number of the output. */
export const computedBy = (backend: Backend, program: Program, flat: Flat): Computed => {
  const prepared = backend.prepare(program)
  if (E.isLeft(prepared)) return prepared
  const ran = prepared.right.run(flat)
  const found = E.map(
    (r: { readonly outputs: Flat }): ReadonlyMap<string, Tensor> =>
      new Map(r.outputs.map((t, i) => [`output ${i}`, { shape: t.shape, data: t.data.slice() }])),
  )(ran)
  prepared.right.dispose()
  return found
}

/** The same out of storage that the backend keeps, at the second execution. */
const residentBy = (backend: Backend, program: Program, flat: Flat): Computed => {
  const prepared = backend.prepare(program)
  if (E.isLeft(prepared)) return prepared
  const storage = prepared.right.resident()
  if (E.isLeft(storage)) return storage
  let ran: E.Either<Computed extends E.Either<infer L, unknown> ? L : never, unknown> = E.right(null)
  for (let k = 0; k < 2 && E.isRight(ran); k++) {
    flat.forEach((t, i) => storage.right.write(i, t))
    ran = storage.right.execute()
  }
  const found = E.map(
    (): ReadonlyMap<string, Tensor> =>
      new Map(
        program.graph.outputs.map((_, i) => {
          const { shape, data } = storage.right.output(i)
          return [`output ${i}`, { shape, data: data.slice() }]
        }),
      ),
  )(ran)
  storage.right.dispose()
  prepared.right.dispose()
  return found
}

/** The program with its backward pass from the main result, or null where there is none. */
const differentiated = (d: DrawnProgram, table: OpTable): Program | null => {
  const made = vjpProgram(table)(d.program, { output: 'main', inputs: true, cotangent: 'given' })
  return E.isRight(made) ? made.right : null
}

const cotangentOf = (program: Program): Tensor => {
  const { shape } = program.inputs[program.inputs.length - 1]
  return { shape, data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 5) % 9) - 4) }
}

/** What differs between the reference and a backend about a drawn program, forward, backward and in storage of its own. */
export const programDifference = (backend: Backend, d: DrawnProgram, table: OpTable): string | null => {
  const bound = bindInputs(d.program, d.args)
  if (E.isLeft(bound)) return bound.left[0].message
  const flat = bound.right
  const again = (make: (d: DrawnProgram, t: OpTable) => Program | null, given: Flat) => (): readonly Computed[] =>
    disturbedTables(table).flatMap((t) => {
      const other = programOfRecipe(d.recipe, t)
      const program = E.isRight(other) ? make(other.right, t) : null
      return program === null ? [] : [computedBy(reference, program, given)]
    })
  const expected = computedBy(reference, d.program, flat)
  const disturbed = again((other) => other.program, flat)
  const failing =
    (make: (d: DrawnProgram, t: OpTable) => Program | null, given: Flat) =>
    (op: string): Computed => {
      const only = onlyFailing(table, op)
      const other = programOfRecipe(d.recipe, only)
      const program = E.isRight(other) ? make(other.right, only) : null
      return program === null ? E.right(new Map()) : computedBy(reference, program, given)
    }
  const alone = failing((other) => other.program, flat)
  const forward = differenceOf(expected, computedBy(backend, d.program, flat), disturbed, alone)
  if (forward !== null) return `forward: ${forward}`
  const stored = differenceOf(expected, residentBy(backend, d.program, flat), disturbed, alone)
  if (stored !== null) return `out of its own storage: ${stored}`
  const back = differentiated(d, table)
  if (back === null) return null
  const given = [...flat, cotangentOf(back)]
  const backward = differenceOf(
    computedBy(reference, back, given),
    computedBy(backend, back, given),
    again(differentiated, given),
    failing(differentiated, given),
  )
  return backward === null ? null : `backward: ${backward}`
}

/** The law over random programs of some ops. */
export const programLaw = ({ how, ...options }: ProgramOptions & { readonly how: Backend }): Law<DrawnProgram> => ({
  law: 'random programs are computed as the reference does',
  fix: 'the rule of an op in the printed program: its traits, lanes or vjp; or the backend',
  inputs: programArb(options),
  holds: (d) => programDifference(how, d, tableOf(options)),
  show: (d) => `\n${d.code}`,
  share: 0.5,
})
