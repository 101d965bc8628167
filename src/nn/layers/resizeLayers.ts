/** QuantUpsample, QuantUpsamplingNearest2d, QuantUpsamplingBilinear2d; TruncAvgPool2d, TruncAdaptiveAvgPool2d (SEMANTICS 13). */
import type { QuantError } from '../../data/error.js'
import { quantOf } from '../../data/quant.js'
import type { Kit, Value } from '../../graph/op.js'
import { activationScale, activationState, type QuantizerState } from '../../quantizers/activation.js'
import { RoundTo8bit, type TruncQuantizer } from '../../quantizers/presets.js'
import type { QuantizerOptions } from '../../quantizers/quantizer.js'
import { quantizerProblems } from '../../quantizers/resolve.js'
import { NOT_CONFIGURED } from './activationLayers.js'
import {
  adaptiveAvgPool,
  avgPool,
  dequantize,
  isQuantValue,
  scale,
  upsampleLinear,
  upsampleNearest,
  upsampleNearestExact,
  zeroPoint,
  type ResizeOptions,
} from '../functions/index.js'
import { functionLayer, type Layer, type None } from './layer.js'
import { optionsOf, overridden, unknownOptions, type Given } from './options.js'
import { quantizerSpec, type QuantState } from './quantizing.js'

