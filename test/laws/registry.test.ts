/** Laws over the whole registry: a new op is covered the day it is added. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { hasVjp } from '../../src/graph/op.js'
import { ops, primitiveOps } from '../../src/ops/index.js'
import {
  carriedBy,
  carrySound,
  cotangentArb,
  gradientMatches,
  lanesAgree,
  operandsArb,
  programOf,
  surrogateLaw,
  vjpLinear,
} from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('laws: registry')
const RUNS = 12

const holds = (what: string | null): void => {
  if (what !== null) throw new Error(what)
}

test('every op says what it is and can be sampled', () => {
  for (const op of primitiveOps) {
    if (op.doc.length < 10 || op.examples.length === 0) throw new Error(`${op.name} has no doc or no example`)
    for (const e of op.examples) programOf(op, e)
  }
  if (new Set(primitiveOps.map((o) => o.name)).size !== primitiveOps.length) throw new Error('two ops share a name')
})

test('carry soundness: what carries lies on its grid', () => {
  for (const op of primitiveOps)
    for (const e of op.examples)
      fc.assert(
        fc.property(operandsArb(e), (xs) => holds(carrySound(op, e, xs))),
        { numRuns: 40 },
      )
})

test('an op that says where it cuts does nothing else', () => {
  let cutting = 0
  for (const op of primitiveOps)
    for (const e of op.examples) {
      const bounds = op.cuts?.(e.attrs) ?? null
      if (bounds === null) continue
      cutting++
      const [least, most] = bounds
      const x = Float32Array.from({ length: 201 }, (_, i) => (i - 100) / 10)
      const out = { shape: [201], data: new Float32Array(201) }
      assert.is(op.evaluate([{ shape: [201], data: x }], e.attrs, out), null)
      x.forEach((v, i) =>
        assert.is(out.data[i], Math.min(Math.max(v, least ?? -Infinity), most ?? Infinity) + 0, op.name),
      )
    }
  assert.ok(cutting > 3)
})

test('every lost or claimed grid has its reason', () => {
  for (const op of primitiveOps)
    for (const e of op.examples) {
      const c = carriedBy(op, e)
      if ((c.tag === 'stripped' || c.tag === 'claimed') && c.why.length < 10)
        throw new Error(`${op.name} does not say why`)
    }
})

test('smooth ops: the vjp agrees with finite differences', () => {
  for (const op of primitiveOps) {
    if (!op.smooth || !hasVjp(op)) continue
    for (const e of op.examples) {
      const [out] = programOf(op, e).outputs
      const { shape } = programOf(op, e).graph.nodes[out.node]
      fc.assert(
        fc.property(operandsArb(e), cotangentArb(shape), (xs, g) => holds(gradientMatches(op, e, xs, g))),
        { numRuns: RUNS },
      )
    }
  }
})

test('every vjp is linear in the cotangent', () => {
  for (const op of primitiveOps) {
    if (!hasVjp(op)) continue
    for (const e of op.examples) {
      const program = programOf(op, e)
      const { shape } = program.graph.nodes[program.outputs[0].node]
      fc.assert(
        fc.property(operandsArb(e), cotangentArb(shape), (xs, g) => holds(vjpLinear(op, e, xs, g))),
        { numRuns: RUNS },
      )
    }
  }
})

test('surrogates evaluate as f and differentiate as g', () => {
  for (const op of primitiveOps) {
    const { forward: f, backward: g } = op
    if (f === undefined || g === undefined) continue
    for (const e of op.examples)
      fc.assert(
        fc.property(operandsArb(e), cotangentArb(e.args[0].shape), (xs, ct) =>
          holds(surrogateLaw(op, f, g, e, xs, ct)),
        ),
        { numRuns: RUNS },
      )
  }
})

test('lanes have the bits of the reference', () => {
  for (const op of primitiveOps)
    if (op.lanes !== undefined)
      for (const e of op.examples)
        fc.assert(
          fc.property(operandsArb(e), (xs) => holds(lanesAgree(op, e, xs))),
          { numRuns: 4 },
        )
})

test('lanes that differ from the reference, or give no number, are counterexamples', () => {
  const { softsign } = ops
  const [e] = softsign.examples
  const x = { shape: [7], data: Float32Array.of(0.1, 0.2, 0.3, 0.7, 1.1, 2.3, 5) }
  const says = (lanes: NonNullable<typeof softsign.lanes>) => lanesAgree({ ...softsign, lanes }, e, [x])
  // Rounded twice.
  assert.match(says((k, [v]) => k.div(v, k.fround(k.add(k.one, k.abs(v))))) ?? '', /softsign: element \d+ is/)
  // Right on all numbers drawn above, and wrong of NaN.
  assert.match(
    lanesAgree({ ...ops.relu, lanes: (k, [v]) => k.select(k.gt(v, k.zero), v, k.zero) }, ops.relu.examples[0], [x]) ??
      '',
    /is NaN, its lanes give 0/,
  )
  assert.match(says((k, [v]) => k.lt(v, k.zero) as never) ?? '', /give no number/)
  assert.is(
    says((k, [v]) => k.div(v, k.add(k.one, k.abs(v)))),
    null,
  )
})

test.run()
