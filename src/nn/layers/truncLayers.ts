/** TruncAvgPool2d and TruncAdaptiveAvgPool2d: averages whose integers are truncated to fewer bits (SEMANTICS 13 and 14). */
import { count, required, type OptionsOf, type Resolved } from '../../data/fields.js'
import { quantOf, type Quant } from '../../data/quant.js'
import type { Kit, Value } from '../../graph/op.js'
import { activationScale, activationState, type QuantizerState } from '../../quantizers/activation.js'
import { RoundTo8bit, type TruncQuantizer } from '../../quantizers/presets.js'
import { adaptiveAvgPool, avgPool, dequantize, scale, zeroPoint } from '../functions/index.js'
import { perAxis, sizeFields } from '../functions/fields.js'
import { demandValue } from '../functions/support.js'
import type { Layer, None, Traced } from './layer.js'
import type { Schema } from './options.js'
import { quantizedLayer, type PlaceOptions, type ReturnOption } from './quantizedLayer.js'
import { NOT_CONFIGURED, notQuant } from './refusing.js'
import { quantizerSpec, type QuantState } from './quantizing.js'

const PLACES = {
  /** Default RoundTo8bit; null disables it. */
  truncQuant: { fallback: RoundTo8bit, prefix: '', use: 'trunc' },
} as const

/** Truncating pools: `bitWidth` and the other options without prefix go to the truncation. A quant tensor is returned by default. */
export interface TruncOptions extends PlaceOptions<typeof PLACES>, ReturnOption {}
/** State of a truncation that collects its shift. */
export type TruncState = { readonly truncQuant: QuantState }

/** What is truncated: its integers, and the grid that they are on. */
type Truncated = { readonly ints: Value; readonly grid: Quant }

/**
 * By how much to divide: 2 to the difference of the widths, or a collected power of two between 1 and that, whichever is the
 * larger: an accumulator may have fewer bits than the result.
 */
const shiftOf = (
  q: TruncQuantizer,
  kit: Kit,
  state: QuantizerState,
  { ints, grid }: Truncated,
): readonly [Value, QuantizerState] => {
  const most = 2 ** (grid.bits - q.bitWidth)
  if (q.collected === null) return [kit.constant(most), {}]
  const collected = { ...q.collected, signed: grid.signed }
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

/** A quant tensor on fewer bits. */
const truncated = (
  q: TruncQuantizer,
  kit: Kit,
  state: QuantizerState,
  y: Value,
  grid: Quant,
): readonly [Value, QuantizerState] => {
  const [s, z] = [scale(y), zeroPoint(y)]
  const ints = kit.emit('round~identity', [
    kit.emit('add', [kit.emit('div', [dequantize(y, 'its integers are truncated'), s]), z]),
  ])
  const [t, after] = shiftOf(q, kit, state, { ints, grid })
  const out = kit.emit('fromSteps', [kit.emit('div', [ints, t]), kit.emit('mul', [s, t]), kit.emit('div', [z, t])], {
    bits: q.bitWidth,
    signed: grid.signed,
    rounding: q.floatToIntImplType,
    training: kit.mode === 'train',
    zero: grid.zero === 'zero' ? 'zero' : 'any',
  })
  return [out, after]
}

const truncLayer = <F extends Schema>(
  name: string,
  options: TruncOptions,
  own: F,
  pool: (x: Value, o: Resolved<F>) => Value,
): Layer<None, TruncState> =>
  quantizedLayer({
    name,
    options,
    own,
    places: PLACES,
    returns: true,
    build: ({ truncQuant: q }, o, returnQuantTensor) => {
      const given = (x: Value): Value =>
        returnQuantTensor ? x : dequantize(x, `${name} does not return quant tensors; leave returnQuantTensor at true`)
      return {
        params: {},
        state: { truncQuant: q === null || q.collected === null ? {} : quantizerSpec(activationState(q.collected)) },
        apply: (_params: Traced<None>, state: Traced<TruncState>, x: Value, kit: Kit) => {
          demandValue(name, x)
          const y = pool(x, o)
          const grid = quantOf(y.carried)
          if (returnQuantTensor && grid === null) return [notQuant(kit, name, x), state] as const
          if (returnQuantTensor && q === null) return [noTruncation(kit, name), state] as const
          if (q === null || grid === null) return [given(y), state] as const
          const [out, after] = truncated(q, kit, state.truncQuant as QuantizerState, y, grid)
          return [given(out), { truncQuant: after }] as const
        },
      }
    },
  })

const POOL = {
  kernelSize: required(perAxis(2, count)),
  /** Default: kernelSize. */
  stride: perAxis(2, count),
}
/** Average pool, then truncation to fewer bits (brevitas.nn.TruncAvgPool2d). It has no padding. */
export const TruncAvgPool2d = (o: TruncOptions & OptionsOf<typeof POOL>): Layer<None, TruncState> =>
  truncLayer('TruncAvgPool2d', o, POOL, (x, { kernelSize, stride }) =>
    avgPool(x, { kernelSize, ...(stride === undefined ? {} : { stride }) }, 2),
  )

const SIZE = sizeFields(2)
/** Adaptive average pool, then truncation (brevitas.nn.TruncAdaptiveAvgPool2d). */
export const TruncAdaptiveAvgPool2d = (o: TruncOptions & OptionsOf<typeof SIZE>): Layer<None, TruncState> =>
  truncLayer('TruncAdaptiveAvgPool2d', o, SIZE, (x, { outputSize }) => adaptiveAvgPool(x, outputSize, 2))
