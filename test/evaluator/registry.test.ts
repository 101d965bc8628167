/** Every op of the registry, traced into a program and run on WebAssembly, equals the reference: a new op is covered the day it is added. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isQuantTensor, valueOf, type QuantTensor } from '../../src/data/quantTensor.js'
import { sizeOf, type Shape } from '../../src/data/shape.js'
import { full, type Tensor } from '../../src/data/tensor.js'
import { wasm } from '../../src/evaluator/wasm/wasm.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import { type Example, type ExampleArg, type Op } from '../../src/graph/op.js'
import { surrogate } from '../../src/graph/chosenSurrogate.js'
import { ops, primitiveOps } from '../../src/ops/index.js'
import { operandsArb, programOf } from '../../src/testing/index.js'
import { suite } from '../support/suite.js'
import { numbers, type Kind } from './support/kernels.js'
import { assertNear, assertSame, programOfBody, runBoth } from './support/programs.js'

const test = suite('wasm: registry')

/** Sums and products: the order of their terms is the backend's own. */
const isSum = (op: Op): boolean => op.exact === 'sum'
/** Sums whose terms are no products of operands: the op itself gives the terms, if scale and zero point are as large as x. */
const hasTerms = (op: Op): boolean => op.reduces?.term !== undefined
/** Does the operand only choose where cotangents go? */
const chooses = ({ operands = [] }: Op, k: number): boolean =>
  Array.isArray(operands) && operands[0] === 'g' && operands[k] === 'x'

const evaluated = (op: Op, args: readonly Tensor[], attrs: Example['attrs'], shape: Shape): Tensor => {
  const out = { shape, data: new Float32Array(sizeOf(shape)) }
  op.evaluate(args, attrs, out)
  return out
}
const magnitude = (t: Tensor): Tensor => ({ shape: t.shape, data: t.data.map(Math.abs) })
const spread = (t: Tensor, shape: Shape): Tensor => evaluated(ops.broadcastTo, [t], { shape }, shape)

/** Σ|terms| of each element of a sum. */
const magnitudes = (op: Op, args: readonly Tensor[], attrs: Example['attrs'], shape: Shape): Tensor => {
  if (!hasTerms(op))
    return evaluated(
      op,
      args.map((a, k) => (chooses(op, k) ? a : magnitude(a))),
      attrs,
      shape,
    )
  const [g, x, s] = args
  const wide = args.map((a, k) => (k < 2 ? a : spread(a, x.shape)))
  const terms = magnitude(evaluated(op, wide, attrs, x.shape))
  // The subtraction in a term is rounded, by the reference in double: a step's part of the gradient is uncertain too.
  const steps = {
    shape: x.shape,
    data: terms.data.map((t, i) => t + Math.abs(g.data[i]) * (1 + Math.abs(x.data[i] / spread(s, x.shape).data[i]))),
  }
  return evaluated(ops.sumTo, [steps], { shape }, shape)
}

const shown = (op: Op, e: Example): string =>
  `${op.name} ${e.args.map((a) => `[${a.shape.join()}]`).join(' ')} ${JSON.stringify(e.attrs)}`

const judge = (op: Op, e: Example, args: readonly Tensor[], [expected, actual]: readonly [Tensor, Tensor]): void => {
  if (isSum(op)) assertNear(actual, expected, magnitudes(op, args, e.attrs, expected.shape), shown(op, e))
  else assertSame(actual, expected, shown(op, e), op.exact === 'zeros')
}

const partsOf = (t: Tensor | QuantTensor): readonly Tensor[] =>
  isQuantTensor(t) ? [t.value, t.scale, t.zeroPoint] : [t]

const drawn = (arg: ExampleArg, kind: Kind, seed: number, sums: boolean): Tensor => {
  const t = { shape: arg.shape, data: numbers(sizeOf(arg.shape), seed, kind) }
  if (arg.range === undefined)
    return sums ? { shape: t.shape, data: t.data.map((x) => (Math.abs(x) > 1e30 && Number.isFinite(x) ? 1 : x)) } : t
  const [lo, hi] = arg.range
  return { shape: t.shape, data: t.data.map((x) => Math.min(hi, Math.max(lo, Number.isFinite(x) ? x : lo))) }
}

