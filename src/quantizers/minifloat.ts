/** The format that a minifloat quantizer means (SEMANTICS-2 section 6). */
import { largestOf, type FloatFormat } from '../data/minifloat.js'
import type { Quantizer } from './quantizer.js'

/** Codes of the two 8-bit formats of the Open Compute Project; every other format has none. */
const OCP_CODES: { readonly [format: string]: Pick<FloatFormat, 'infValues' | 'nanValues'> } = {
  e4m3: { infValues: null, nanValues: ['111'] },
  e5m2: { infValues: ['00'], nanValues: ['01', '11', '10'] },
}
const NO_CODES = { infValues: null, nanValues: null }

/** Widths, bias and codes of a quantizer of minifloats. */
export const formatOf = (q: Quantizer): FloatFormat => {
  const [exponentBits, mantissaBits] = [q.exponentBitWidth ?? 4, q.mantissaBitWidth ?? 3]
  const codes = q.minifloat === 'OCP' && q.bitWidth === 8 ? OCP_CODES[`e${exponentBits}m${mantissaBits}`] : undefined
  return {
    exponentBits,
    mantissaBits,
    bias: 2 ** (exponentBits - 1) - (q.minifloat === 'FNUZ' ? 0 : 1),
    saturating: q.saturating,
    ...(codes ?? NO_CODES),
  }
}

/** The largest number of a quantizer of minifloats. */
export const largestMinifloat = (q: Quantizer): number => largestOf(formatOf(q))
