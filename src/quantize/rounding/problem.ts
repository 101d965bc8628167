/** What is asked of the rows of a weight: to agree with a float network over samples. */
import type { Tensor } from '../../data/tensor.js'
import { bestWeights, judgeOf, slopeOf, type Judge } from './grid.js'
import type { Moments } from './moments.js'
import type { Row } from './rows.js'

/** Rows of weights of the groups of a product, each with its judge and what would serve it best. */
export type Problem = { readonly rows: readonly (Row | null)[]; readonly outputs: number; readonly n: number }

const centred = (m: Float64Array, left: Float64Array, right: Float64Array, n: number): Float64Array =>
  m.map((x, i) => x - left[Math.floor(i / n)] * right[i % n])

/** Options that matter to the rounding itself. */
export type Asked = {
  readonly scales: 'search' | 'keep'
  readonly target: 'float' | 'own'
  readonly bias: boolean
  readonly damping: number
  readonly sweeps: number
}

/** What a row should be: the weights that agree best before any rounding, and these times the judge's matrix. */
const rowFor = (w: Float64Array, judge: Judge, own: Float64Array, cross: Float64Array): Row => {
  const { n } = judge
  const b = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const f = w[i]
    if (f === 0) continue
    for (let j = 0; j < n; j++) b[j] += f * cross[i * n + j]
    // What damping adds to the matrix pulls towards the weights as they are.
    b[i] += f * (judge.a[i * n + i] - own[i * n + i])
  }
  return { judge, target: bestWeights(judge, b), b }
}

/** The rows of a weight with what samples ask of them. */
export const problemOf = (weight: Tensor, m: Moments, asked: Asked): Problem => {
  const [outputs, n] = [weight.shape[0], m.n]
  const perGroup = outputs / m.groups
  const rows: (Row | null)[] = []
  for (let g = 0; g < m.groups; g++) {
    const part = (x: Float64Array, size: number): Float64Array => x.subarray(g * size, (g + 1) * size)
    const [own, means] = [part(m.own, n * n), part(m.ownMeans, n)]
    const [cross, floatMeans] = asked.target === 'own' ? [own, means] : [part(m.cross, n * n), part(m.floatMeans, n)]
    const h = asked.bias ? centred(own, means, means, n) : own
    const c = asked.bias ? centred(cross, floatMeans, means, n) : cross
    const judge = judgeOf(h, n, asked.damping)
    for (let o = g * perGroup; o < (g + 1) * perGroup; o++) {
      const w = Float64Array.from(weight.data.subarray(o * n, (o + 1) * n))
      rows.push(judge === null ? null : rowFor(w, judge, h, c))
    }
  }
  return { rows, outputs, n }
}

/**
 * How far weights are from what would serve best: the squared error of their results, in parts of the variance of the
 * best ones.
 */
export const errorOf = (w: Float32Array, { rows, n }: Problem): number => {
  let [error, all] = [0, 0]
  rows.forEach((row, o) => {
    if (row === null) return
    const r = slopeOf(row.judge, row.b, Float64Array.from(w.subarray(o * n, (o + 1) * n)), 1)
    for (let i = 0; i < n; i++) {
      error += (w[o * n + i] - row.target[i]) * r[i]
      all += row.target[i] * row.b[i]
    }
  })
  return all > 0 ? Math.max(0, error / all) : 0
}
