/** A constant behind a product becomes its bias where the two lie along the same axis, and nowhere else; the numbers are the same. */
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import * as q from '../../../src/index.js'
import { exportOnnx } from '../../../src/interop/onnx/index.js'
import { suite } from '../../support/suite.js'
import { layerWith, madeOf, spread, type Values } from './layers.js'
import { byOrt } from './ort.js'
import { fileProblems, readFile } from './wellFormed.js'

const test = suite('ONNX: sums behind products')

/** A product: the shapes of its data and weight, its channel axis, and what it is. */
type Product = {
  readonly x: readonly number[]
  readonly w: readonly number[]
  readonly channel: number
  readonly of: (x: q.Value, w: q.Value, kit: q.Kit) => q.Value
}

const convolved = (op: 'conv' | 'convTranspose', x: q.Value, w: q.Value, kit: q.Kit): q.Value =>
  op === 'conv'
    ? kit.emit('conv', [x, w], { stride: [1], padding: [[1, 1]], dilation: [1], groups: 1 })
    : kit.emit('convTranspose', [x, w], { stride: [1], padding: [1], outputPadding: [0], dilation: [1], groups: 1 })

/** Axes of one size, so that a bias fits several of them. */
const PRODUCTS: { readonly [name: string]: Product } = {
  Gemm: { x: [3, 2], w: [3, 2], channel: 1, of: (x, w, kit) => kit.emit('linear', [x, w], {}) },
  MatMul: { x: [3, 3, 2], w: [3, 2], channel: 2, of: (x, w, kit) => kit.emit('linear', [x, w], {}) },
  Conv: { x: [3, 2, 3], w: [3, 2, 3], channel: 1, of: (x, w, kit) => convolved('conv', x, w, kit) },
  ConvTranspose: { x: [3, 2, 3], w: [2, 3, 3], channel: 1, of: (x, w, kit) => convolved('convTranspose', x, w, kit) },
}

type Sum = {
  readonly product: string
  readonly bias: readonly number[]
  readonly how: 'add' | 'addBias' | 'turned'
  readonly axis: number
  /** What else reads the product: nothing, another node, the results. */
  readonly also: 'nobody' | 'a node' | 'a result'
  /** Is it a number of its own, or computed of data? */
  readonly isKnown: boolean
}

const sumArb: fc.Arbitrary<Sum> = fc.record({
  product: fc.constantFrom(...Object.keys(PRODUCTS)),
  bias: fc.array(fc.constantFrom(1, 3), { maxLength: 3 }),
  how: fc.constantFrom('add', 'add', 'addBias', 'turned'),
  axis: fc.nat(2),
  also: fc.constantFrom('nobody', 'nobody', 'nobody', 'a node', 'a result'),
  isKnown: fc.constantFrom(true, true, true, false),
})

/** A bias for the operands' rank: what broadcasts over it; of addBias a vector along an axis that there is. */
const fitted = (s: Sum): Sum => {
  const rank = s.product === 'Gemm' ? 2 : 3
  if (s.how === 'addBias') return { ...s, bias: [3], axis: s.axis % rank }
  return { ...s, bias: s.bias.slice(-rank) }
}

const layerOf = (s: Sum): q.Layer<unknown, unknown> => {
  const p = PRODUCTS[s.product]
  return layerWith({ w: spread(p.w), b: spread(s.bias, 0.61) }, (x, { w, b }: Values, kit) => {
    const y = p.of(x, w, kit)
    const least = kit.emit('mul', [kit.emit('maxAll', [x], {}), kit.constant(0)])
    const bias = s.isKnown ? b : kit.emit('add', [b, least])
    if (s.how === 'addBias') {
      const sum = kit.emit('addBias', [y, bias], { axis: s.axis, sameScale: false })
      return s.also === 'nobody' ? sum : kit.emit('mul', [sum, y])
    }
    const sum = kit.emit('add', s.how === 'turned' ? [bias, y] : [y, bias])
    return s.also === 'nobody' ? sum : kit.emit('mul', [sum, y])
  })
}

/** Does the sum become one node with its product? */
const isBias = (s: Sum): boolean => {
  const { channel } = PRODUCTS[s.product]
  if (!s.isKnown || s.also !== 'nobody' || s.how === 'turned') return false
  if (s.how === 'addBias') return s.axis === channel
  const rank = s.product === 'Gemm' ? 2 : 3
  return s.bias.filter((n) => n > 1).length === 1 && s.bias[channel - (rank - s.bias.length)] === 3
}

const agrees = async (s: Sum): Promise<void> => {
  const { x } = PRODUCTS[s.product]
  const m = madeOf(layerOf(s), spread(x))
  const bytes = q.orThrow(exportOnnx(m.program, m.fixed, { openBatch: false }))
  assert.equal(fileProblems(bytes), [])
  const { output } = await byOrt(bytes, { input: m.inputs })
  assert.equal(output.shape, m.ours.shape)
  m.ours.data.forEach((v, i) => assert.ok(Math.abs(v - output.data[i]) <= 1e-5 * (1 + Math.abs(v))))
  const { node } = readFile(bytes).graph
  const product = node.find((n) => n.opType === s.product)
  // The product with a transposed weight has no operand for it: one addition, of the vector as it stands.
  const merged = s.product === 'MatMul' ? !node.some((n) => n.opType === 'Reshape') : product?.input.length === 3
  if (s.product !== 'MatMul' || s.how === 'addBias') assert.is(merged, isBias(s))
}

for (let seed = 1; seed <= 24; seed++)
  test(`drawn ${seed}`, () =>
    fc.assert(fc.asyncProperty(sumArb.map(fitted), agrees), {
      numRuns: 5,
      seed,
      endOnFailure: true,
      includeErrorInReport: true,
    }))

test('of one number per channel, one axis, or none', async () => {
  const plain = { how: 'add', axis: 1, also: 'nobody', isKnown: true } as const
  for (const product of Object.keys(PRODUCTS))
    for (const bias of [[], [1], [3], [1, 3], [3, 1], [3, 3], [1, 1]]) await agrees({ ...plain, product, bias })
  for (const product of ['MatMul', 'Conv', 'ConvTranspose'])
    for (const bias of [
      [1, 3, 1],
      [3, 1, 1],
      [1, 1, 3],
      [1, 3, 3],
      [3, 3, 1],
    ])
      await agrees({ ...plain, product, bias })
})

test('a product that is a result keeps its name and its numbers', async () => {
  const p = PRODUCTS.Gemm
  const both = q.functionLayer('both', (x: q.Value) => {
    const y = p.of(x, x.kit.constant(0.5, [3, 2]), x.kit)
    return { y, sum: q.add(y, x.kit.constant(2, [3])) }
  })
  const program = q.orThrow(q.trace(both, q.tensorInput(p.x), { mode: 'eval' }))
  const bytes = q.orThrow(exportOnnx(program as q.Program<unknown, unknown>, { params: {}, state: {} }))
  assert.equal(fileProblems(bytes), [])
  const { y, sum } = await byOrt(bytes, { input: spread(p.x) })
  sum.data.forEach((v, i) => assert.ok(Math.abs(v - y.data[i] - 2) < 1e-5))
})

test.run()
