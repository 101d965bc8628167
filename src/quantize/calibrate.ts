/** Calibration: quantizers collect their statistics over samples, then learn from them. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { anything, count, flag, func, oneOf, type Fields } from '../data/fields.js'
import type { Backend } from '../evaluator/backend.js'
import { askedProblems } from './asked.js'
import type { TensorTree } from '../nn/layers/layer.js'
import { finishCollection } from '../nn/program/collection.js'
import { floatCollection } from './floatCollection.js'
import { notesOf } from './notes.js'
import { placed } from './plan.js'
import { quantizersOf } from './convert.js'
import { runnerOf } from './runner.js'
import { countOf, feedOf, type Cut, type Samples } from './samples.js'
import type { Quantized } from './types.js'

/** One batch more was seen. */
export type Progress = {
  /** Batches so far, and of how many, where that is known. */
  readonly batch: number
  readonly total: number | null
  /** Samples so far. */
  readonly samples: number
}

/** How a network is calibrated. */
export type CalibrateOptions = Cut & {
  /**
   * Whether collection ends with the last batch, and scales are learned ones from then on (default true). `false` for
   * more batches in another call.
   */
  readonly finish?: boolean
  /**
   * What quantizers collect: `float` (default), what comes in the float network, as in Brevitas' `calibration_mode`;
   * `quantized`, what comes when all layers before quantize already, as in training.
   */
  readonly collect?: 'quantized' | 'float'
  /** Told after each batch. */
  readonly onProgress?: (progress: Progress) => void
  /** Where it runs (default: `wasm` where the engine has SIMD, else the reference). */
  readonly backend?: Backend
}

const OPTIONS: Fields<CalibrateOptions> = {
  batches: count,
  batchSize: count,
  finish: flag,
  collect: oneOf('quantized', 'float'),
  onProgress: func,
  backend: anything,
}

const same = (state: TensorTree): TensorTree => state

/** Layers without quantizers go on as in evaluation: no dropout, no statistics of batch norms. */
export const floatLayers = <I, O>({ net }: Quantized<I, O>): ((path: string) => boolean) => {
  const still = new Set(
    placed(net).flatMap(({ path, layer }) => (Object.keys(quantizersOf(layer)).length > 0 ? [] : [path])),
  )
  return (path) => still.has(path)
}

/**
 * Shows samples to a quantized network: activation quantizers collect as their presets say (percentile, largest, least
 * squared error), batch by batch, in order, and are switched over to what they have learned. Nothing is quantized
 * meanwhile (`collect`), and everything else goes on as in evaluation. Parameters stay as they are. With
 * `finish: false` the collection stays open, and a later call goes on with it, bit for bit as one call over all batches
 * would.
 * Source: Brevitas `calibration_mode`.
 * Errors: samples of a wrong shape or with numbers that aren't finite, before anything runs; a quantizer that saw
 * nothing. One that saw nothing but zeros stands in `report.notes`.
 * @example
 * ```ts
 * import { chain, init, Linear, manualSeed, orThrow, randn, ReLU, tensorInput } from 'quantrace'
 * import { calibrate, quantize, schemes } from 'quantrace/quantize'
 *
 * const float = chain({ fc1: Linear({ inFeatures: 2, outFeatures: 8 }), act: ReLU(), fc2: Linear({ inFeatures: 8, outFeatures: 1 }) })
 * const [samples] = randn([32, 2])(manualSeed(0))
 * const quantized = orThrow(quantize(float, tensorInput([4, 2]), orThrow(init(float, 0)), schemes.int8))
 * const { params, state } = orThrow(calibrate(quantized, samples, { batchSize: 4 }))
 * console.log(Object.keys(params), Object.keys(state))
 * ```
 */
export const calibrate = <I, O>(
  quantized: Quantized<I, O>,
  data: Samples<I>,
  options: CalibrateOptions = {},
): E.Either<QuantErrors, Quantized<I, O>> => {
  const wrong = askedProblems('calibrate', quantized, options, OPTIONS)
  if (wrong.length > 0) return E.left(wrong)
  const feed = feedOf<I>('calibrate', quantized.inputs, data, options)
  if (E.isLeft(feed)) return feed
  const { net, inputs } = quantized
  const { backend, finish = true, onProgress, collect = 'float' } = options
  const how = collect === 'float' ? floatCollection(quantized) : E.right({ collecting: quantized, back: same })
  if (E.isLeft(how)) return how
  const { collecting, back } = how.right
  const runner = runnerOf(collecting.net, inputs, {
    mode: 'train',
    freeze: floatLayers(quantized),
    backend,
  })
  const { params } = collecting
  let [state, batch, samples] = [collecting.state, 0, 0]
  try {
    for (const given of feed.right.each()) {
      if (E.isLeft(given)) return given
      const ran = runner.run({ params, state }, given.right)
      if (E.isLeft(ran)) return ran
      state = ran.right.state
      batch++
      samples += countOf(given.right)
      onProgress?.({ batch, total: feed.right.total, samples })
    }
  } finally {
    runner.dispose()
  }
  const collected = back(state)
  const ended = finish ? finishCollection(net)(collected) : E.right(collected)
  if (E.isLeft(ended)) return ended
  const notes = [...(quantized.report.notes ?? []), ...notesOf(net, quantized.state, ended.right)]
  return E.right({ ...quantized, state: ended.right, report: { ...quantized.report, notes } })
}
