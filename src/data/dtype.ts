/** What the numbers of a plain tensor are: any, whole ones (indices, classes), or 0 and 1 (masks). All are stored as float32. */
import type { Tensor } from './tensor.js'

/** Kind of the numbers that an input was declared to hold. */
export type Dtype = 'float' | 'integer' | 'boolean'

/** Up to here float32 holds every whole number. */
const MOST = 2 ** 24

const RULES = {
  integer: {
    holds: (x: number): boolean => Number.isInteger(x) && Math.abs(x) <= MOST,
    says: `a whole number from -2^24 to 2^24`,
  },
  boolean: { holds: (x: number): boolean => x === 0 || x === 1, says: '0 (false) or 1 (true)' },
} as const

/** The first element that is not what was declared, in words; null where all are. One pass, no allocation per element. */
export const dtypeBreach = (dtype: Dtype, t: Tensor): string | null => {
  if (dtype === 'float') return null
  const { holds, says } = RULES[dtype]
  for (let i = 0; i < t.data.length; i++)
    if (!holds(t.data[i])) return `element ${i} is ${t.data[i]}, which is not ${says}`
  return null
}
