/** Tables of offsets into row-major storage, so that loops over any number of axes become loops over one table. */

/** `f(0), …, f(n-1)`. */
export const listOf = (n: number, f: (i: number) => number): readonly number[] =>
  Array.from({ length: n }, (_, i) => f(i))

/**
 * All sums of one entry per axis, the last axis varying fastest: `[[0,10],[0,1,2]]` gives 0 1 2 10 11 12.
 * A negative entry stands for "outside" and makes every sum that it takes part in -1.
 */
export const outerSum = (axes: readonly (readonly number[])[]): Int32Array => {
  let sums = Int32Array.of(0)
  for (const axis of axes) {
    const next = new Int32Array(sums.length * axis.length)
    for (let i = 0, to = 0; i < sums.length; i++)
      for (let j = 0; j < axis.length; j++) next[to++] = sums[i] < 0 || axis[j] < 0 ? -1 : sums[i] + axis[j]
    sums = next
  }
  return sums
}
