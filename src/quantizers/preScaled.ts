/**
 * Weights that are rounded by another scale than the one that gives the numbers back (SEMANTICS-2 sections 2 and 3): decoupled ones by the
 * scale of the current weight, normed ones by a learned norm over that of the row, which bounds what an accumulator can sum.
 */
import type { Shape } from '../data/shape.js'
import { gridOf, isFloatGrid, type Grid } from '../data/quant.js'
import type { Kit, Value } from '../graph/op.js'
import { computedOnce, onceLeaves, type Leaves } from './collection.js'
import type { Layout } from './layout.js'
import { scaleMeans, thresholdMeans } from './meaning.js'
import type { Quantizer } from './quantizer.js'
import { byThreshold, integerThreshold, lowerBound, preprocess, restrict } from './scaling.js'
import { statistic, viewAs } from './statistics.js'

/** What such weights are quantized with: a weight in steps, the scale that gives numbers back, and the state after the call. */
export type PreScaled = {
  readonly toSteps: (w: Value) => Value
  readonly scale: Value
  readonly state: { readonly [part: string]: Leaves }
}

/** What it is computed from: the weight, its layout, the leaves of its state, their path, and the layer's input. */
export type PreScaling = {
  readonly q: Quantizer
  readonly kit: Kit
  readonly w: Value
  readonly layout: Layout
  readonly state: { readonly [part: string]: Leaves }
  readonly leaf: string
  readonly input: Value | null
}

/** The leaves of a pre-scaled weight: the scale, and of normed ones its copy for rounding and the norm. */
export const preScaledLeaves = (q: Quantizer, shape: Shape) =>
  q.preScaling === 'DECOUPLED'
    ? { scale: onceLeaves(shape, thresholdMeans(q)) }
    : {
        scale: onceLeaves(shape, scaleMeans(q)),
        preScale: onceLeaves(shape, `${scaleMeans(q)}, for rounding`),
        norm: normLeaves(q, shape),
      }

const normLeaves = (q: Quantizer, shape: Shape): ReturnType<typeof onceLeaves> => {
  if (q.preScaling === 'WEIGHT_NORM') return onceLeaves(shape, 'the norm of a row')
  const { value, ...rest } = onceLeaves(shape, 'the log2 of the norm of a row')
  return { ...rest, value: { ...value, accumulatorBits: q.accumulatorBitWidth } }
}

const decoupled = ({ q, kit, w, layout, state, leaf }: PreScaling): PreScaled => {
  const threshold = (x: Value): Value => preprocess(viewAs(statistic(layout.rows(x), q), layout.scale), q)
  const current = byThreshold(restrict(threshold(w), q), q)
  const [value, scale] = computedOnce(kit, state.scale, `${leaf}.scale.value`, [w], ([x]) => threshold(x))
  return {
    toSteps: (own) => kit.emit('div', [own, current]),
    scale: byThreshold(restrict(value, q), q),
    state: { scale },
  }
}

const overRow = (op: 'sum' | 'mean', rows: Value): Value =>
  rows.kit.emit(op, [rows], { dims: [rows.shape.length - 1], keepdim: false })

/** The L2 norm of each row for weight norm, else the L1 norm. */
const normOf = (x: Value, { q, layout }: PreScaling): Value => {
  const rows = layout.rows(x)
  const { kit } = x
  const norm =
    q.preScaling === 'WEIGHT_NORM'
      ? kit.emit('sqrt', [overRow('sum', kit.emit('mul', [rows, rows]))])
      : overRow('sum', kit.emit('abs', [rows]))
  return viewAs(norm, layout.scale)
}

/** `sclamp(2^v)` of a norm, whatever the scale is restricted to. */
const powerOf = (v: Value, q: Quantizer): Value => lowerBound(v.kit.emit('exp2', [v]), q)

/** `sclamp(restrict(v))` of a scale. */
const scaleFrom = (v: Value, q: Quantizer): Value => lowerBound(restrict(v, q), q)

/**
 * The fewest bits of an accumulator that holds one weight of one step times any input: less, and rounding to zero makes all weights 0. Of weights
 * whose mean was taken away (A2Q+) no one is more than half the norm, which must be two steps then.
 */
const leastAccumulator = (q: Quantizer, { bits, signed }: Grid): number =>
  q.preScaling === 'A2Q_PLUS' ? bits + 1 : bits + (signed ? 1 : 2)

