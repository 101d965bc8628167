/** A worker process, kept warm: what is asked of it, and what is made of one that hangs or dies. */
import { fork, type ChildProcess } from 'node:child_process'
import { root } from '../support/process.js'
import type { Bundle } from './bundle.js'
import type { Answered, Asked } from './worker.js'

/** What came of a question; `late`: no answer in time; `died`: the process ended. Both end the worker. */
export type Came = Answered | { readonly is: 'late' } | { readonly is: 'died'; readonly why: string }

/** A worker. */
export type Hand = {
  /** What it said when it had evaluated the sources. */
  readonly ready: Promise<Came>
  readonly ask: (asked: Asked, limit: number) => Promise<Came>
  readonly end: () => void
}

/** Starts a worker with a mutant that is active from the first line on, or with none (-1). */
export const newHand = (bundle: Bundle, active = -1, limit = 60_000): Hand => {
  const args = [bundle.path, String(bundle.mutants.length), String(active)]
  const child: ChildProcess = fork(bundle.worker, args, {
    cwd: root,
    execArgv: ['--max-old-space-size=2048'],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const answer = (within: number): Promise<Came> =>
    new Promise((resolve) => {
      const settle = (came: Came): void => {
        clearTimeout(timer)
        child.off('message', onMessage)
        child.off('exit', onExit)
        if (came.is === 'late' || came.is === 'died') child.kill('SIGKILL')
        resolve(came)
      }
      const onMessage = (m: Answered): void => settle(m)
      const onExit = (code: number | null, signal: string | null): void =>
        settle({ is: 'died', why: String(code ?? signal) })
      const timer = setTimeout(() => settle({ is: 'late' }), within)
      child.on('message', onMessage)
      child.on('exit', onExit)
    })
  return {
    ready: answer(limit),
    ask: (asked, within) => {
      if (!child.connected) return Promise.resolve({ is: 'died', why: 'it had ended before' })
      const came = answer(within)
      child.send(asked)
      return came
    },
    end: () => void child.kill('SIGKILL'),
  }
}
