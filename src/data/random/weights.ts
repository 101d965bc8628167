/** Initial weights, as torch.nn.init and torch's layers draw them. */
import type { State } from 'fp-ts/lib/State.js'
import { demandArguments, flag, required, shapeField } from '../fields.js'
import { sizeOf, type Shape } from '../shape.js'
import type { Tensor } from '../tensor.js'
import { demand, demandFloat, demandRecord, demandShape, isSize } from './arguments.js'
import type { Generator } from './generator.js'
import { normals } from './normals.js'
import { scaled } from './uniforms.js'

type Fans = { readonly fanIn: number; readonly fanOut: number }

/** Inputs and outputs per element of a weight: its second and its first size, times the kernel's area. */
const fansOf = (fn: string, shape: Shape): Fans => {
  demandShape(fn, shape)
  demand(shape.length >= 2, fn, 'shape', shape, 'of two axes or more')
  const area = sizeOf(shape.slice(2))
  return { fanIn: shape[1] * area, fanOut: shape[0] * area }
}

/** Standard deviation that keeps the variance through a leaky ReLU of negative slope a. */
const kaimingStd = (a: number, fan: number): number => Math.sqrt(2 / (1 + a * a)) / Math.sqrt(fan)

/** Uniform numbers in ±bound; an empty tensor draws nothing, whatever its bound (a fan of 0 makes it infinite). */
const uniformWithin = (bound: number, shape: Shape): State<Generator, Tensor> => scaled(-bound, bound, shape)

/** `torch.nn.init.kaiming_uniform_(a)` (fan in, leaky ReLU of slope a, default 0): uniform in ±sqrt(6 / ((1 + a^2) fan_in)). Accepted: finite a, two axes or more. */
export const kaimingUniform =
  (options: { readonly a?: number } = {}) =>
  (shape: Shape): State<Generator, Tensor> => {
    demandRecord('kaimingUniform', options)
    const { a = 0 } = options
    demandFloat('kaimingUniform', 'a', a)
    return uniformWithin(Math.sqrt(3) * kaimingStd(a, fansOf('kaimingUniform', shape).fanIn), shape)
  }

/** `torch.nn.init.kaiming_normal_(a)` (fan in, leaky ReLU of slope a, default 0): normal, mean 0, std sqrt(2 / ((1 + a^2) fan_in)). Accepted: finite a, two axes or more. */
export const kaimingNormal =
  (options: { readonly a?: number } = {}) =>
  (shape: Shape): State<Generator, Tensor> => {
    demandRecord('kaimingNormal', options)
    const { a = 0 } = options
    demandFloat('kaimingNormal', 'a', a)
    return normals(0, kaimingStd(a, fansOf('kaimingNormal', shape).fanIn), shape)
  }

/** `torch.nn.init.xavier_uniform_(gain)` (gain 1 by default): uniform in ±gain sqrt(6 / (fan_in + fan_out)). Accepted: finite gain >= 0, two axes or more. */
export const xavierUniform =
  (options: { readonly gain?: number } = {}) =>
  (shape: Shape): State<Generator, Tensor> => {
    demandRecord('xavierUniform', options)
    const { gain = 1 } = options
    demandFloat('xavierUniform', 'gain', gain)
    demand(gain >= 0, 'xavierUniform', 'gain', gain, 'at least 0')
    const { fanIn, fanOut } = fansOf('xavierUniform', shape)
    return uniformWithin(Math.sqrt(3) * (gain * Math.sqrt(2 / (fanIn + fanOut))), shape)
  }

/**
 * What a layer with weights draws: `fanIn` is weightShape[1] times the kernel's area by default (for transposed convolutions
 * too), `biasSize` weightShape[0] (give the output channels for a transposed convolution).
 */
export type LayerInit = {
  readonly weightShape: Shape
  readonly fanIn?: number
  readonly bias: boolean
  readonly biasSize?: number
}

/** The weight of a layer, and its bias if it has one. */
export type LayerParameters = { readonly weight: Tensor; readonly bias: Tensor | null }

/** torch's `reset_parameters` of linear and convolution layers: the weight, then the bias, uniform in ±1/sqrt(fan_in). Accepted: two axes or more, fanIn > 0 unless the weight is empty. */
export const weightAndBias = (options: LayerInit): State<Generator, LayerParameters> => {
  demandRecord('weightAndBias', options)
  demandArguments('weightAndBias', options, { weightShape: required(shapeField), bias: required(flag) })
  const { weightShape, fanIn, bias, biasSize } = options
  const fan = fanIn ?? fansOf('weightAndBias', weightShape).fanIn
  const length = biasSize ?? weightShape[0]
  demandShape('weightAndBias', weightShape)
  demand(isSize(length), 'weightAndBias', 'biasSize', length, 'an integer >= 0')
  demand(
    (typeof fan === 'number' && fan > 0) || (fan === 0 && sizeOf(weightShape) === 0),
    'weightAndBias',
    'fanIn',
    fan,
    'positive',
  )
  const drawWeight = uniformWithin(Math.sqrt(3) * kaimingStd(Math.sqrt(5), fan), weightShape)
  const drawBias = uniformWithin(fan > 0 ? 1 / Math.sqrt(fan) : 0, [length])
  return (generator) => {
    const [weight, afterWeight] = drawWeight(generator)
    if (!bias) return [{ weight, bias: null }, afterWeight]
    const [drawn, afterBias] = drawBias(afterWeight)
    return [{ weight, bias: drawn }, afterBias]
  }
}
