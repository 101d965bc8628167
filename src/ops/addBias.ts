/** Adds a quantized bias to the accumulator of a layer with weights (SEMANTICS 12). */
import type { Carried, Quant } from '../data/quant.js'
import { HALF_ULP, integersOf, reach, stripped } from '../data/quant.js'
import { sizeOf, showShape } from '../data/shape.js'
import { flag, whole } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Kit, Op, Value } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { conclude, widthBy } from './support/metadata.js'

const attributes = {
  /** The channel's. */
  axis: whole,
  /** Is the bias known to lie on the accumulator's own scale? */
  sameScale: flag,
}
type BiasAttrs = AttrsOf<typeof attributes>

const view = (b: Value, rank: number, axis: number): Value =>
  b.kit.emit('reshape', [b], { shape: Array.from({ length: rank }, (_, i) => (i === axis ? sizeOf(b.shape) : 1)) })

const widened = (y: Quant, b: Quant, kit: Kit): Quant => {
  const width = widthBy(
    [y, b],
    kit,
    ([m, n]) => Math.max(m, n) + 1,
    ([m, n]) => kit.emit('add', [kit.emit('maximum', [m, n]), kit.constant(1)]),
  )
  return {
    ...y,
    ...width,
    lo: y.lo + Math.min(0, b.lo),
    hi: y.hi + Math.max(0, b.hi),
    slack: y.slack + b.slack + HALF_ULP * (reach(y) + reach(b)),
  }
}

const carry = (args: readonly Value[], { axis, sameScale }: BiasAttrs, kit: Kit): Carried => {
  const [y, b] = args
  const [qy, qb] = [integersOf(y.carried), integersOf(b.carried)]
  if (qy === null) return stripped('the accumulator is a plain tensor')
  if (qb === null) return stripped('the bias is a plain tensor')
  const quant = widened(qy, qb, kit)
  if (sameScale) return conclude(args, quant, `the sum does not fit ${quant.bits} bits or float32`)
  // Brevitas keeps the zero point 0 only where the bias's scale, broadcast as it stands, is close to the accumulator's: where
  // all channels have one scale. A count of no steps is -0 here (a bias of -0 becomes 0 first), so that +0 tells the two apart.
  const s = kit.value(qy.scale)
  const value = view(kit.emit('dequantize', [b], { why: 'a step count' }), y.shape.length, axis)
  const steps = kit.emit('div', [kit.emit('neg', [kit.emit('add', [value, kit.constant(0)])]), s])
  const close = kit.emit('allClose', [kit.value(qb.scale), s])
  const z = kit.emit('select', [close, kit.constant(0), steps])
  return conclude(
    args,
    { ...quant, zeroPoint: z.id, zero: 'equalScales' },
    `the sum does not fit ${quant.bits} bits or float32`,
  )
}

/** `y + b` along the channel axis, b a quant tensor `[C]`. Gradient: to both. */
export const addBias: Op<BiasAttrs> = {
  name: 'addBias',
  doc: 'Adds a quantized bias along the channel axis (Brevitas QuantWBIOL).',
  operands: ['y', 'bias'],
  attributes,
  shape: ([y, b], { axis }) =>
    y[axis] === sizeOf(b)
      ? y
      : refuse(
          `a bias ${showShape(b)} does not fit axis ${axis} of ${showShape(y)}`,
          'give one bias per output channel',
        ),
  carry,
  grids: 'learned',
  vjp: ({ g, args: [, b], attrs: { axis }, kit }) => [
    g,
    kit.emit(
      'reshape',
      [kit.emit('sum', [g], { dims: g.shape.map((_, i) => i).filter((i) => i !== axis), keepdim: false })],
      { shape: b.shape },
    ),
  ],
  evaluate: ([y, b], { axis }, out) => {
    const inner = sizeOf(y.shape.slice(axis + 1))
    const channels = b.data.length
    for (let i = 0, c = 0, k = 0; i < out.data.length; i++) {
      out.data[i] = y.data[i] + b.data[c]
      if (++k === inner) {
        k = 0
        if (++c === channels) c = 0
      }
    }
    return null
  },
  examples: [{ args: [{ shape: [2, 3, 2] }, { shape: [3] }], attrs: { axis: 1, sameScale: true } }],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    addBias: BiasAttrs
  }
}
