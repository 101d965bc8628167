/** Truncation: dropping the low bits of an accumulator (SEMANTICS 14). */
import { Int, PoT, preset, RuntimePercentile } from '../pieces.js'
import type { Quantizer } from '../quantizer.js'

/** How a truncation drops bits: the rounding, and where the shift comes from. */
export type TruncQuantizer = {
  readonly name: string
  readonly use: 'trunc'
  readonly bitWidth: number
  readonly floatToIntImplType: Quantizer['floatToIntImplType']
  /** A collected power-of-two shift instead of the difference of the widths (ShiftRoundSaturateTo8bit). */
  readonly collected: Quantizer | null
}

/** Floors to 8 bits. */
export const TruncTo8bit: TruncQuantizer = Object.freeze({
  name: 'TruncTo8bit',
  use: 'trunc',
  bitWidth: 8,
  floatToIntImplType: 'FLOOR',
  collected: null,
})
/** Rounds half to even to 8 bits. The default of the truncating pools. */
export const RoundTo8bit: TruncQuantizer = Object.freeze({
  name: 'RoundTo8bit',
  use: 'trunc',
  bitWidth: 8,
  floatToIntImplType: 'ROUND',
  collected: null,
})
/** Shifts by a collected power of two, rounds and saturates to 8 bits. */
export const ShiftRoundSaturateTo8bit: TruncQuantizer = Object.freeze({
  name: 'ShiftRoundSaturateTo8bit',
  use: 'trunc',
  bitWidth: 8,
  floatToIntImplType: 'ROUND',
  collected: preset('ShiftRoundSaturateTo8bit', Int, RuntimePercentile, PoT),
})
