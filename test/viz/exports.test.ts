import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { knownValues, sceneOf, toHtml, toMermaid, toSvg, watch } from '../../viz/index.js'
import { withoutComments } from '../../viz/build/bare.js'
import { assetsModule, assetsPath } from '../../viz/build/bundle.js'
import { right } from '../graph/fixtures/programs.js'
import { suite } from '../support/suite.js'
import { expectedOf } from './expected.js'
import { programs, stripped } from './programs.js'

const test = suite('exports')

test('the generated script is that of these sources: run `npm run viz` where this fails', async () => {
  assert.ok(readFileSync(assetsPath, 'utf8') === (await assetsModule()))
})

test('a compiled file loses its comments, and keeps what bundlers and its licence ask for', () => {
  const code =
    '#!/usr/bin/env node\n/** Why. */\nconst f = (x) => x // so\n/*! Licence */\nexport const y = /* @__PURE__ */ f("// no comment, é")\n'
  const bare = withoutComments(code)
  assert.not.match(bare, /Why|so\b/)
  for (const kept of [/^#!\/usr\/bin\/env node\n/, /@__PURE__/, /! Licence/, /"\/\/ no comment, é"/])
    assert.match(bare, kept)
})

test('a page names its script and style by their hashes, and allows nothing else', () => {
  const html = toHtml(stripped())
  assert.match(
    html,
    /<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='; img-src data:; base-uri 'none'; form-action 'none'">/,
  )
  assert.not.match(html, /\sstyle="|\son\w+="/)
})

test('a page of the same program is the same text', () => {
  for (const make of Object.values(programs)) assert.ok(toHtml(make()) === toHtml(make()))
})

test('an SVG of everything has every edge', () => {
  const { edges } = expectedOf(stripped())
  assert.is(toSvg(stripped(), { expand: 'all' }).match(/data-from="/g)?.length, edges.length)
  assert.match(toSvg(stripped()), /data-carry="stripped"[^>]*data-why="QuantReLU does not return quant tensors/)
})

test('a Mermaid chart tells the layers and where metadata is lost', () => {
  const text = toMermaid(stripped())
  assert.match(text, /^flowchart TB\n/)
  assert.match(text, /-\.->\|"stripped"\|/)
  assert.match(text, /==>\|"int8 · s₂₁"\|/)
})

const linear = (outFeatures: number) =>
  q.chain({ input: q.QuantIdentity({ returnQuantTensor: true }), fc: q.QuantLinear({ inFeatures: 4, outFeatures }) })
const traced = () => right(q.trace(linear(3), q.tensorInput([2, 4]), { mode: 'eval' }))
const storedOf = (outFeatures: number) => {
  const { params, state } = right(q.init(linear(outFeatures), q.manualSeed(1)))
  return { params, state }
}

test('a checkpoint decides the scales and the quantized weights, whatever the data; of activations the grid alone is shown', () => {
  const program = traced()
  const stored = storedOf(3)
  const known = right(knownValues(program as q.Program, stored))
  for (const seed of [1, 2]) {
    const args = {
      ...stored,
      inputs: q.tensorOf(
        [2, 4],
        Float32Array.from({ length: 8 }, (_, i) => Math.sin(seed * 10 + i)),
      ),
    }
    const seen = watch(program, args)
    right(q.run(program, args, { observe: seen.observe }))
    for (const [node, value] of known) assert.equal(seen.values.get(node), value, `%${node}`)
  }
  const scene = sceneOf(program as q.Program, { values: known })
  const [weight, act] = ['fc.weightQuant', 'input.actQuant'].map(
    (box) => scene.nodes.find((n) => n.box === box && n.op === 'quantize')?.id ?? '',
  )
  const largest = Math.max(...(stored.params.fc.weight?.data ?? []).map(Math.abs))
  assert.is(scene.observed[weight].scales?.[0], Math.fround(largest / 127))
  assert.is(scene.observed[weight].count, 12)
  // Fresh statistics stand at 1, of 128 steps.
  assert.equal([scene.observed[act].scales, scene.observed[act].count, known.has(Number(act))], [[1 / 128], 0, false])
})

test.run()
