/** Element-wise functions: which keep metadata, as Brevitas' tables say, and which strip it. */
import type { Value } from '../../graph/op.js'
import { finite, orNull, required } from '../../data/fields.js'
import { applying, numberField, refused } from './support.js'

/** `max(x, 0)`; keeps metadata (F.relu). torch.relu is `plain.relu`. */
export const relu = applying('relu')
/** x cut to 0 … 6; keeps metadata as a claim (F.relu6). */
export const relu6 = applying('relu6')
/** x cut to `minVal … maxVal`; keeps metadata as a claim (F.hardtanh). */
export const hardtanh = (x: Value, minVal = -1, maxVal = 1): Value =>
  refused('hardtanh', x, { minVal, maxVal }, { minVal: numberField, maxVal: numberField }) ??
  (minVal <= maxVal
    ? null
    : x.kit.fail({
        op: 'hardtanh',
        tag: 'ConfigError',
        refuse: `minVal ${minVal} is above maxVal ${maxVal}`,
        fix: `give the smaller one first: hardtanh(x, ${maxVal}, ${minVal})`,
      })) ??
  x.kit.emit('hardtanh', [x], {
    minVal: minVal === -Infinity ? null : minVal,
    maxVal: maxVal === Infinity ? null : maxVal,
  })
/** x itself (unary plus, `contiguous`, nn.Identity). */
export const identity = applying('identity')
/** x, through which no gradient flows; the metadata is detached too. */
export const detach = applying('detach')

/** Sigmoid (torch.sigmoid); strips. */
export const sigmoid = applying('sigmoid')
/** Hyperbolic tangent (torch.tanh); strips. */
export const tanh = applying('tanh')
/** `x > 0 ? x : negativeSlope*x` (F.leaky_relu); strips. */
export const leakyRelu = (x: Value, negativeSlope = 0.01): Value =>
  refused('leakyRelu', x, { negativeSlope }, { negativeSlope: finite }) ??
  x.kit.emit('leakyRelu', [x], { negativeSlope })
/** `x > 0 ? x : alpha*(e^x - 1)` (F.elu); strips. */
export const elu = (x: Value, alpha = 1): Value =>
  refused('elu', x, { alpha }, { alpha: finite }) ?? x.kit.emit('elu', [x], { alpha })
/** `x * Phi(x)` (F.gelu); strips. */
export const gelu = applying('gelu')
/** `x * relu6(x + 3)/6` (F.hardswish); strips. */
export const hardswish = applying('hardswish')
/** `x/(1 + |x|)` (F.softsign); strips. */
export const softsign = applying('softsign')
/** To the nearest integer, ties to even, gradient 0 (torch.round); strips. */
export const round = applying('round')
/** The rounding whose gradient is that of the identity. */
export const roundSte = applying('round~identity', 'roundSte')
/** The next integer below, gradient 0 (torch.floor); strips. */
export const floor = applying('floor')
/** The next integer above, gradient 0 (torch.ceil); strips. */
export const ceil = applying('ceil')
/** -1, 0 or 1, gradient 0 (torch.sign); strips. */
export const sign = applying('sign')
/** `e^x`; strips. */
export const exp = applying('exp')
/** Natural logarithm; strips. */
export const log = applying('log')
/** Square root; strips. */
export const sqrt = applying('sqrt')
/** x cut to `min … max`, null for no bound (torch.clamp); strips. */
export const clamp = (x: Value, min: number | null, max: number | null): Value =>
  refused('clamp', x, { min, max }, { min: required(orNull(numberField)), max: required(orNull(numberField)) }) ??
  x.kit.emit('clamp', [x], { min, max })
