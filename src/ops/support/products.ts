/** Loops of matrix products: sums in double, rounded once; four terms go together. */

/** A row's sums, numbers of a that are `step` apart, and rows of b, so many of both. Built once for all rows, and taken apart once a call. */
export type RowTimes = {
  readonly acc: Float64Array
  readonly a: Float32Array
  readonly step: number
  readonly b: Float32Array
  readonly count: number
}

/** `acc[j] += Σ_k a[at + k*step] * b[from + k*n + j]` for k < count, where n is the length of `acc`: a row times a matrix. */
export const addRows = (operands: RowTimes, at: number, from: number): void => {
  const { acc, a, step, b, count } = operands
  const n = acc.length
  let k = 0
  for (; k + 4 <= count; k += 4) {
    const p = at + k * step
    const [a0, a1, a2, a3] = [a[p], a[p + step], a[p + 2 * step], a[p + 3 * step]]
    const b0 = from + k * n
    const [b1, b2, b3] = [b0 + n, b0 + 2 * n, b0 + 3 * n]
    for (let j = 0; j < n; j++) acc[j] += a0 * b[b0 + j] + a1 * b[b1 + j] + (a2 * b[b2 + j] + a3 * b[b3 + j])
  }
  for (; k < count; k++) {
    const [a0, b0] = [a[at + k * step], from + k * n]
    for (let j = 0; j < n; j++) acc[j] += a0 * b[b0 + j]
  }
}

/** Rows of x and of w [count, n], and where their products go. Built once for all rows, and taken apart once a call. */
export type RowDots = {
  readonly x: Float32Array
  readonly w: Float32Array
  readonly n: number
  readonly count: number
  readonly out: Float32Array | Float64Array | Int32Array
}

/** `out[to + o] = Σ_i x[at + i] * w[o*n + i]` for o < count: a row times the transpose of a matrix. */
export const dotRows = (operands: RowDots, at: number, to: number): void => {
  const { x, w, n, count, out } = operands
  let o = 0
  for (; o + 4 <= count; o += 4) {
    let [s0, s1, s2, s3] = [0, 0, 0, 0]
    const w0 = o * n
    const [w1, w2, w3] = [w0 + n, w0 + 2 * n, w0 + 3 * n]
    for (let i = 0; i < n; i++) {
      const v = x[at + i]
      s0 += v * w[w0 + i]
      s1 += v * w[w1 + i]
      s2 += v * w[w2 + i]
      s3 += v * w[w3 + i]
    }
    out[to + o] = s0
    out[to + o + 1] = s1
    out[to + o + 2] = s2
    out[to + o + 3] = s3
  }
  for (; o < count; o++) {
    let s = 0
    for (let i = 0; i < n; i++) s += x[at + i] * w[o * n + i]
    out[to + o] = s
  }
}
