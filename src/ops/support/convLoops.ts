/**
 * The loops of convolutions and of their gradients: three readings of one trilinear form
 * `Σ g[n,o,i] * w[o,t] * x[n, pos[i] + off[t]]`, where `i` runs over output positions and `t` over the taps of a kernel.
 * Axes are gone: tables of offsets into a padded copy of the input know them. Sums are in double, rounded once at the end.
 * Four taps (or channels) go together, so that a number that was loaded is used four times.
 */
import type { Shape } from '../../data/shape.js'
import { sizeOf, stridesOf } from '../../data/shape.js'
import { listOf, outerSum } from './indices.js'
import type { ConvAttrs } from './convShape.js'

/** Where sums go: float32, or whole numbers, whose sums in double are exact. */
export type Sums = Float32Array | Float64Array | Int32Array

/** What the loops need to know of a convolution of x [N,C,*S] with w [O,C/groups,*K] that gives [N,O,*S']. */
export type ConvPlan = {
  readonly batch: number
  readonly groups: number
  /** Channels of input and output within one group. */
  readonly inPer: number
  readonly outPer: number
  /** Elements of one channel of the input, of the output, and of the padded input. */
  readonly plane: number
  readonly positions: number
  readonly padded: number
  /** Where the elements of one channel stand in its padded copy; -1 if cropped. */
  readonly place: Int32Array
  /** First padded element under the kernel, per output position. */
  readonly pos: Int32Array
  /** Distance of each tap (channel of the group, then kernel position) from there. */
  readonly off: Int32Array
}

/** Prepares the loops. The shapes must have passed `convShape`. */
export const planConv = (
  x: Shape,
  w: Shape,
  out: Shape,
  { stride, padding, dilation, groups }: ConvAttrs,
): ConvPlan => {
  const extents = padding.map(([before, after], d) => x[d + 2] + before + after)
  const step = stridesOf(extents)
  const padded = sizeOf(extents)
  const within = (i: number, d: number): number => (i >= 0 && i < extents[d] ? i * step[d] : -1)
  return {
    batch: x[0],
    groups,
    inPer: w[1],
    outPer: w[0] / groups,
    plane: sizeOf(x.slice(2)),
    positions: sizeOf(out.slice(2)),
    padded,
    place: outerSum(step.map((_, d) => listOf(x[d + 2], (i) => within(i + padding[d][0], d)))),
    pos: outerSum(step.map((s, d) => listOf(out[d + 2], (i) => i * stride[d] * s))),
    off: outerSum([
      listOf(w[1], (c) => c * padded),
      ...step.map((s, d) => listOf(w[d + 2], (k) => k * dilation[d] * s)),
    ]),
  }
}

/** Copies the channels of item `n` of `x` into their padded places. */
const fillPadded = (
  x: Float32Array,
  n: number,
  { groups, inPer, plane, padded, place }: ConvPlan,
  to: Float64Array,
): void => {
  const channels = groups * inPer
  for (let c = 0; c < channels; c++) {
    const [a, b] = [(n * channels + c) * plane, c * padded]
    for (let j = 0; j < plane; j++) if (place[j] >= 0) to[b + place[j]] = x[a + j]
  }
}

/** What a loop reads and adds to: built once for all channels, and taken apart once a call, so that the loop itself runs over locals. */
type Operands = Pick<ConvPlan, 'pos' | 'off'> & {
  readonly acc: Float64Array
  readonly image: Float64Array
  readonly other: Float32Array
}

/** `acc[i] += Σ_t other[at+t] * image[base + pos[i] + off[t]]`. */
const gather = (operands: Operands, base: number, at: number): void => {
  const { acc, image: x, other: w, pos, off } = operands
  const [taps, n] = [off.length, pos.length]
  let t = 0
  for (; t + 4 <= taps; t += 4) {
    const [w0, w1, w2, w3] = [w[at + t], w[at + t + 1], w[at + t + 2], w[at + t + 3]]
    const [o0, o1, o2, o3] = [base + off[t], base + off[t + 1], base + off[t + 2], base + off[t + 3]]
    for (let i = 0; i < n; i++) {
      const p = pos[i]
      acc[i] += w0 * x[p + o0] + w1 * x[p + o1] + (w2 * x[p + o2] + w3 * x[p + o3])
    }
  }
  for (; t < taps; t++) {
    const [w0, o0] = [w[at + t], base + off[t]]
    for (let i = 0; i < n; i++) acc[i] += w0 * x[pos[i] + o0]
  }
}

