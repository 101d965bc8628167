/** Counting passes and failures, and the one line in which every runner of this project reports them. */

/** How many checks passed and how many failed. */
export type Counts = { readonly passed: number; readonly failed: number }

/** Sum of many counts. */
export const total = (all: readonly Counts[]): Counts => ({
  passed: all.reduce((n, c) => n + c.passed, 0),
  failed: all.reduce((n, c) => n + c.failed, 0),
})

/** `12 passed, 0 failed`. */
export const showCounts = ({ passed, failed }: Counts): string => `${passed} passed, ${failed} failed`

/** The counts in the last non-empty line of an output, or null where that line is none. */
export const readCounts = (output: string): Counts | null => {
  const match = /^(\d+) passed, (\d+) failed$/.exec(output.trimEnd().split('\n').at(-1) ?? '')
  return match === null ? null : { passed: Number(match[1]), failed: Number(match[2]) }
}
