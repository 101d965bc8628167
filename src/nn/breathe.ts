/** Long loops that leave the event loop its turn. */

const TURN_MS = 8

/** Lets timers and signals have their turn, every few milliseconds. */
export const newBreather = (): (() => Promise<void>) => {
  let latest = 0
  return () => {
    if (performance.now() - latest < TURN_MS) return Promise.resolve()
    return new Promise((done) => {
      setTimeout(() => {
        latest = performance.now()
        done()
      }, 0)
    })
  }
}
