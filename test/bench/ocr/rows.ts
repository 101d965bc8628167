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

/** Draws one digit into a row, its left edge at `left`. */
const drawn = (row: Float32Array, image: Float32Array, left: number, size: number, ink: number): void => {
  const top = (HEIGHT - size) / 2
  for (let y = 0; y < HEIGHT; y++)
    for (let x = 0; x < WIDTH; x++) {
      const grey = between(image, ((y - top) / size) * SIDE, ((x - left) / size) * SIDE)
      if (grey > 0) row[y * WIDTH + x] = Math.max(row[y * WIDTH + x], grey * ink)
    }
}

/** One row: dark digits of one size on a light ground, in -1 … 1. */
const rowOf = (digits: Digits, d: { generator: Generator }): Float32Array => {
  const ink = new Float32Array(HEIGHT * WIDTH)
  const size = uniform(d, 40, 48)
  const [strength, paper] = [uniform(d, 0.85, 1), uniform(d, 0.9, 1)]
  const step = size * uniform(d, 0.75, 1)
  const count = Math.floor((WIDTH - size) / step) + 1
  for (let k = 0; k < count; k++) {
    const n = Math.floor(uniform(d, 0, digits.labels.data.length))
    const image = digits.images.data.subarray(n * SIDE * SIDE, (n + 1) * SIDE * SIDE)
    drawn(ink, image, k * step, size, strength)
  }
  return ink.map((g) => ((1 - g) * paper - 0.5) / 0.5)
}

/** `n` pictures `[n, 3, 48, 192]`, every other one turned. */
export const rowsOfDigits = (digits: Digits, n: number, seed: number): Tensor => {
  const plane = HEIGHT * WIDTH
  const data = new Float32Array(n * 3 * plane)
  const d = { generator: manualSeed(seed) }
  for (let i = 0; i < n; i++) {
    const row = rowOf(digits, d)
    const turned = i % 2 === 1 ? row.toReversed() : row
    for (let c = 0; c < 3; c++) data.set(turned, (i * 3 + c) * plane)
  }
  return { shape: [n, 3, HEIGHT, WIDTH], data }
}
