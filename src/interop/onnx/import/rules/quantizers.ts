/** QuantizeLinear, Clip between, DequantizeLinear; Quant, BipolarQuant and Trunc of QONNX. */
import type { FloatFormat } from '../../../../data/minifloat.js'
import { sizeOf } from '../../../../data/shape.js'
import type { Value } from '../../../../graph/op.js'
import { dequantize, isQuantValue } from '../../../../nn/functions/index.js'
import type { Rounding } from '../../../../ops/rounding.js'
import { formatOfFloat8, isFloat8 } from '../../float8.js'
import type { Entry, Importing, ImportRule, Levels } from '../entry.js'
import {
  axisAndBlock,
  dequantizedConstant,
  dequantizedLevels,
  knownScale,
  quantized,
  scaleValue,
  spreadOver,
  storedOn,
} from '../grids.js'
import { DataType, type Host } from '../host.js'
import { rangeOf, widthOf } from '../widths.js'

const STATIC = 'export it with static quantization: constants as scales'

/** The storage type: that of the zero point, or what the node says, or uint8. */
const storage = (x: Importing): DataType => {
  const said = x.number('output_dtype', 0)
  if (x.has(2)) return x.type(2)
  return said !== 0 ? said : DataType.UINT8
}

const dynamic = (x: Importing): boolean => x.entry(1).is !== 'known' || (x.has(2) && x.entry(2).is !== 'known')

/** QuantizeLinear whose scale is a tensor of blocks, or computed: its integers as floats. */
const openQuantizeLinear = (x: Importing, bounds: readonly [number, number], type: DataType): Entry => {
  const v = x.plain(0, 'weight')
  const axis = x.number('axis', 1)
  const steps = x.kit.emit('round~identity', [x.kit.emit('div', [v, spreadOver(x, 1, v, axis)])])
  const moved = x.has(2) ? x.kit.emit('add', [steps, spreadOver(x, 2, v, axis)]) : steps
  return { is: 'value', value: x.kit.emit('tensorClamp', [moved], { min: bounds[0], max: bounds[1] }), type }
}

type Written = Pick<Levels, 'scale' | 'zero' | 'type' | 'bounds' | 'format'>

/** What QuantizeLinear makes with known scales. */
const levelsOf = (x: Importing, written: Written): Levels => {
  const e = x.entry(0)
  const from = e.is === 'known' ? e : { is: 'value' as const, value: x.value(0), type: DataType.FLOAT }
  const shape = from.is === 'known' ? from.host.shape : from.value.shape
  const [axis, block] = axisAndBlock(x, shape, written.scale.host)
  return { is: 'levels', from, ...written, axis, ...(block === undefined ? {} : { block }) }
}

/** QuantizeLinear to floats in 8 bits: with a scale of data they are multiplied back at once. */
const float8Levels = (x: Importing, type: DataType, format: FloatFormat): Entry => {
  if (x.entry(1).is === 'known')
    return levelsOf(x, { scale: knownScale(x, 1, 'scale'), zero: null, type, bounds: [-Infinity, Infinity], format })
  const v = x.plain(0, 'weight')
  const scale = spreadOver(x, 1, v, x.number('axis', 1))
  const attrs = { ...format, signed: true, training: x.kit.mode === 'train' }
  const y = x.kit.emit('quantizeFloat', [v, scale], attrs)
  return { is: 'value', value: x.kit.emit('div', [dequantize(y, 'its minifloats are read'), scale]), type }
}

const needed = (x: Importing): void => {
  x.number('block_size', 0)
  x.number('saturate', 1)
  x.number('precision', 0)
}

/** Quantizes to integers; what follows says what becomes of them. */
export const quantizeLinear: ImportRule = (x) => {
  const type = storage(x)
  const bounds = rangeOf(type)
  needed(x)
  const format = formatOfFloat8(type, x.number('saturate', 1) !== 0)
  if (format !== null) return float8Levels(x, type, format)
  if (bounds === null || type === DataType.INT32)
    return x.refuse(`it stores ${DataType[type] ?? type}, not integers of 4, 8 or 16 bits`, 'quantize to int8 or uint8')
  if (dynamic(x)) return openQuantizeLinear(x, bounds, type)
  const scale = knownScale(x, 1, 'scale')
  const zero = x.has(2) ? knownScale(x, 2, 'zero point') : null
  return levelsOf(x, { scale, zero, type, bounds })
}

/** `(q - z) * s`, where no QuantizeLinear is in front. */
const arithmetic = (x: Importing): Value => {
  const v = x.plain(0)
  const axis = x.number('axis', 1)
  const moved = x.has(2) ? x.kit.emit('sub', [v, spreadOver(x, 2, v, axis)]) : v
  return x.kit.emit('mul', [moved, spreadOver(x, 1, v, axis)])
}

/** Back from integers: with what made them, a quantizer. */
export const dequantizeLinear: ImportRule = (x) => {
  needed(x)
  x.number('output_dtype', 0)
  const e = x.entry(0)
  x.number('axis', 1)
  if (e.is !== 'known' && e.is !== 'levels') return arithmetic(x)
  if (e.is === 'known' && rangeOf(e.host.type) === null && !isFloat8(e.host.type))
    return x.refuse(`it reads ${DataType[e.host.type] ?? e.host.type}, not integers`, 'store int8 or uint8')
  if (dynamic(x)) return arithmetic(x)
  const scale = knownScale(x, 1, 'scale')
  const zero = x.has(2) && !isFloat8(x.type(2)) ? knownScale(x, 2, 'zero point') : null
  return (
    (e.is === 'levels' ? dequantizedLevels(x, e, scale, zero) : dequantizedConstant(x, e, scale, zero)) ?? arithmetic(x)
  )
}

