/** What is quantized to, in 8 bits: integers or floats, with the type that says it. */
import { showFormat, type FloatFormat } from '../../../data/minifloat.js'
import { intMax, intMin } from '../../../data/quant.js'
import type { Tensor } from '../../../data/tensor.js'
import type { Node } from '../../../graph/graph.js'
import { float8Of, type Float8Type } from '../float8.js'
import { computed, unsupported, type Exporting, type Unsupported } from '../rule.js'
import { DataType } from '../writer.js'

const WIDE = (bits: number): Unsupported =>
  unsupported(`${bits} bits don't fit the 8 of QuantizeLinear`, 'give bitWidth: 8 or less')

/** What is quantized to: integers, or floats of 8 bits. */
export type Target =
  | {
      readonly kind: 'integers'
      readonly type: DataType.INT8 | DataType.UINT8
      readonly lowest: number
      readonly highest: number
    }
  | {
      readonly kind: 'floats'
      readonly type: Float8Type
      readonly format: FloatFormat
      readonly signed: boolean
    }

const FORMATS = 'ONNX has e4m3 and e5m2 as OCP and FNUZ define them'

/** What a quantizer's attributes say, or why no type is theirs. */
export const targetOf = (x: Exporting, { op, attrs }: Node): Target | Unsupported => {
  if (computed(op) === 'quantize') {
    const [bits, signed, narrow] = [Number(attrs.bits), attrs.signed === true, attrs.narrow === true]
    if (bits > 8) return WIDE(bits)
    const type = signed ? DataType.INT8 : DataType.UINT8
    return { kind: 'integers', type, lowest: intMin(bits, signed, narrow), highest: intMax(bits, signed, narrow) }
  }
  const strings = (v: unknown): readonly string[] | null =>
    Array.isArray(v) ? v.filter((s): s is string => typeof s === 'string') : null
  const format: FloatFormat = {
    exponentBits: Number(attrs.exponentBits),
    mantissaBits: Number(attrs.mantissaBits),
    bias: Number(attrs.bias),
    saturating: attrs.saturating === true,
    infValues: strings(attrs.infValues),
    nanValues: strings(attrs.nanValues),
  }
  const type = float8Of(format)
  if (type === null)
    return unsupported(
      `it gives minifloats of ${showFormat(format)}, for which no type is: ${FORMATS}`,
      'quantize with Fp8e4m3OCP…, Fp8e5m2OCP…, Fp8e4m3FNUZ… or Fp8e5m2FNUZ…, or give a rule of your own: rules: { quantizeFloat: … }',
    )
  return x.opset < 19
    ? unsupported('it gives minifloats, and types of them are of opset 19', 'give opset: 19 or later')
    : { kind: 'floats', type, format, signed: attrs.signed === true }
}

/** The integers of a type. */
export const rangeOf = (type: DataType): readonly [number, number] => (type === DataType.INT8 ? [-128, 127] : [0, 255])

/** Are zero points integers of the type? Minifloats have none. */
export const areOf = (t: Target, { data }: Tensor): boolean => {
  const [least, most] = rangeOf(t.type)
  return t.kind === 'floats' || data.every((z) => Number.isInteger(z) && z >= least && z <= most)
}
