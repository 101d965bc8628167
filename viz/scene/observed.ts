/** Numbers of a run for every node that was observed: grids, what quantizers cut off and distort, and where NaN begins. */
import { gridOf as carriedGrid, intMax, intMin, isFloatGrid, quantOf, type Grid } from '../../src/data/quant.js'
import { constOp } from '../../src/graph/structural.js'
import { positions } from '../../src/data/quantTensor.js'
import type { Tensor } from '../../src/data/tensor.js'
import type { Node } from '../../src/graph/graph.js'
import type { Program } from '../../src/graph/program.js'
import { ROUNDINGS, type Rounding } from '../../src/ops/rounding.js'
import { spreadGroups } from '../../src/data/groups.js'
import { floatNumbers, gridded, gridOf, plainNumbers } from './numbers.js'
import { quantizes } from './quantizers.js'
import type { SceneNumbers } from './scene.js'

/** Values of a run by node, as `RunOptions.observe` gives them, copied. */
export type Values = ReadonlyMap<number, Tensor>

/** Power of a signal over the power of what quantization changed, in dB; null where nothing was changed. Over finite numbers. */
export const sqnrOf = (x: Float32Array, y: Float32Array): number | null => {
  let [signal, noise] = [0, 0]
  for (let i = 0; i < x.length; i++) {
    const d = x[i] - y[i]
    if (!Number.isFinite(d)) continue
    signal += x[i] * x[i]
    noise += d * d
  }
  return noise === 0 ? null : 10 * Math.log10(signal / noise)
}

const isRounding = (x: unknown): x is Rounding => typeof x === 'string' && Object.hasOwn(ROUNDINGS, x)

/** Shares of a quantizer's operand that fall below and above its integers. */
export const clippedOf = (
  node: Node,
  x: Tensor,
  scale: Tensor,
  zeroPoint: Tensor,
): readonly [number, number] | null => {
  const { bits, signed, narrow, rounding } = node.attrs
  if (quantizes(node) !== 'integers' || typeof bits !== 'number' || !isRounding(rounding)) return null
  const [lo, hi] = [intMin(bits, signed === true, narrow === true), intMax(bits, signed === true, narrow === true)]
  const round = ROUNDINGS[rounding]
  let [low, high] = [0, 0]
  positions({ value: x, scale, zeroPoint }, (p) => {
    const q = round(p)
    if (q < lo) low++
    if (q > hi) high++
  })
  const n = Math.max(1, x.data.length)
  return [low / n, high / n]
}

const quantizerNumbers = (node: Node, values: Values): Pick<SceneNumbers, 'clipped' | 'sqnr'> => {
  const [x, y, scale, zeroPoint] = [
    values.get(node.inputs[0]),
    values.get(node.id),
    values.get(node.inputs[1]),
    values.get(node.inputs[2] ?? -1),
  ]
  if (node.op.births !== true || x === undefined || y === undefined || x.data.length !== y.data.length) return {}
  const clipped = scale === undefined || zeroPoint === undefined ? null : clippedOf(node, x, scale, zeroPoint)
  return { sqnr: sqnrOf(x.data, y.data), ...(clipped === null ? {} : { clipped }) }
}

/** Bars for what a reader may select; other nodes (scales and the like) have a range alone. */
const barsFor = (node: Node, shown: boolean): number => {
  if (!shown) return 0
  return node.backwardOf === undefined ? 64 : 40
}

/** Numbers on a grid of any kind; the scales of groups are laid over their elements. */
const onGrid = (q: Grid, value: Tensor, scale: Tensor, zeroPoint: Tensor): SceneNumbers => {
  const { group, bits, signed } = q
  const wide = (t: Tensor): Tensor => (group === undefined ? t : spreadGroups(t, value.shape, group))
  const parts = { value, scale: wide(scale), zeroPoint: wide(zeroPoint), signed }
  return isFloatGrid(q) ? floatNumbers(parts, q.format) : gridded({ ...parts, bits })
}

const describe = (node: Node, value: Tensor, values: Values, shown: boolean): SceneNumbers => {
  const q = carriedGrid(node.carried)
  const [scale, zeroPoint] = q === null ? [] : [values.get(q.scale), values.get(q.zeroPoint)]
  return q === null || scale === undefined || zeroPoint === undefined
    ? plainNumbers(value.data, barsFor(node, shown))
    : { ...onGrid(q, value, scale, zeroPoint), ...quantizerNumbers(node, values) }
}

/** A grid without values on it: what is known of a quantizer that has not run. */
const gridAlone = (node: Node, values: Values): SceneNumbers | undefined => {
  const q = quantOf(node.carried)
  const [scale, zeroPoint] = q === null ? [] : [values.get(q.scale), values.get(q.zeroPoint)]
  return q === null || scale === undefined || zeroPoint === undefined
    ? undefined
    : {
        ...gridOf(scale, zeroPoint),
        count: 0,
        min: 0,
        max: 0,
        nonfinite: 0,
        bins: [],
        from: intMin(q.bits, q.signed),
        to: intMax(q.bits, q.signed),
      }
}

/** Digits that a page shows, and some more: a double of a float32 has 17, and most of a large page would be those. */
const brief = (x: number): number => Number(x.toPrecision(6))
const briefly = ({ min, max, from, to, usedBits, ...x }: SceneNumbers): SceneNumbers => ({
  ...x,
  min: brief(min),
  max: brief(max),
  from: brief(from),
  to: brief(to),
  ...(usedBits === undefined ? {} : { usedBits: brief(usedBits) }),
  ...(typeof x.sqnr === 'number' ? { sqnr: brief(x.sqnr) } : {}),
})

/** Numbers by node, to six digits. `shown`: is it on the way of values or gradients? */
export const observedOf = (
  program: Program,
  values: Values,
  shown: (node: number) => boolean,
): { readonly [node: string]: SceneNumbers } =>
  Object.fromEntries(
    program.graph.nodes.flatMap((node) => {
      const value = values.get(node.id)
      const numbers = value === undefined ? gridAlone(node, values) : describe(node, value, values, shown(node.id))
      return numbers === undefined ? [] : [[String(node.id), briefly(numbers)]]
    }),
  )

/** Nodes that hold a NaN or an infinity although their observed operands are finite. */
export const firstNonfinite = (
  program: Program,
  observed: { readonly [node: string]: SceneNumbers },
): readonly string[] => {
  // A constant is written, not made, and may be infinite: a mask is, and the bound of a gradient.
  const bad = program.graph.nodes.map((n) => n.op !== constOp && (observed[n.id]?.nonfinite ?? 0) > 0)
  return program.graph.nodes.filter((n) => bad[n.id] && !n.inputs.some((i) => bad[i])).map((n) => String(n.id))
}