const ROUNDINGS: { readonly [mode: string]: Rounding | undefined } = {
  ROUND: 'ROUND',
  HALF_EVEN: 'ROUND',
  FLOOR: 'FLOOR',
  CEIL: 'CEIL',
  DOWN: 'ROUND_TO_ZERO',
  ROUND_TO_ZERO: 'ROUND_TO_ZERO',
  DPU: 'DPU',
}

const roundingOf = (x: Importing, otherwise: string): Rounding => {
  const mode = x.text('rounding_mode', otherwise)
  return (
    ROUNDINGS[mode.toUpperCase()] ??
    x.refuse(`there is no rounding ${mode} here`, `choose one of ${Object.keys(ROUNDINGS).join(', ')}`)
  )
}

const bitsOf = (x: Importing, i: number): number => {
  const [bits] = x.numbers(i, 'bit width')
  return Number.isInteger(bits) && bits >= 1 && bits <= 32
    ? bits
    : x.refuse(`its bit width is ${bits}`, 'give a whole number from 1 to 32')
}

/** `Quant(x, scale, zero_point, bit_width)`. */
export const quant: ImportRule = (x) => {
  const [scale, zero] = [knownScale(x, 1, 'scale'), knownScale(x, 2, 'zero point')]
  const [signed, narrow] = [x.number('signed', 1) !== 0, x.number('narrow', 0) !== 0]
  const g = { bits: bitsOf(x, 3), signed, narrow, rounding: roundingOf(x, 'ROUND'), scale, zero, axis: null }
  const e = x.entry(0)
  return e.is === 'known' ? storedOn(x, e, g) : quantized(x, x.value(0), g)
}

/** `BipolarQuant(x, scale)`: s where x >= 0, else -s. */
export const bipolarQuant: ImportRule = (x) => {
  const k = knownScale(x, 1, 'scale')
  const host = sizeOf(k.host.shape) === 1 ? { ...k.host, shape: [] } : k.host
  const scale = x.leaf({ ...k, host }, 'scale')
  const known = x.entry(0).is === 'known'
  return x.kit.emit('binaryQuantize', [x.plain(0, 'weight'), scale], {
    clamped: !known,
    training: x.kit.mode === 'train',
  })
}

/** `Trunc`: integers divided by a power of two, which the two scales say (version 2) or the two widths (version 1). */
export const trunc: ImportRule = (x) => {
  const { kit } = x
  const second = x.has(5)
  const [inBits, outBits] = [bitsOf(x, 3), bitsOf(x, second ? 5 : 4)]
  const [scale, zero] = [knownScale(x, 1, 'scale'), knownScale(x, 2, 'zero point')]
  const signed = x.number('signed', 1) !== 0
  if (x.number('narrow', 0) !== 0) return x.refuse('a narrow range of a truncation is not known', 'give narrow=0')
  if ([scale, zero].some((k) => k.host.data.length !== 1) || (second && x.numbers(4, 'scale').length !== 1))
    return x.refuse('it has a scale per channel', 'truncate with one scale')
  const s = scale.host.data[0]
  const shift = second ? Math.round(Math.log2(x.numbers(4, 'output scale')[0] / s)) : inBits - outBits
  if (!Number.isFinite(shift)) return x.refuse('its scales are no numbers above 0', STATIC)
  const t = kit.constant(2 ** shift)
  const given = x.value(0)
  const value = isQuantValue(given) ? dequantize(given, 'it is truncated') : given
  const sv = scaleValue(x, scale, { bits: inBits, signed })
  const plainZero = zero.host.data[0] === 0
  const z = plainZero ? kit.constant(0) : x.leaf({ ...zero, host: { ...zero.host, shape: [] } }, 'zero')
  const steps = kit.emit('round~identity', [kit.emit('add', [kit.emit('div', [value, sv]), z])])
  const operands = [kit.emit('div', [steps, t]), kit.emit('mul', [sv, t]), plainZero ? z : kit.emit('div', [z, t])]
  return kit.emit('fromSteps', operands, {
    bits: outBits,
    signed,
    rounding: roundingOf(x, 'FLOOR'),
    training: kit.mode === 'train',
    zero: plainZero ? 'zero' : 'any',
  })
}

/** Numbers within bounds; those that are already, as an exporter's are, stay where they stand. */
const clipped = (data: Host['data'], [lo, hi]: readonly [number, number]): Host['data'] => {
  let inside = true
  for (let i = 0; inside && i < data.length; i++) inside = data[i] >= lo && data[i] <= hi
  return inside ? data : data.map((v) => Math.min(hi, Math.max(lo, v)))
}

/** A Clip of integers between QuantizeLinear and DequantizeLinear, or of stored ones; null where it clips floats. */
export const clippedLevels = (x: Importing, lo: number | null, hi: number | null): Entry | null => {
  const e = x.entry(0)
  if (e.is === 'levels')
    return { ...e, bounds: [Math.max(lo ?? -Infinity, e.bounds[0]), Math.min(hi ?? Infinity, e.bounds[1])] }
  if (e.is !== 'known') return null
  const range = rangeOf(e.host.type)
  if (range === null || e.host.type === DataType.INT32 || e.host.type === DataType.UINT32) return null
  const bounds = [Math.max(lo ?? -Infinity, range[0]), Math.min(hi ?? Infinity, range[1])] as const
  const data = clipped(e.host.data, bounds)
  return { is: 'known', host: { ...e.host, data }, leaf: e.leaf, ...(widthOf(bounds) === null ? {} : { bounds }) }
}
