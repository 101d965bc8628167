/** What is wrong with the numbers of a grid: widths of minifloats, learned widths, groups, accumulators. */
import type { QuantError } from '../data/error.js'
import { largestOf, WIDEST_EXPONENT, WIDEST_MANTISSA } from '../data/minifloat.js'
import { formatOf } from './minifloat.js'
import type { Quantizer } from './quantizer.js'

/** A wrong option of a quantizer. */
export const config = (option: string, message: string, fix: string): QuantError => ({
  tag: 'ConfigError',
  option,
  path: '',
  message,
  fix,
})

const whole = (x: number | null, from: number, to: number): boolean =>
  x !== null && Number.isInteger(x) && x >= from && x <= to

/** Widths that make no format. */
export const formatProblems = (q: Quantizer): readonly QuantError[] => {
  const missingWidth = (['bitWidth', 'exponentBitWidth', 'mantissaBitWidth'] as const).find((f) => q[f] === null)
  if (missingWidth !== undefined)
    return [
      config(
        missingWidth,
        `'${q.name}' can not resolve attribute '${{ bitWidth: 'bit_width', exponentBitWidth: 'exponent_bit_width', mantissaBitWidth: 'mantissa_bit_width' }[missingWidth]}'`,
        'give all three widths, bitWidth: 8, exponentBitWidth: 4, mantissaBitWidth: 3 for instance',
      ),
    ]
  if (q.exponentBitWidth === 0)
    return [
      config(
        'exponentBitWidth',
        `${q.name}: Exponent bit width cannot be 0: without an exponent these are integers`,
        'give exponentBitWidth: 1 or more, or use a preset of integers',
      ),
    ]
  if (!whole(q.exponentBitWidth, 1, WIDEST_EXPONENT) || !(largestOf(formatOf(q)) < 2 ** 128))
    return [
      config(
        'exponentBitWidth',
        `${q.name}: ${q.exponentBitWidth} exponent bits were asked for; float32 holds the numbers of 1 to ${WIDEST_EXPONENT}`,
        'give exponentBitWidth: 4, for instance',
      ),
    ]
  if (!whole(q.mantissaBitWidth, 0, WIDEST_MANTISSA))
    return [
      config(
        'mantissaBitWidth',
        `${q.name}: ${q.mantissaBitWidth} mantissa bits were asked for; float32 holds the numbers of 0 to ${WIDEST_MANTISSA}`,
        'give mantissaBitWidth: 3, for instance',
      ),
    ]
  return []
}

/** Sizes and axes of groups that can be told before any shape is known. */
export const groupProblems = (q: Quantizer): readonly QuantError[] => {
  if (q.scalingOver !== 'GROUP') return []
  const [size, dim] =
    q.use === 'weight' ? (['weightGroupSize', 'weightGroupDim'] as const) : (['groupSize', 'groupDim'] as const)
  if (q.groupSize === null)
    return [
      config(
        size,
        `'${q.name}' can not resolve attribute 'group_size' while building 'input_view_impl'`,
        `give ${size}: 32, for instance`,
      ),
    ]
  if (!whole(q.groupSize, 1, 2 ** 31))
    return [
      config(
        size,
        `${q.name}: group_size is ${q.groupSize}; it must be a whole number above 0`,
        `give ${size}: 32, for instance`,
      ),
    ]
  if (q.use === 'act' && q.zeroPointImpl !== 'zero')
    return [
      config(
        'zeroPointImpl',
        `${q.name}: groups of an activation have no zero points (ShiftedUint8DynamicActPerGroupFloat): Brevitas cuts them into groups twice`,
        'use Int8DynamicActPerGroupFloat, or one zero point for the tensor (ShiftedUint8DynamicActPerTensorFloat)',
      ),
    ]
  if (q.use === 'act' && q.groupDim === null)
    return [
      config(
        dim,
        `${q.name}: Cannot determine automatically group_dim: which axis is to be cut into groups?`,
        'give groupDim: 1 for channels of [N, C, …], -1 for the last axis',
      ),
    ]
  return q.groupDim === null || Number.isInteger(q.groupDim)
    ? []
    : [
        config(
          dim,
          `${q.name}: group_dim is ${q.groupDim}; it must be a whole number`,
          'give groupDim: 1, or -1 for the last axis',
        ),
      ]
}

/** Widths between which a learned width lies. */
export const learnedProblems = (q: Quantizer): readonly QuantError[] => {
  if (q.bitWidthImplType !== 'PARAMETER') return []
  const least = q.minBitWidth
  if (!whole(least, 2, 31))
    return [
      config('minBitWidth', `${q.name}: minBitWidth is ${least}; a learned width is at least 2`, 'give minBitWidth: 2'),
    ]
  if (q.bitWidth !== null && q.bitWidth < least)
    return [
      config(
        'bitWidth',
        `${q.name}: Int bit width has to be at least ${least}, instead is ${q.bitWidth}: a learned width starts at bitWidth`,
        `give bitWidth: ${least} or more`,
      ),
    ]
  const [min, max] = [q.bitWidthOffsetMinVal, q.bitWidthOffsetMaxVal]
  if (min !== null && max !== null && min > max)
    return [
      config(
        'bitWidthOffsetMinVal',
        `${q.name}: a learned width can't lie between bitWidthOffsetMinVal ${min} and bitWidthOffsetMaxVal ${max}`,
        'swap them',
      ),
    ]
  return (['bitWidthOffsetMinVal', 'bitWidthOffsetMaxVal'] as const).flatMap((name) => {
    const b = q[name]
    return b === null || (Number.isFinite(b) && b >= 2 && b <= 32)
      ? []
      : [
          config(
            name,
            `${q.name}: ${name} is ${b}; it bounds a bit width, from 2 to 32`,
            `give ${name}: 4, or leave it out`,
          ),
        ]
  })
}

/** A learned width of what has no width to learn: minifloats, whose exponent and mantissa are given. */
export const widthlessProblems = (q: Quantizer): readonly QuantError[] =>
  q.bitWidthImplType === 'PARAMETER'
    ? [
        config(
          'bitWidthImplType',
          `${q.name}: widths of minifloats can not be learned (bitWidthImplType: "PARAMETER")`,
          'leave it out, or use a preset of integers',
        ),
      ]
    : []

/** Searches that Brevitas has for matrices alone: of larger weights it compares rows with a scale of another shape. */
export const searchProblem = (q: Quantizer, rank: number): { readonly refuse: string; readonly fix: string } | null =>
  rank > 2 && q.scalingPerOutputChannel && (q.search === 'HQO' || q.zeroPointImpl === 'HQO')
    ? {
        refuse: `${q.name}: the half-quadratic search per channel is defined for weights of rank 2, not ${rank}`,
        fix: `use a search per tensor (weightScalingPerOutputChannel: false), or the least squared error per channel (${q.zeroPointImpl === 'zero' ? 'Int8WeightPerChannelFloatMSE' : 'ShiftedUint8WeightPerChannelFloatMSE'})`,
      }
    : null

/** An accumulator that can't hold what it must. */
export const accumulatorProblems = (q: Quantizer): readonly QuantError[] =>
  (q.preScaling !== 'A2Q' && q.preScaling !== 'A2Q_PLUS') || whole(q.accumulatorBitWidth, 2, 64)
    ? []
    : [
        config(
          'weightAccumulatorBitWidth',
          `${q.name}: an accumulator of ${q.accumulatorBitWidth} bits was asked for; it must be a whole number from 2 to 64`,
          'give weightAccumulatorBitWidth: 16, for instance',
        ),
      ]
