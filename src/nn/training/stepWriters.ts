/** What is written into a trainer's storage before each step: the batch, and the numbers of the update. Nothing is allocated for an element. */
import { sameShape } from '../../data/shape.js'
import { isTensor } from '../../data/tensor.js'
import type { ResidentStorage, TrustOptions } from '../../evaluator/backend.js'
import type { Program } from '../../graph/program.js'
import { keepsDeclaration, partOf } from '../program/binding.js'
import type { Ledger } from './ledger.js'
import type { Optimizer } from './optim.js'
import type { HyperGroup, WithUpdate } from './update.js'
import type { Hyper } from './updateRules.js'

const NO_NUMBERS: Hyper = {}

/** Writes one number into a scalar input. */
const numberWriter = (storage: ResidentStorage): ((index: number, value: number) => void) => {
  const one = { shape: [], data: new Float32Array(1) }
  return (index, value) => {
    one.data[0] = value
    storage.write(index, one)
  }
}

/** Groups take the same numbers if they have the same rate and decay, and were updated as often. */
const alike = (a: HyperGroup, b: HyperGroup): boolean => a.lrScale === b.lrScale && a.weightDecay === b.weightDecay

/** Writes the numbers of a step: those of each group of leaves, which leaves are updated for the first time, and what is due of accumulation. */
export const hyperWriter = <P, S, I, O>(
  { groups, fresh, accumulation }: WithUpdate<P, S, I, O>,
  { rule }: Optimizer,
  storage: ResidentStorage,
  ledger: Ledger,
): ((lr: number, weight: number, due: boolean) => void) => {
  const write = numberWriter(storage)
  const names = groups.map((g) => Object.keys(g.inputs))
  const firsts = Object.entries(fresh)
  return (lr, weight, due) => {
    let numbers: Hyper = NO_NUMBERS
    for (let g = 0; g < groups.length; g++) {
      const { lrScale, weightDecay, inputs } = groups[g]
      if (g === 0 || !alike(groups[g], groups[g - 1]) || ledger.updates(g) !== ledger.updates(g - 1))
        numbers = rule.hyper(ledger.updates(g) + 1, lr * lrScale, weightDecay)
      for (let k = 0; k < names[g].length; k++) write(inputs[names[g][k]], numbers[names[g][k]])
    }
    for (let k = 0; k < firsts.length; k++) write(firsts[k][1], ledger.isFirst(firsts[k][0]) ? 1 : 0)
    if (accumulation === null) return
    write(accumulation.weight, weight)
    write(accumulation.share, 1 / (ledger.pendingWeight() + weight))
    write(accumulation.apply, due ? 1 : 0)
  }
}

/** Writes a batch into the storage; false where something doesn't fit. Allocates nothing for plain tensors. */
export const batchWriter = (
  program: Program,
  places: readonly number[],
  storage: ResidentStorage,
  trust: TrustOptions,
): ((inputs: unknown) => boolean) => {
  const wanted = places.map((index) => ({
    index,
    input: program.inputs[index],
    keys: program.inputs[index].path === '' ? [] : program.inputs[index].path.split('.'),
  }))
  return (inputs) => {
    for (let w = 0; w < wanted.length; w++) {
      const { index, input, keys } = wanted[w]
      let found: unknown = inputs
      for (let k = 0; k < keys.length; k++)
        found =
          typeof found === 'object' && found !== null
            ? (found as { readonly [key: string]: unknown })[keys[k]]
            : undefined
      const t = partOf(input, found)
      if (!isTensor(t) || !sameShape(t.shape, input.shape) || t.data.length !== storage.input(index).data.length)
        return false
      const promised = input.quant !== undefined || input.dtype !== undefined
      if (promised && trust.trusted !== true && !keepsDeclaration(input, found)) return false
      storage.write(index, t)
    }
    return true
  }
}