const notQuant = (kit: Kit, layer: string, x: Value): Value =>
  kit.failWith({
    tag: 'LayerError',
    layer,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${layer} was asked for a quant tensor, but its input is a plain tensor${x.carried.tag === 'stripped' ? ` (${x.carried.why})` : ''}`,
    fix: 'feed it a quant tensor, or set returnQuantTensor: false',
  })

/** Options of the upsampling layers; `returnQuantTensor` is true by default, as in Brevitas. */
export type UpsampleOptions = ResizeOptions & { readonly returnQuantTensor?: boolean }

const needsSize = (layer: string, o: ResizeOptions): readonly QuantError[] =>
  (o.size === undefined) === (o.scaleFactor === undefined)
    ? [
        {
          tag: 'ConfigError',
          option: 'scaleFactor',
          path: '',
          message: `${layer} needs either size or scaleFactor`,
          fix: 'give scaleFactor: 2, for instance',
        },
      ]
    : []

const modeProblems = (layer: string, mode: string | undefined, known: readonly string[]): readonly QuantError[] =>
  mode === undefined || known.includes(mode)
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'mode',
          path: '',
          message: `${layer}: mode is ${JSON.stringify(mode)}; known: ${known.join(', ')}`,
          fix: "give mode: 'nearest', for instance",
        },
      ]

const upsampling = (
  name: string,
  o: UpsampleOptions & { readonly mode?: string },
  resize: (x: Value) => Value,
): Layer<None, None> => {
  const takes = ['size', 'scaleFactor', 'returnQuantTensor', ...(name === 'QuantUpsample' ? ['mode'] : [])]
  const problems = [
    ...unknownOptions(name, o, takes),
    ...needsSize(name, o),
    ...modeProblems(name, o.mode, ['nearest', 'linear', 'bilinear', 'trilinear']),
  ]
  return functionLayer(
    name,
    (x: Value, kit) => {
      if (o.returnQuantTensor === false)
        return dequantize(resize(x), `${name} does not return quant tensors; leave returnQuantTensor at true`)
      return isQuantValue(x) ? resize(x) : notQuant(kit, name, x)
    },
    o,
    problems,
    { layer: name, options: o, takes },
  )
}

/** Linear interpolation, moved back to the grid of a quant tensor. */
const linearOnGrid =
  (o: ResizeOptions, alignCorners: boolean) =>
  (x: Value): Value => {
    const y = upsampleLinear(x, { ...o, alignCorners })
    return isQuantValue(x) ? x.kit.emit('snapToGrid', [y, scale(x), x]) : y
  }

/** Resizing by the nearest element; metadata is kept (brevitas.nn.QuantUpsamplingNearest2d). */
export const QuantUpsamplingNearest2d = (o: UpsampleOptions): Layer<None, None> =>
  upsampling('QuantUpsamplingNearest2d', o, (x) => upsampleNearest(x, o))
/** Bilinear resizing, corners aligned, moved back to the grid (brevitas.nn.QuantUpsamplingBilinear2d). */
export const QuantUpsamplingBilinear2d = (o: UpsampleOptions): Layer<None, None> =>
  upsampling('QuantUpsamplingBilinear2d', o, linearOnGrid(o, true))
/** Resizing by `nearest` (default) or `bilinear`, corners not aligned (brevitas.nn.QuantUpsample). */
export const QuantUpsample = (
  o: UpsampleOptions & { readonly mode?: 'nearest' | 'linear' | 'bilinear' | 'trilinear' },
): Layer<None, None> =>
  upsampling(
    'QuantUpsample',
    o,
    (o.mode ?? 'nearest') === 'nearest' ? (x) => upsampleNearest(x, o) : linearOnGrid(o, false),
  )
/** torch.nn.Upsample: `nearest` keeps metadata, other modes strip it. */
export const Upsample = (
  o: ResizeOptions & {
    readonly mode?: 'nearest' | 'nearest-exact' | 'linear' | 'bilinear' | 'trilinear'
    readonly alignCorners?: boolean
  },
): Layer<None, None> =>
  functionLayer(
    'Upsample',
    (x: Value) => {
      const mode = o.mode ?? 'nearest'
      return mode === 'nearest'
        ? upsampleNearest(x, o)
        : mode === 'nearest-exact'
          ? upsampleNearestExact(x, o)
          : upsampleLinear(x, o)
    },
    o,
    [
      ...unknownOptions('Upsample', o, ['size', 'scaleFactor', 'mode', 'alignCorners']),
      ...needsSize('Upsample', o),
      ...modeProblems('Upsample', o.mode, ['nearest', 'nearest-exact', 'linear', 'bilinear', 'trilinear']),
    ],
    { layer: 'Upsample', options: o, takes: ['size', 'scaleFactor', 'mode', 'alignCorners'] },
  )

type PerAxis = number | readonly number[]
/** Truncating pools: `bitWidth` and the other options without prefix go to the truncation. A quant tensor is returned by default. */
export type TruncOptions = QuantizerOptions & {
  readonly truncQuant?: TruncQuantizer | null
  readonly returnQuantTensor?: boolean
}
/** State of a truncation that collects its shift. */
export type TruncState = { readonly truncQuant: QuantState }

/**
 * By how much to divide: 2 to the difference of the widths, or a collected power of two between 1 and that, whichever is the
 * larger: an accumulator may have fewer bits than the result.
 */
const shiftOf = (
  q: TruncQuantizer,
  bits: number,
  kit: Kit,
  state: QuantizerState,
  ints: Value,
  signed: boolean,
  given: Given,
  inputBits: number,
): readonly [Value, QuantizerState] => {
  const most = 2 ** (inputBits - bits)
  if (q.collected === null) return [kit.constant(most), {}]
  const collected = { ...overridden(q.collected, given, ''), bitWidth: bits, signed }
  const path = kit.path()
  const [t, after] = kit.scoped('truncQuant', () =>
    activationScale(kit, state.scale ?? {}, ints, collected, path === '' ? 'truncQuant' : `${path}.truncQuant`),
  )
  return [kit.emit('tensorClamp', [t], { min: Math.min(1, most), max: Math.max(1, most) }), { scale: after }]
}

const noTruncation = (kit: Kit, layer: string): Value =>
  kit.failWith({
    tag: 'LayerError',
    layer,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${layer} was asked for a quant tensor (the default), but its truncQuant is null`,
    fix: 'give it a truncQuant (RoundTo8bit), or set returnQuantTensor: false',
  })

const isTrunc = (x: unknown): x is TruncQuantizer =>
  typeof x === 'object' && x !== null && 'use' in x && x.use === 'trunc'

