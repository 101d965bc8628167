/**
 * Whether threads pay: on a busy machine a worker that waits for a core holds everybody up at the next barrier. Results
 * don't depend on the number of threads, so a segment may be run by one, and is timed both ways now and then.
 */
import { BALANCE } from './machine.js'

/** Chooses between many threads and one for one segment. */
export type Balance = {
  /** Shall the next run be split? */
  readonly split: () => boolean
  /** Tells how long it took, in milliseconds. */
  readonly took: (ms: number) => void
}

/** Starts with many threads, then tries one, and keeps to the faster kind; tries the other again after longer and longer times. */
export const newBalance = (): Balance => {
  const means = [NaN, NaN]
  let [kind, left, warm] = [0, BALANCE.warmUp + BALANCE.probes, BALANCE.warmUp]
  let hold = BALANCE.firstHold
  let probing = false
  const change = (next: number, runs: number): void => {
    kind = next
    left = runs
    warm = 1
    // What was measured long ago may be of code that has become faster since.
    means[next] = NaN
  }
  return {
    split: () => kind === 0,
    took: (ms) => {
      if (warm > 0) warm--
      else means[kind] = Number.isNaN(means[kind]) ? ms : (1 - BALANCE.freshness) * means[kind] + BALANCE.freshness * ms
      if (--left > 0) return
      if (!probing) {
        probing = true
        change(1 - kind, 1 + BALANCE.probes)
        return
      }
      probing = false
      const faster = means[0] <= means[1] ? 0 : 1
      if (faster !== kind) change(faster, 1)
      left = hold
      hold = Math.min(2 * hold, BALANCE.longestHold)
    },
  }
}
