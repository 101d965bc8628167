/** Tells a traced value from other things. */
import type { Value } from './op.js'

/** Is it a traced value? */
export const isValue = (x: unknown): x is Value =>
  typeof x === 'object' &&
  x !== null &&
  'kit' in x &&
  'carried' in x &&
  'id' in x &&
  typeof x.kit === 'object' &&
  x.kit !== null &&
  'emit' in x.kit &&
  typeof x.kit.emit === 'function' &&
  typeof x.id === 'number' &&
  'shape' in x &&
  Array.isArray(x.shape)
