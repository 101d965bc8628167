/** What `compareInteger` counts: differences from end to end, each layer's own, those of requantizations alone. */
import * as assert from 'uvu/assert'
import { isLeft } from 'fp-ts/lib/Either.js'
import { explainAll, orThrow } from '../../src/index.js'
import {
  compareInteger,
  toInteger,
  type CompareOptions,
  type IntegerProgram,
  type LayerComparison,
} from '../../src/integer/index.js'
import { suite } from '../support/suite.js'
import { randomNet } from './random.js'

const test = suite('integer: comparisons')

const { program, fixed, x } = randomNet(1015)
const compared = (p: IntegerProgram, given: NonNullable<CompareOptions['given']>): readonly LayerComparison[] =>
  orThrow(compareInteger(p, program, fixed, [x], { given }))
const differing = (all: readonly LayerComparison[]): readonly string[] =>
  all.filter((c) => c.equal < c.elements).map((c) => c.path)

/** The program with nothing but zeros as its first weight, which keeps all ranges: a fault of its first layer alone. */
const spoilt = (p: IntegerProgram): IntegerProgram => {
  const [first] = p.accumulators
  const node = p.program.graph.nodes[first.node].inputs[1]
  const key = p.program.inputs.find((i) => i.node === node)?.path ?? ''
  const { shape, data } = p.constants[key]
  const zeros = { shape, data: data.map(() => 0) }
  return { ...p, constants: { ...p.constants, [key]: zeros } }
}

test('a fault of one layer shows behind it from end to end, and at itself alone where layers are given the same integers', () => {
  const p = orThrow(toInteger(program, fixed, { requantization: 'thresholds' }))
  assert.equal(differing(compared(p, 'layers')), [])
  const bad = spoilt(p)
  const [inAll, own, maps] = (['data', 'layers', 'sums'] as const).map((given) => differing(compared(bad, given)))
  assert.ok(inAll.length > 1, inAll.join())
  assert.equal(own, inAll.slice(0, 1))
  assert.equal(maps, [])
  assert.equal(differing(orThrow(compareInteger(bad, program, fixed, [x]))), inAll)
})

test('a fault of a requantization shows where it is given the same sums', () => {
  const p = orThrow(toInteger(program, fixed, { requantization: 'thresholds' }))
  const map = p.program.graph.nodes.find((n) => n.op.name === 'thresholds')
  const key = p.program.inputs.find((i) => i.node === map?.inputs[2])?.path ?? ''
  const { shape, data } = p.constants[key]
  const bad = { ...p, constants: { ...p.constants, [key]: { shape, data: Int32Array.from(data, (v) => v + 1) } } }
  assert.equal(differing(compared(bad, 'sums')), [map?.path])
})

test('what is given is one of three words', () => {
  const p = orThrow(toInteger(program, fixed))
  const found = compareInteger(p, program, fixed, [x], { given: 'layer' } as unknown as CompareOptions)
  assert.ok(isLeft(found))
  assert.match(explainAll(found.left), /given.*sums/s)
})

test.run()
