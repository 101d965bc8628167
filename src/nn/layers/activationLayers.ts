/** QuantIdentity, QuantReLU, QuantSigmoid, QuantTanh, QuantHardSwish, QuantHardTanh: input_quant, then the activation, then act_quant (SEMANTICS 8). */
import type { QuantError } from '../../data/error.js'
import { gridOf, isFloatGrid } from '../../data/quant.js'
import type { BarePrimitive, Kit, Value } from '../../graph/op.js'
import {
  Int8ActPerTensorFloat,
  Int8ActPerTensorFloatMinMaxInit,
  Uint8ActPerTensorFloat,
} from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { dequantize, hardtanh, isQuantValue } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { brokenLayer } from './checks.js'
import type { Layer, None, Traced } from './layer.js'
import { recordOf } from './options.js'
import { bare, quantizedLayer, type PlaceOptions, type ReturnOption } from './quantizedLayer.js'
import { NOT_CONFIGURED } from './refusing.js'
import { actSpec, throughQuantizer, type QuantState } from './quantizing.js'

const PLACES = {
  /** The quantizer of the input; none by default. */
  inputQuant: { fallback: null, prefix: 'input', use: 'act' },
  /** The quantizer of the result; null disables it. */
  actQuant: { fallback: Int8ActPerTensorFloat, prefix: '', use: 'act' },
} as const

/** Options of an activation layer; those without prefix go to `actQuant`. */
export interface ActivationOptions extends PlaceOptions<typeof PLACES>, ReturnOption {}
/** QuantIdentity takes no `inputQuant`. */
export interface QuantIdentityOptions extends PlaceOptions<Pick<typeof PLACES, 'actQuant'>>, ReturnOption {}
/** Presets whose range must be given. */
type NeedsRange = { readonly maxVal: number; readonly minVal: number }
/** QuantHardTanh needs its bounds, unless another quantizer is chosen. */
export type QuantHardTanhOptions = ActivationOptions & (NeedsRange | { readonly actQuant: Quantizer | null })

/** The state of an activation layer, by quantizer. */
export type ActivationState = { readonly actQuant: QuantState; readonly inputQuant: QuantState }

/** What tells the activation layers apart. */
type Kind = {
  readonly name: string
  readonly fallback: Quantizer
  /** The activation, on the dequantized value; `disabled` says that no quantizer follows. */
  readonly act: (x: Value, disabled: boolean) => Value
  /** Does a disabled layer keep the metadata of its input? */
  readonly passthrough: boolean
  readonly takesInputQuant: boolean
  /** Does its quantizer search no thresholds? Brevitas' searches apply the activation twice where it has a formula. */
  readonly searchless?: true
}

const cannotReturn = (kit: Kit, layer: string, why: string): Value =>
  kit.failWith({
    tag: 'LayerError',
    layer,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${layer} was asked for a quant tensor (returnQuantTensor: true), but ${why}`,
    fix: 'give it a quantizer (actQuant), feed it a quant tensor, or drop returnQuantTensor',
  })

/** A kept quant tensor whose `training` flag becomes the layer's. */
const withTraining = (kit: Kit, x: Value): Value => kit.emit('asTraining', [x], { training: kit.mode === 'train' })

const disabled = (kind: Kind, kit: Kit, x: Value, returnQuantTensor: boolean): Value => {
  if (!returnQuantTensor)
    return dequantize(
      kind.act(x, true),
      `${kind.name} is disabled and does not return quant tensors; set returnQuantTensor: true`,
    )
  if (!kind.passthrough)
    return cannotReturn(x.kit, kind.name, 'its quantizer is disabled and its function leaves every grid')
  if (!isQuantValue(x))
    return cannotReturn(
      x.kit,
      kind.name,
      `its quantizer is disabled and its input is a plain tensor: ${kit.whyPlain(x)}`,
    )
  const own = gridOf(x.carried)
  if (own !== null && isFloatGrid(own))
    return cannotReturn(
      x.kit,
      kind.name,
      'its quantizer is disabled, and minifloats are not handed on by layers: Brevitas exchanges their widths',
    )
  const y = kind.act(x, true)
  if (gridOf(y.carried) === null)
    return cannotReturn(y.kit, kind.name, `the activation lost the metadata: ${kit.whyPlain(y)}`)
  return kind.name === 'QuantIdentity' ? y : withTraining(kit, y)
}

/** A search in a layer whose activation is a formula. */
const searching = (layer: string, q: Quantizer): readonly QuantError[] =>
  q.search === null && q.zeroPointImpl !== 'MSE' && q.zeroPointImpl !== 'HQO'
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'actQuant',
          path: '',
          message: `${layer}: ${q.name} searches its threshold, and Brevitas' search applies the activation of ${layer} twice`,
          fix: `use a preset that collects statistics, or the function and a QuantIdentity({ actQuant: ${q.name} }) behind it`,
        },
      ]

