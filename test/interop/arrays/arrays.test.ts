/** `.npy` and `.npz`: what numpy writes is read, what is written comes back, and no file does more than be refused. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../../src/index.js'
import {
  npyToBytes,
  npzToBytes,
  parseNpy,
  parseNpz,
  type ElementType,
  type StoredArray,
} from '../../../src/interop/arrays/index.js'
import { inflate } from '../../../src/node/index.js'
import { suite } from '../../support/suite.js'

const test = suite('files of arrays')

const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))

/** numpy 2: `write_array(f, asfortranarray([[1, -2, .5], [4, 5, -6]], '>f2'), version=(2, 0))`. */
const BY_COLUMNS = bytesOf(
  'k05VTVBZAgB0AAAAeydkZXNjcic6ICc+ZjInLCAnZm9ydHJhbl9vcmRlcic6IFRydWUsICdzaGFwZSc6ICgyLCAzKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAo8AEQAwABFADgAxgA=',
)
/** `savez(f, x=array([1, 2, 3], 'u1'), **{'fc.weight': the same as f4})`. */
const SAVED = bytesOf(
  'UEsDBC0AAAAAAAAAIQAq446x//////////8FABQAeC5ucHkBABAAgwAAAAAAAACDAAAAAAAAAJNOVU1QWQEAdgB7J2Rlc2NyJzogJ3x1MScsICdmb3J0cmFuX29yZGVyJzogRmFsc2UsICdzaGFwZSc6ICgzLCksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAKAQIDUEsDBC0AAAAAAAAAIQD0itcp//////////8NABQAZmMud2VpZ2h0Lm5weQEAEACYAAAAAAAAAJgAAAAAAAAAk05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAIA/AAAAwAAAAD8AAIBAAACgQAAAwMBQSwECLQMtAAAAAAAAACEAKuOOsYMAAACDAAAABQAAAAAAAAAAAAAAgAEAAAAAeC5ucHlQSwECLQMtAAAAAAAAACEA9IrXKZgAAACYAAAADQAAAAAAAAAAAAAAgAG6AAAAZmMud2VpZ2h0Lm5weVBLBQYAAAAAAgACAG4AAACRAQAAAAA=',
)
/** `savez_compressed(f, x=arange(4))`. */
const PACKED = bytesOf(
  'UEsDBC0AAAAIAAAAIQDDw9rR//////////8FABQAeC5ucHkBABAAoAAAAAAAAABPAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TaaGuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GiY6mjoKtQoUAC4GKGCE0kxQmhlKAwBQSwECLQMtAAAACAAAACEAw8Pa0U8AAACgAAAABQAAAAAAAAAAAAAAgAEAAAAAeC5ucHlQSwUGAAAAAAEAAQAzAAAAhgAAAAAA',
)

const plain = (a: StoredArray) => ({ ...a, data: [...a.data] })
const WEIGHT = [1, -2, 0.5, 4, 5, -6]

test('what numpy writes: orders of bytes and axes, versions, stored and compressed archives', () => {
  assert.equal(plain(q.orThrow(parseNpy(BY_COLUMNS))), { type: 'F16', shape: [2, 3], data: WEIGHT })
  const { x, 'fc.weight': weight } = q.orThrow(parseNpz(SAVED))
  assert.equal(plain(x), { type: 'U8', shape: [3], data: [1, 2, 3] })
  assert.equal(plain(weight), { type: 'F32', shape: [2, 3], data: WEIGHT })
  assert.equal(plain(q.orThrow(parseNpz(PACKED, { inflate })).x), { type: 'I64', shape: [4], data: [0, 1, 2, 3] })
})

test("a Buffer of Node's, which shares its memory with others, gives the same numbers, copied", () => {
  const own = Buffer.concat([Buffer.from([1, 2, 3]), BY_COLUMNS, SAVED])
  const [npy, npz] = [own.subarray(3, 3 + BY_COLUMNS.length), own.subarray(3 + BY_COLUMNS.length)]
  const [a, { 'fc.weight': b }] = [q.orThrow(parseNpy(npy)), q.orThrow(parseNpz(npz))]
  own.fill(0)
  assert.equal([[...a.data], [...b.data]], [WEIGHT, WEIGHT])
})

test('the same arrays give the bytes of numpy', () => {
  const array: StoredArray = { type: 'F16', shape: [2, 3], data: Float32Array.from(WEIGHT) }
  assert.equal(npyToBytes(array, { order: 'Fortran', endian: 'big', version: 2 }), BY_COLUMNS)
})

