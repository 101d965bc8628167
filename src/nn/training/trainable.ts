/** Whether a program can be trained by an optimizer at all: asked before its first step. */
import type { QuantError } from '../../data/error.js'
import { leaves } from '../../data/tree.js'
import type { Program } from '../../graph/program.js'
import { constantOf, constOp } from '../../graph/structural.js'
import { maskProblems } from './mask.js'
import type { Optimizer } from './optim.js'
import { inputError } from './options.js'

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** Gradients are asked for, and all are constants 0: no way leads from the loss to anything that is learned. */
const isIdle = ({ graph, outputs, structure }: Program): boolean => {
  const { grads } = structure
  if (typeof grads !== 'object' || grads === null || !('params' in grads) || !('state' in grads)) return false
  const indices = leaves(isIndex, [grads.params, grads.state]).map((l) => l.leaf)
  return (
    indices.length > 0 &&
    indices.every((i) => {
      const node = graph.nodes[outputs[i].node]
      return node.op === constOp && constantOf(node.attrs) === 0
    })
  )
}

/** What is wrong: a mask names what is not there, or nothing that is learned reaches the loss. */
export const trainableProblems = (program: Program, optimizer: Optimizer): readonly QuantError[] => [
  ...maskProblems(optimizer.mask, program),
  ...(isIdle(program)
    ? [
        inputError(
          'program',
          'no parameter and no learned state reaches the loss: training would change nothing',
          "make the loss of the network's result, by functions that have a gradient (not detach, round, sign or a comparison)",
        ),
      ]
    : []),
]
