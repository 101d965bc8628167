/** QuantUpsample, QuantUpsamplingNearest2d, QuantUpsamplingBilinear2d, and torch's Upsample. */
import type { QuantError } from '../../data/error.js'
import { byDefault, flag, oneOf, type OptionsOf, type Resolved } from '../../data/fields.js'
import { axesInWords, showShape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import {
  dequantize,
  isQuantValue,
  scale,
  upsampleLinear,
  upsampleNearest,
  upsampleNearestExact,
  type ResizeOptions,
} from '../functions/index.js'
import { RESIZE_FIELDS } from '../functions/fields.js'
import { demandValue } from '../functions/support.js'
import type { Layer, None, Traced } from './layer.js'
import type { Schema } from './options.js'
import { quantizedLayer } from './quantizedLayer.js'
import { notQuant } from './refusing.js'

const UPSAMPLE = {
  ...RESIZE_FIELDS,
  /** Give a quant tensor (default true, as in Brevitas). */
  returnQuantTensor: byDefault(flag, true),
}
/** Options of the upsampling layers; `returnQuantTensor` is true by default, as in Brevitas. */
export interface UpsampleOptions extends OptionsOf<typeof UPSAMPLE> {}

/** A layer that resizes needs either a size or a factor. */
const sizeProblems = (layer: string, o: ResizeOptions): readonly QuantError[] =>
  (o.size === undefined) !== (o.scaleFactor === undefined)
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'scaleFactor',
          path: '',
          message: `${layer} needs either size or scaleFactor`,
          fix: 'give scaleFactor: 2, for instance',
        },
      ]

/** Corners are aligned by the linear modes alone; asked of the others it would be passed over. */
const cornerProblems = (
  layer: string,
  o: ResizeOptions & { readonly mode?: unknown; readonly alignCorners?: unknown },
): readonly QuantError[] =>
  o.alignCorners === true && (o.mode === undefined || o.mode === 'nearest' || o.mode === 'nearest-exact')
    ? [
        {
          tag: 'ConfigError',
          option: 'alignCorners',
          path: '',
          message: `${layer} was given alignCorners for mode ${String(o.mode ?? 'nearest')}, which has no corners to align`,
          fix: "give mode: 'bilinear' (of images), or leave alignCorners out",
        },
      ]
    : []

/** A layer that resizes; `resize` reads the options of its schema. */
const resizing = <F extends Schema>(
  name: string,
  options: ResizeOptions,
  own: F,
  resize: (x: Value, o: Resolved<F>, kit: Kit) => Value,
): Layer<None, None> =>
  quantizedLayer({
    name,
    options,
    own,
    places: {},
    problems: () => [...sizeProblems(name, options), ...cornerProblems(name, options)],
    build: (_q, o) => ({
      params: {},
      state: {},
      apply: (_params: Traced<None>, state: Traced<None>, x: Value, kit: Kit) => {
        demandValue(name, x)
        return [resize(x, o, kit), state] as const
      },
    }),
  })

/** The same with the metadata of its input, or without any where no quant tensor is asked for. */
const upsampling = <F extends typeof UPSAMPLE>(
  name: string,
  options: UpsampleOptions,
  own: F,
  resize: (x: Value, o: Resolved<F>) => Value,
): Layer<None, None> =>
  resizing(name, options, own, (x, o, kit) => {
    if (options.returnQuantTensor === false)
      return dequantize(resize(x, o), `${name} does not return quant tensors; leave returnQuantTensor at true`)
    return isQuantValue(x) ? resize(x, o) : notQuant(kit, name, x)
  })

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
  upsampling('QuantUpsamplingNearest2d', o, UPSAMPLE, (x) => upsampleNearest(x, sizeOrFactor(o)))
/** Bilinear resizing, corners aligned, moved back to the grid (brevitas.nn.QuantUpsamplingBilinear2d). */
export const QuantUpsamplingBilinear2d = (o: UpsampleOptions): Layer<None, None> =>
  upsampling('QuantUpsamplingBilinear2d', o, UPSAMPLE, linearOnGrid('QuantUpsamplingBilinear2d', 'bilinear', o, true))

const QUANT_MODES = { ...UPSAMPLE, mode: byDefault(oneOf('nearest', ...LINEAR), 'nearest') }
/** Resizing by `nearest` (default) or `bilinear`, corners not aligned (brevitas.nn.QuantUpsample). */
export const QuantUpsample = (o: OptionsOf<typeof QUANT_MODES>): Layer<None, None> =>
  upsampling('QuantUpsample', o, QUANT_MODES, (x, { mode }) =>
    mode === 'nearest' ? upsampleNearest(x, sizeOrFactor(o)) : linearOnGrid('QuantUpsample', mode, o, false)(x),
  )

const MODES = {
  ...RESIZE_FIELDS,
  /** Default `nearest`. */
  mode: byDefault(oneOf('nearest', 'nearest-exact', ...LINEAR), 'nearest'),
  /** Of the linear modes: the corners of input and result are one (default false). */
  alignCorners: byDefault(flag, false),
}
/** torch.nn.Upsample: `nearest` keeps metadata, other modes strip it. */
export const Upsample = (o: OptionsOf<typeof MODES>): Layer<None, None> =>
  resizing('Upsample', o, MODES, (x, { mode, alignCorners }) => {
    if (mode === 'nearest') return upsampleNearest(x, sizeOrFactor(o))
    return mode === 'nearest-exact'
      ? upsampleNearestExact(x, sizeOrFactor(o))
      : (wrongAxes('Upsample', mode, x) ?? upsampleLinear(x, { ...sizeOrFactor(o), alignCorners }))
  })
