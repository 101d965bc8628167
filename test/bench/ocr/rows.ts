/** Pictures for the classifier of text direction: rows of handwritten digits, upright or turned by 180°, as the OCR package prepares its crops. */
import { manualSeed, rand, type Generator, type Tensor } from '../../../src/index.js'
import type { Digits } from '../../../examples/digits/data.js'

const [HEIGHT, WIDTH, SIDE] = [48, 192, 28]

const uniform = (d: { generator: Generator }, low: number, high: number): number => {
  const [t, next] = rand([1])(d.generator)
  d.generator = next
  return low + (high - low) * t.data[0]
}

/** A grey level of a digit between its pixels; 0 outside. */
const between = (image: Float32Array, y: number, x: number): number => {
  const [y0, x0] = [Math.floor(y), Math.floor(x)]
  const at = (r: number, c: number): number => (r < 0 || c < 0 || r >= SIDE || c >= SIDE ? 0 : image[r * SIDE + c])
  const [dy, dx] = [y - y0, x - x0]
  const row = (r: number): number => at(r, x0) * (1 - dx) + at(r, x0 + 1) * dx
  return row(y0) * (1 - dy) + row(y0 + 1) * dy
}

/** The columns of a digit that hold ink, from the first to behind the last. */
const inked = (image: Float32Array): readonly [number, number] => {
  const columns = Array.from({ length: SIDE }, (_, c) => c).filter((c) =>
    Array.from({ length: SIDE }, (_, r) => image[r * SIDE + c]).some((grey) => grey > 0.3),
  )
  return [columns[0] ?? 0, (columns.at(-1) ?? SIDE - 1) + 1]
}

/** Where a digit stands: its first column of ink at `left`, its frame `size` high. */
type Place = { readonly left: number; readonly size: number; readonly width: number; readonly first: number }

/** Draws one digit into a row. */
const drawn = (row: Float32Array, image: Float32Array, { left, size, width, first }: Place, ink: number): void => {
  const top = (HEIGHT - size) / 2
  for (let y = 0; y < HEIGHT; y++)
    for (let x = Math.floor(left); x < Math.min(WIDTH, left + width + 1); x++) {
      const grey = between(image, ((y - top) / size) * SIDE, first + ((x - left) / size) * SIDE)
      if (grey > 0) row[y * WIDTH + x] = Math.max(row[y * WIDTH + x], grey * ink)
    }
}

/** One row: dark digits of one size on a light ground, set closely as a detector of text cuts them out, in -1 … 1. */
const rowOf = (digits: Digits, told: readonly number[], d: { generator: Generator }): Float32Array => {
  const ink = new Float32Array(HEIGHT * WIDTH)
  const size = uniform(d, 36, 42)
  const gap = size * uniform(d, 0.05, 0.12)
  const [strength, paper] = [uniform(d, 0.85, 1), uniform(d, 0.9, 1)]
  const end = WIDTH - uniform(d, 0, 20)
  for (let left = uniform(d, 0, 10); ;) {
    const n = told[Math.floor(uniform(d, 0, told.length))]
    const image = digits.images.data.subarray(n * SIDE * SIDE, (n + 1) * SIDE * SIDE)
    const [first, behind] = inked(image)
    const width = ((behind - first) / SIDE) * size
    if (left + width > end) break
    drawn(ink, image, { left, size, width, first }, strength)
    left += width + gap
  }
  return ink.map((g) => ((1 - g) * paper - 0.5) / 0.5)
}

/** Of these one sees whether they are turned: 0, 1 and 8 look the same, 6 and 9 become each other. */
export const TOLD: readonly number[] = [2, 3, 4, 5, 7]

/** `n` pictures `[n, 3, 48, 192]` of digits of some classes, every other one turned. */
export const rowsOfDigits = (digits: Digits, n: number, seed: number, classes: readonly number[] = TOLD): Tensor => {
  const told = Array.from(digits.labels.data.keys()).filter((i) => classes.includes(digits.labels.data[i]))
  const plane = HEIGHT * WIDTH
  const data = new Float32Array(n * 3 * plane)
  const d = { generator: manualSeed(seed) }
  for (let i = 0; i < n; i++) {
    const row = rowOf(digits, told, d)
    const turned = i % 2 === 1 ? row.toReversed() : row
    for (let c = 0; c < 3; c++) data.set(turned, (i * 3 + c) * plane)
  }
  return { shape: [n, 3, HEIGHT, WIDTH], data }
}
