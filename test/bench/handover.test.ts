import * as assert from 'uvu/assert'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from '../support/suite.js'
import { tensorOf } from '../../src/index.js'
import { normals } from './cases.js'
import { copyInWasm } from './copy.js'
import { handOver, Mismatch, receive, relativeError } from './handover.js'
import { measure, TooSlow } from './measure.js'
import { onnxBytes } from './onnx.js'

const test = suite('bench numbers')
const inFolder = (body: (folder: string) => void): void => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-handover-'))
  try {
    body(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('numbers come back as they were handed over, and the first to hand over wins', () =>
  inFolder((folder) => {
    const x = tensorOf([2, 2], [1, 2, 3, -0.1])
    handOver(folder, 'W1/50/learned-fwd', () => ({ given: { x }, expected: {}, shared: { x: 'x.f32' } }))
    handOver(folder, 'W1/50/learned-fwd', () => {
      throw new Error('it was there')
    })
    handOver(folder, 'W2/50/learned-fwd', () => ({
      given: { x: tensorOf([2, 2], [0, 0, 0, 0]) },
      expected: {},
      shared: { x: 'x.f32' },
    }))
    assert.equal(receive(folder, 'W2/50/learned-fwd').given('x'), x)
    assert.throws(() => receive(folder, 'W1/50/learned-fwd').given('y'), /no numbers y/)
    assert.throws(() => receive(folder, 'W3/1.6M/learned-fwd'), /handed no numbers/)
  }))

test('a peer that computes something else is found out', () =>
  inFolder((folder) => {
    handOver(folder, 'W4/a/b', () => ({
      given: {},
      expected: { y: { tensor: tensorOf([2], [3, 4]), tolerance: 0.01 } },
    }))
    const from = receive(folder, 'W4/a/b')
    from.check('y', [3, 4.04])
    for (const wrong of [[3, 4.1], [3, NaN], [3], [3, 4, 0]])
      assert.throws(
        () => from.check('y', wrong),
        (e: unknown) => e instanceof Mismatch,
      )
  }))

test('the relative error', () => {
  assert.is(relativeError([0, 0], [0, 0]), 0)
  assert.is(relativeError([0, 0], [3, 4]), 1)
  assert.is(relativeError([NaN], [1]), Infinity)
  assert.is(relativeError([1], [0]), Infinity)
})

test('the numbers are those of a normal distribution, the same at every call', () => {
  const x = normals(100_000, 1)
  const mean = x.reduce((s, v) => s + v, 0) / x.length
  const deviation = Math.sqrt(x.reduce((s, v) => s + (v - mean) ** 2, 0) / x.length)
  assert.ok(Math.abs(mean) < 0.02 && Math.abs(deviation - 1) < 0.02, `${mean}, ${deviation}`)
  assert.equal(normals(100, 1), x.slice(0, 100))
  assert.not.equal(normals(100, 2), x.slice(0, 100))
})

test('the copy in WebAssembly copies', () => {
  const { run, memory } = copyInWasm(640)
  const all = new Uint8Array(memory.buffer)
  for (let i = 0; i < 640; i++) all[i] = i % 251
  run()
  assert.equal(all.slice(640, 1280), all.slice(0, 640))
  assert.ok(all.slice(1280, 1400).every((b) => b === 0))
})

test('a call over the limit ends a measurement', async () => {
  const slow = (): Promise<void> =>
    new Promise((done) => {
      setTimeout(done, 20)
    })
  const failed = await measure(slow, { warm: 0, sample: 0, limit: 0.005 }).then(
    () => null,
    (e: unknown) => e,
  )
  assert.instance(failed, TooSlow)
})

test('ONNX bytes: fields as onnx.proto3 numbers them', () => {
  const model = onnxBytes({
    input: { name: 'x', shape: [300] },
    output: { name: 'y', shape: [300] },
    initializers: [],
    nodes: [{ op: 'Relu', inputs: ['x'], output: 'y', attributes: { axis: 1 } }],
  })
  // ir_version (field 1, varint) = 7, then producer_name (field 2, bytes).
  assert.equal(Array.from(model.subarray(0, 4)), [0x08, 7, 0x12, 'quantrace bench'.length])
  const text = Buffer.from(model).toString('latin1')
  assert.ok(text.includes('\x0a\x01x\x12\x01y\x1a\x01y\x22\x04Relu'), 'node: input, output, name, op_type')
  assert.ok(text.includes('\x0a\x04axis\x18\x01\xa0\x01\x02'), 'attribute: name, i, type INT')
  assert.ok(text.includes('\x08\xac\x02'), '300 as a varint of two bytes')
})

test.run()
