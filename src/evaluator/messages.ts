/** Errors and warnings of a run, worded once for every backend. */
import { showGiven } from '../data/fields.js'
import type { QuantError, QuantWarning } from '../data/error.js'
import type { Node } from '../graph/graph.js'

const fixOf = (message: string): string => {
  if (message.includes('Scaling factors'))
    return 'quantize both operands with one quantizer, threading its state from one call to the next, or join them with QuantEltwiseAdd or QuantCat, which re-quantize them'
  if (message.startsWith('class '))
    return 'count classes from 0, in whole numbers, and let the network give one logit per class'
  if (message.startsWith('index out of range'))
    return 'count rows from 0, in whole numbers, and make the table (numEmbeddings) as large as the largest index + 1'
  return 'see the operands that the message names'
}

/** What is said of a node that failed. */
export type Failing = Pick<Node, 'id' | 'inputs' | 'path'> & { readonly op: Pick<Node['op'], 'name' | 'finds'> }

/** A check node failed with this message. */
export const failedCheck = (node: Failing, said: unknown): QuantError => {
  // An op of anyone's making may answer with what is no message.
  const message =
    typeof said === 'string'
      ? said
      : `its evaluate returned ${showGiven(said)}; it must return null where all is well, or what is wrong`
  return node.op.finds === 'NonFinite'
    ? {
        tag: 'NonFinite',
        op: node.op.name,
        node: node.id,
        path: node.path,
        message,
        fix: 'run it once more with { debugNonFinite: true }, which names the first node that makes a NaN or an infinity',
      }
    : failed(node, message)
}

const failed = (node: Failing, message: string): QuantError => ({
  tag: 'CheckFailed',
  op: node.op.name,
  nodes: [...node.inputs],
  path: node.path,
  message: `${node.path === '' ? node.op.name : node.path}: ${message}`,
  fix: fixOf(message),
})

/** A quantizer was evaluated in eval before its statistics were complete. */
export const stillCollecting = (path: string, counter: number, collectStatsSteps: number): QuantWarning => ({
  tag: 'StillCollecting',
  path,
  counter,
  collectStatsSteps,
  message: `${path === '' ? 'a quantizer' : path} is evaluated after ${counter} of ${collectStatsSteps} collecting steps${counter < collectStatsSteps ? '' : ', before the step that makes it learned'}: the running average stands in for the learned value`,
})

/** A backend can't run a program on this machine. */
export const backendError = (backend: string, message: string, fix: string): QuantError => ({
  tag: 'BackendError',
  backend,
  path: '',
  message,
  fix,
})