const truncLayer = (
  name: string,
  given: Given,
  geometry: readonly string[],
  pool: (x: Value) => Value,
): Layer<None, TruncState> => {
  const asked = given.truncQuant === undefined ? RoundTo8bit : given.truncQuant
  const q = isTrunc(asked) ? asked : null
  const wrong: readonly QuantError[] =
    asked === null || isTrunc(asked)
      ? []
      : [
          {
            tag: 'ConfigError',
            option: 'truncQuant',
            path: '',
            message: `${name}: truncQuant is no truncation`,
            fix: 'give RoundTo8bit, TruncTo8bit or ShiftRoundSaturateTo8bit',
          },
        ]
  const bits = typeof given.bitWidth === 'number' ? given.bitWidth : (q?.bitWidth ?? 8)
  const rounding =
    typeof given.floatToIntImplType === 'string' ? given.floatToIntImplType : (q?.floatToIntImplType ?? 'ROUND')
  const widths: readonly QuantError[] =
    Number.isInteger(bits) && bits >= 1 && bits <= 32
      ? []
      : [
          {
            tag: 'ConfigError',
            option: 'bitWidth',
            path: '',
            message: `${name}: a bit width of ${bits} was asked for; it must be a whole number from 1 to 32`,
            fix: 'give bitWidth: 8, for instance',
          },
        ]
  const known: readonly QuantError[] = ['ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU'].includes(rounding)
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'floatToIntImplType',
          path: '',
          message: `${name}: floatToIntImplType is ${JSON.stringify(rounding)}`,
          fix: "give 'ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO' or 'DPU'",
        },
      ]
  const collected =
    q?.collected === null || q === null ? null : { ...overridden(q.collected, given, ''), bitWidth: bits }
  const returnQuantTensor = given.returnQuantTensor !== false
  return {
    layer: name,
    params: {},
    state: { truncQuant: collected === null ? {} : quantizerSpec(activationState(collected)) },
    problems: [
      ...wrong,
      ...widths,
      ...known,
      ...unknownOptions(name, given, [...geometry, 'truncQuant', 'returnQuantTensor', ...optionsOf('')]),
      ...(collected === null ? [] : quantizerProblems(collected)),
    ],
    source: {
      layer: name,
      options: given,
      takes: [...geometry, 'truncQuant', 'returnQuantTensor'],
      quantizers: { truncQuant: q === null ? null : { ...q, bitWidth: bits } },
    },
    config: {
      name,
      parts: [
        [
          'truncQuant',
          q === null
            ? 'disabled'
            : {
                name: q.name,
                parts: [
                  ['bitWidth', String(bits)],
                  ['floatToIntImpl', rounding],
                ],
              },
        ],
        ['returnQuantTensor', String(returnQuantTensor)],
      ],
    },
    apply: (_params, state, x, kit) => {
      const y = pool(x)
      const quant = quantOf(y.carried)
      if (q === null || quant === null) {
        if (!returnQuantTensor)
          return [dequantize(y, `${name} does not return quant tensors; leave returnQuantTensor at true`), state]
        return [quant === null ? notQuant(kit, name, x) : noTruncation(kit, name), state]
      }
      const [s, z] = [scale(y), zeroPoint(y)]
      const ints = kit.emit('round~identity', [
        kit.emit('add', [kit.emit('div', [dequantize(y, 'its integers are truncated'), s]), z]),
      ])
      const [t, after] = shiftOf(
        q,
        bits,
        kit,
        state.truncQuant as QuantizerState,
        ints,
        quant.signed,
        given,
        quant.bits,
      )
      const grid = {
        bits,
        signed: quant.signed,
        rounding,
        training: kit.mode === 'train',
        zero: quant.zero === 'zero' ? ('zero' as const) : ('any' as const),
      }
      const out = kit.emit(
        'fromSteps',
        [kit.emit('div', [ints, t]), kit.emit('mul', [s, t]), kit.emit('div', [z, t])],
        grid,
      )
      return [
        returnQuantTensor
          ? out
          : dequantize(out, `${name} does not return quant tensors; leave returnQuantTensor at true`),
        { truncQuant: after },
      ]
    },
  }
}

/** Average pool, then truncation to fewer bits (brevitas.nn.TruncAvgPool2d). It has no padding. */
export const TruncAvgPool2d = (
  o: TruncOptions & { readonly kernelSize: PerAxis; readonly stride?: PerAxis },
): Layer<None, TruncState> =>
  truncLayer('TruncAvgPool2d', o, ['kernelSize', 'stride'], (x) =>
    avgPool(x, { kernelSize: o.kernelSize, ...(o.stride === undefined ? {} : { stride: o.stride }) }, 2),
  )
/** Adaptive average pool, then truncation (brevitas.nn.TruncAdaptiveAvgPool2d). */
export const TruncAdaptiveAvgPool2d = (o: TruncOptions & { readonly outputSize: PerAxis }): Layer<None, TruncState> =>
  truncLayer('TruncAdaptiveAvgPool2d', o, ['outputSize'], (x) => adaptiveAvgPool(x, o.outputSize, 2))
