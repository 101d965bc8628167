/**
 * Zip files, as far as `.npz` needs them: a list of entries, stored or deflated. Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 and 4.5. The central directory
 * alone is believed, and only where the entries that it names lie apart from each other and within the file: no bytes are read twice.
 */
import * as E from 'fp-ts/lib/Either.js'

/** One entry; `packed` is a view into the file. */
export type ZipEntry = {
  readonly name: string
  /** 0: stored; 8: deflated. */
  readonly method: number
  /** CRC-32 of what was packed. */
  readonly crc: number
  /** Bytes of what was packed. */
  readonly size: number
  readonly packed: Uint8Array
}

const LOCAL = 0x04034b50
const CENTRAL = 0x02014b50
const END = 0x06054b50
const END_64 = 0x06064b50
const LOCATOR_64 = 0x07064b50
const [LOCAL_SIZE, CENTRAL_SIZE, END_SIZE, END_64_SIZE, LOCATOR_SIZE] = [30, 46, 22, 56, 20]
const [FULL_16, FULL_32] = [0xffff, 0xffffffff]
const UTF8 = 1 << 11
const ENCRYPTED = 1

const TABLE: readonly number[] = Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
  return c >>> 0
})

/** CRC-32, as zip and gzip use it. */
export const crc32 = (bytes: Uint8Array): number => {
  const table = Uint32Array.from(TABLE)
  let c = 0xffffffff
  for (let i = 0; i < bytes.length; i++) c = table[(c ^ bytes[i]) & 255] ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}

type Said<A> = E.Either<string, A>
const viewOf = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength)

/** Numbers of 64 bits above what a file can hold are as good as infinite. */
const long = (view: DataView, at: number): number => Number(view.getBigUint64(at, true))

type Directory = { readonly count: number; readonly size: number; readonly offset: number; readonly end: number }

/** Where the record at the end begins: before a comment of the length that it says, which reaches the end of the file. */
const endOf = (view: DataView): number => {
  const first = Math.max(0, view.byteLength - END_SIZE - FULL_16)
  for (let at = view.byteLength - END_SIZE; at >= first; at--)
    if (view.getUint32(at, true) === END && at + END_SIZE + view.getUint16(at + 20, true) === view.byteLength) return at
  return -1
}

/** Of large files, the numbers that did not fit stand in a record before. */
const directory64 = (view: DataView, end: number): Said<Directory> => {
  const locator = end - LOCATOR_SIZE
  if (locator < 0 || view.getUint32(locator, true) !== LOCATOR_64)
    return E.left('its directory is nowhere (no ZIP64 record)')
  const at = long(view, locator + 8)
  if (at + END_64_SIZE > locator || view.getUint32(at, true) !== END_64)
    return E.left('its ZIP64 record is not where it is said to be')
  return E.right({ count: long(view, at + 32), size: long(view, at + 40), offset: long(view, at + 48), end: at })
}

const directoryOf = (view: DataView): Said<Directory> => {
  const end = endOf(view)
  if (end < 0) return E.left('it has no directory at its end: it was cut off, or is no zip file')
  if (view.getUint16(end + 4, true) !== 0 || view.getUint16(end + 6, true) !== 0)
    return E.left('it is one of several parts')
  const [count, size, offset] = [
    view.getUint16(end + 10, true),
    view.getUint32(end + 12, true),
    view.getUint32(end + 16, true),
  ]
  const found: Said<Directory> =
    count === FULL_16 || size === FULL_32 || offset === FULL_32
      ? directory64(view, end)
      : E.right({ count, size, offset, end })
  if (E.isLeft(found)) return found
  const d = found.right
  if (d.offset + d.size > d.end || d.count * CENTRAL_SIZE > d.size) return E.left('its directory does not fit into it')
  return found
}

type Sizes = { readonly size: number; readonly packed: number; readonly offset: number }

