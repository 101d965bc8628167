/** One static arena for all values between layers: two share bytes where their lifetimes don't meet. */

/** A value that needs bytes from when it is made until it is last read. */
export type Lifetime = { readonly id: number; readonly bytes: number; readonly from: number; readonly to: number }

const ALIGNED = 8
const rounded = (n: number): number => Math.ceil(n / ALIGNED) * ALIGNED

/** A place for each value, and how long the arena is. Larger ones choose first, each the lowest gap in which it fits. */
export const placeAll = (
  values: readonly Lifetime[],
): { readonly offsets: ReadonlyMap<number, number>; readonly bytes: number } => {
  const offsets = new Map<number, number>()
  const placed: (Lifetime & { readonly offset: number })[] = []
  let bytes = 0
  for (const v of [...values].sort((a, b) => b.bytes - a.bytes || a.from - b.from)) {
    const beside = placed.filter((p) => p.from <= v.to && v.from <= p.to).sort((a, b) => a.offset - b.offset)
    let offset = 0
    for (const p of beside) {
      if (offset + rounded(v.bytes) <= p.offset) break
      offset = Math.max(offset, p.offset + rounded(p.bytes))
    }
    placed.push({ ...v, offset })
    offsets.set(v.id, offset)
    bytes = Math.max(bytes, offset + rounded(v.bytes))
  }
  return { offsets, bytes }
}