/** The largest norm, in steps, whose products with the input still fit the accumulator; null where the input has no integers. */
const mostSteps = ({ q, kit, input }: PreScaling): Value | null => {
  const g = input === null ? null : gridOf(input.carried)
  const refused = (refuse: string, fix: string): null => {
    kit.fail({ op: 'weightQuant', tag: 'MetadataError', refuse: `${q.name}: ${refuse}`, fix })
    return null
  }
  if (g === null)
    return refused(
      'No cached quant input found. Enable caching and perform a forward pass: its bound depends on the bit width of the input, which is a plain tensor',
      'quantize the input (inputQuant, or a quant tensor)',
    )
  if (isFloatGrid(g)) return refused('Input must be quantized to integers', 'give an inputQuant of integers')
  const P = q.accumulatorBitWidth
  const bits = kit.value(g.bitWidth)
  const least = g.learned === true ? 0 : leastAccumulator(q, g)
  // Brevitas goes on with weights of nothing but 0.
  if (kit.strict && P < least) {
    const said = `${g.bits} ${g.signed ? 'signed' : 'unsigned'} bits`
    kit.fail({
      op: 'weightAccumulatorBitWidth',
      tag: 'ConfigError',
      refuse: `${q.name}: an accumulator of ${P} bits is too narrow for an input of ${said}: no weight but 0 fits its bound`,
      fix: `give weightAccumulatorBitWidth: ${least} or more, or quantize the input to fewer bits`,
    })
    return null
  }
  return q.preScaling === 'A2Q_PLUS'
    ? kit.emit('div', [kit.constant(2 ** P - 2), kit.emit('sub', [kit.emit('exp2', [bits]), kit.constant(1)])])
    : kit.emit('mul', [
        kit.constant(2 ** (P - 1) - 1),
        kit.emit('exp2', [kit.emit('sub', [kit.constant(g.signed ? 1 : 0), bits])]),
      ])
}

/** `min(r, t)`, whose gradient goes to r where `r <= t`. */
const atMost = (r: Value, t: Value): Value => r.kit.emit('select', [r.kit.emit('less', [t, r]), t, r])

const normed = (p: PreScaling): PreScaled | null => {
  const { q, kit, w, layout, state, leaf } = p
  const once = (part: string, compute: (x: Value) => Value): readonly [Value, Leaves] =>
    computedOnce(kit, state[part], `${leaf}.${part}.value`, [w], ([x]) => compute(x))
  const firstScale = (x: Value): Value => {
    const top = viewAs(statistic(layout.rows(x), q), layout.scale)
    return preprocess(x.kit.emit('div', [top, x.kit.constant(integerThreshold(q))]), q)
  }
  const [value, scale] = once('scale', firstScale)
  const [rounding, preScale] = once('preScale', firstScale)
  const isL2 = q.preScaling === 'WEIGHT_NORM'
  const [stored, norm] = once('norm', (x) => (isL2 ? normOf(x, p) : x.kit.emit('log2', [normOf(x, p)])))
  const s1 = scaleFrom(rounding, q)
  const after = { scale: scaleFrom(value, q), state: { scale, preScale, norm } }
  if (isL2) {
    const step = kit.emit('div', [kit.emit('mul', [s1, normOf(w, p)]), stored])
    return { toSteps: (own) => kit.emit('div', [own, step]), ...after }
  }
  const most = mostSteps(p)
  if (most === null) return null
  const shift =
    q.preScaling === 'A2Q_PLUS' ? viewAs(kit.emit('neg', [overRow('mean', layout.rows(w))]), layout.scale) : null
  const moved = shift === null ? w : kit.emit('add', [w, shift])
  const ratio = kit.emit('div', [powerOf(stored, q), s1])
  const step = lowerBound(kit.emit('div', [normOf(moved, p), atMost(ratio, most)]), q)
  const toSteps = (own: Value): Value => kit.emit('div', [own, step])
  return {
    toSteps: (own) => (shift === null ? toSteps(own) : kit.emit('add', [toSteps(own), toSteps(shift)])),
    ...after,
  }
}

/** A pre-scaled weight in steps, or null where an error was recorded. */
export const preScaled = (p: PreScaling): PreScaled | null =>
  p.q.preScaling === 'DECOUPLED' ? decoupled(p) : normed(p)
