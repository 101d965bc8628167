/** What depends on constants alone is computed before the first run, also of programs that have no parameters and no state. */
import assert from 'node:assert/strict'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('wasm: constants')
const GRID = {
  bits: 4,
  signed: true,
  narrow: false,
  rounding: 'ROUND',
  clamp: 'mask',
  training: false,
  zero: 'zero',
} as const

/** A product of integers whose weight is a constant. */
const product = (fill: number, input: q.InputDecl) => {
  const layer = q.functionLayer('product', (x: q.Value, kit) => {
    const onGrid = (v: q.Value): q.Value => kit.emit('quantize', [v, kit.constant(0.5), kit.constant(0)], GRID)
    return kit.emit('linear', [onGrid(x), onGrid(kit.constant(fill, [5, 4]))])
  })
  return q.orThrow(q.trace(layer, input, { mode: 'eval' }))
}
const x = q.tensorOf([3, 4], [1, 2, 3, 1, 0, 0, 0, 1, 1, 1, 1, 1])
const outputOf = (backend: q.Backend, fill: number): readonly number[] => {
  const compiled = q.orThrow(q.compile(product(fill, q.tensorInput([3, 4])), backend))
  const once = q.orThrow(compiled.run({ params: {}, state: {}, inputs: x }))
  compiled.dispose()
  return [...q.valueOf(once.outputs).data]
}

test('a weight that is a constant is packed, though there are no parameters that could have changed', () => {
  for (const fill of [1.5, -0.5, 0]) assert.deepEqual(outputOf(q.wasm, fill), outputOf(q.reference, fill))
})

test('nor is what an earlier plan left in memory taken for it', async () => {
  const threads = q.orThrow(await q.createWasm({ threads: 2, splitAbove: 64 }))
  for (const fill of [1.5, 0, -1, 0, 3, 0]) assert.deepEqual(outputOf(threads, fill), outputOf(q.reference, fill))
  threads.dispose()
})

test.run()
