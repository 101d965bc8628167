/** The last step of every quantizer: from numbers, a scale and a zero point onto its grid, where metadata is born. */
import type { ZeroPointKind } from '../data/quant.js'
import type { Kit, Value } from '../graph/op.js'
import { ROUNDING_OPS } from '../ops/rounding.js'
import { formatOf } from './minifloat.js'
import type { Quantizer } from './quantizer.js'
import { learnedBounds, type Width } from './scaling.js'

/** Do clipped elements lose their gradient, or does it pass? */
export type Clamp = 'mask' | 'ste'

/** What is put onto a grid, and by what. */
export type Onto = {
  readonly x: Value
  readonly scale: Value
  readonly zeroPoint: Value
  readonly clamp: Clamp
  readonly width?: Width
}

const ZERO_POINTS = { zero: 'zero', stats: 'integer', MSE: 'integer', HQO: 'any' } as const

/** What is known of a quantizer's zero point before anything runs. */
export const zeroPointKindOf = (q: Quantizer): ZeroPointKind => ZERO_POINTS[q.zeroPointImpl]

/** `v` clipped to bounds that are values: a clipped element's gradient goes to the bound. */
export const clipped = (v: Value, [lo, hi]: readonly [Value, Value]): Value => {
  const { kit } = v
  const raised = kit.emit('select', [kit.emit('less', [v, lo]), lo, v])
  return kit.emit('select', [kit.emit('less', [hi, v]), hi, raised])
}

/** Most bits that a learned width is said to have: nothing bounds it. */
const WIDEST_LEARNED = 32

const ontoLearned = (q: Quantizer, kit: Kit, { x, scale, zeroPoint }: Onto, width: Value): Value => {
  const steps = kit.emit('add', [kit.emit('div', [x, scale]), zeroPoint])
  const rounded = kit.emit(`${ROUNDING_OPS[q.floatToIntImplType]}~identity` as const, [steps])
  const int = clipped(rounded, learnedBounds(width, q))
  const value = kit.emit('mul', [kit.emit('sub', [int, zeroPoint]), scale])
  return kit.emit('onLearnedGrid', [value, scale, zeroPoint, width], {
    bits: WIDEST_LEARNED,
    signed: q.signed,
    ...(q.narrowRange ? { narrow: true } : {}),
    training: kit.mode === 'train',
    zero: zeroPointKindOf(q),
  })
}

const ontoMinifloats = (q: Quantizer, kit: Kit, { x, scale }: Onto): Value => {
  const format = formatOf(q)
  if (!q.saturating && format.infValues === null && format.nanValues === null)
    return kit.fail({
      op: 'saturating',
      tag: 'ConfigError',
      refuse: `${q.name}: Clamping is not saturating, but neither \`inf_values\` nor \`nan_values\` is specified`,
      fix: 'leave saturating out, or use an OCP format of 8 bits (Fp8e4m3OCP…, Fp8e5m2OCP…)',
    })
  return kit.emit('quantizeFloat', [x, scale], { ...format, signed: q.signed, training: kit.mode === 'train' })
}

/** Numbers on the grid of a quantizer: a quant tensor. */
export const onto = (q: Quantizer, kit: Kit, o: Onto): Value => {
  if (q.quantType === 'FLOAT') return ontoMinifloats(q, kit, o)
  if (o.width !== undefined) return ontoLearned(q, kit, o, o.width)
  return kit.emit('quantize', [o.x, o.scale, o.zeroPoint], {
    bits: q.bitWidth ?? 8,
    signed: q.signed,
    narrow: q.narrowRange,
    rounding: q.floatToIntImplType,
    clamp: o.clamp,
    training: kit.mode === 'train',
    zero: zeroPointKindOf(q),
  })
}
