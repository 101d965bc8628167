/** Resident storage for backends that only run: tensors in an array, replaced at each execution. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../data/error.js'
import { zeros, type Tensor } from '../data/tensor.js'
import type { Program } from '../graph/program.js'
import type { Commit, ResidentStorage, RunResult } from './backend.js'

/** Storage around a function that runs a program. */
export const residentByRunning = (program: Program, commits: readonly Commit[], run: (inputs: readonly Tensor[]) => E.Either<QuantErrors, RunResult>): E.Either<QuantErrors, ResidentStorage> => {
  const inputs = program.inputs.map((i) => zeros(i.shape))
  let outputs: readonly Tensor[] = program.graph.outputs.map((id) => zeros(program.graph.nodes[id].shape))
  return E.right({
    write: (index, value) => { inputs[index].data.set(value.data) },
    input: (index) => inputs[index],
    output: (index) => outputs[index],
    execute: (): E.Either<QuantErrors, readonly QuantWarning[]> => {
      const ran = run(inputs)
      if (E.isLeft(ran)) return ran
      outputs = ran.right.outputs
      // Outputs may share storage with inputs; copies keep what is read apart from what is written.
      const next = commits.map((c) => ({ input: c.input, data: outputs[c.output].data.slice() }))
      for (const { input, data } of next) inputs[input].data.set(data)
      return E.right(ran.right.warnings)
    },
    plans: () => 1,
    dispose: () => undefined,
  })
}
