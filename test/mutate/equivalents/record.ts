/** What is said of a mutant that nobody can tell. */
export type Equivalent = {
  readonly file: string
  /** The line, or its beginning. */
  readonly line: string
  readonly from: string
  readonly to: string
  /** Which of several such changes of the line, from 0; absent: all of them. */
  readonly nth?: number
  readonly why: string
}

/** Changes of one line: each `[from, to]`, or `[from, to, nth]`. */
export const of = (
  file: string,
  line: string,
  changes: readonly (readonly [from: string, to: string, nth?: number])[],
  why: string,
): readonly Equivalent[] =>
  changes.map(([from, to, nth]) => ({ file, line, from, to, why, ...(nth === undefined ? {} : { nth }) }))
