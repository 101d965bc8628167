/** What a peer in a child process can do: prepare a case, and leave the timing to others. */
import type { Case } from './cases.js'
import type { Received } from './handover.js'

/** Where a peer finds and leaves numbers. */
export type Surroundings = { readonly threads: number; readonly folder: string }

/** Ready to be timed. */
export type Ready = {
  readonly tag: 'ready'
  readonly run: () => unknown
  readonly dispose: () => void
  readonly note?: string
}
/** Timed by the peer itself, because it can be done only once in a process; some rows of one workload and size. */
export type Done = {
  readonly tag: 'done'
  readonly rows: readonly { readonly id: string; readonly ms: number }[]
  readonly note?: string
  readonly accuracy?: number
}
/** Not to be had from this peer, and why. */
export type Unable = { readonly tag: 'unable'; readonly why: string }
export type Prepared = Ready | Done | Unable

/** A peer. `numbers` are those of our side, for the case that is prepared. */
export type Peer = {
  readonly prepare: (c: Case, numbers: () => Received) => Promise<Prepared>
  readonly close: () => void
}

export const unable = (why: string): Unable => ({ tag: 'unable', why })
export const ready = (run: () => unknown, dispose: () => void = () => {}): Ready => ({ tag: 'ready', run, dispose })
