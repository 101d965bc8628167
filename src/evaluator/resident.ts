/** Resident storage for backends that only run: tensors in an array, replaced at each execution. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../data/error.js'
import { sizeOf, type Shape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import type { Program } from '../graph/program.js'
import type { Commit, ResidentStorage, RunResult } from './backend.js'

const empty = (shape: Shape): Tensor => ({ shape, data: new Float32Array(sizeOf(shape)) })

/** Storage around a function that runs a program. */
export const residentByRunning = (
  program: Program,
  commits: readonly Commit[],
  run: (inputs: readonly Tensor[]) => E.Either<QuantErrors, RunResult>,
): E.Either<QuantErrors, ResidentStorage> => {
  const inputs = program.inputs.map((i) => empty(i.shape))
  let outputs: readonly Tensor[] = program.graph.outputs.map((id) => empty(program.graph.nodes[id].shape))
  return E.right({
    write: (index, value) => {
      inputs[index].data.set(value.data)
    },
    input: (index) => inputs[index],
    output: (index) => outputs[index],
    execute: (): E.Either<QuantErrors, readonly QuantWarning[]> => {
      const ran = run(inputs)
      if (E.isLeft(ran)) return ran
      // Outputs may share storage with inputs; copies keep what is read apart from what is written.
      outputs = ran.right.outputs.map((t) =>
        inputs.some((i) => i.data === t.data) ? { ...t, data: t.data.slice() } : t,
      )
      for (const { output, input } of commits) inputs[input].data.set(outputs[output].data)
      return E.right(ran.right.warnings)
    },
    plans: () => 1,
    dispose: () => undefined,
  })
}
