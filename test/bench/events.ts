/** What parent and child processes tell each other. `torch_peer.py` speaks the same. */
import type { Budget } from './measure.js'

/** Those we are compared with, as the JSON names them. */
export const PEERS = [
  'brevitas',
  'torch-compile',
  'torch-float',
  'tfjs-wasm',
  'jax-js',
  'ort-web',
  'reference',
] as const
export type PeerName = (typeof PEERS)[number]
/** Limits of the machine: a copy of as many numbers by a loop in WebAssembly, and by the engine's own memmove. */
export const LIMITS = ['copy-wasm', 'copy-memmove'] as const
/** Everyone who is timed. */
export type Runner = PeerName | 'ours' | (typeof LIMITS)[number]

/** What a child is to do. */
export type JobSpec = {
  readonly peer: Runner
  readonly threads: number
  /** Numbers handed over. */
  readonly folder: string
  readonly budget: Budget
  readonly ids: readonly string[]
  /** Ways to run a case, of which the best counts; by id. Only PyTorch has any. */
  readonly variants?: { readonly [id: string]: readonly string[] }
}

/** Times of one case in one process, in milliseconds. */
export type TimesEvent = {
  readonly tag: 'times'
  readonly id: string
  readonly variant: string
  readonly best: number
  readonly median: number
  readonly samples: number
}
/** Why there are no times. */
export type Trouble = {
  readonly tag: 'unable' | 'slow' | 'failed' | 'mismatch'
  readonly id: string
  readonly why: string
}
/** What a child says, one JSON value a line. */
export type Event =
  | { readonly tag: 'begin'; readonly id: string }
  | { readonly tag: 'ready'; readonly id: string }
  | TimesEvent
  | { readonly tag: 'note'; readonly id: string; readonly note: string }
  /** Share of right answers on the digits held out, 0 … 1. */
  | { readonly tag: 'accuracy'; readonly id: string; readonly accuracy: number }
  | Trouble

/** Reads one line of a child, or null where it is something else (warnings of libraries). */
export const parseEvent = (line: string): Event | null => {
  if (!line.startsWith('{"tag"')) return null
  try {
    const e: Event = JSON.parse(line)
    return typeof e.id === 'string' ? e : null
  } catch {
    return null
  }
}
