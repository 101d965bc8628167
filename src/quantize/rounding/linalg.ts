/** The little linear algebra that rounding needs, in doubles, on rows of square matrices. */

/**
 * The upper triangular R with `RᵀR = a`, written over the upper triangle of `a` (n×n, symmetric, row by row). False where `a` is not positive
 * definite.
 */
export const cholesky = (a: Float64Array, n: number): boolean => {
  for (let k = 0; k < n; k++) {
    const row = k * n
    const pivot = a[row + k]
    if (!(pivot > 0)) return false
    const root = Math.sqrt(pivot)
    for (let j = k; j < n; j++) a[row + j] /= root
    // The rest of the matrix less the outer product of this row: rows are walked as they lie.
    for (let i = k + 1; i < n; i++) {
      const f = a[row + i]
      if (f === 0) continue
      const at = i * n
      for (let j = i; j < n; j++) a[at + j] -= f * a[row + j]
    }
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
