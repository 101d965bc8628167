/** Bytes of the WebAssembly binary format. Source: WebAssembly Core Specification, chapter 5. */

/** Code, or any part of a module: bytes in nested lists, flattened once at the end. */
export type Code = number | readonly Code[]

/** Unsigned LEB128. */
export const u32 = (n: number): Code => {
  const bytes: number[] = []
  let rest = n >>> 0
  do {
    const low = rest & 0x7f
    rest >>>= 7
    bytes.push(rest === 0 ? low : low | 0x80)
  } while (rest !== 0)
  return bytes
}

/** Signed LEB128 of a 32-bit integer. */
export const s32 = (n: number): Code => {
  const bytes: number[] = []
  let rest = n | 0
  for (;;) {
    const low = rest & 0x7f
    rest >>= 7
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) return [...bytes, low]
    bytes.push(low | 0x80)
  }
}

/** IEEE float32, little-endian. */
export const f32Bytes = (x: number): Code => [...new Uint8Array(Float32Array.of(x).buffer)]
/** IEEE float64, little-endian. */
export const f64Bytes = (x: number): Code => [...new Uint8Array(Float64Array.of(x).buffer)]

/** A name: its length and its UTF-8 bytes. */
export const text = (s: string): Code => {
  const bytes = new TextEncoder().encode(s)
  return [u32(bytes.length), [...bytes]]
}

/** A list with its length in front. */
export const vector = (items: readonly Code[]): Code => [u32(items.length), items]

const count = (code: Code): number => {
  if (typeof code === 'number') return 1
  let n = 0
  for (const part of code) n += count(part)
  return n
}

const write = (code: Code, to: Uint8Array, at: number): number => {
  if (typeof code === 'number') {
    to[at] = code
    return at + 1
  }
  let next = at
  for (const part of code) next = write(part, to, next)
  return next
}

/** The bytes of nested code. */
export const flatten = (code: Code): Uint8Array => {
  const bytes = new Uint8Array(count(code))
  write(code, bytes, 0)
  return bytes
}

/** Code with its length in bytes in front. */
export const sized = (code: Code): Code => [u32(count(code)), code]
