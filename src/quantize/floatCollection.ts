/** A network whose activation quantizers collect what the float network makes, and quantize nothing. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import type { AnyLayer, TensorTree } from '../nn/layers/layer.js'
import { made } from './convert.js'
import { numbersFrom, taking } from './numbers.js'
import { placed } from './plan.js'
import { withLayers } from './taps.js'
import type { Quantized, Trained } from './types.js'

/** More calls than anyone makes. */
const FOREVER = 2 ** 24

/** Does an option say something of the quantizer at a place? `weightBitWidth` does of `weightQuant`. */
const isOf = (place: string, option: string): boolean => {
  const prefix = place.replace(/Quant$/, '')
  return option === place || (option.startsWith(prefix) && /^[A-Z]/.test(option.slice(prefix.length)))
}

/**
 * A layer without quantizers of weights and biases, whose others hand on what they are given, or `act`; null: it has
 * none.
 */
const silent = ({ source }: AnyLayer, act: boolean): AnyLayer | null => {
  const quantizers = Object.entries(source?.quantizers ?? {}).filter(([, q]) => q !== null)
  if (source === undefined || quantizers.length === 0) return null
  const off = quantizers.flatMap(([place, q]) => (q?.use === 'act' ? [] : [place]))
  const kept = Object.entries(source.options).filter(([option]) => !off.some((place) => isOf(place, option)))
  return made(source.layer, {
    ...Object.fromEntries(kept),
    ...Object.fromEntries(
      quantizers.flatMap(([place, q]): readonly (readonly [string, unknown])[] => {
        if (q?.use !== 'act') return [[place, null]]
        return act ? [] : [[place, { ...q, quantDelaySteps: FOREVER }]]
      }),
    ),
  })
}

/**
 * A network with weights as they are and activations not quantized, but for those of the layers at some paths.
 */
export const silenced = <I, O>(
  q: Trained<I, O>,
  acting: (path: string) => boolean,
): E.Either<QuantErrors, Trained<I, O>> => {
  const others = placed(q.net).flatMap(({ path, layer }) => {
    const other = silent(layer, acting(path))
    return other === null ? [] : [[path, other] as const]
  })
  return numbersFrom(withLayers(q.net, new Map(others)), q)
}

/** The network that collects on floats, and how its state becomes one of the quantized network. */
export type FloatCollection<I, O> = {
  readonly collecting: Trained<I, O>
  readonly back: (state: TensorTree) => TensorTree
}

/**
 * The same network with weights as they are and activations not quantized, its quantizers collecting.
 * Source: Brevitas `calibration_mode`, which disables quantization while statistics are collected.
 */
export const floatCollection = <I, O>(q: Quantized<I, O>): E.Either<QuantErrors, FloatCollection<I, O>> =>
  E.map((collecting: Trained<I, O>) => ({
    collecting,
    back: (state: TensorTree) => taking(q.state, state),
  }))(silenced(q, () => false))
