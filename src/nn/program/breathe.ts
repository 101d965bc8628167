/** Long computations on a thread that others need too: they let timers and signals have their turn. */

const TURN_MS = 8

/** One turn of the event loop. Not by a timer: pages make nested ones wait four milliseconds. */
const oneTurn = (): Promise<void> =>
  new Promise((done) => {
    if (typeof setImmediate === 'function') {
      setImmediate(done)
      return
    }
    const { port1, port2 } = new MessageChannel()
    port1.addEventListener('message', () => {
      port1.close()
      done()
    })
    port1.start()
    port2.postMessage(null)
  })

/** A function that yields to the event loop if the latest turn is some milliseconds ago, else returns at once. */
export const newBreather = (): (() => Promise<void>) => {
  let latest = 0
  return async () => {
    if (performance.now() - latest < TURN_MS) return
    await oneTurn()
    latest = performance.now()
  }
}
