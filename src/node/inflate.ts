/** Deflate undone by Node's own zlib, which stops at the size that it is told. */
import { inflateRawSync } from 'node:zlib'

/**
 * For `parseNpz(bytes, { inflate })` of `quantrace/arrays`: undoes raw deflate. Throws where the bytes are broken or hold more than `size` bytes.
 *
 * @example
 * parseNpz(orThrow(readFileBytes('data.npz')), { inflate })
 */
export const inflate = (packed: Uint8Array, size: number): Uint8Array =>
  new Uint8Array(inflateRawSync(packed, { maxOutputLength: Math.max(1, size) }))
