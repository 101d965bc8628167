import * as assert from 'uvu/assert'
import { dependents, graphToGraphology, inOrder, lossesOf, sources, toGraphology } from '../../src/graph/view.js'
import { suite } from '../support/suite.js'
import { deep, net } from './fixtures/programs.js'

const test = suite('view')
const program = net('train')
const view = toGraphology(program)

test('has a node for each node and an edge for each operand', () => {
  assert.is(view.order, program.graph.nodes.length)
  assert.is(
    view.size,
    program.graph.nodes.reduce((n, x) => n + x.inputs.length, 0),
  )
  const { op, path, carry, bits, signed, why } = view.getNodeAttributes('50')
  assert.equal([op, path, carry, bits, signed], ['relu', 'act', 'claimed', 21, true])
  assert.match(String(why), /zero point/)
})

test('edges tell the metadata of the value that flows along them', () => {
  assert.equal(view.getEdgeAttributes('45:0'), {
    slot: 0,
    carry: 'carries',
    bits: 8,
    signed: true,
    scale: 19,
    why: null,
  })
  assert.is(view.source('45:1'), '39')
  assert.is(view.getEdgeAttribute('26:0', 'carry'), 'float')
})

test('a branch of a phase can be drawn on its own', () => {
  const phase = program.graph.nodes.find((n) => n.branches !== undefined)
  assert.ok(
    phase?.branches !== undefined && graphToGraphology(phase.branches[0]).order === phase.branches[0].nodes.length,
  )
})

test('lists where metadata is lost or only claimed', () => {
  assert.equal(
    lossesOf(program).map((l) => [l.op, l.path, l.tag]),
    [
      ['relu', 'act', 'claimed'],
      ['mul', 'shift', 'stripped'],
    ],
  )
})

test('reachability agrees with a walk over the program', () => {
  for (const node of [0, 8, 26, 45, 74]) {
    const from = new Set([node])
    for (const n of program.graph.nodes) if (n.inputs.some((i) => from.has(i))) from.add(n.id)
    from.delete(node)
    assert.equal(dependents(view, node), [...from])
    assert.ok(dependents(view, node).every((d) => sources(view, d).includes(node)))
  }
  assert.equal(dependents(view, 9999), [])
})

test('an order of dependencies, also of 10,000 nodes in a row', () => {
  const long = toGraphology(deep(10_000))
  const place = new Map(inOrder(long).map((id, i) => [id, i]))
  assert.ok(long.everyEdge((_, __, from, to) => (place.get(Number(from)) ?? 0) < (place.get(Number(to)) ?? 0)))
  assert.is(dependents(long, 0).length, 10_000)
})

test.run()
