/** Mutants that change nothing that can be told from outside, each with its reason. */
import type { Mutant } from './mutants.js'
import { OF_AUTODIFF } from './equivalents/autodiff.js'
import { OF_EXPORTERS } from './equivalents/exporters.js'
import { OF_OPS } from './equivalents/ops.js'
import { OF_QUANTIZERS } from './equivalents/quantizers.js'
import type { Equivalent } from './equivalents/record.js'
import { OF_SPECIALIZE } from './equivalents/specialize.js'

/** All that are known. */
export const EQUIVALENT: readonly Equivalent[] = [
  ...OF_AUTODIFF,
  ...OF_EXPORTERS,
  ...OF_OPS,
  ...OF_QUANTIZERS,
  ...OF_SPECIALIZE,
]

/** Why nobody can tell this mutant, or null. */
export const whyEquivalent = ({ file, from, to, nth }: Mutant, line: string): string | null =>
  EQUIVALENT.find(
    (e) =>
      e.file === file &&
      line.startsWith(e.line) &&
      e.from === from &&
      e.to === to &&
      (e.nth === undefined || e.nth === nth),
  )?.why ?? null
