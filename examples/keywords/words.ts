/**
 * Spoken words as tracks of bands: what a filter bank would give of a few syllables, made here. Each word is a path of two formants over its length; speakers differ in
 * pitch, speed, loudness and the moment at which they begin, and there is noise. Nothing is downloaded; 1,200 examples are 1.4 MB of numbers and no bytes on disk.
 */
import { manualSeed, rand, tensorOf, type Generator, type Tensor } from '../../src/index.js'

export const FRAMES = 32
export const BANDS = 16

/** Where the two formants of a word stand at its begin, middle and end, in bands. */
const PATHS = {
  yes: [
    [3, 5, 8],
    [11, 12, 14],
  ],
  no: [
    [4, 4, 2],
    [9, 7, 6],
  ],
  up: [
    [6, 4, 3],
    [9, 9, 10],
  ],
  down: [
    [2, 6, 3],
    [7, 11, 5],
  ],
  stop: [
    [8, 5, 5],
    [14, 8, 8],
  ],
  go: [
    [3, 5, 2],
    [12, 8, 6],
  ],
} as const
/** The words, by class. */
export const WORDS: readonly string[] = Object.keys(PATHS)

/** Numbers from 0 to 1, one after the other. */
const dice = (seed: number, count: number): (() => number) => {
  const [numbers]: readonly [Tensor, Generator] = rand([count])(manualSeed(seed))
  let next = 0
  return () => numbers.data[next++ % count]
}

/** A point of a path of three: straight from one to the next. */
const along = ([a, b, c]: readonly [number, number, number], at: number): number =>
  at < 0.5 ? a + (b - a) * 2 * at : b + (c - b) * (2 * at - 1)

/** A bump of height 1 around a band. */
const bump = (band: number, centre: number, width: number): number => 1 / (1 + ((band - centre) / width) ** 2)

/** Writes one word into its frames. */
const speak = (to: Float32Array, paths: (typeof PATHS)[keyof typeof PATHS], roll: () => number): void => {
  const length = 14 + Math.floor(14 * roll())
  const begin = Math.floor((FRAMES - length) * roll())
  const pitch = 2 * roll() - 1
  const loud = 0.6 + 0.8 * roll()
  for (let t = 0; t < FRAMES; t++) {
    const at = (t - begin) / (length - 1)
    const voiced = at >= 0 && at <= 1 ? loud * (0.5 + bump(at, 0.5, 0.3) / 2) : 0
    for (let band = 0; band < BANDS; band++) {
      const [low, high] = paths.map((p) => bump(band, along(p, Math.min(1, Math.max(0, at))) + pitch, 1.2))
      to[t * BANDS + band] = voiced * (low + 0.7 * high) + 0.35 * (roll() + roll() - 1)
    }
  }
}

/** So many words in turn: `x [count, frames, bands]`, and which word each is. */
export const spoken = (count: number, seed: number): { readonly x: Tensor; readonly target: Tensor } => {
  const size = FRAMES * BANDS
  const roll = dice(seed, count * (4 + 2 * size))
  const data = new Float32Array(count * size)
  const paths = Object.values(PATHS)
  for (let i = 0; i < count; i++) speak(data.subarray(i * size, (i + 1) * size), paths[i % paths.length], roll)
  const target = Array.from({ length: count }, (_, i) => i % paths.length)
  return { x: { shape: [count, FRAMES, BANDS], data }, target: tensorOf([count], target) }
}
