import { deepStrictEqual } from 'node:assert'
import { readFileSync } from 'node:fs'
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import { parseTensors, tensorsToBytes } from '../../src/data/binary.js'
import { crc32 } from '../../src/data/crc32.js'
import { UNTOLD } from '../../src/data/marks.js'
import { full, init, QuantReLU, scalar, tensorOf } from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('binary')
const tree = {
  conv: { weight: tensorOf([2, 2], [1.5, -0, NaN, -Infinity]), none: tensorOf([0, 3], []) },
  empty: {},
  list: [scalar(1), {}],
  act: { value: { ...scalar(0.1), learned: true } },
}
const bytes = tensorsToBytes(tree)

const refused = (b: Uint8Array): string => {
  const e = parseTensors(b)
  if (E.isRight(e)) throw new Error('these bytes should be refused')
  assert.is(e.left[0].tag, 'ParseError')
  return e.left[0].message
}

/** Bytes with this header, a payload of `size` zeros and a true checksum. */
const forged = (header: string, size: number, version = 2): Uint8Array => {
  const text = new TextEncoder().encode(header)
  const out = new Uint8Array(12 + text.length + size + 4)
  const view = new DataView(out.buffer)
  out.set(new TextEncoder().encode('QTRC'))
  view.setUint32(4, version, true)
  view.setUint32(8, text.length, true)
  out.set(text, 12)
  view.setUint32(out.length - 4, crc32(out.subarray(0, out.length - 4)), true)
  return out
}

test('gives back what was stored, frozen: empty records, lists, marks and every bit', () => {
  const back = parseTensors(bytes)
  assert.ok(E.isRight(back))
  deepStrictEqual(back.right, tree)
  assert.ok(Object.isFrozen(back.right))
  const nan = new Float32Array(Uint32Array.of(0x7fc12345, 0x80000000).buffer)
  const kept = parseTensors(tensorsToBytes({ shape: [2], data: nan }))
  assert.ok(E.isRight(kept))
  assert.equal(tensorsToBytes(kept.right), tensorsToBytes({ shape: [2], data: nan }))
})

test('reads from the middle of a buffer, and views of a buffer', () => {
  const shifted = new Uint8Array(bytes.length + 7)
  shifted.set(bytes, 3)
  assert.ok(E.isRight(parseTensors(shifted.subarray(3, 3 + bytes.length))))
  const part = { shape: [2], data: new Float32Array(8).fill(2).subarray(3, 5) }
  assert.equal(parseTensors(tensorsToBytes({ part })), E.right({ part: full([2], 2) }))
})

test('keeps the state of a layer with its marks', () => {
  const first = init(QuantReLU({}), 0)
  assert.ok(E.isRight(first))
  assert.equal(parseTensors(tensorsToBytes(first.right.state)), E.right(first.right.state))
})

test('still reads the stored file of version 1, whose learned leaves do not say what they mean', () => {
  const stored = new Uint8Array(readFileSync(new URL('../graph/fixtures/tensors-v1.bin', import.meta.url)))
  const back = parseTensors(stored)
  assert.ok(E.isRight(back))
  deepStrictEqual(back.right, {
    conv: { weight: tensorOf([2, 2], [1.5, -0, NaN, -Infinity]) },
    empty: {},
    act: { scale: { value: { ...scalar(0.1), learned: true, means: UNTOLD } } },
  })
  deepStrictEqual(parseTensors(tensorsToBytes(back.right)), back)
})

test('a file of a later version is refused in words', () => {
  const later = forged('{"tree":{},"tensors":[]}', 0, 3)
  assert.match(refused(later), /version 3, and this quantrace reads 1 to 2: a later one wrote it/)
})

test('CRC-32 is that of zip', () => assert.is(crc32(new TextEncoder().encode('123456789')), 0xcbf43926))

test('bytes that were cut off or changed are refused', () => {
  for (let end = 0; end < bytes.length; end++) refused(bytes.slice(0, end))
  for (let at = 0; at < bytes.length; at++) refused(bytes.map((b, i) => (i === at ? b ^ 0x41 : b)))
  refused(Uint8Array.from([...bytes, 0]))
})

test('a forged header is refused, whatever its checksum', () => {
  const one = '{"path":"a","shape":[1],"offset":0}'
  assert.ok(E.isRight(parseTensors(forged(`{"tree":{"a":0},"tensors":[${one}]}`, 4))))
  const bad: readonly (readonly [string, number, RegExp])[] = [
    ['{', 0, /JSON/],
    ['[]', 0, /record/],
    ['{"tree":{}}', 0, /list/],
    ['{"tree":{},"tensors":[]}', 4, /belong to no tensor/],
    [`{"tree":{"a":0,"b":0},"tensors":[${one}]}`, 4, /once/],
    [`{"tree":{},"tensors":[${one}]}`, 4, /once/],
    [`{"tree":{"b":0},"tensors":[${one}]}`, 4, /path/],
    [`{"tree":{"a":7},"tensors":[${one}]}`, 4, /once/],
    [`{"tree":{"a":0},"tensors":[${one.replace('[1]', '[1e9]')}]}`, 4, /beyond/],
    [`{"tree":{"a":0},"tensors":[${one.replace('[1]', '[1e300,1e300]')}]}`, 4, /shape/],
    [`{"tree":{"a":0},"tensors":[${one.replace('[1]', '[-1]')}]}`, 4, /shape/],
    [`{"tree":{"a":0},"tensors":[${one.replace('}', ',"learned":1}')}]}`, 4, /marks/],
    [`{"tree":{"a":0},"tensors":[${one.replace('}', ',"means":1}')}]}`, 4, /marks/],
    [`{"tree":{"a":0},"tensors":[${one.replace(':0}', ':4}')}]}`, 4, /starts at/],
    [`{"tree":{"a":0,"b":1},"tensors":[${one},${one.replace('"a"', '"b"')}]}`, 8, /starts at/],
    [
      `{"tree":{"a.b":0,"a":{"b":1}},"tensors":[${one.replace('"a"', '"a.b"')},${one.replace('"a"', '"a.b"').replace(':0}', ':4}')}]}`,
      8,
      /same path/,
    ],
    ['{"tree":{"__proto__":{"polluted":{}}},"tensors":[]}', 0, /__proto__/],
    ['{"tree":{"a":"x"},"tensors":[]}', 0, /leaf/],
    [`{"tree":${'['.repeat(1e5)}${']'.repeat(1e5)},"tensors":[]}`, 0, /deeply/],
  ]
  for (const [header, size, message] of bad) assert.match(refused(forged(header, size)), message)
})

test.run()