/** out = conv(x, w). */
export const convForward = (x: Float32Array, w: Float32Array, plan: ConvPlan, out: Sums): void => {
  const { batch, groups, inPer, outPer, positions, padded, pos, off } = plan
  const image = new Float64Array(groups * inPer * padded)
  const acc = new Float64Array(positions)
  const channels = groups * outPer
  const operands = { acc, image, other: w, pos, off }
  for (let n = 0; n < batch; n++) {
    fillPadded(x, n, plan, image)
    for (let o = 0; o < channels; o++) {
      acc.fill(0)
      gather(operands, Math.floor(o / outPer) * inPer * padded, o * off.length)
      out.set(acc, (n * channels + o) * positions)
    }
  }
}

/** What is spread over an image: the cotangent, by the weight. */
type Spread = Pick<ConvPlan, 'pos' | 'off' | 'outPer'> & {
  readonly image: Float64Array
  readonly w: Float32Array
  readonly g: Float32Array
}

/** `image[base + pos[i]] += Σ_o w[at + o*taps] * g[from + o*n + i]` over the output channels of a group. */
const scatter = (spread: Spread, base: number, at: number, from: number): void => {
  const { image, w, g, pos, off, outPer: count } = spread
  const [taps, n] = [off.length, pos.length]
  let o = 0
  for (; o + 4 <= count; o += 4) {
    const a = at + o * taps
    const [w0, w1, w2, w3] = [w[a], w[a + taps], w[a + 2 * taps], w[a + 3 * taps]]
    const g0 = from + o * n
    const [g1, g2, g3] = [g0 + n, g0 + 2 * n, g0 + 3 * n]
    for (let i = 0; i < n; i++)
      image[base + pos[i]] += w0 * g[g0 + i] + w1 * g[g1 + i] + (w2 * g[g2 + i] + w3 * g[g3 + i])
  }
  for (; o < count; o++) {
    const [w0, g0] = [w[at + o * taps], from + o * n]
    for (let i = 0; i < n; i++) image[base + pos[i]] += w0 * g[g0 + i]
  }
}

/** out = the gradient of conv(x, w) to x, for the cotangent g; also the transposed convolution of g. */
export const convToInput = (g: Float32Array, w: Float32Array, plan: ConvPlan, out: Sums): void => {
  const { batch, groups, inPer, outPer, plane, positions, padded, place, pos, off } = plan
  const channels = groups * inPer
  const image = new Float64Array(channels * padded)
  const spread = { image, w, g, pos, off, outPer }
  for (let n = 0; n < batch; n++) {
    image.fill(0)
    for (let k = 0; k < groups; k++) {
      const from = (n * groups + k) * outPer * positions
      for (let t = 0; t < off.length; t++)
        scatter(spread, k * inPer * padded + off[t], k * outPer * off.length + t, from)
    }
    for (let c = 0; c < channels; c++) {
      const [a, b] = [(n * channels + c) * plane, c * padded]
      for (let j = 0; j < plane; j++) out[a + j] = place[j] < 0 ? 0 : image[b + place[j]]
    }
  }
}

/** `acc[at+t] += Σ_i other[from+i] * image[base + pos[i] + off[t]]`. */
const correlate = (operands: Operands, at: number, base: number, from: number): void => {
  const { acc, image: x, other: g, pos, off } = operands
  const [taps, n] = [off.length, pos.length]
  let t = 0
  for (; t + 4 <= taps; t += 4) {
    let [s0, s1, s2, s3] = [0, 0, 0, 0]
    const [o0, o1, o2, o3] = [base + off[t], base + off[t + 1], base + off[t + 2], base + off[t + 3]]
    for (let i = 0; i < n; i++) {
      const [p, gi] = [pos[i], g[from + i]]
      s0 += gi * x[p + o0]
      s1 += gi * x[p + o1]
      s2 += gi * x[p + o2]
      s3 += gi * x[p + o3]
    }
    acc[at + t] += s0
    acc[at + t + 1] += s1
    acc[at + t + 2] += s2
    acc[at + t + 3] += s3
  }
  for (; t < taps; t++) {
    let s = 0
    for (let i = 0; i < n; i++) s += g[from + i] * x[pos[i] + base + off[t]]
    acc[at + t] += s
  }
}

/** out = the gradient of conv(x, w) to w, for the cotangent g. */
export const convToWeight = (x: Float32Array, g: Float32Array, plan: ConvPlan, out: Sums): void => {
  const { batch, groups, inPer, outPer, positions, padded, pos, off } = plan
  const image = new Float64Array(groups * inPer * padded)
  const acc = new Float64Array(out.length)
  const channels = groups * outPer
  const operands = { acc, image, other: g, pos, off }
  for (let n = 0; n < batch; n++) {
    fillPadded(x, n, plan, image)
    for (let o = 0; o < channels; o++)
      correlate(operands, o * off.length, Math.floor(o / outPer) * inPer * padded, (n * channels + o) * positions)
  }
  out.set(acc)
}
