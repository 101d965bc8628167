/**
 * Nobody decides by an op's name what its record could say. What still does stands here with how often and why, and may only
 * become fewer: a file that needs fewer lowers its number here. What is looked at: comparisons of an op's name with a word in
 * quotes, cases of a switch, and lists of nothing but names. Names given to `emit`, which the compiler checks, are none of these.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ops } from '../../src/ops/index.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'

const test = suite('names of ops in quotes')

const KERNEL = 'a kernel is code for one op, or a family that differs in details; which ones, only the kernel can say'
const FORMAT = 'a rule of another format, for what several ops say together there'
const STRUCTURE = 'structural nodes: inputs, constants, parts of results, which are drawn in a way of their own'
const RECIPE = 'kinds of cells of a random program, not ops'
const WORD = 'an option, an event or a word of torch that is spelt like an op'

/** How often, and why. */
const allowed: Readonly<Record<string, readonly [most: number, why: string]>> = {
  'src/evaluator/wasm/kernels/extreme.ts': [2, KERNEL],
  'src/evaluator/wasm/kernels/index.ts': [3, KERNEL],
  'src/evaluator/wasm/kernels/lookups.ts': [1, KERNEL],
  'src/evaluator/wasm/kernels/moves.ts': [12, KERNEL],
  'src/evaluator/wasm/kernels/mse.ts': [1, KERNEL],
  'src/evaluator/wasm/kernels/pool2x2.ts': [2, KERNEL],
  'src/evaluator/wasm/kernels/pools.ts': [3, KERNEL],
  'src/evaluator/wasm/kernels/poolWindows.ts': [4, KERNEL],
  'src/evaluator/wasm/kernels/products/geometry.ts': [4, KERNEL],
  'src/evaluator/wasm/kernels/products/index.ts': [9, KERNEL],
  'src/evaluator/wasm/kernels/reduction.ts': [4, KERNEL],
  'src/evaluator/wasm/kernels/rows.ts': [3, KERNEL],
  'src/evaluator/wasm/kernels/scatter.ts': [2, KERNEL],
  'src/evaluator/wasm/kernels/softmax.ts': [3, KERNEL],
  'src/integer/lower/lower.ts': [
    3,
    'a bias and a delay among integers: what they become depends on what is known of their other operand',
  ],
  'src/integer/lower/rules.ts': [
    1,
    'ops that hand integers on as they lie: of all views those that keep the shape, too',
  ],
  'src/interop/brevitas/twin/scope.ts': [3, FORMAT],
  'src/interop/onnx/import/rules/pools.ts': [1, FORMAT],
  'src/interop/onnx/ops/blocks.ts': [5, FORMAT],
  'src/interop/onnx/ops/qcdq.ts': [1, FORMAT],
  'src/interop/onnx/ops/quantizers.ts': [1, FORMAT],
  'src/interop/onnx/ops/target.ts': [1, FORMAT],
  'src/interop/onnx/session.ts': [4, FORMAT],
  'src/graph/structural.ts': [1, 'the records of these very ops'],
  'src/nn/functions/operators.ts': [1, WORD],
  'src/nn/layers/recurrentLayers.ts': [1, WORD],
  'src/quantize/lift/forward.ts': [1, WORD],
  'src/quantize/lift/steps.ts': [1, WORD],
  'src/evaluator/plan/flatten.ts': [1, WORD],
  'src/testing/programs/cells.ts': [2, RECIPE],
  'src/testing/programs/code.ts': [2, RECIPE],
  'src/testing/programs/layerOf.ts': [2, RECIPE],
  'viz/draw/items.ts': [1, STRUCTURE],
  'viz/page/gridParts.ts': [2, STRUCTURE],
  'viz/page/input.ts': [1, STRUCTURE],
  'viz/page/state.ts': [1, WORD],
  'viz/pair/page/state.ts': [1, WORD],
  'viz/pair/modes.ts': [1, STRUCTURE],
  'viz/pair/sentence.ts': [2, STRUCTURE],
  'viz/scene/layout.ts': [2, STRUCTURE],
  'viz/scene/text.ts': [2, STRUCTURE],
  'viz/scene/visible.ts': [1, STRUCTURE],
  'viz/toMermaid.ts': [1, STRUCTURE],
}

/** Expressions of elements have operations of their own, whose names are those of the ops that they make up. */
const LANES = /^src\/(ops|evaluator\/wasm\/elementwise)\/|^src\/graph\/(lanes|building)\.ts$|^viz\/generated\//

const names: ReadonlySet<string> = new Set(Object.keys(ops))

const filesUnder = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((e) => {
    const path = `${folder}/${e.name}`
    if (e.isDirectory()) return filesUnder(path)
    return path.endsWith('.ts') && !LANES.test(path) ? [path] : []
  })

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*/g, '')

/** Where a text decides by the name of an op. */
const decisions = (text: string): readonly string[] => {
  const code = withoutComments(text)
  const compared = [...code.matchAll(/(?:\bop|\bname|\.name|\bcomputed\([^()]*\))\s*[!=]==\s*'([\w~]+)'/g)]
  const cases = [...code.matchAll(/\bcase '([\w~]+)':/g)]
  const lists = [...code.matchAll(/\[((?:\s*'[\w~]+'\s*,?)+)\s*\]/g)].filter(([, inside]) =>
    [...inside.matchAll(/'([\w~]+)'/g)].every(([, n]) => names.has(n)),
  )
  return [...[...compared, ...cases].filter(([, n]) => names.has(n)), ...lists].map(([found]) => found)
}

test('what decides by the name of an op is listed with a reason, and becomes fewer', () => {
  const found = new Map(
    [...filesUnder('src'), ...filesUnder('viz')].map((f) => [f, decisions(readFileSync(join(root, f), 'utf8'))]),
  )
  for (const [file, all] of found) {
    const [most, why] = allowed[file] ?? [0, '']
    assert.ok(
      all.length <= most,
      `${file} decides ${all.length} times by the name of an op (${all.join(', ')}), ${most} were there${why === '' ? '' : ` (${why})`}: let the op's record say it, in a trait of src/graph/traits.ts`,
    )
    assert.ok(
      all.length === most,
      `${file} decides ${all.length} times by the name of an op: lower its number here from ${most}`,
    )
  }
  for (const file of Object.keys(allowed)) assert.ok(found.has(file), `${file} is gone: take it off the list`)
})

test('decisions by name are seen, and names that are only emitted are not', () => {
  const seen = (code: string): number => decisions(code).length
  assert.equal(seen("if (node.op.name === 'softmax') return 1"), 1)
  assert.equal(seen("const OPS = ['conv', 'linear']"), 1)
  assert.equal(seen("switch (op) { case 'conv': return 1 }"), 1)
  assert.equal(seen("// op === 'conv'\nkit.emit('conv', [x, w])"), 0)
  assert.equal(seen("if (kind === 'conv' || op === 'of mine') return ['valid', 'same']"), 0)
})

test.run()
