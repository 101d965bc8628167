/** From a training state to the inputs of a program with its update. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import { sameShape, showShape, sizeOf } from '../../data/shape.js'
import { isTensor, zeros, type Tensor } from '../../data/tensor.js'
import { at } from '../../data/tree.js'
import type { Program, ProgramInput } from '../../graph/program.js'
import { meaningErrors } from '../program/meanings.js'
import { ACCUMULATED } from './accumulation.js'
import { slotOf } from './memory.js'
import type { TrainState } from './trainState.js'
import type { UpdateRule } from './updateRules.js'

/** The value of one input of the program. */
export type LeafValue = { readonly index: number; readonly value: Tensor }

/** What doesn't fit of a training state's leaf, or nothing. */
const misfit = (i: ProgramInput, t: unknown, state: unknown): readonly QuantError[] => {
  const fits = isTensor(t) && sameShape(t.shape, i.shape) && t.data.length === sizeOf(i.shape)
  const what = isTensor(t)
    ? `has shape ${showShape(t.shape)} with ${t.data.length} elements in the training state, but ${showShape(i.shape)} was traced`
    : 'is missing in the training state'
  return fits
    ? meaningErrors(i, t, state)
    : [
        {
          tag: 'InputError',
          input: i.path,
          path: i.path,
          message: `${i.kind} ${i.path} ${what}`,
          fix: 'give what startTraining or an earlier step returned for this network',
        },
      ]
}

/** A text before and behind the first of a letter. */
const cutAt = (text: string, letter: string): readonly [string, string] => {
  const cut = text.indexOf(letter)
  return [text.slice(0, cut), text.slice(cut + 1)]
}

/** A slot by its key, `exp_avg:param.conv1.weight`, or what it starts with. */
const slotValue = (rule: UpdateRule, t: TrainState<unknown, unknown>, { path, shape }: ProgramInput): Tensor => {
  const [name, leaf] = cutAt(path, ':')
  if (name === ACCUMULATED) return t.optim.slots[path] ?? zeros(shape)
  const [kind, leafPath] = cutAt(leaf, '.')
  const value = at(kind === 'param' ? t.params : t.state, leafPath)
  return slotOf(rule, t.optim, leaf, name, isTensor(value) ? value : zeros(shape))
}

/** Parameters, state and memory in a program's inputs, or all that doesn't fit. */
export const leafValues = (
  program: Program,
  rule: UpdateRule,
  t: TrainState<unknown, unknown>,
): E.Either<QuantErrors, readonly LeafValue[]> => {
  const trees = { param: t.params, state: t.state }
  const given = program.inputs.flatMap((i, index) => {
    if (i.kind === 'slot') return [{ i, index, value: slotValue(rule, t, i) }]
    return i.kind === 'param' || i.kind === 'state' ? [{ i, index, value: at(trees[i.kind], i.path) }] : []
  })
  const wrong = given.flatMap(({ i, value }) => misfit(i, value, t.state))
  if (wrong.length > 0) return E.left(wrong)
  return E.right(given.flatMap(({ index, value }) => (isTensor(value) ? [{ index, value }] : [])))
}
