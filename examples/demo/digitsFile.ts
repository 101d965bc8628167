/** The digits as one small file: a byte per pixel and per label. The package `mnist` rounds grey levels to three digits, and so do we: nothing is lost. */
import type { Digits } from '../digits/data.js'

const PIXELS = 28 * 28
const HEAD = 8
/** `QDIG`. */
const MAGIC = 0x47494451

/** A grey level as `mnist` writes it: 0, 0.004, 0.008 … 1. */
const greyOf = (byte: number): number => Math.round((byte / 255) * 1000) / 1000
const GREYS = Float32Array.from({ length: 256 }, (_, byte) => greyOf(byte))

/** Digits as bytes: magic, count, labels, images. */
export const encodeDigits = ({ images, labels }: Digits): Uint8Array<ArrayBuffer> => {
  const n = labels.data.length
  const bytes = new Uint8Array(HEAD + n * (1 + PIXELS))
  const head = new DataView(bytes.buffer)
  head.setUint32(0, MAGIC, true)
  head.setUint32(4, n, true)
  bytes.set(labels.data, HEAD)
  for (let i = 0; i < n * PIXELS; i++) bytes[HEAD + n + i] = Math.round(images.data[i] * 255)
  return bytes
}

/** How many digits a file holds; null if it is none. */
export const countDigits = (bytes: Uint8Array): number | null => {
  if (bytes.length < HEAD) return null
  const head = new DataView(bytes.buffer, bytes.byteOffset, HEAD)
  const n = head.getUint32(4, true)
  return head.getUint32(0, true) === MAGIC && bytes.length === HEAD + n * (1 + PIXELS) ? n : null
}

/** The digits `from` … `to` (not included) of a file that `countDigits` knows. */
export const decodeDigits = (bytes: Uint8Array, from: number, to: number): Digits => {
  const n = countDigits(bytes) ?? 0
  const count = Math.max(0, Math.min(to, n) - from)
  const images = new Float32Array(count * PIXELS)
  const start = HEAD + n + from * PIXELS
  for (let i = 0; i < images.length; i++) images[i] = GREYS[bytes[start + i]]
  return {
    images: { shape: [count, 1, 28, 28], data: images },
    labels: { shape: [count], data: Float32Array.from(bytes.subarray(HEAD + from, HEAD + from + count)) },
  }
}
