/** Which nodes hand on a gradient that is not their derivative, and in what way: straight-through estimators. */
import type { Node } from '../../src/graph/graph.js'
import { hasVjp } from '../../src/graph/op.js'

/** Quantizing ops that are not marked as births of metadata. */
const QUANTIZERS: ReadonlySet<string> = new Set(['binaryQuantize', 'fromSteps', 'snapToGrid'])

const STAIRS = 'The derivative of a staircase is 0.'

/** In words, or undefined where the gradient is the derivative. */
export const estimatorOf = (node: Node): string | undefined => {
  const { op, attrs } = node
  const [forward, gradient] = op.name.split('~')
  if (gradient !== undefined) return `Computes ${forward}; its gradient is that of ${gradient}.`
  if (op.name === 'quantize')
    return attrs.clamp === 'ste'
      ? `${STAIRS} This one hands the gradient on unchanged, clipped or not.`
      : `${STAIRS} This one hands the gradient on where nothing is clipped, and 0 elsewhere.`
  if (op.name === 'binaryQuantize')
    return attrs.clamped === true
      ? 'The derivative of a step is 0. This one hands on s times the gradient where |x| ≤ s, and 0 elsewhere.'
      : 'The derivative of a step is 0. This one hands on s times the gradient.'
  return hasVjp(op) && (op.births === true || QUANTIZERS.has(op.name))
    ? `${STAIRS} Its gradient is an estimate.`
    : undefined
}
