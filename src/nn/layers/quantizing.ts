/** How layers hold quantizers: declaring their state, tracing them, and describing them. */
import type { Kit, Value } from '../../graph/op.js'
import {
  quantizeActivation,
  activationState,
  type QuantizerSpec,
  type QuantizerState,
} from '../../quantizers/activation.js'
import { initialTensor, type StateLeaf } from '../../quantizers/collection.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { overChannels, statisticOf } from '../../quantizers/statistics.js'
import { integerThreshold } from '../../quantizers/scaling.js'
import type { Config, LeafSpec, SpecTree, TensorTree } from './layer.js'

/** The state of one quantizer: `scale` (counter, buffer, value), `zeroPoint`, `delay`, as far as it has them. */
export type QuantState = TensorTree

/** The leaves of a quantizer's state as a layer declares them. */
export const quantizerSpec = (spec: QuantizerSpec): SpecTree =>
  Object.fromEntries(
    Object.entries(spec).map(([part, leaves]) => [
      part,
      Object.fromEntries(Object.entries(leaves).map(([name, leaf]) => [name, leafSpec(leaf)])),
    ]),
  )

const leafSpec = (leaf: StateLeaf): LeafSpec => ({
  shape: leaf.shape,
  learned: leaf.learned,
  ...(leaf.means === undefined ? {} : { means: leaf.means }),
  ...(leaf.collection === undefined ? {} : { collection: leaf.collection }),
  ...(leaf.accumulatorBits === undefined ? {} : { accumulatorBits: leaf.accumulatorBits }),
  init: (g) => [initialTensor(leaf), g],
})

/** The state of an optional activation quantizer. */
export const actSpec = (q: Quantizer | null): SpecTree => (q === null ? {} : quantizerSpec(activationState(q)))

/** Applies an optional activation quantizer whose state stands under `place` of the current layer. */
export const throughQuantizer = (
  q: Quantizer | null,
  kit: Kit,
  state: unknown,
  x: Value,
  place: string,
): readonly [Value, QuantizerState] => {
  if (q === null) return [x, {}]
  const path = kit.path()
  return kit.scoped(place, () =>
    quantizeActivation(q, kit, (state ?? {}) as QuantizerState, x, path === '' ? place : `${path}.${place}`),
  )
}

const list = (x: readonly number[] | null): string => (x === null ? 'none' : `(${x.join(', ')})`)

const statsConfig = (q: Quantizer): Config => {
  const { name, reads = [] } = statisticOf(q)
  return q.search === null
    ? { name, parts: reads.map((field) => [field, String(q[field])] as const) }
    : { name: q.search, parts: [] }
}

const viewConfig = (q: Quantizer): Config => {
  if (q.scalingOver === 'ROW') return { name: 'OverRowView', parts: [] }
  if (q.scalingOver === 'GROUP')
    return {
      name: 'OverSubChannelBlockView',
      parts: [
        ['groupSize', String(q.groupSize)],
        ['groupDim', q.use === 'act' ? String(q.groupDim) : 'input channels'],
      ],
    }
  return overChannels(q)
    ? {
        name: 'OverOutputChannelView',
        parts: [
          ['permuteImpl', q.use === 'act' ? `PermuteDims ${list(q.scalingStatsPermuteDims)}` : 'output channel first'],
        ],
      }
    : { name: 'OverTensorView', parts: [] }
}