const activationLayer =
  (kind: Kind) =>
  (options: unknown): Layer<None, ActivationState> =>
    quantizedLayer({
      name: kind.name,
      options,
      own: {},
      places: {
        inputQuant: kind.takesInputQuant ? PLACES.inputQuant : null,
        actQuant: { ...PLACES.actQuant, fallback: kind.fallback },
      },
      problems: ({ actQuant: act }) => (kind.searchless === true && act !== null ? searching(kind.name, act) : []),
      build: ({ inputQuant: input, actQuant: act }, _own, returnQuantTensor) => ({
        params: {},
        state: { actQuant: actSpec(act), inputQuant: actSpec(input) },
        apply: (_params, state: Traced<ActivationState>, x: Value, kit): readonly [Value, Traced<ActivationState>] => {
          demandValue(kind.name, x)
          const [x1, inputQuant] = throughQuantizer(input, kit, state.inputQuant, x, 'inputQuant')
          if (act === null) return [disabled(kind, kit, x1, returnQuantTensor), { actQuant: {}, inputQuant }]
          const [y, actQuant] = throughQuantizer(act, kit, state.actQuant, kind.act(x1, false), 'actQuant')
          return [returnQuantTensor ? y : bare(kind.name, y), { actQuant, inputQuant }]
        },
      }),
    })

const emits =
  (op: BarePrimitive) =>
  (x: Value): Value =>
    x.kit.emit(op, [x])

const identityLayer = activationLayer({
  name: 'QuantIdentity',
  fallback: Int8ActPerTensorFloat,
  act: (x) => x,
  passthrough: true,
  takesInputQuant: false,
})
const reluLayer = activationLayer({
  name: 'QuantReLU',
  fallback: Uint8ActPerTensorFloat,
  act: emits('relu'),
  passthrough: true,
  takesInputQuant: true,
})
const sigmoidLayer = activationLayer({
  name: 'QuantSigmoid',
  fallback: Uint8ActPerTensorFloat,
  act: emits('sigmoid'),
  passthrough: false,
  takesInputQuant: true,
  searchless: true,
})
const tanhLayer = activationLayer({
  name: 'QuantTanh',
  fallback: Int8ActPerTensorFloat,
  act: emits('tanh'),
  passthrough: false,
  takesInputQuant: true,
  searchless: true,
})

const hardSwishLayer = activationLayer({
  name: 'QuantHardSwish',
  fallback: Uint8ActPerTensorFloat,
  act: emits('hardswish'),
  passthrough: false,
  takesInputQuant: true,
})

/** Quantization alone (brevitas.nn.QuantIdentity). Default quantizer Int8ActPerTensorFloat. */
export const QuantIdentity = (options: QuantIdentityOptions = {}): Layer<None, ActivationState> =>
  identityLayer(options)
/** ReLU, then quantization (brevitas.nn.QuantReLU). Default Uint8ActPerTensorFloat. */
export const QuantReLU = (options: ActivationOptions = {}): Layer<None, ActivationState> => reluLayer(options)
/** Sigmoid, then quantization (brevitas.nn.QuantSigmoid). Default Uint8ActPerTensorFloat. */
export const QuantSigmoid = (options: ActivationOptions = {}): Layer<None, ActivationState> => sigmoidLayer(options)
/** Hyperbolic tangent, then quantization (brevitas.nn.QuantTanh). Default Int8ActPerTensorFloat. */
export const QuantTanh = (options: ActivationOptions = {}): Layer<None, ActivationState> => tanhLayer(options)
/** `x * min(max(x + 3, 0), 6) / 6`, then quantization (brevitas.nn.QuantHardSwish). Default Uint8ActPerTensorFloat, under which the negative part becomes 0. */
export const QuantHardSwish = (options: ActivationOptions = {}): Layer<None, ActivationState> => hardSwishLayer(options)

/**
 * Quantization to a given range (brevitas.nn.QuantHardTanh). With a quantizer there is no Hardtanh: the quantizer clips
 * at its symmetric threshold `max(|minVal|, |maxVal|)`. With `actQuant: null` it is Hardtanh(minVal, maxVal).
 */
export const QuantHardTanh = (options: QuantHardTanhOptions): Layer<None, ActivationState> => {
  const given = recordOf(options)
  const bound = (x: unknown, fallback: number): number => (typeof x === 'number' ? x : fallback)
  const [minVal, maxVal] = [bound(given.minVal, -1), bound(given.maxVal, 1)]
  const layer = activationLayer({
    name: 'QuantHardTanh',
    fallback: Int8ActPerTensorFloatMinMaxInit,
    passthrough: true,
    takesInputQuant: true,
    act: (x, off) => (off ? hardtanh(x, minVal, maxVal) : x),
  })(options)
  const upsideDown = minVal > maxVal && !layer.problems.some((p) => p.tag === 'ConfigError' && p.option === 'maxVal')
  return upsideDown
    ? brokenLayer('QuantHardTanh', [
        ...layer.problems,
        {
          tag: 'ConfigError',
          option: 'maxVal',
          path: '',
          message: `QuantHardTanh: max_val ${maxVal} is below min_val ${minVal}`,
          fix: 'swap them',
        },
      ])
    : layer
}
