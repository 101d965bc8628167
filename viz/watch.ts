/** Collects the values of one run for the page. */
import { demandArguments } from '../src/data/fields.js'
import type { Tensor } from '../src/data/tensor.js'
import { isTensor } from '../src/data/tensor.js'
import { at } from '../src/data/tree.js'
import type { RunOptions } from '../src/evaluator/backend.js'
import { demandProgram, type Program } from '../src/graph/program.js'
import type { RunArgs } from '../src/nn/program/program.js'

import { runArgsField } from './border.js'
import { newStepWatch, type StepWatch } from './scene/overSteps.js'

/** Values by node, and over the steps of loops where the run is given `observeStep`, too. By node: those of the program's inputs at once, all others as the run that is given `observe` computes them (copied). */
export type Watch = StepWatch & {
  readonly values: ReadonlyMap<number, Tensor>
  readonly observe: NonNullable<RunOptions['observe']>
}

/**
 * Watches a run.
 * @example const w = watch(program, args); const { observe, observeStep } = w; run(program, args, { observe, observeStep }); toHtml(program, { values: w.values, overSteps: w.overSteps })
 */
export const watch = <P, S, I, O>(program: Program<P, S, I, O>, args: RunArgs<P, S, I>): Watch => {
  demandProgram('watch', program)
  demandArguments('watch', { args }, { args: runArgsField })
  const trees: { readonly [kind: string]: unknown } = { data: args.inputs, param: args.params, state: args.state }
  const values = new Map<number, Tensor>()
  for (const i of program.inputs) {
    const t: unknown = i.part === 'tensor' ? at(trees[i.kind], i.path) : undefined
    if (isTensor(t)) values.set(i.node, t)
  }
  return {
    ...newStepWatch(),
    values,
    observe: (node, v) => void values.set(node.id, { shape: v.shape, data: v.data.slice() }),
  }
}
