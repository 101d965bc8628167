/**
 * Fourth pass: addresses. Every value, scratch area and table gets its place in one arena; places are used again after a
 * value's last use. So the memory of a plan is known before it runs.
 */

/** One stretch of memory: how many bytes, and from which step to which it is in use. Persistent ones never end. */
export type Buffer = { readonly bytes: number; readonly from: number; readonly to: number }

/** Where the buffers lie, in bytes from the start of the arena, and how many bytes it has. */
export type Placement = { readonly addresses: Float64Array; readonly bytes: number }

const ALIGNMENT = 64
/** Rounded up, with room for one vector that reads past the end. */
export const roomFor = (bytes: number): number => Math.ceil((bytes + 16) / ALIGNMENT) * ALIGNMENT

type Hole = { from: number; to: number }

/** A value so much smaller than the largest one is small: in a hole of a large value it would keep the next one out. */
const SMALL = 1 / 256

/** Numbers of buffers in the order in which they come into use, and in that in which their use ends. */
type Order = { readonly starts: readonly number[]; readonly ends: readonly number[] }

const orderOf = (buffers: readonly Buffer[]): Order => ({
  starts: buffers
    .map((_, i) => i)
    .sort((a, b) => buffers[a].from - buffers[b].from || buffers[b].bytes - buffers[a].bytes),
  ends: buffers.map((_, i) => i).sort((a, b) => buffers[a].to - buffers[b].to),
})

/** Small buffers first, large ones behind them, each kind in holes of its own. */
const apart = (buffers: readonly Buffer[], { starts, ends }: Order, start: number): Placement => {
  let limit = 0
  for (const b of buffers) limit = Math.max(limit, b.bytes * SMALL)
  const addresses = new Float64Array(buffers.length)
  let bytes = start
  for (const isKind of [(i: number) => buffers[i].bytes <= limit, (i: number) => buffers[i].bytes > limit])
    bytes = inHoles(buffers, { starts: starts.filter(isKind), ends: ends.filter(isKind) }, bytes, addresses)
  return { addresses, bytes }
}

/** Places buffers, all together or small and large ones apart, whichever takes less memory. */
export const place = (buffers: readonly Buffer[], start: number): Placement => {
  const order = orderOf(buffers)
  const addresses = new Float64Array(buffers.length)
  const one = { addresses, bytes: inHoles(buffers, order, start, addresses) }
  const two = apart(buffers, order, start)
  return two.bytes < one.bytes ? two : one
}

/** Places buffers by first use: each takes the smallest hole that holds it, else the end. Gives the end of all. */
const inHoles = (
  buffers: readonly Buffer[],
  { starts, ends }: Order,
  start: number,
  addresses: Float64Array,
): number => {
  const holes: Hole[] = []
  let [top, ended] = [start, 0]
  const release = (from: number, to: number): void => {
    let k = holes.findIndex((h) => h.from > from)
    if (k < 0) k = holes.length
    holes.splice(k, 0, { from, to })
    if (k + 1 < holes.length && holes[k].to === holes[k + 1].from)
      holes.splice(k, 2, { from: holes[k].from, to: holes[k + 1].to })
    if (k > 0 && holes[k - 1].to === holes[k].from) holes.splice(k - 1, 2, { from: holes[k - 1].from, to: holes[k].to })
    const last = holes[holes.length - 1]
    if (last !== undefined && last.to === top) {
      top = last.from
      holes.pop()
    }
  }
  let bytes = start
  for (const i of starts) {
    while (ended < ends.length && buffers[ends[ended]].to < buffers[i].from) {
      const e = ends[ended++]
      release(addresses[e], addresses[e] + roomFor(buffers[e].bytes))
    }
    const size = roomFor(buffers[i].bytes)
    let best = -1
    for (let h = 0; h < holes.length; h++) {
      const room = holes[h].to - holes[h].from
      if (room >= size && (best < 0 || room < holes[best].to - holes[best].from)) best = h
    }
    if (best < 0) {
      addresses[i] = top
      top += size
    } else {
      addresses[i] = holes[best].from
      holes[best].from += size
      if (holes[best].from === holes[best].to) holes.splice(best, 1)
    }
    bytes = Math.max(bytes, top)
  }
  return bytes
}
