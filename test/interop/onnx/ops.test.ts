/** Every op that ONNX knows, on its own examples: written as a file and read again it computes the same; with an open batch, for other batches too. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../../src/index.js'
import { exportOnnx, importOnnx } from '../../../src/interop/onnx/index.js'
import { rules } from '../../../src/interop/onnx/ops/index.js'
import { computed } from '../../../src/interop/onnx/rule.js'
import { primitiveOps } from '../../../src/ops/index.js'
import type { DrawnProgram } from '../../../src/testing/index.js'
import { exported } from '../../fuzz/routes.js'
import { boundTo, onBackend } from '../../fuzz/ways.js'
import { suite } from '../../support/suite.js'
import { drawnOf, HOWS } from './drawn.js'

const test = suite('ONNX: ops')

const known = primitiveOps.filter((op) => rules[computed(op)] !== undefined)

for (const op of known)
  test(`${op.name}: out and in again`, () => {
    for (const [example] of op.examples.slice(0, 6).entries())
      for (const how of HOWS) {
        const d = drawnOf(op.name, example, how)
        const bound = d === null ? null : boundTo(d.program, d.args)
        if (d === null || bound === null || E.isLeft(bound)) continue
        for (const way of exported(d, onBackend(q.reference, d.program, bound.right)))
          assert.is(way.differs(), null, `${way.route}\n${d.code}`)
      }
  })

type Inputs = Readonly<Record<string, q.Tensor>>
/** The same rows twice. */
const doubled = ({ shape, data }: q.Tensor): q.Tensor => ({
  shape: [2 * shape[0], ...shape.slice(1)],
  data: Float32Array.from([...data, ...data]),
})

/** Whether a file leaves the batch open; where it does, it must compute twice as many rows. */
const isOpen = (d: DrawnProgram): boolean => {
  if (Object.keys(d.args.inputs).length === 0) return false
  const made = exportOnnx(d.program as q.Program<unknown, unknown>, d.args)
  if (E.isLeft(made)) return false
  const inputs = Object.fromEntries(Object.entries(d.args.inputs as Inputs).map(([k, t]) => [k, doubled(t)]))
  const shapes = Object.fromEntries(Object.entries(inputs).map(([k, t]) => [k, t.shape]))
  const read = importOnnx(made.right, { inputs: shapes })
  if (E.isLeft(read)) return false
  const wide = q.trace(
    d.layer as never,
    Object.fromEntries(Object.entries(shapes).map(([k, s]) => [k, q.tensorInput(s)])) as never,
    { mode: 'eval' },
  )
  assert.ok(E.isRight(wide), d.code)
  if (E.isLeft(wide)) return false
  const { model, declared, names } = read.right
  const program = q.orThrow(q.trace(model, declared as never, { mode: 'eval' }))
  const given = Object.fromEntries(Object.keys(declared).map((key) => [key, inputs[names[key] ?? '']]))
  const theirs = q.orThrow(q.run(program, { ...q.orThrow(q.init(model, 0)), inputs: given } as never))
    .outputs as Readonly<Record<string, q.Output>>
  const ours = q.orThrow(q.run(wide.right, { ...d.args, inputs } as never)).outputs as unknown as Readonly<
    Record<string, q.Output>
  >
  const [a, b] = [q.valueOf(Object.values(ours)[0]), q.valueOf(Object.values(theirs)[0])]
  assert.equal(b.shape, a.shape, d.code)
  a.data.forEach((x, i) =>
    assert.ok(Object.is(x, b.data[i]) || Math.abs(x - b.data[i]) <= 1e-4 * (1 + Math.abs(x)), d.code),
  )
  return true
}

/** Ops of which some example leaves the batch open. */
const OPEN =
  'add addBias avgPool conv convTranspose div equal less lessEqual linear logSoftmax matmul maxLast maxPool maximum mean minimum mul pad pow quantize ' +
  'softmax sub sum'

test('an open batch takes any number of rows, and is as open as it was', () => {
  const open = known.filter((op) =>
    op.examples.some((_, example) => {
      const d = drawnOf(op.name, example, 'parameters')
      return (
        d !== null &&
        Object.values(d.declared).every((i) => i.input !== 'quant') &&
        Object.values(d.args.inputs as Inputs).every((t) => t.shape.length > 1) &&
        isOpen(d)
      )
    }),
  )
  assert.is(open.map((op) => op.name).join(' '), OPEN)
})

test('quant tensors as inputs: scale and zero point become constants, and the file takes the value', () => {
  let written = 0
  for (const op of known)
    for (const [example] of op.examples.slice(0, 4).entries()) {
      const d = drawnOf(op.name, example, 'data')
      if (d === null || Object.values(d.declared).every((i) => i.input !== 'quant')) continue
      const entries = Object.entries(d.args.inputs)
      const quantInputs = Object.fromEntries(
        entries.flatMap(([k, t]) => (q.isQuantTensor(t) ? [[k, { scale: t.scale, zeroPoint: t.zeroPoint }]] : [])),
      )
      const made = exportOnnx(d.program as q.Program<unknown, unknown>, d.args, { quantInputs, openBatch: false })
      const ours = q.run(d.program, d.args as never)
      if (E.isLeft(made) || E.isLeft(ours)) continue
      const { model, declared, names } = q.orThrow(importOnnx(made.right))
      const program = q.orThrow(q.trace(model, declared as never, { mode: 'eval' }))
      const given = Object.fromEntries(
        Object.keys(declared).map((key) => {
          const t = entries.find(([k]) => k === names[key])?.[1]
          return [key, t === undefined ? t : q.valueOf(t)]
        }),
      )
      const theirs = q.orThrow(q.run(program, { ...q.orThrow(q.init(model, 0)), inputs: given } as never))
      const [a, b] = [ours.right.outputs, theirs.outputs].map((o) =>
        q.valueOf(Object.values(o as unknown as Readonly<Record<string, q.Output>>)[0]),
      )
      assert.equal(b.shape, a.shape, d.code)
      a.data.forEach((x, i) =>
        assert.ok(Object.is(x, b.data[i]) || Math.abs(x - b.data[i]) <= 1e-5 * (1 + Math.abs(x)), d.code),
      )
      written++
    }
  assert.ok(written > 20, `${written}`)
})

test.run()
