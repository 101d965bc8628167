/** examples/keywords: data of their own, networks that learn, and all that is written of them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { attention, lstm } from '../../examples/keywords/networks.js'
import { one } from '../../examples/keywords/main.js'
import { BANDS, FRAMES, spoken, WORDS } from '../../examples/keywords/words.js'
import { orThrow, tensorOf } from '../../src/index.js'
import { importOnnx } from '../../src/interop/onnx/index.js'
import { loadPrecompiled } from '../../src/runtime/index.js'
import type { Tensor } from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('examples: keywords')

test('the words are the same each time, of all kinds, and others for another seed', () => {
  const [a, b, other] = [spoken(12, 1), spoken(12, 1), spoken(12, 2)]
  assert.equal(a, b)
  assert.equal(a.x.shape, [12, FRAMES, BANDS])
  assert.is(new Set(a.target.data).size, WORDS.length)
  assert.not.equal(a.x.data, other.x.data)
  assert.ok(a.x.data.every(Number.isFinite))
})

for (const [name, net, epochs, least] of [
  ['lstm', lstm(8), 1, 0.1],
  ['attention', attention(4), 4, 0.4],
] as const)
  test(
    `${name} learns; its ONNX file is read back, its precompiled file runs`,
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'quantrace-keywords-'))
      const done = await one(name, net as never, { examples: 240, epochs }, folder)
      assert.is(done.refused, null)
      assert.ok(done.accuracy >= least, `${done.accuracy} right`)
      orThrow(importOnnx(readFileSync(join(folder, `${name}.onnx`))))
      const loaded = orThrow(await loadPrecompiled<Tensor, Tensor>(readFileSync(join(folder, `${name}.wasm`))))
      const { x } = spoken(1, 3)
      const { outputs } = orThrow(loaded.run(tensorOf([1, FRAMES, BANDS], x.data)))
      assert.equal(outputs.shape, [1, WORDS.length])
      assert.match(readFileSync(join(folder, `${name}.html`), 'utf8'), /<svg/)
      rmSync(folder, { recursive: true })
    },
    { timeout: 120_000 },
  )

test.run()
