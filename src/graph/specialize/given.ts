/** What a program is fixed by: the tensors that are given for its inputs, or what is wrong with them. */
import type { QuantError } from '../../data/error.js'
import { sameShape, showShape, sizeOf } from '../../data/shape.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { at } from '../../data/tree.js'
import type { ProgramInput } from '../program.js'

/** The trees that `run` takes beside the inputs. */
export type Fixed = { readonly params: unknown; readonly state: unknown }

const inputProblem = (i: ProgramInput, message: string): QuantError => ({
  tag: 'InputError',
  input: i.path,
  path: i.path,
  message,
  fix:
    i.kind === 'slot' || i.kind === 'hyper'
      ? 'give the program of a forward pass, traced in eval'
      : 'give params and state of the network that this program was traced from',
})

/** The given leaf of a parameter or of state, or what is wrong with it. */
export const leafOf = (i: ProgramInput, given: Fixed): Tensor | QuantError => {
  if (i.kind === 'slot' || i.kind === 'hyper')
    return inputProblem(i, `the program takes the ${i.kind} ${i.path} of an optimizer, which no network has`)
  const t = at(i.kind === 'param' ? given.params : given.state, i.path)
  return fitting(i, t)
}

/** A tensor as an input of the program, or what is wrong with it. */
export const fitting = (i: ProgramInput, t: unknown): Tensor | QuantError => {
  const name =
    i.kind === 'data' ? `${i.part} of ${i.path}` : `${i.kind === 'param' ? 'parameter' : 'leaf of state'} ${i.path}`
  if (!isTensor(t)) return inputProblem(i, `there is no ${name}`)
  return sameShape(t.shape, i.shape) && t.data.length === sizeOf(i.shape)
    ? t
    : inputProblem(i, `${name} has shape ${showShape(t.shape)}, but the program has ${showShape(i.shape)}`)
}
