/** What the tests of precompiled programs share. */
import { crc32 } from '../../src/data/crc32.js'
import { flatten, sized, text } from '../../src/evaluator/wasm/asm/encode.js'
import { isTensor, type Tensor } from '../../src/data/tensor.js'

const words = (t: Tensor): Uint32Array => new Uint32Array(t.data.buffer, t.data.byteOffset, t.data.length)

/** The same structure, shapes and flags, and the same bits in each tensor. */
export const sameBits = (a: unknown, b: unknown): boolean => {
  if (isTensor(a) && isTensor(b)) {
    const [x, y] = [words(a), words(b)]
    return a.shape.join() === b.shape.join() && x.length === y.length && x.every((w, i) => w === y[i])
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  const keys = Object.keys(a)
  const at = (x: object, key: string): unknown => (x as { readonly [key: string]: unknown })[key]
  return keys.join() === Object.keys(b).join() && keys.every((key) => sameBits(at(a, key), at(b, key)))
}

/** Where the last section of a module begins: sections are walked from the front. */
export const moduleEnd = (bytes: Uint8Array): number => {
  let [at, last] = [8, 8]
  while (at < bytes.length) {
    last = at++
    let [size, shift] = [0, 0]
    for (;;) {
      const b = bytes[at++]
      size |= (b & 127) << shift
      shift += 7
      if (b < 128) break
    }
    at += size
  }
  return last
}

/** The same file with its checksum set right. */
export const mended = (bytes: Uint8Array): Uint8Array => {
  const out = bytes.slice()
  new DataView(out.buffer).setUint32(out.length - 4, crc32(out.subarray(0, out.length - 4)), true)
  return out
}

/** The same file with another header, checksum mended. */
export const withHeader = (bytes: Uint8Array, change: (text: string) => string): Uint8Array => {
  const [section] = WebAssembly.Module.customSections(new WebAssembly.Module(bytes.slice()), 'quantrace')
  const json = change(new TextDecoder().decode(new Uint8Array(section, 0, section.byteLength - 4)))
  const content = flatten([text('quantrace'), new TextEncoder().encode(json), 0, 0, 0, 0])
  return mended(flatten([bytes.subarray(0, moduleEnd(bytes)), 0, sized(content)]))
}

/** The header of a file. */
export const headerOf = (bytes: Uint8Array): { readonly [key: string]: unknown } => {
  let read: { readonly [key: string]: unknown } = {}
  withHeader(bytes, (json) => {
    read = JSON.parse(json)
    return json
  })
  return read
}
