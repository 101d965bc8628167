/** One line on a terminal that says how far a command is, and is gone when it ends. */
import type { Io } from './command.js'

/** Between two writes, in milliseconds. */
const PAUSE = 80
const CELLS = 24

const lineOf = (what: string, done: number, total: number, ms: number): string => {
  const share = total === 0 ? 1 : done / total
  const rest = share > 0 ? (ms / share - ms) / 1000 : 0
  return `${what} ${'█'.repeat(Math.round(share * CELLS)).padEnd(CELLS, '░')} ${done}/${total}  ${rest.toFixed(0)} s left`
}

/** Tells of progress where stderr is a terminal; nothing elsewhere. `end` clears the line. */
export const progress = (io: Io, what: string) => {
  const start = performance.now()
  let last = -Infinity
  return {
    at: (done: number, total: number): void => {
      const now = performance.now()
      if (!io.terminal || now - last < PAUSE) return
      last = now
      io.err(`\r${lineOf(what, done, total, now - start)}\u001b[K`)
    },
    end: (): void => {
      if (io.terminal) io.err('\r\u001b[K')
    },
  }
}
