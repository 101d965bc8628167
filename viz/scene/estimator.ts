/** Which nodes hand on a gradient that is not their derivative, and in what way: straight-through estimators. */
import type { Node } from '../../src/graph/graph.js'
import { hasVjp } from '../../src/graph/op.js'

/** In words, or undefined where the gradient is the derivative. */
export const estimatorOf = ({ op, attrs }: Node): string | undefined =>
  hasVjp(op) || op.backward !== undefined ? op.estimator?.(attrs) : undefined
