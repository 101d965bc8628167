/** Metadata of sums of products, `Σ x*w`: what convolutions and linear layers share (SEMANTICS 12). */
import type { Carried, Quant } from '../../data/quant.js'
import { HALF_ULP, integersOf, intMax, intMin, reach, stripped } from '../../data/quant.js'
import type { Shape } from '../../data/shape.js'
import { sameShape, showShape, sizeOf } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import { productRange } from '../mul.js'
import { broadcastTo } from './elementwise.js'
import { channelAxes, claim, conclude, widthOf } from './metadata.js'

/** What is particular to one kind of layer. */
export type Accumulation = {
  /** Shape of the result, and its channel axis. */
  readonly shape: Shape
  readonly axis: number
  /** The weight's axis of output channels. */
  readonly weightAxis: number
  /** Number of products as Brevitas counts them for the bit width. */
  readonly counted: number
  /** Largest number of products that really are summed into one element. */
  readonly terms: number
  /** How often the weight's output channels are repeated (groups of a transposed convolution); 1 elsewhere. */
  readonly repeats: number
  /** How many input channels one output channel sums over. */
  readonly together: number
}

/** `v` with its elements along `axis` of a tensor of this rank, all other axes 1. */
const alongAxis = (v: Value, rank: number, axis: number, repeats = 1): Value => {
  const n = sizeOf(v.shape)
  const tiled = n > 1 && repeats > 1 ? broadcastTo(v.kit.emit('reshape', [v], { shape: [1, n] }), [repeats, n]) : v
  const shape = new Array<number>(rank).fill(1)
  if (rank > 0) shape[axis] = sizeOf(tiled.shape)
  return sameShape(tiled.shape, shape) ? tiled : v.kit.emit('reshape', [tiled], { shape })
}

/** Why no metadata can be had from this operand, or null. */
const obstacle = (name: string, q: Quant | null): string | null => {
  if (q === null)
    return `the ${name} is a plain tensor, so the sum of products is on no known grid; quantize the ${name}`
  return q.zero === 'zero'
    ? null
    : `the ${name} has a zero point that may not be 0, which would add z times a sum of the other operand; use a quantizer without zero point`
}

const sumOfProducts = (x: Quant, w: Quant, scale: Value, { counted, terms }: Accumulation, kit: Kit): Quant => {
  const width = widthOf(
    [x, w],
    kit,
    ([a, b]) => a * b * counted,
    ([a, b]) => kit.emit('mul', [kit.emit('mul', [a, b]), kit.constant(counted)]),
  )
  const [lo, hi] = productRange(x, w)
  const [rx, rw] = [reach(x), reach(w)]
  return {
    scale: scale.id,
    zeroPoint: kit.constant(0, [1]).id,
    ...width,
    signed: x.signed || w.signed,
    training: x.training || w.training,
    zero: 'zero',
    lo: Math.min(0, terms * lo),
    hi: Math.max(0, terms * hi),
    // Each factor is off by its slack; the sum and the product of scales are rounded once each.
    slack: terms * (x.slack * rw + w.slack * rx + x.slack * w.slack) + 2 * HALF_ULP * terms * rx * rw,
  }
}

const tooWide = (q: Quant, { terms }: Accumulation): string =>
  q.bits < 2 || q.lo < intMin(q.bits, q.signed) || q.hi > intMax(q.bits, q.signed)
    ? `${terms} products reach ${q.lo} … ${q.hi}, which does not fit ${q.bits} ${q.signed ? 'signed' : 'unsigned'} bits`
    : `${terms} products reach ${Math.max(-q.lo, q.hi)}, where float32 may be off by 0.2 steps or more (${q.slack.toPrecision(2)}); use fewer bits or fewer terms`

/** Why an input of several scales leaves the grid; null where each output channel sums over the input channel of its number alone (depthwise). */
const scalesMeet = (x: Value, qx: Quant, a: Accumulation, kit: Kit): string | null => {
  const n = sizeOf(kit.value(qx.scale).shape)
  if (a.together > 1)
    return `the input has ${n} scales, one per input channel, but every output channel sums over ${a.together} of them: 1*0.1 + 1*0.2 is no multiple of either; give the input a scale per tensor${a.axis === 1 && a.shape.length > 2 ? `, or groups: ${n}` : ''}`
  return channelAxes(qx, x.shape.length, kit).every((d) => d === a.axis)
    ? null
    : `the input's scale ${showShape(kit.value(qx.scale).shape)} varies within one channel, whose sum then is on no grid`
}

/** What `Σ x*w` carries: scale `s_x * s_w` on the channel axis of the result, zero point 0, bits for every product at its largest. */
export const accumulated = (args: readonly Value[], kit: Kit, a: Accumulation): Carried => {
  const [qx, qw] = [integersOf(args[0].carried), integersOf(args[1].carried)]
  const why = obstacle('input', qx) ?? obstacle('weight', qw)
  if (why !== null || qx === null || qw === null) return stripped(why ?? 'an operand is a plain tensor')
  const rank = a.shape.length
  const [sx, sw] = [kit.value(qx.scale), kit.value(qw.scale)]
  const [nx, nw] = [sizeOf(sx.shape), sizeOf(sw.shape) === 1 ? 1 : sizeOf(sw.shape) * a.repeats]
  const channels = a.shape[a.axis]
  if ([nx, nw].some((n) => n !== 1 && n !== channels))
    return stripped(
      `scales of shape ${showShape(sx.shape)} (input) and ${showShape(sw.shape)} (weight) do not broadcast with the ${channels} channels of the result ${showShape(a.shape)}`,
    )
  const scale = kit.emit('mul', [alongAxis(sx, rank, a.axis), alongAxis(sw, rank, a.axis, a.repeats)])
  const quant = sumOfProducts(qx, qw, scale, a, kit)
  const apart = nx > 1 ? scalesMeet(args[0], qx, a, kit) : null
  if (apart !== null) return claim(args, quant, apart)
  if (channelAxes(qw, args[1].shape.length, kit).some((d) => d !== a.weightAxis))
    return claim(
      args,
      quant,
      `the weight's scale ${showShape(sw.shape)} varies within one output channel, whose sum then is on no grid`,
    )
  return conclude(args, quant, tooWide(quant, a))
}
