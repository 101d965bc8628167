/** Minifloats on lanes, to the bit of their reference (src/ops/quantizeFloat.ts), without a logarithm. */
import type { FloatFormat } from '../../../data/minifloat.js'
import type { Attrs } from '../../../graph/op.js'
import { limitsOf } from '../../../ops/quantizeFloat.js'
import type { Exprs } from './exprs.js'

/** The format of minifloats among attributes, which the op's schema has checked. */
const floatFormat = (a: Attrs): FloatFormat & { readonly signed: boolean } => ({
  exponentBits: Number(a.exponentBits),
  mantissaBits: Number(a.mantissaBits),
  bias: Number(a.bias),
  saturating: a.saturating === true,
  infValues: Array.isArray(a.infValues) ? a.infValues.map(String) : null,
  nanValues: Array.isArray(a.nanValues) ? a.nanValues.map(String) : null,
  signed: a.signed === true,
})

/**
 * What the forward of `quantizeFloat` and its gradients share. The power of two in a number is cut out of its bits by a mask, that of
 * Infinity; its step is 2^m times less.
 */
export const floated = (e: Exprs, [x, s]: readonly number[], a: Attrs) => {
  const { hi, lo, over, under, least } = limitsOf(floatFormat(a))
  const m = Number(a.mantissaBits)
  const [top, bottom] = [e.constant(hi), e.constant(lo)]
  const q = e.op('div', x, s)
  const power = e.op('and', q, e.constant(Infinity))
  const step = e.op('pmax', e.op('mul', power, e.constant(2 ** -m)), e.constant(2 ** least))
  const r = e.op('mul', step, e.op('nearest', e.op('div', q, step)))
  const [above, below] = [e.op('gt', r, top), e.op('lt', r, bottom)]
  const saturated = (): number => e.op('pmax', e.op('pmin', r, top), bottom)
  const coded = (): number => e.op('select', above, e.constant(over), e.op('select', below, e.constant(under), r))
  const subnormal = e.op('lt', power, e.constant(2 ** (least + m)))
  return {
    q,
    c: a.saturating === true ? saturated() : coded(),
    clipped: () => e.op('or', above, below),
    slope: () => e.op('select', subnormal, e.constant(1), e.op('div', r, q)),
  }
}
