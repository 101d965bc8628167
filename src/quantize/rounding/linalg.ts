/** The little linear algebra that rounding needs, in doubles, on rows of square matrices. */

/** Rows that are eliminated together: the rest of the matrix is walked once for so many. */
const BLOCK = 32

/**
 * Rows `from` to `to` of the factor, from columns that earlier rows were taken off already. False: not positive
 * definite.
 */
const factorRows = (a: Float64Array, n: number, from: number, to: number): boolean => {
  for (let k = from; k < to; k++) {
    const row = k * n
    if (!(a[row + k] > 0)) return false
    const root = Math.sqrt(a[row + k])
    for (let j = k; j < n; j++) a[row + j] /= root
    for (let i = k + 1; i < to; i++) {
      const f = a[row + i]
      for (let j = i, at = i * n; j < n; j++) a[at + j] -= f * a[row + j]
    }
  }
  return true
}

/** Row i less what rows `from` to `to` of the factor hold of it, four at a time. */
const takeRows = (a: Float64Array, n: number, i: number, from: number, to: number): void => {
  const at = i * n
  let p = from
  for (; p + 3 < to; p += 4) {
    const [r0, r1, r2, r3] = [p * n, (p + 1) * n, (p + 2) * n, (p + 3) * n]
    const [f0, f1, f2, f3] = [a[r0 + i], a[r1 + i], a[r2 + i], a[r3 + i]]
    if (f0 === 0 && f1 === 0 && f2 === 0 && f3 === 0) continue
    for (let j = i; j < n; j++) a[at + j] -= f0 * a[r0 + j] + f1 * a[r1 + j] + f2 * a[r2 + j] + f3 * a[r3 + j]
  }
  for (; p < to; p++) {
    const row = p * n
    for (let j = i; j < n; j++) a[at + j] -= a[row + i] * a[row + j]
  }
}

/**
 * The upper triangular R with `RᵀR = a`, written over the upper triangle of `a` (n×n, symmetric, row by row). False
 * where `a` is not positive definite.
 */
export const cholesky = (a: Float64Array, n: number): boolean => {
  for (let from = 0; from < n; from += BLOCK) {
    const to = Math.min(n, from + BLOCK)
    if (!factorRows(a, n, from, to)) return false
    for (let i = to; i < n; i++) takeRows(a, n, i, from, to)
  }
  return true
}

/** Solves `x·RᵀR = b` for one row x, written over b. */
export const solve = (r: Float64Array, n: number, b: Float64Array): void => {
  // Rᵀ y = b from the top, then R x = y from the bottom.
  for (let i = 0; i < n; i++) {
    const y = b[i] / r[i * n + i]
    b[i] = y
    if (y === 0) continue
    const row = i * n
    for (let j = i + 1; j < n; j++) b[j] -= y * r[row + j]
  }
  for (let i = n - 1; i >= 0; i--) {
    const row = i * n
    let sum = b[i]
    for (let j = i + 1; j < n; j++) sum -= r[row + j] * b[j]
    b[i] = sum / r[row + i]
  }
}

/** A symmetric matrix with rows and columns in another order. */
export const permuted = (a: Float64Array, n: number, order: Int32Array): Float64Array => {
  const out = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    const [from, to] = [order[i] * n, i * n]
    for (let j = 0; j < n; j++) out[to + j] = a[from + order[j]]
  }
  return out
}
