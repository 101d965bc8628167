/** A few hundred hostile inputs of each kind; 10,000 of each: `npm run hostile`. */
import * as assert from 'uvu/assert'
import { suite } from '../support/suite.js'
import { attack } from './attack.js'
import { KINDS } from './kinds.js'

const test = suite('hostile input')

for (const kind of KINDS)
  test(`${kind.name}: typed errors only, in bounded time and memory`, () => {
    const { faults } = attack(kind, 150, 1)
    if (faults.length > 0) throw new Error(faults.join('\n'))
  })

test('a name of 70,000 letters is compared with none: it took half a minute', () => {
  const [onnx] = KINDS.filter((kind) => kind.name === 'ONNX')
  for (const seed of [2167, 3639, 4394]) assert.equal(attack(onnx, 1, seed).faults, [])
})

test('a type that is no text is named without being asked for one: it threw', () => {
  const [safetensors] = KINDS.filter((kind) => kind.name === 'safetensors')
  for (const seed of [1167, 1229, 1699, 1726, 1899]) assert.equal(attack(safetensors, 1, seed).faults, [])
})

test.run()