/** Sizes of an entry; those that did not fit stand in an extra field (4.5.3), in this order. */
const sizesOf = (view: DataView, at: number, extra: { readonly from: number; readonly to: number }): Said<Sizes> => {
  const given = [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)]
  if (!given.includes(FULL_32)) return E.right({ size: given[0], packed: given[1], offset: given[2] })
  for (let i = extra.from; i + 4 <= extra.to; i += 4 + view.getUint16(i + 2, true)) {
    if (view.getUint16(i, true) !== 1) continue
    const length = view.getUint16(i + 2, true)
    let next = i + 4
    const wide = given.map((n) => {
      if (n !== FULL_32 || next + 8 > Math.min(extra.to, i + 4 + length)) return n
      next += 8
      return long(view, next - 8)
    })
    return E.right({ size: wide[0], packed: wide[1], offset: wide[2] })
  }
  return E.left('an entry lacks its ZIP64 sizes')
}

/** Why a name may not stand in an archive, or null: unpacked, it would lead elsewhere. */
export const nameProblem = (name: string): string | null => {
  if (name === '' || name.length > 1000) return 'a name is empty or too long'
  // eslint-disable-next-line no-control-regex
  return /[\u0000-\u001f\\]|^\/|^[A-Za-z]:|(^|\/)\.\.(\/|$)/.test(name)
    ? `the name ${JSON.stringify(name).slice(0, 100)} leads out of the archive`
    : null
}

const nameFrom = (bytes: Uint8Array): Said<string> => {
  try {
    const name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const problem = nameProblem(name)
    return problem === null ? E.right(name) : E.left(problem)
  } catch {
    return E.left('a name is no UTF-8')
  }
}

/** An entry, and where it lies. */
type Placed = { readonly entry: ZipEntry; readonly from: number; readonly to: number }

/** The bytes of an entry: behind its own header, which must name it too. */
const placed = (
  bytes: Uint8Array,
  limit: number,
  name: Uint8Array,
  sizes: Sizes,
): Said<Omit<Placed, 'entry'> & { readonly packed: Uint8Array }> => {
  const view = viewOf(bytes)
  const at = sizes.offset
  if (at + LOCAL_SIZE > limit || view.getUint32(at, true) !== LOCAL) return E.left('it is not where the directory says')
  const length = view.getUint16(at + 26, true)
  const from = at + LOCAL_SIZE + length + view.getUint16(at + 28, true)
  if (length !== name.length || name.some((b, i) => bytes[at + LOCAL_SIZE + i] !== b))
    return E.left('it has another name in its place')
  return from + sizes.packed > limit
    ? E.left('it reaches into the directory')
    : E.right({ from: at, to: from + sizes.packed, packed: bytes.subarray(from, from + sizes.packed) })
}

const entryAt = (bytes: Uint8Array, d: Directory, at: number): Said<Placed & { readonly next: number }> => {
  const view = viewOf(bytes)
  const end = d.offset + d.size
  if (at + CENTRAL_SIZE > end || view.getUint32(at, true) !== CENTRAL) return E.left('its directory is broken')
  const [nameLength, extraLength, commentLength] = [28, 30, 32].map((k) => view.getUint16(at + k, true))
  const extra = at + CENTRAL_SIZE + nameLength
  const next = extra + extraLength + commentLength
  if (next > end) return E.left('its directory is broken')
  const raw = bytes.subarray(at + CENTRAL_SIZE, extra)
  const name = nameFrom(raw)
  if (E.isLeft(name)) return name
  const about = E.mapLeft((what: string) => `${JSON.stringify(name.right).slice(0, 100)}: ${what}`)
  if ((view.getUint16(at + 8, true) & ENCRYPTED) !== 0) return about(E.left('it is encrypted'))
  const sizes = sizesOf(view, at, { from: extra, to: extra + extraLength })
  if (E.isLeft(sizes)) return about(sizes)
  const place = placed(bytes, d.offset, raw, sizes.right)
  if (E.isLeft(place)) return about(place)
  const { packed, from, to } = place.right
  const entry: ZipEntry = {
    name: name.right,
    method: view.getUint16(at + 10, true),
    crc: view.getUint32(at + 16, true),
    size: sizes.right.size,
    packed,
  }
  return E.right({ entry, from, to, next })
}

