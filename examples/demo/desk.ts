/** Where orders arrive: what the reader wants now, and ways to wait for a change of it. */
import type { Edition, Order, Status } from './protocol.js'

/** The orders so far, as the training loop reads them. */
export type Desk = {
  readonly tell: (order: Order) => void
  readonly edition: () => Edition
  readonly isPaused: () => boolean
  readonly status: () => Status
  readonly stopped: AbortSignal
  /** Least time from one step to the next, in ms. */
  readonly pace: () => number
  /** Takes the leave to do one step; waits for it while paused. False if something else is wanted first. */
  readonly leave: (mine: Edition) => Promise<boolean>
  /** Waits, but not beyond the next order. */
  readonly rest: (ms: number) => Promise<void>
  /** Waits until another edition, or the end, is wanted. */
  readonly idle: (mine: Edition) => Promise<void>
}

/** An open desk. `say` is told whenever training pauses or goes on. */
export const newDesk = (first: Edition, paused: boolean, say: (status: Status) => void): Desk => {
  const stop = new AbortController()
  let [edition, isPaused, steps, pace] = [first, paused, 0, 0]
  let wake = (): void => undefined
  const next = (): Promise<void> =>
    new Promise((done) => {
      wake = done
    })
  const status = (): Status => (isPaused ? 'paused' : 'running')
  const tell = (order: Order): void => {
    if (order.tag === 'edition') edition = order.edition
    else if (order.tag === 'pace') pace = order.ms
    else if (order.tag === 'stop') stop.abort()
    else {
      steps = order.tag === 'step' ? 1 : 0
      isPaused = order.tag !== 'go'
      say(status())
    }
    wake()
  }
  const wantsMore = (mine: Edition): boolean => edition === mine && !stop.signal.aborted
  const mustWait = (): boolean => isPaused && steps === 0
  return {
    tell,
    edition: () => edition,
    isPaused: () => isPaused,
    status,
    stopped: stop.signal,
    pace: () => pace,
    leave: async (mine) => {
      while (mustWait() && wantsMore(mine)) await next()
      if (!wantsMore(mine)) return false
      steps = 0
      return true
    },
    rest: async (ms) => {
      let timer: ReturnType<typeof setTimeout> | undefined
      await Promise.race([
        next(),
        new Promise<void>((done) => {
          timer = setTimeout(done, ms)
        }),
      ])
      clearTimeout(timer)
    },
    idle: async (mine) => {
      while (wantsMore(mine)) await next()
    },
  }
}
