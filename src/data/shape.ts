/** Shapes and their arithmetic. A shape is a list of non-negative integers; `[]` is a scalar. */

/** Sizes of a tensor's axes, outermost first; the last axis varies fastest in memory. */
export type Shape = readonly number[]

/** The most elements that a tensor may have: 2 GiB of float32, so that an operand and a result fit WebAssembly's memory. */
export const MOST_ELEMENTS = 2 ** 29

/** Number of elements of a tensor of this shape (1 for a scalar). */
export const sizeOf = (shape: Shape): number => {
  let n = 1
  for (let i = 0; i < shape.length; i++) n *= shape[i]
  return n
}

/** Are two shapes the same, axis by axis? */
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, i) => n === b[i])

/** Row-major strides, in elements. */
export const stridesOf = (shape: Shape): readonly number[] => {
  const strides = new Array<number>(shape.length)
  let step = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step
    step *= shape[i]
  }
  return strides
}

/** The shape of a broadcast of both (NumPy's rules), or null where they don't fit. */
export const broadcastShapes = (a: Shape, b: Shape): Shape | null => {
  const rank = Math.max(a.length, b.length)
  const out = new Array<number>(rank)
  for (let i = 0; i < rank; i++) {
    const m = a[i - rank + a.length] ?? 1
    const n = b[i - rank + b.length] ?? 1
    if (m !== n && m !== 1 && n !== 1) return null
    out[i] = m === 1 ? n : m
  }
  return out
}

/** Strides with which a tensor of shape `from` is read as if it had shape `to` (0 along broadcast axes). */
export const broadcastStrides = (from: Shape, to: Shape): readonly number[] => {
  const own = stridesOf(from)
  const skip = to.length - from.length
  return to.map((_, i) => (i < skip || from[i - skip] === 1 ? 0 : own[i - skip]))
}

/** `[2,3]` as text. */
export const showShape = (shape: Shape): string => `[${shape.join(',')}]`

/** Bytes that the numbers of a tensor of this shape take. */
export const bytesOf = (shape: Shape): number => 4 * sizeOf(shape)

/** Bytes of the largest tensor. */
export const MOST_BYTES = 4 * MOST_ELEMENTS

/** A number of bytes in words: `4.0 GiB`, `12 bytes`. */
export const showBytes = (bytes: number): string => {
  const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']
  const power = units.findLastIndex((_, i) => bytes >= 1024 ** (i + 1))
  return power < 0 ? `${bytes} bytes` : `${(bytes / 1024 ** (power + 1)).toFixed(1)} ${units[power]}`
}

/** The axes of an input with so many spatial ones, as torch's pages name them: `[N,C,H,W]`. */
export const axesInWords = (spatial: number): string =>
  `[N,C,${['L', 'H,W', 'D,H,W'][spatial - 1] ?? `${spatial} axes`}]`
