/** Mutants that change nothing that can be told from outside, each with its reason. */
import type { Mutant } from './mutants.js'

/** A change of a line: of its file, its text, and what becomes of what. */
export type Equivalent = {
  readonly file: string
  /** The line, or its beginning. */
  readonly line: string
  readonly from: string
  readonly to: string
  readonly why: string
}

/** All that are known. */
export const EQUIVALENT: readonly Equivalent[] = []

/** Why nobody can tell this mutant, or null. */
export const whyEquivalent = ({ file, from, to }: Mutant, line: string): string | null =>
  EQUIVALENT.find((e) => e.file === file && line.startsWith(e.line) && e.from === from && e.to === to)?.why ?? null
