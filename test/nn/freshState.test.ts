/** What quantizers remember from call to call: only values that are collected first and then learned are an optimizer's, and all begin at 0 or 1. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { isMarked } from '../../src/data/marks.js'
import { suite } from '../support/suite.js'

const test = suite('fresh state')

type Net = q.Layer<unknown, unknown>
const leaves = (tree: unknown, path = ''): readonly (readonly [string, q.Tensor])[] => {
  if (isMarked(tree)) return [[path, tree]]
  return tree === null || typeof tree !== 'object'
    ? []
    : Object.entries(tree).flatMap(([k, t]) => leaves(t, path === '' ? k : `${path}.${k}`))
}

const isQuantizer = (x: unknown): x is q.Quantizer =>
  typeof x === 'object' && x !== null && 'use' in x && 'quantType' in x
const presets = Object.entries(q).filter((e): e is [string, q.Quantizer] => isQuantizer(e[1]))

const layerOf = (quantizer: q.Quantizer): Net =>
  (quantizer.use === 'weight'
    ? q.QuantLinear({ inFeatures: 4, outFeatures: 2, bias: false, weightQuant: quantizer })
    : q.QuantIdentity({ actQuant: quantizer })) as Net

test('of a state only values are learned, and all of it begins at 0 or 1', () => {
  let [seen, remembered] = [0, 0]
  for (const [name, quantizer] of presets) {
    const made = q.init(layerOf(quantizer), 0)
    if (E.isLeft(made)) continue
    seen++
    for (const [path, leaf] of leaves(made.right.state).filter(([where]) => /Quant\b/.test(where))) {
      remembered++
      assert.is(isMarked(leaf) && leaf.learned === true, path.endsWith('.value'), `${name}: ${path}`)
      const start = /remaining/.test(path) ? null : /runningStats|buffer|value/.test(path) ? [0, 1] : [0]
      if (start !== null) for (const v of leaf.data) assert.ok(start.includes(v), `${name}: ${path} begins at ${v}`)
    }
  }
  assert.ok(seen > 40 && remembered > 40, `${seen} presets, ${remembered} leaves`)
})

test.run()