const TYPES: { readonly [T in ElementType]: fc.Arbitrary<number> } = {
  F64: fc.float(),
  F32: fc.float(),
  F16: fc.integer({ min: -2048, max: 2048 }),
  BF16: fc.integer({ min: -256, max: 256 }),
  I64: fc.integer({ min: -(2 ** 24), max: 2 ** 24 }),
  I32: fc.integer({ min: -(2 ** 24), max: 2 ** 24 }),
  I16: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
  I8: fc.integer({ min: -128, max: 127 }),
  U64: fc.nat(2 ** 24),
  U32: fc.nat(2 ** 24),
  U16: fc.nat(65535),
  U8: fc.nat(255),
  BOOL: fc.nat(1),
}
const arrays: fc.Arbitrary<StoredArray> = fc
  .tuple(fc.constantFrom(...(Object.keys(TYPES) as ElementType[])), fc.array(fc.nat(4), { maxLength: 4 }))
  .chain(([type, shape]) => {
    const n = shape.reduce((a, b) => a * b, 1)
    return fc
      .array(TYPES[type], { minLength: n, maxLength: n })
      .map((data) => ({ type, shape, data: Float32Array.from(data) }))
  })
const options = fc.record({
  order: fc.constantFrom('C' as const, 'Fortran' as const),
  endian: fc.constantFrom('little' as const, 'big' as const),
  version: fc.constantFrom(1 as const, 2 as const, 3 as const),
})
/** Brain floats have no place in numpy and come back as floats. */
const asRead = (a: StoredArray): StoredArray => ({ ...a, type: a.type === 'BF16' ? 'F32' : a.type })

test('law: what is written comes back, of any type, shape, order and version', () => {
  fc.assert(
    fc.property(arrays, options, (a, o) => {
      const bytes = npyToBytes(a, o)
      assert.is((bytes.length - a.data.length * (bytes.length > 0 ? sizeIn(a) : 1)) % 64, 0)
      // As lists: uvu finds typed arrays with a NaN unequal.
      assert.equal(plain(q.orThrow(parseNpy(bytes))), plain(asRead(a)))
    }),
  )
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[\w.é-]{1,12}$/), arrays, { maxKeys: 4 }), (all) => {
      const back = q.orThrow(parseNpz(npzToBytes(all)))
      // As lists, too: a record with a `constructor` of its own is unequal to its like for uvu.
      const lists = (of: typeof all) =>
        Object.keys(of)
          .toSorted()
          .map((name) => [name, plain(of[name])])
      const read = Object.fromEntries(Object.entries(all).map(([name, a]) => [name, asRead(a)]))
      assert.equal(lists(back), lists(read))
    }),
  )
})

const sizeIn = ({ type }: StoredArray): number => {
  const bits = /\d+/.exec(asRead({ type, shape: [], data: new Float32Array(1) }).type)
  return bits === null ? 1 : Number(bits[0]) / 8
}

const messageOf = (read: E.Either<q.QuantErrors, unknown>): string => {
  if (E.isRight(read)) throw new Error('it was read')
  assert.equal(
    read.left.map((e) => e.tag),
    ['ParseError'],
  )
  assert.ok(read.left[0].fix !== '')
  return read.left[0].message
}