const scalingConfig = (q: Quantizer): Config => {
  const name = {
    PARAMETER_FROM_STATS:
      q.use === 'act' ? 'ParameterFromRuntimeStatsScaling' : 'ParameterFromStatsFromParameterScaling',
    PARAMETER: 'ParameterScaling',
    CONST: 'ConstScaling',
    STATS: q.use === 'act' ? 'RuntimeStatsScaling' : 'StatsFromParameterScaling',
    DYNAMIC: 'RuntimeDynamicStatsScaling',
    UNIT: 'ConstScaling 1',
  }[q.scalingImplType]
  const restriction = {
    FP: 'FloatRestrictValue',
    LOG_FP: 'LogFloatRestrictValue',
    POWER_OF_TWO: `PowerOfTwoRestrictValue (${{ CEIL: 'up', FLOOR: 'down', ROUND: 'nearest' }[q.restrictValueFloatToIntImpl]})`,
  }[q.restrictScalingType]
  const collects = ['PARAMETER_FROM_STATS', 'STATS', 'DYNAMIC'].includes(q.scalingImplType)
  return {
    name,
    parts: [
      ...(collects
        ? [['statsInputViewShapeImpl', viewConfig(q)] as const, ['stats', statsConfig(q)] as const]
        : [
            ['range', `${q.scalingConst ?? q.scalingInit ?? `${q.minVal ?? 'none'} … ${q.maxVal ?? 'none'}`}`] as const,
          ]),
      ...(q.scalingImplType === 'PARAMETER_FROM_STATS' && q.use === 'act'
        ? [
            ['collectStatsSteps', String(q.collectStatsSteps)] as const,
            ['scalingStatsMomentum', String(q.scalingStatsMomentum ?? 'mean')] as const,
          ]
        : []),
      ['restrictScaling', restriction],
      ['clampScaling', q.scalingMinVal === null ? 'none' : `ScalarClampMinSte ${q.scalingMinVal}`],
      ['shape', list(q.perChannelBroadcastableShape ?? [])],
    ],
  }
}

const ROUNDING_NAMES = {
  ROUND: 'RoundSte',
  FLOOR: 'FloorSte',
  CEIL: 'CeilSte',
  ROUND_TO_ZERO: 'RoundToZeroSte',
  DPU: 'DPURoundSte',
} as const

/** A quantizer's resolved configuration, nested as Brevitas prints its modules. */
export const quantizerConfig = (q: Quantizer): Config => {
  if (q.quantType === 'BINARY')
    return {
      name: `${q.name}: BinaryQuant`,
      parts: [
        ['scalingImpl', scalingConfig(q)],
        ['bitWidth', '1'],
      ],
    }
  const masks =
    q.use === 'act' ||
    q.scalingImplType === 'PARAMETER' ||
    q.scalingImplType === 'PARAMETER_FROM_STATS' ||
    q.biasScale === 'external'
  return {
    name: `${q.name}: RescalingIntQuant`,
    parts: [
      [
        'intQuant',
        {
          name: 'IntQuant',
          parts: [
            ['signed', String(q.signed)],
            ['narrowRange', String(q.narrowRange)],
            ['floatToIntImpl', ROUNDING_NAMES[q.floatToIntImplType]],
            ['tensorClampImpl', masks ? 'TensorClamp' : 'TensorClampSte'],
            ['delayWrapper', q.quantDelaySteps === 0 ? 'NoDelay' : `DelayWrapper ${q.quantDelaySteps}`],
          ],
        },
      ],
      ['scalingImpl', q.biasScale === 'external' ? 'input scale × weight scale' : scalingConfig(q)],
      [
        'intScalingImpl',
        `${q.restrictScalingType === 'POWER_OF_TWO' ? 'PowerOfTwoIntScaling' : 'IntScaling'} ${q.bitWidth === null ? '' : integerThreshold(q)}`,
      ],
      [
        'zeroPointImpl',
        q.zeroPointImpl === 'zero'
          ? 'ZeroZeroPoint'
          : {
              name: q.use === 'act' ? 'ParameterFromRuntimeZeroPoint' : 'StatsFromParameterZeroPoint',
              parts: [
                ['statistic', q.use === 'act' ? `NegativePercentileOrZero ${q.lowPercentileQ}` : 'NegativeMinOrZero'],
              ],
            },
      ],
      ['bitWidth', `BitWidthConst ${q.bitWidth ?? 'not given'}`],
    ],
  }
}

/** An optional quantizer's configuration. */
export const optionalConfig = (q: Quantizer | null): Config | string => (q === null ? 'disabled' : quantizerConfig(q))
