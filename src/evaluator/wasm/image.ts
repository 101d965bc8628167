/** The first contents of a precompiled program's memory. */
import { bytesOf } from '../../data/shape.js'
import type { StoredCopy } from '../precompiled/header.js'
import type { DataPiece } from './asm/module.js'
import type { Plan } from './placing.js'

/** A stretch of zeros from this length on isn't stored: memory begins as zeros. */
const GAP_WORDS = 16

/** The parts of a stretch of memory that aren't zeros, beginning at `address` of the other memory. */
const pieces = (memory: ArrayBuffer, from: number, address: number, bytes: number): readonly DataPiece[] => {
  const words = new Uint32Array(memory, from, Math.ceil(bytes / 4))
  const out: DataPiece[] = []
  let start = -1
  let last = -1
  const close = (): void => {
    if (start >= 0)
      out.push({
        address: address + 4 * start,
        bytes: new Uint8Array(memory, from + 4 * start, 4 * (last + 1 - start)).slice(),
      })
  }
  for (let i = 0; i < words.length; i++) {
    if (words[i] === 0) continue
    if (start < 0 || i - last > GAP_WORDS) {
      close()
      start = i
    }
    last = i
  }
  close()
  return out
}

/** What the steps of `rest` find in memory: what those before them left in that of the whole plan, and their constants. */
export const imageOf = (plan: Plan, rest: Plan, memory: ArrayBuffer): readonly DataPiece[] => {
  const { nodes, outputs } = rest.flat
  const made = new Set(rest.steps.flatMap((s) => s.outs))
  const read = new Set([...rest.steps.flatMap((s) => s.args), ...outputs.map((o) => o.id)])
  const values = [...read].filter((id) => !made.has(id) && plan.leveled.cached[id] === 1)
  const former = plan.steps.filter((s) => !s.step.cached)
  return [
    ...values.flatMap((id) => pieces(memory, plan.addresses[id], rest.addresses[id], bytesOf(nodes[id].shape))),
    ...rest.steps.flatMap((s, k) => [
      ...(s.split && s.kernel !== null ? pieces(memory, former[k].scratch, s.scratch, s.kernel.scratch) : []),
      ...(s.split && s.flags >= 0 ? pieces(memory, former[k].flags, s.flags, 8) : []),
      ...(s.kernel === null || s.kernel.constants === null
        ? []
        : [{ address: s.constants, bytes: s.kernel.constants }]),
    ]),
  ]
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((v, i) => v === b[i])

/** Copies are worth their place in a header from so many bytes on. */
const COPIED_BYTES = 256

/** An image without what another has, too, and from where that is to be copied. */
export const withoutCopies = (
  image: readonly DataPiece[],
  other: readonly DataPiece[],
): { readonly own: readonly DataPiece[]; readonly copies: readonly StoredCopy[] } => {
  const own: DataPiece[] = []
  const copies: StoredCopy[] = []
  for (const piece of image) {
    const { length } = piece.bytes
    const found =
      length < COPIED_BYTES || length % 4 > 0 ? undefined : other.find((o) => sameBytes(o.bytes, piece.bytes))
    if (found === undefined) own.push(piece)
    else
      copies.push({ from: { at: found.address, shape: [length / 4] }, to: { at: piece.address, shape: [length / 4] } })
  }
  return { own, copies }
}
