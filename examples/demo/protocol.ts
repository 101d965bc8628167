/** What the page and its worker say to each other: plain data. */
import type { LiveFrame } from '../../viz/index.js'
import type { LayerBits } from '../digits/network.js'

/** How the network is trained. */
export type Recipe = {
  readonly limit: number
  readonly held: number
  readonly epochs: number
  readonly seed: number
  readonly batchSize: number
  readonly lr: number
}

/** Which program is meant: `run` counts restarts, `version` counts changes of bits. */
export type Edition = { readonly run: number; readonly version: number; readonly bits: LayerBits }

/** From the page to the worker that is to be set up. */
export type Start = {
  readonly tag: 'start'
  readonly recipe: Recipe
  readonly edition: Edition
  readonly threads: number
  readonly digits: string
  readonly paused: boolean
}
/** From the page to the training. `step` does one step and pauses; `pace` waits so long between two steps, in ms. */
export type Order =
  | { readonly tag: 'edition'; readonly edition: Edition }
  | { readonly tag: 'pause' | 'go' | 'step' | 'stop' }
  | { readonly tag: 'pace'; readonly ms: number }

/** How training stands. */
export type Status = 'running' | 'paused' | 'finished' | 'stopped'

/** From the worker to the page. */
export type Report =
  | { readonly tag: 'ready'; readonly backend: string; readonly train: number; readonly held: number }
  | { readonly tag: 'frame'; readonly edition: Pick<Edition, 'run' | 'version'>; readonly frame: LiveFrame }
  | { readonly tag: 'status'; readonly status: Status }
  | { readonly tag: 'failed'; readonly message: string }
