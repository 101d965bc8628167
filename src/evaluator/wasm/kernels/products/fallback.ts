/** Joins an integer kernel with the float kernel that takes over where the numbers are no small integers. */
import type { Kernel } from '../../kernel.js'

/** What is made of the weight and the scales alone. */
const FROM_WEIGHT: ReadonlySet<string> = new Set(['weight to i16', 'transform weight', 'pack weight'])

const rounded = (bytes: number): number => Math.ceil(bytes / 64) * 64

/** `kernel` and `other` after it in memory; `after` is the last stage that may raise the flag. */
export const withFallback = (kernel: Kernel, after: number, other: Kernel): Kernel => {
  const offset = rounded(kernel.scratch)
  const constantsOffset = rounded(kernel.constants?.length ?? 0)
  const constants = new Uint8Array(constantsOffset + (other.constants?.length ?? 0))
  constants.set(kernel.constants ?? [])
  constants.set(other.constants ?? [], constantsOffset)
  return {
    ...kernel,
    stages: kernel.stages.map((s) => (FROM_WEIGHT.has(s.label) ? { ...s, fixed: true } : s)),
    scratch: offset + other.scratch,
    constants: constants.length === 0 ? null : constants,
    fallback: { after, offset, constantsOffset, kernel: other },
  }
}
