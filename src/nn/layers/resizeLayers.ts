/** QuantUpsample, QuantUpsamplingNearest2d, QuantUpsamplingBilinear2d; TruncAvgPool2d, TruncAdaptiveAvgPool2d (SEMANTICS 13). */
import type { QuantError } from '../../data/error.js'
import { count, flag, oneOf, orNull, positive, required, type Field } from '../../data/fields.js'
import { quantOf } from '../../data/quant.js'
import { axesInWords, showShape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import { rounding as roundingField } from '../../ops/rounding.js'
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
import { demandValue } from '../functions/support.js'
import { eachOf, perAxis } from '../functions/fields.js'
import { brokenLayer } from './checks.js'
import { functionLayer } from './functionLayer.js'
import type { Layer, None } from './layer.js'
import { optionProblems, overridden, quantizerFields, recordOf, type Given } from './options.js'
import { quantizerSpec, type QuantState } from './quantizing.js'

const notQuant = (kit: Kit, layer: string, x: Value): Value =>
  x.kit.failWith({
    tag: 'LayerError',
    layer,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${layer} was asked for a quant tensor, but its input is a plain tensor: ${kit.whyPlain(x)}`,
    fix: 'feed it a quant tensor, or set returnQuantTensor: false',
  })

/** Options of the upsampling layers; `returnQuantTensor` is true by default, as in Brevitas. */
export type UpsampleOptions = ResizeOptions & { readonly returnQuantTensor?: boolean }

/** What is wrong with the options of a layer that resizes: it needs either a size or a factor. */
const resizeProblems = (layer: string, o: unknown, more: { readonly [name: string]: Field }): readonly QuantError[] => {
  const wrong = optionProblems(layer, o, { size: eachOf(count), scaleFactor: eachOf(positive), ...more })
  const given = recordOf(o)
  return wrong.length > 0 || (given.size === undefined) !== (given.scaleFactor === undefined)
    ? wrong
    : [
        {
          tag: 'ConfigError',
          option: 'scaleFactor',
          path: '',
          message: `${layer} needs either size or scaleFactor`,
          fix: 'give scaleFactor: 2, for instance',
        },
      ]
}

const upsampling = (
  name: string,
  o: UpsampleOptions & { readonly mode?: string },
  resize: (x: Value) => Value,
  more: { readonly [name: string]: Field } = {},
): Layer<None, None> => {
  const fields = { returnQuantTensor: flag, ...more }
  const problems = resizeProblems(name, o, fields)
  if (problems.length > 0) return brokenLayer(name, problems)
  return functionLayer(
    name,
    (x: Value, kit) => {
      if (o.returnQuantTensor === false)
        return dequantize(resize(x), `${name} does not return quant tensors; leave returnQuantTensor at true`)
      return isQuantValue(x) ? resize(x) : notQuant(kit, name, x)
    },
    { ...o },
    [],
    { layer: name, options: { ...o }, takes: ['size', 'scaleFactor', ...Object.keys(fields)] },
  )
}

/** The size or factor alone. */
const sizeOrFactor = ({ size, scaleFactor }: ResizeOptions): ResizeOptions => ({
  ...(size === undefined ? {} : { size }),
  ...(scaleFactor === undefined ? {} : { scaleFactor }),
})

/** The linear modes by the number of axes that they resize. */
const LINEAR = ['linear', 'bilinear', 'trilinear'] as const

/** Refuses an input of another number of axes than a linear mode resizes, as torch does. */
const wrongAxes = (name: string, mode: (typeof LINEAR)[number], x: Value): Value | null => {
  const n = LINEAR.indexOf(mode) + 1
  const own = LINEAR[x.shape.length - 3]
  return x.shape.length === n + 2
    ? null
    : x.kit.fail({
        op: name,
        refuse: `mode ${mode} resizes ${axesInWords(n)}, not ${showShape(x.shape)}`,
        fix: own === undefined ? `give it an input ${axesInWords(n)}` : `give mode: '${own}' for this input`,
      })
}

/** Linear interpolation, moved back to the grid of a quant tensor. */
const linearOnGrid =
  (name: string, mode: (typeof LINEAR)[number], o: ResizeOptions, alignCorners: boolean) =>
  (x: Value): Value => {
    const bad = wrongAxes(name, mode, x)
    if (bad !== null) return bad
    const y = upsampleLinear(x, { ...sizeOrFactor(o), alignCorners })
    return isQuantValue(x) ? x.kit.emit('snapToGrid', [y, scale(x), x]) : y
  }

/** Resizing by the nearest element; metadata is kept (brevitas.nn.QuantUpsamplingNearest2d). */
export const QuantUpsamplingNearest2d = (o: UpsampleOptions): Layer<None, None> =>
  upsampling('QuantUpsamplingNearest2d', o, (x) => upsampleNearest(x, sizeOrFactor(o)))
/** Bilinear resizing, corners aligned, moved back to the grid (brevitas.nn.QuantUpsamplingBilinear2d). */
export const QuantUpsamplingBilinear2d = (o: UpsampleOptions): Layer<None, None> =>
  upsampling('QuantUpsamplingBilinear2d', o, linearOnGrid('QuantUpsamplingBilinear2d', 'bilinear', o, true))
/** Resizing by `nearest` (default) or `bilinear`, corners not aligned (brevitas.nn.QuantUpsample). */
export const QuantUpsample = (
  o: UpsampleOptions & { readonly mode?: 'nearest' | 'linear' | 'bilinear' | 'trilinear' },
): Layer<None, None> =>
  upsampling(
    'QuantUpsample',
    o,
    (x) =>
      o.mode === undefined || o.mode === 'nearest'
        ? upsampleNearest(x, sizeOrFactor(o))
        : linearOnGrid('QuantUpsample', o.mode, o, false)(x),
    { mode: oneOf('nearest', 'linear', 'bilinear', 'trilinear') },
  )
/** torch.nn.Upsample: `nearest` keeps metadata, other modes strip it. */
export const Upsample = (
  o: ResizeOptions & {
    readonly mode?: 'nearest' | 'nearest-exact' | 'linear' | 'bilinear' | 'trilinear'
    readonly alignCorners?: boolean
  },
): Layer<None, None> => {
  const problems = resizeProblems('Upsample', o, {
    mode: oneOf('nearest', 'nearest-exact', 'linear', 'bilinear', 'trilinear'),
    alignCorners: flag,
  })
  if (problems.length > 0) return brokenLayer('Upsample', problems)
  const mode = o.mode ?? 'nearest'
  const resize = (x: Value): Value => {
    if (mode === 'nearest') return upsampleNearest(x, sizeOrFactor(o))
    return mode === 'nearest-exact'
      ? upsampleNearestExact(x, sizeOrFactor(o))
      : (wrongAxes('Upsample', mode, x) ??
          upsampleLinear(x, { ...sizeOrFactor(o), alignCorners: o.alignCorners ?? false }))
  }
  return functionLayer('Upsample', resize, { ...o }, [], {
    layer: 'Upsample',
    options: { ...o },
    takes: ['size', 'scaleFactor', 'mode', 'alignCorners'],
  })
}

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
  typeof x === 'object' &&
  x !== null &&
  'use' in x &&
  x.use === 'trunc' &&
  'collected' in x &&
  typeof x.collected === 'object' &&
  'bitWidth' in x &&
  'floatToIntImplType' in x

const bitWidths: Field = {
  says: 'a whole number from 1 to 32',
  like: '8',
  holds: (x) => Number.isInteger(x) && Number(x) >= 1 && Number(x) <= 32,
}

const truncProblems = (
  name: string,
  options: unknown,
  geometry: { readonly [name: string]: Field },
  asked: unknown,
): readonly QuantError[] => [
  ...optionProblems(name, options, {
    ...geometry,
    truncQuant: orNull({ says: 'a truncation', like: 'RoundTo8bit', holds: isTrunc }),
    returnQuantTensor: flag,
    ...quantizerFields(''),
    bitWidth: bitWidths,
    floatToIntImplType: oneOf('ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU'),
  }),
  ...(isTrunc(asked) && asked.collected !== null
    ? quantizerProblems({ ...overridden(asked.collected, recordOf(options), ''), bitWidth: 8 })
    : []),
]

const truncLayer = (
  name: string,
  options: object,
  geometry: { readonly [name: string]: Field },
  pool: (x: Value) => Value,
): Layer<None, TruncState> => {
  const given = recordOf(options)
  const asked = given.truncQuant === undefined ? RoundTo8bit : given.truncQuant
  const q = isTrunc(asked) ? asked : null
  const problems = truncProblems(name, options, geometry, asked)
  if (problems.length > 0) return brokenLayer(name, problems)
  const bits = typeof given.bitWidth === 'number' ? given.bitWidth : (q?.bitWidth ?? 8)
  const rounding = roundingField.holds(given.floatToIntImplType)
    ? given.floatToIntImplType
    : (q?.floatToIntImplType ?? 'ROUND')
  const collected =
    q?.collected === null || q === null ? null : { ...overridden(q.collected, given, ''), bitWidth: bits }
  const returnQuantTensor = given.returnQuantTensor !== false
  return {
    layer: name,
    params: {},
    state: { truncQuant: collected === null ? {} : quantizerSpec(activationState(collected)) },
    problems,
    source: {
      layer: name,
      options: given,
      takes: [...Object.keys(geometry), 'truncQuant', 'returnQuantTensor'],
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
      demandValue(name, x)
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
  truncLayer('TruncAvgPool2d', o, { kernelSize: required(perAxis(2, count)), stride: perAxis(2, count) }, (x) =>
    avgPool(x, { kernelSize: o.kernelSize, ...(o.stride === undefined ? {} : { stride: o.stride }) }, 2),
  )
/** Adaptive average pool, then truncation (brevitas.nn.TruncAdaptiveAvgPool2d). */
export const TruncAdaptiveAvgPool2d = (o: TruncOptions & { readonly outputSize: PerAxis }): Layer<None, TruncState> =>
  truncLayer('TruncAdaptiveAvgPool2d', o, { outputSize: required(perAxis(2, count)) }, (x) =>
    adaptiveAvgPool(x, o.outputSize, 2),
  )
