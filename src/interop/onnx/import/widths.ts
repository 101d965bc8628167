/** Which integers a storage type holds, and which quantizer has such bounds. */
import { intMax, intMin } from '../../../data/quant.js'
import { DataType } from './host.js'

/** Lowest and highest integer of a storage type; null where it stores none. */
export const rangeOf = (type: DataType): readonly [number, number] | null => {
  const bits = BITS[type]
  return bits === undefined ? null : [intMin(bits[0], bits[1]), intMax(bits[0], bits[1])]
}

const BITS: { readonly [T in DataType]?: readonly [bits: number, signed: boolean] } = {
  [DataType.INT4]: [4, true],
  [DataType.UINT4]: [4, false],
  [DataType.INT8]: [8, true],
  [DataType.UINT8]: [8, false],
  [DataType.INT16]: [16, true],
  [DataType.UINT16]: [16, false],
  [DataType.INT32]: [32, true],
  [DataType.UINT32]: [32, false],
}

/** Width, sign and narrowness of a quantizer. */
export type Width = { readonly bits: number; readonly signed: boolean; readonly narrow: boolean }

/** The quantizer whose integers have these bounds, or null where no width has them. */
export const widthOf = ([lo, hi]: readonly [number, number]): Width | null => {
  for (const signed of [lo < 0])
    for (let bits = 1; bits <= 32; bits++)
      for (const narrow of [false, true])
        if (intMin(bits, signed, narrow) === lo && intMax(bits, signed, narrow) === hi) return { bits, signed, narrow }
  return null
}