const problemAmong = (all: readonly Placed[]): string | null => {
  const names = new Set<string>()
  for (const { entry } of all) {
    if (names.has(entry.name)) return `${JSON.stringify(entry.name).slice(0, 100)} is there twice`
    names.add(entry.name)
  }
  const inOrder = all.toSorted((a, b) => a.from - b.from)
  const i = inOrder.findIndex((p, k) => k > 0 && p.from < inOrder[k - 1].to)
  return i < 0 ? null : `${JSON.stringify(inOrder[i].entry.name).slice(0, 100)} shares bytes with another entry`
}

/** The entries of a zip file, or what is wrong with it. Nothing is unpacked. */
export const readZip = (bytes: Uint8Array): Said<readonly ZipEntry[]> => {
  if (bytes.length < END_SIZE) return E.left(bytes.length === 0 ? 'it is empty' : `it has ${bytes.length} bytes`)
  const directory = directoryOf(viewOf(bytes))
  if (E.isLeft(directory)) return directory
  const d = directory.right
  const all: Placed[] = []
  for (let at = d.offset; all.length < d.count;) {
    const read = entryAt(bytes, d, at)
    if (E.isLeft(read)) return read
    all.push(read.right)
    at = read.right.next
  }
  const problem = problemAmong(all)
  return problem === null ? E.right(all.map((p) => p.entry)) : E.left(problem)
}

/** The first of January 1980, where zip's time begins: the same files give the same bytes. */
const DATE = 0x21

const headerOf = (name: Uint8Array, content: Uint8Array, crc: number, offset: number | null): Uint8Array => {
  const central = offset !== null
  const size = central ? CENTRAL_SIZE : LOCAL_SIZE
  const out = new Uint8Array(size + name.length)
  const view = viewOf(out)
  const shift = central ? 2 : 0
  view.setUint32(0, central ? CENTRAL : LOCAL, true)
  view.setUint16(4, 20, true)
  if (central) view.setUint16(6, 20, true)
  view.setUint16(6 + shift, name.some((b) => b > 127) ? UTF8 : 0, true)
  view.setUint16(12 + shift, DATE, true)
  view.setUint32(14 + shift, crc, true)
  view.setUint32(18 + shift, content.length, true)
  view.setUint32(22 + shift, content.length, true)
  view.setUint16(26 + shift, name.length, true)
  if (central) view.setUint32(42, offset, true)
  out.set(name, size)
  return out
}

const joined = (parts: readonly Uint8Array[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}

/** Most bytes and files of an archive without ZIP64. */
export const MOST_ZIP = { bytes: FULL_32 - 1, files: FULL_16 - 1 }

/** A zip file of these contents by name, stored as they are, in order. The names must be good and the whole within `MOST_ZIP`. */
export const zipOf = (files: readonly (readonly [name: string, content: Uint8Array])[]): Uint8Array => {
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let at = 0
  for (const [text, content] of files) {
    const name = new TextEncoder().encode(text)
    const crc = crc32(content)
    const header = headerOf(name, content, crc, null)
    directory.push(headerOf(name, content, crc, at))
    parts.push(header, content)
    at += header.length + content.length
  }
  const end = new Uint8Array(END_SIZE)
  const view = viewOf(end)
  view.setUint32(0, END, true)
  view.setUint16(8, files.length, true)
  view.setUint16(10, files.length, true)
  view.setUint32(
    12,
    directory.reduce((n, p) => n + p.length, 0),
    true,
  )
  view.setUint32(16, at, true)
  return joined([...parts, ...directory, end])
}
