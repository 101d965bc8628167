/** Joins a fast kernel with the one that takes over where the numbers are none that it can treat. */
import type { Kernel } from '../../kernel.js'
import { rounded } from '../loops.js'

/** What is made of the weight and the scales alone. */
const FROM_WEIGHT: ReadonlySet<string> = new Set(['weight to i16', 'weight to i8', 'transform weight', 'pack weight'])

/** `kernel` and `other` after it in memory; `after` is the last stage that may raise the flag. `other` has no fallback of its own. */
export const withFallback = (kernel: Kernel, after: number, other: Kernel): Kernel => {
  const offset = rounded(kernel.scratch)
  const constantsOffset = rounded(kernel.constants?.length ?? 0)
  const constants = new Uint8Array(constantsOffset + (other.constants?.length ?? 0))
  constants.set(kernel.constants ?? [])
  constants.set(other.constants ?? [], constantsOffset)
  return {
    ...kernel,
    scratch: offset + other.scratch,
    constants: constants.length === 0 ? null : constants,
    fallback: { after, offset, constantsOffset, kernel: other },
  }
}

/**
 * The same of a kernel on integers: what it makes of the weight is made once where the weight stays. Without another one, it
 * reads bytes and raises the plan's guard instead.
 */
export const onIntegers = (kernel: Kernel, after: number, float: Kernel | null): Kernel => {
  const joined = float === null ? kernel : withFallback(kernel, after, float)
  const stages = joined.stages.map((s) => (FROM_WEIGHT.has(s.label) ? { ...s, fixed: true } : s))
  return { ...joined, stages, integers: true }
}
