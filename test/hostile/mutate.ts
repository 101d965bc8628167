/** Mutations as a stranger makes them: of JSON, of bytes, of messages; drawn from a seed. */

/** Choices from a seed. */
export type Random = {
  readonly int: (below: number) => number
  readonly pick: <A>(of: readonly A[]) => A
}

/** A generator of small whole numbers. */
export const random = (seed: number): Random => {
  let s = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x85ebca6b) >>> 0
  const next = (): number => {
    s ^= s << 13
    s >>>= 0
    s ^= s >>> 17
    s ^= s << 5
    s >>>= 0
    return s
  }
  const int = (below: number): number => (below <= 0 ? 0 : next() % below)
  return { int, pick: (of) => of[int(of.length)] }
}

/** Marks of what is nested deeper than `JSON.stringify` goes; they are written out in the text. */
const DEEP = { '@lists': ['[', ']'], '@records': ['{"a":', '}'] } as const
const written = (text: string): string =>
  Object.entries(DEEP).reduce(
    (t, [mark, [open, close]]) => t.replace(JSON.stringify(mark), `${open.repeat(50_000)}0${close.repeat(50_000)}`),
    text,
  )

/** Numbers, texts and trees that readers trip over. */
const NASTY: readonly (() => unknown)[] = [
  () => -1,
  () => 0.5,
  () => 2 ** 31,
  () => 2 ** 53,
  () => 1e308,
  () => -0,
  () => null,
  () => true,
  () => '',
  () => 'NaN',
  () => '__proto__',
  () => 'constructor',
  () => '../../etc/passwd',
  () => '<script>alert(1)</script>',
  () => 'x'.repeat(70_000),
  () => [],
  () => ({}),
  () => [2 ** 16, 2 ** 16, 2 ** 16],
  () => [65536, 65537],
  () => [0, 2 ** 53],
  () => '@lists',
  () => '@records',
  () => ({ toString: 1, valueOf: 2, length: -1 }),
]

type Place = { readonly holder: Record<string, unknown>; readonly key: string }

/** All places of a tree, at most some thousands. */
const placesOf = (root: unknown): readonly Place[] => {
  const places: Place[] = []
  const open: unknown[] = [root]
  while (open.length > 0 && places.length < 5000) {
    const x = open.pop()
    if (typeof x !== 'object' || x === null || ArrayBuffer.isView(x)) continue
    const holder = x as Record<string, unknown>
    for (const key of Object.keys(holder)) {
      places.push({ holder, key })
      open.push(holder[key])
    }
  }
  return places
}

/** `JSON.stringify`, with keys that only a text can have. */
export const hostileJSON = (x: unknown, r: Random): string => {
  const text = written(JSON.stringify(x) ?? 'null')
  switch (r.int(12)) {
    case 0:
      return text.replace('{', '{"__proto__":{"polluted":true},')
    case 1:
      return text.replace('{', '{"constructor":{"prototype":{"polluted":true}},')
    case 2:
      return text.slice(0, r.int(text.length))
    case 3:
      return `${text.slice(0, r.int(text.length))}${r.pick(['{', ']', '1e999', '\u0000', '"'])}${text.slice(r.int(text.length))}`
    default:
      return text
  }
}

/** Changes a tree in place, one to three times. */
export const mutateTree = (tree: unknown, r: Random): void => {
  for (let k = 1 + r.int(3); k > 0; k--) {
    const places = placesOf(tree)
    if (places.length === 0) return
    const { holder, key } = r.pick(places)
    const other = r.pick(places)
    switch (r.int(6)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(Number(key), 1)
        else delete holder[key]
        break
      case 1:
        holder[key] = other.holder[other.key] === holder ? null : structuredClone(other.holder[other.key])
        break
      case 2:
        if (!Array.isArray(holder)) holder[r.pick(['constructor', 'length', 'data', 'kind', 'shape'])] = r.pick(NASTY)()
        break
      case 3:
        if (typeof holder[key] === 'number')
          holder[key] = Number(holder[key]) + r.pick([1, -1, 0.5, 2 ** 32, -(2 ** 31)])
        else holder[key] = r.pick(NASTY)()
        break
      default:
        holder[key] = r.pick(NASTY)()
    }
  }
}

/** Changes bytes: flips, cuts, repeats, and lengths that lie. */
export const mutateBytes = (bytes: Uint8Array, r: Random): Uint8Array => {
  let out = bytes.slice()
  for (let k = 1 + r.int(4); k > 0 && out.length > 0; k--) {
    const at = r.int(out.length)
    switch (r.int(5)) {
      case 0:
        out[at] ^= 1 << r.int(8)
        break
      case 1:
        out = out.slice(0, at)
        break
      case 2:
        out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(r.int(at + 1), at), ...out.subarray(at)])
        break
      case 3:
        out.fill(r.pick([0, 255, 127]), at, at + 1 + r.int(8))
        break
      default:
        out[r.int(Math.min(64, out.length))] = r.pick([0, 255, 128, 1])
    }
  }
  return out
}
