/** What a training that goes on tells the page, several times a second: plain data that a worker can post. */
import type { SceneNumbers } from '../scene/scene.js'

/** A quantizer now. `node` is its `quantize` node; `phase`: how many of `limit` batches its statistics have seen, if it collects any. */
export type LiveQuantizer = {
  readonly node: string
  readonly path: string
  readonly phase: { readonly node: string; readonly collected: number; readonly limit: number } | null
  readonly numbers: SceneNumbers
}

/** One step: its number, the loss of its batch, and the share of its batch that was right (0 … 1). */
export type LivePoint = readonly [step: number, loss: number, accuracy: number]

/** Everything since the last frame. `held`: accuracy on held-out samples, where it was just measured. */
export type LiveFrame = {
  readonly step: number
  readonly epoch: number
  readonly batch: number
  readonly batches: number
  readonly imagesPerSecond: number
  readonly points: readonly LivePoint[]
  readonly held: { readonly step: number; readonly accuracy: number } | null
  readonly quantizers: readonly LiveQuantizer[]
}
