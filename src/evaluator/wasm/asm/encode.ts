/** Bytes of the WebAssembly binary format. Source: WebAssembly Core Specification, chapter 5. */

/** Any part of a module: bytes in nested lists, flattened once at the end; what is flat already stays so. */
export type Bytes = number | readonly Bytes[] | Uint8Array

/** Types of values: of locals, operands and results. */
export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'

declare const leaves: unique symbol

/**
 * Code that leaves a value of a type on the stack, or `none`: a statement. The type is known to the compiler only; at run time code is
 * bytes. A list of code is taken for what it is said to be, whatever stands in it: an operand of a wrong type is found, a wrong list is not.
 */
export type Code<T extends ValueType | 'none' = 'none'> = Bytes & { readonly [leaves]?: T }

/** Unsigned LEB128. */
export const u32 = (n: number): Bytes => {
  if (n >= 0 && n < 0x80) return n
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
export const s32 = (n: number): Bytes => {
  if (n >= -0x40 && n < 0x40) return n & 0x7f
  const bytes: number[] = []
  let rest = n | 0
  for (;;) {
    const low = rest & 0x7f
    rest >>= 7
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
      bytes.push(low)
      return bytes
    }
    bytes.push(low | 0x80)
  }
}

/** IEEE float32, little-endian. */
export const f32Bytes = (x: number): Bytes => new Uint8Array(Float32Array.of(x).buffer)
/** IEEE float64, little-endian. */
export const f64Bytes = (x: number): Bytes => new Uint8Array(Float64Array.of(x).buffer)

/** A name: its length and its UTF-8 bytes. */
export const text = (s: string): Bytes => {
  const bytes = new TextEncoder().encode(s)
  return [u32(bytes.length), bytes]
}

/** A list with its length in front. */
export const vector = (items: readonly Bytes[]): Bytes => [u32(items.length), items]

/** Bytes that grow as they are written. */
type Sink = { bytes: Uint8Array; length: number }

const reserve = (sink: Sink, more: number): void => {
  if (sink.length + more <= sink.bytes.length) return
  const larger = new Uint8Array(Math.max(2 * sink.bytes.length, sink.length + more))
  larger.set(sink.bytes.subarray(0, sink.length))
  sink.bytes = larger
}

const write = (code: Bytes, sink: Sink): void => {
  if (typeof code === 'number') {
    reserve(sink, 1)
    sink.bytes[sink.length++] = code
  } else if (code instanceof Uint8Array) {
    reserve(sink, code.length)
    sink.bytes.set(code, sink.length)
    sink.length += code.length
  } else
    for (let i = 0; i < code.length; i++) {
      const part = code[i]
      if (typeof part === 'number' && sink.length < sink.bytes.length) sink.bytes[sink.length++] = part
      else write(part, sink)
    }
}

/** The bytes of nested code. */
export const flatten = (code: Bytes): Uint8Array => {
  const sink: Sink = { bytes: new Uint8Array(256), length: 0 }
  write(code, sink)
  return sink.bytes.slice(0, sink.length)
}

/** Bytes with its length in bytes in front. */
export const sized = (code: Bytes): Bytes => {
  const bytes = flatten(code)
  return [u32(bytes.length), bytes]
}
