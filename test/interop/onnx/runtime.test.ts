/** Every op that ONNX knows, on its own examples, at old and new versions: files are well-formed, and ONNX Runtime computes what we compute. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../../src/index.js'
import { exportOnnx } from '../../../src/interop/onnx/index.js'
import { rules } from '../../../src/interop/onnx/ops/index.js'
import { computed } from '../../../src/interop/onnx/rule.js'
import { primitiveOps } from '../../../src/ops/index.js'
import type { DrawnProgram } from '../../../src/testing/index.js'
import { suite } from '../../support/suite.js'
import { drawnOf, HOWS } from './drawn.js'
import { byOrt } from './ort.js'
import { fileProblems } from './wellFormed.js'

const test = suite('ONNX Runtime: ops')
const OPSETS = [13, 18, 21] as const

/** Why examples of an op are refused at some version, and how many of those that are asked. No other op is. */
const REFUSED: { readonly [op: string]: readonly [count: number, why: RegExp] | undefined } = {
  adaptiveAvgPool: [27, /from 5(×4)? to .* has windows of several sizes|from 2×3×2 to/],
  adaptiveMaxPool: [18, /from 5(×4)? to .* has windows of several sizes/],
  binaryQuantize: [18, /QCDQ has no binary quantizer/],
  fromSteps: [18, /its scale or zero point depends on the data/],
  onLearnedGrid: [9, /its scale or zero point depends on the data/],
  quantize: [24, /its rounding is not that of QuantizeLinear/],
  quantizeFloat: [15, /types of them are of opset 19|minifloats of e2m1, for which no type is/],
}

/** Whether ONNX Runtime computes a program as we do, or why the export refuses. */
const refusalOf = async (d: DrawnProgram, opset: number): Promise<string | null> => {
  const inputs = d.args.inputs as Readonly<Record<string, q.Output>>
  const ours = q.valueOf(
    (q.orThrow(q.run(d.program, d.args as never)).outputs as Readonly<Record<string, q.Output>>).main,
  )
  const quantInputs = Object.fromEntries(
    Object.entries(inputs).flatMap(([k, t]) => (q.isQuantTensor(t) ? [[k, t] as const] : [])),
  )
  const made = exportOnnx(d.program as q.Program<unknown, unknown>, d.args, { opset, quantInputs })
  if (E.isLeft(made)) return q.explainAll(made.left)
  assert.equal(fileProblems(made.right), [], d.code)
  const given = Object.fromEntries(Object.entries(inputs).map(([k, t]) => [k, q.valueOf(t)]))
  const { main } = await byOrt(made.right, given)
  assert.equal(main.shape, ours.shape)
  const off = ours.data.findIndex(
    (v, i) => Number.isFinite(v) && !(Math.abs(v - main.data[i]) <= 1e-4 * (1 + Math.abs(v))),
  )
  assert.is(off, -1, `opset ${opset}: ${main.data[off]} for ${ours.data[off]}\n${d.code}`)
  return null
}

for (const op of primitiveOps.filter((o) => typeof rules[computed(o)] === 'function'))
  test(op.name, async () => {
    const asked = op.examples
      .slice(0, 6)
      .flatMap((_, example) => HOWS.map((how) => drawnOf(op.name, example, how)).filter((d) => d !== null))
    assert.ok(asked.length > 0)
    const refused: string[] = []
    for (const d of asked)
      for (const opset of OPSETS) {
        const why = await refusalOf(d, opset)
        if (why !== null) refused.push(why)
      }
    const [count, why] = REFUSED[op.name] ?? [0, /never/]
    assert.is(refused.length, count, refused.join('\n'))
    for (const r of refused) assert.match(r, why)
  })

test.run()
