/**
 * Whether threads pay: on a busy machine a worker that waits for a core holds everybody up at the next barrier. Results
 * don't depend on the number of threads, so a segment may be run by one, and is timed both ways now and then.
 */

/** Chooses between many threads and one for one segment. */
export type Balance = {
  /** Shall the next run be split? */
  readonly split: () => boolean
  /** Tells how long it took, in milliseconds. */
  readonly took: (ms: number) => void
}

/** The first runs of a kind are not timed (code is being optimised); then so many are. */
const WARM_UP = 3
const PROBES = 5
/** Runs until the other kind is tried again. */
const HOLD = 150
const FRESHNESS = 0.3

/** Starts with many threads, then tries one, and keeps to the faster kind. */
export const newBalance = (): Balance => {
  const means = [NaN, NaN]
  let [kind, left, warm] = [0, WARM_UP + PROBES, WARM_UP]
  let tried = 0
  const change = (next: number, runs: number): void => {
    kind = next
    left = runs
    warm = 1
  }
  return {
    split: () => kind === 0,
    took: (ms) => {
      if (warm > 0) warm--
      else means[kind] = Number.isNaN(means[kind]) ? ms : (1 - FRESHNESS) * means[kind] + FRESHNESS * ms
      if (--left > 0) return
      tried++
      if (tried === 1) change(1, 1 + PROBES)
      else if (left === 0 && tried % 2 === 0) {
        const faster = means[0] <= means[1] ? 0 : 1
        if (faster === kind) left = HOLD
        else change(faster, HOLD)
      } else change(1 - kind, 1 + PROBES)
    },
  }
}
