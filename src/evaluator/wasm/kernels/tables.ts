/** Tables that kernels read from memory: packed into one block of bytes, each at a multiple of 8. */

/** A packed table: where each part starts, in bytes, and all bytes. */
export type Packed = { readonly at: readonly number[]; readonly bytes: Uint8Array }

/** Packs number tables one after the other. */
export const pack = (...parts: readonly (Int32Array | Float64Array)[]): Packed => {
  const at: number[] = []
  let end = 0
  for (const part of parts) {
    at.push(end)
    end += Math.ceil(part.byteLength / 8) * 8
  }
  const bytes = new Uint8Array(end)
  parts.forEach((part, i) => bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at[i]))
  return { at, bytes }
}