/** A file with this header, and `size` bytes of zeros behind it. */
const withHeader = (header: string, size: number, version = 1): Uint8Array => {
  const text = new TextEncoder().encode(header)
  const start = version === 1 ? 10 : 12
  const bytes = new Uint8Array(start + text.length + size)
  bytes.set([0x93, 78, 85, 77, 80, 89, version, 0])
  new DataView(bytes.buffer)[version === 1 ? 'setUint16' : 'setUint32'](8, text.length, true)
  bytes.set(text, start)
  return bytes
}
const header = (descr: string, shape = '(1,)', order = 'False'): string =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }`

test('an .npy that is none says what it is instead', () => {
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [new Uint8Array(0), /it is empty/],
    [new TextEncoder().encode('PK\u0003\u0004 and more'), /does not begin as one/],
    [withHeader(header("'<f4'"), 4, 4), /version 4\.0 is not/],
    [withHeader(header("'|O'"), 8), /Python objects, stored as a pickle/],
    [withHeader(header("'<c8'"), 8), /complex numbers/],
    [withHeader(header("'<f16'"), 16), /floats of a size/],
    [withHeader(header("[('a', '<f4'), ('b', '<i4')]"), 8), /records of fields/],
    [withHeader(header("'<f4'", '(3,)'), 4), /holds 4 bytes of numbers, but type F32 and shape \[3\] want 12/],
    [withHeader(header("'<f4'"), 8), /holds 8 bytes/],
    [withHeader(header("'<f4'", '(99999999999, 99999999999, 0, 99999999999999999)'), 0), /no tuple of sizes/],
    [withHeader(header("'<f4'", '(-1,)'), 4), /no record as Python writes it/],
    [withHeader(header("'<f4'", '(1,)', '__import__("os")'), 4), /no record as Python writes it/],
    [withHeader("{'descr': '<f4', 'descr': '<f4'}", 4), /has "descr" twice/],
    [withHeader("{'descr': '<f4', 'shape': (1,)}", 4), /no fortran_order/],
    [withHeader("{'descr': '<f4', 'shape': (1,), 'fortran_order': False, 'more': 1}", 4), /no record|a key "more"/],
    [withHeader('{'.repeat(9000), 4), /no record/],
    [withHeader(' '.repeat(60_000), 4), /more than 10000/],
    [withHeader('\xff\xfe', 4, 3), /no record/],
  ]
  for (const [bytes, says] of cases) assert.match(messageOf(parseNpy(bytes)), says)
  const long = withHeader(header("'>i8'", '(2,)'), 16)
  new DataView(long.buffer).setBigInt64(long.length - 8, 2n ** 53n + 1n)
  assert.match(messageOf(parseNpy(long)), /element 1 is an integer beyond 2\^53/)
  new DataView(long.buffer).setBigInt64(long.length - 8, -(2n ** 53n))
  assert.is(q.orThrow(parseNpy(long)).data[1], -(2 ** 53))
})

/** A copy with some bytes changed. */
const changed = (bytes: Uint8Array, at: number, ...to: readonly number[]): Uint8Array => {
  const out = bytes.slice()
  out.set(to, at)
  return out
}
const ends = (bytes: Uint8Array): number => bytes.length - 22
const directory = (bytes: Uint8Array): number => new DataView(bytes.buffer).getUint32(ends(bytes) + 16, true)

/** The same archive with its directory said in ZIP64's records. */
const inZip64 = (bytes: Uint8Array): Uint8Array => {
  const [end, from] = [ends(bytes), directory(bytes)]
  const record = new DataView(new ArrayBuffer(56 + 20))
  record.setUint32(0, 0x06064b50, true)
  record.setBigUint64(4, 44n, true)
  record.setBigUint64(32, 2n, true)
  record.setBigUint64(40, BigInt(end - from), true)
  record.setBigUint64(48, BigInt(from), true)
  record.setUint32(56, 0x07064b50, true)
  record.setBigUint64(64, BigInt(end), true)
  record.setUint32(72, 1, true)
  const out = new Uint8Array(bytes.length + 76)
  out.set(bytes.subarray(0, end))
  out.set(new Uint8Array(record.buffer), end)
  out.set(changed(bytes.slice(end), 10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), end + 76)
  return out
}

test('archives: ZIP64 is read; what misleads is refused', () => {
  assert.equal(Object.keys(q.orThrow(parseNpz(inZip64(SAVED)))), ['x', 'fc.weight'])
  const at = directory(SAVED)
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [new Uint8Array(0), /it is empty/],
    [SAVED.slice(0, -1), /no directory at its end/],
    [SAVED.slice(0, 100), /no directory at its end/],
    [changed(SAVED, ends(SAVED) + 4, 1), /one of several parts/],
    [changed(SAVED, ends(SAVED) + 10, 200), /directory does not fit/],
    [changed(SAVED, at, 0), /directory is broken/],
    [changed(SAVED, at + 8, 1), /"x\.npy": it is encrypted/],
    [changed(SAVED, at + 10, 14), /"x\.npy" is compressed by LZMA/],
    [changed(SAVED, at + 16, 0), /"x\.npy" was changed: its CRC-32/],
    [changed(SAVED, at + 24, 4), /does not hold the 4 bytes/],
    [changed(SAVED, at + 42, 9), /"x\.npy": it is not where the directory says/],
    [changed(SAVED, at + 46, 121), /has another name in its place/],
    [changed(changed(SAVED, at + 46, 47), 30, 47), /the name "\/\.npy" leads out of the archive/],
    [changed(inZip64(SAVED), ends(SAVED) + 55, 0x7f), /directory does not fit/],
    [changed(inZip64(SAVED), ends(SAVED) + 56, 0), /no ZIP64 record/],
  ]
  for (const [bytes, says] of cases) assert.match(messageOf(parseNpz(bytes, { inflate })), says)
})

test('archives: entries that lie over each other, and sizes that no deflate reaches, are refused before they are unpacked', () => {
  const two = npzToBytes({
    a: { type: 'U8', shape: [1], data: Float32Array.of(1) },
    b: { type: 'U8', shape: [1], data: Float32Array.of(2) },
  })
  const at = directory(two)
  // The second name of the directory is the first again, at the same place.
  assert.match(
    messageOf(parseNpz(changed(changed(two, at + 51 + 46, 97), at + 51 + 42, 0, 0, 0, 0))),
    /"a\.npy" is there twice/,
  )
  const never = (): Uint8Array => assert.unreachable('it was unpacked') as never
  const size = directory(PACKED) + 24
  assert.match(
    messageOf(parseNpz(changed(PACKED, size, 0, 0, 0, 0x20), { inflate: never })),
    /said to hold \d+ bytes in 79/,
  )
  assert.match(messageOf(parseNpz(PACKED, { inflate: never, mostBytes: 100 })), /takes 160 bytes; at most 100 bytes/)
  assert.match(messageOf(parseNpz(changed(PACKED, size, 159), { inflate })), /can't be unpacked/)
  assert.match(messageOf(parseNpz(changed(PACKED, size, 161), { inflate })), /does not hold the 161 bytes/)
  assert.match(
    messageOf(parseNpz(changed(PACKED, 60, 255), { inflate })),
    /can't be unpacked|was changed|does not hold/,
  )
  assert.match(messageOf(parseNpz(PACKED)), /nothing was given that undoes it/)
})

test('writers refuse what no file can hold', () => {
  const one = (type: ElementType, ...data: readonly number[]): StoredArray => ({
    type,
    shape: [data.length],
    data: Float32Array.from(data),
  })
  for (const [array, says] of [
    [one('U8', 1, 256), /element 1, 256, is no U8/],
    [one('I8', 0.5), /element 0, 0\.5, is no I8/],
    [one('I64', NaN), /element 0, NaN, is no I64/],
    [one('U64', -1), /element 0, -1, is no U64/],
    [one('I64', 2 ** 63), /is no I64/],
  ] as const)
    assert.throws(() => npyToBytes(array), says)
  assert.throws(() => npyToBytes({ ...one('F32', 1), shape: [2] }), /as many numbers as its shape says/)
  assert.throws(() => npyToBytes(one('F32', 1), { oder: 'C' } as never), /did you mean order\?/)
  for (const name of ['../x', '/x', 'a\\b', 'a\0', 'C:x'])
    assert.throws(() => npzToBytes({ [name]: one('F32', 1) }), /leads out of the archive/)
})

test('names that mislead are only names', () => {
  const read = q.orThrow(parseNpz(npzToBytes({ ['__proto__']: { shape: [1], data: Float32Array.of(1), type: 'F32' } })))
  assert.is(Object.getPrototypeOf(read), null)
  assert.equal(Object.keys(read), ['__proto__'])
})

const FILES = Number(process.env['BROKEN_FILES'] ?? 10_000)

test(
  `${FILES} broken files: a typed error or arrays, each soon, and never more numbers than were allowed`,
  () => {
    const big = npzToBytes({ a: { type: 'F32', shape: [20], data: new Float32Array(20) } })
    const sound = [
      BY_COLUMNS,
      SAVED,
      PACKED,
      big,
      inZip64(SAVED),
      npyToBytes({ type: 'I64', shape: [3], data: Float32Array.of(1, 2, 3) }),
    ]
    const [isNpy, most] = [(b: Uint8Array): boolean => b === BY_COLUMNS || b === sound[5], 10_000]
    const [headers, draws] = [fc.constantFrom('(', ')', "'", '9'.repeat(20), '-1', 'None', '{', '[', ','), fc.nat(999)]
    const spoil = fc.tuple(
      fc.constantFrom(...sound),
      fc.nat(4),
      fc.array(fc.tuple(draws, fc.nat(255)), { minLength: 1, maxLength: 4 }),
      headers,
    )
    let [read, refused, slowest] = [0, 0, 0]
    fc.assert(
      fc.property(spoil, ([whole, how, places, text]) => {
        const bytes = how === 0 ? whole.slice(0, Math.floor((places[0][0] / 1000) * whole.length)) : whole.slice()
        for (const [at, to] of how > 1 ? places : []) bytes[Math.floor((at / 1000) * bytes.length)] = to
        if (how === 1) bytes.set(new TextEncoder().encode(text).subarray(0, 20), 10 + (places[0][0] % 80))
        const start = performance.now()
        const made = isNpy(whole)
          ? E.map((a: StoredArray) => ({ a }))(parseNpy(bytes))
          : parseNpz(bytes, { inflate, mostBytes: most })
        slowest = Math.max(slowest, performance.now() - start)
        if (E.isLeft(made)) {
          refused++
          const odd = made.left.find((e) => e.tag !== 'ParseError' || e.fix === '')
          assert.is(odd, undefined, JSON.stringify(odd))
          return
        }
        read++
        const numbers = Object.values(made.right).reduce((n, a) => n + a.data.length, 0)
        assert.ok(numbers <= most + bytes.length, `${numbers} numbers`)
      }),
      { numRuns: FILES },
    )
    assert.ok(read > FILES / 100 && refused > FILES / 10, `${read} read, ${refused} refused`)
    assert.ok(slowest < 1000, `${slowest} ms`)
  },
  { timeout: 600_000 },
)

test.run()
