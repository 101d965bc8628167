/** What a network loses when the activations of one layer alone have few bits. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import type { Backend } from '../evaluator/backend.js'
import type { AnyLayer } from '../nn/layers/layer.js'
import { fieldOption } from '../nn/layers/options.js'
import { calibrate } from './calibrate.js'
import { actPlaces } from './choosable.js'
import { remade } from './convert.js'
import { silenced } from './floatCollection.js'
import { monotone, type Judge, type Losses } from './judge.js'
import { numbersFrom } from './numbers.js'
import { placed } from './plan.js'
import type { Cut, Samples } from './samples.js'
import { withLayers } from './taps.js'
import type { Quantized, Trained } from './types.js'

/** A layer whose activation quantizers have so many bits. */
const narrowed = (layer: AnyLayer, bits: number): AnyLayer | null => {
  const places = actPlaces(layer)
  return places === null
    ? null
    : remade(layer, Object.fromEntries(places.map((p) => [fieldOption(p, 'bitWidth'), bits])))
}

/** The network with so many bits of all activations that can have any number of them, not calibrated. */
const narrow = <I, O>(q: Quantized<I, O>, bits: number): E.Either<QuantErrors, Quantized<I, O>> => {
  const layers = placed(q.net).flatMap(({ path, layer }) => {
    const form = narrowed(layer, bits)
    return form === null ? [] : [[path, form] as const]
  })
  // Quantizers start anew: those that were calibrated at other bits may have another scale.
  return E.map((fresh: Trained<I, O>) => ({ ...q, ...fresh }))(
    numbersFrom(withLayers(q.net, new Map(layers)), { params: q.params, state: q.float.state }),
  )
}

/** What the network loses if only the activations that the layer at a path quantizes have so many bits. */
export type ActivationSensitivity = { readonly path: string; readonly losses: Losses }

/** Bit widths, samples, and how losses are judged. */
type Asked<I, O> = {
  readonly widths: readonly number[]
  readonly data: Samples<I>
  readonly how: Cut & { readonly backend?: Backend }
  readonly judge: Judge<I, O>
  readonly told: (path: string) => void
}

/**
 * Losses when the activations that a layer quantizes have few bits, layer by layer, all else in floats. Scales are those
 * that a calibration at these bits finds.
 */
export const activationLosses = <I, O>(
  q: Quantized<I, O>,
  paths: readonly string[],
  { widths, data, how, judge, told }: Asked<I, O>,
): E.Either<QuantErrors, readonly ActivationSensitivity[]> => {
  const calibrated: (readonly [bits: number, network: Quantized<I, O>])[] = []
  for (const bits of widths) {
    const done = E.chain((n: Quantized<I, O>) => calibrate(n, data, how))(narrow(q, bits))
    if (E.isLeft(done)) return done
    calibrated.push([bits, done.right])
  }
  const found: ActivationSensitivity[] = []
  for (const path of paths) {
    const losses: { readonly bits: number; readonly loss: number }[] = []
    for (const [bits, network] of calibrated) {
      const loss = E.chain(judge.network)(silenced(network, (p) => p === path))
      if (E.isLeft(loss)) return loss
      losses.push({ bits, loss: loss.right })
    }
    found.push({ path, losses: monotone(losses) })
    told(path)
  }
  return E.right(found)
}