test(
  'on operands of its examples, quant tensors with their metadata',
  () => {
    for (const op of primitiveOps)
      for (const e of op.examples) {
        const program = programOf(op, e)
        fc.assert(
          fc.property(operandsArb(e), (xs) => {
            const outputs = runBoth(wasm, program, xs.flatMap(partsOf))
            if (outputs.length > 0) judge(op, e, xs.map(valueOf), outputs[0])
          }),
          { numRuns: 6 },
        )
      }
  },
  { timeout: 60_000 },
)

test(
  'on ties, zeros of both signs, NaN, infinities and subnormals',
  () => {
    for (const op of primitiveOps)
      for (const e of op.examples) {
        const program = programOf(op, e, false)
        for (const [kind, seed] of [
          ['ties', 1],
          ['wild', 2],
          ['wild', 3],
          ['wild', 4],
          ['zeros', 5],
          ['relu', 6],
        ] as const) {
          const args = e.args.map((a, k) => drawn(a, kind, seed + 10 * k, isSum(op)))
          const outputs = runBoth(wasm, program, args)
          if (outputs.length > 0) judge(op, e, args, outputs[0])
        }
      }
  },
  { timeout: 60_000 },
)

/** Takes operands of any one shape, and gives that shape. Checks are apart: they fail on most numbers. */
const elementwise = primitiveOps.filter((op) => {
  const [e] = op.examples
  const probe =
    op.guards === true || op === ops.scatterToFirst || e.args.some((a) => a.fixed === true)
      ? []
      : [
          op.shape(
            e.args.map(() => [11]),
            e.attrs,
          ),
        ]
  return probe.some((shape) => Array.isArray(shape) && shape.length === 1 && shape[0] === 11)
})

test(
  'element-wise ops of one element, of a few more than vectors and chunks hold, and of none',
  () => {
    if (elementwise.length < 30) throw new Error(`only ${elementwise.length} ops are taken for element-wise`)
    for (const op of elementwise)
      for (const n of [0, 1, 3, 5, 8, 31, 8192 + 7]) {
        const [e] = op.examples
        const sized = { args: e.args.map((a) => ({ ...a, shape: [n] })), attrs: e.attrs }
        const args = sized.args.map((a, k) => drawn(a, 'wild', n + 7 * k, false))
        const program = programOfBody(
          args.map((a) => a.shape),
          (inputs, kit) => [kit.apply(op, inputs, e.attrs)],
        )
        const outputs = runBoth(wasm, program, args)
        if (outputs.length > 0) judge(op, sized, args, outputs[0])
      }
  },
  { timeout: 60_000 },
)

test("a user's surrogate runs as its forward does: in a loop, to the same bits", () => {
  for (const [f, g] of [
    ['round', 'tanh'],
    ['clamp', 'identity'],
    ['binarySign', 'hardtanh'],
    ['exp', 'relu'],
  ] as const) {
    const op = surrogate(ops[f], ops[g])
    const program = programOfBody([[33]], ([x], kit) => [
      kit.emit('mul', [kit.apply(op, [x], op.examples[0].attrs), kit.constant(3)]),
    ])
    const plan = planOf(program, () => new Float32Array(33), [], newMath())
    assert.ok(
      plan.steps.every((step) => step.kernel !== null),
      `${op.name} runs on the host`,
    )
    for (const [a, b] of runBoth(wasm, program, [{ shape: [33], data: numbers(33, 4, 'wild') }]))
      assertSame(b, a, op.name)
  }
})

test('sums of nothing, and reductions of one element', () => {
  const program = (shape: Shape) =>
    programOfBody([shape], ([x], kit) => [
      kit.emit('sum', [x], { dims: [0], keepdim: false }),
      kit.emit('mean', [x], { dims: [0, 1], keepdim: true }),
      kit.emit('sumTo', [x], { shape: [1, shape[1]] }),
    ])
  for (const shape of [
    [0, 3],
    [3, 0],
    [1, 1],
    [1, 5],
    [4, 1],
  ])
    for (const [a, b] of runBoth(wasm, program(shape), [full(shape, 1.5)]))
      assertSame(b, a, `sums of [${shape.join()}]`)
})

test('the gradient of the largest of rows with one element each', () => {
  const program = programOfBody([[6], [6, 1]], ([g, x], kit) => [
    kit.emit('scatterToFirst', [g, x, kit.emit('maxLast', [x])]),
  ])
  const g = { shape: [6], data: Float32Array.of(1, 2, 3, 4, 5, 6) }
  for (const [a, b] of runBoth(wasm, program, [g, { shape: [6, 1], data: numbers(6, 3, 'plain') }]))
    assertSame(b, a, 'rows of one element')
})

test.run()
