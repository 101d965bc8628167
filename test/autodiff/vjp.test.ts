/** Gradients of whole programs: second order, detached paths, phases branch by branch, and what can't be differentiated. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { programOfRecipe } from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('autodiff')

const traced = (f: (x: q.Value) => q.Value, shape: q.Shape) =>
  q.orThrow(q.trace(q.functionLayer('f', f), q.tensorInput(shape), { mode: 'train' }))
const none = { params: {}, state: {} } as never

test('the gradient of a gradient: d²/dx² of the sum of x³ is 6x, summed over the cotangent', () => {
  const first = q.orThrow(
    q.grad(
      traced((x) => q.sum(q.pow(x, 3)), []),
      { inputs: true },
    ),
  )
  const second = q.orThrow(q.grad(first, { output: 'grads.inputs', inputs: true }))
  const ran = q.orThrow(q.run(second, { ...(none as object), inputs: q.scalar(2) } as never))
  assert.is((ran.grads.inputs as q.Tensor).data[0], 12)
})

test('a second derivative of an estimator is a typed error', () => {
  const layer = q.QuantIdentity({ actQuant: q.Int8ActPerTensorFloatMinMaxInit, minVal: -1, maxVal: 1 })
  const sum = q.functionLayer('sum', (x: q.Value) => q.sum(x))
  const net = q.chain({ layer, square: q.functionLayer('square', (x: q.Value) => q.mul(x, x)), sum })
  const first = q.orThrow(q.grad(q.orThrow(q.trace(net, q.tensorInput([]), { mode: 'train' })), { inputs: true }))
  const second = q.grad(first, { output: 'grads.inputs', inputs: true })
  assert.ok(E.isLeft(second))
  if (E.isLeft(second)) assert.is(second.left[0].tag, 'NotDifferentiable')
})

test('every node of a backward pass names the forward node that it belongs to, every differentiated node its cotangent', () => {
  const layer = q.chain({
    act: q.QuantIdentity({ returnQuantTensor: true }),
    fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2 }),
    sum: q.functionLayer('sum', (x: q.Value) => q.sum(q.mul(x, x))),
  })
  const forward = q.orThrow(q.trace(layer, q.tensorInput([2, 3]), { mode: 'train' }))
  const program = q.orThrow(q.grad(forward, { inputs: true }))
  const count = forward.graph.nodes.length
  for (const n of program.graph.nodes) {
    assert.is(n.backwardOf !== undefined, n.id >= count, `%${n.id} ${n.op.name}`)
    if (n.backwardOf === undefined) continue
    const of = program.graph.nodes[n.backwardOf]
    // A sum of cotangents is emitted where the last of them is handed on.
    assert.ok(
      of.id < count && (of.path === n.path || n.path === '' || n.op.name === 'add' || of.op.name === 'input'),
      `%${n.id} of %${of.id}`,
    )
  }
  const versions = new Set(forward.graph.nodes.filter((n) => n.op.name === 'assign').map((n) => n.attrs.leaf))
  for (const o of program.outputs.filter((x) => x.kind === 'grad' && !versions.has(x.path))) {
    const input = program.inputs.find((i) => i.path === o.path && i.kind !== 'state')
    assert.is(program.graph.nodes[input?.node ?? -1].cotangent, o.node, o.path)
  }
  const again = q.orThrow(q.parseProgram(q.ops)(q.programToJSON(program)))
  assert.equal(
    again.graph.nodes.map((n) => [n.backwardOf, n.cotangent]),
    program.graph.nodes.map((n) => [n.backwardOf, n.cotangent]),
  )
})

test('a straight-through estimator emits nothing: its operand has the cotangent of its result', () => {
  const { graph } = q.orThrow(
    q.grad(
      traced((x) => q.sum(x.kit.emit('clamp~identity', [q.mul(x, x)], { min: 0, max: 1 })), [2]),
      { inputs: true },
    ),
  )
  const ste = graph.nodes.find((n) => n.op.name === 'clamp~identity')
  assert.ok(ste?.cotangent !== undefined)
  assert.is(graph.nodes[ste?.inputs[0] ?? -1].cotangent, ste?.cotangent)
  assert.not(graph.nodes.some((n) => n.backwardOf === ste?.id))
})

test('no gradient passes a detached value', () => {
  const program = q.orThrow(
    q.grad(
      traced((x) => q.sum(q.mul(x, q.detach(x))), [2]),
      { inputs: true },
    ),
  )
  const ran = q.orThrow(q.run(program, { ...(none as object), inputs: q.tensorOf([2], [3, 5]) } as never))
  assert.equal([...(ran.grads.inputs as q.Tensor).data], [3, 5])
})

test("a result that is no scalar, or isn't there, is named", () => {
  const program = traced((x) => x, [2])
  const [shape, name] = [q.grad(program), q.vjp(program, { output: 'logits' })]
  assert.ok(E.isLeft(shape) && E.isLeft(name))
  if (E.isLeft(shape)) assert.match(shape.left[0].message, 'not one element')
  if (E.isLeft(name)) assert.match(name.left[0].message, 'logits')
})

test('while collecting, the learned value gets exactly 0; once learned, the statistic gets nothing', () => {
  const layer = q.QuantIdentity({ collectStatsSteps: 1, returnQuantTensor: true })
  const program = q.orThrow(q.vjp(q.orThrow(q.trace(layer, q.tensorInput([3]), { mode: 'train' })), { inputs: true }))
  const args = { inputs: q.tensorOf([3], [0.3, -2, 1]), cotangent: q.full([3], 1) }
  const start = q.orThrow(q.init(layer, 0))
  const collecting = q.orThrow(q.run(program, { ...start, inputs: args }))
  const learned = q.orThrow(q.run(program, { params: start.params, state: collecting.state, inputs: args }))
  const valueGrad = (g: q.Grads): number =>
    (g.state as { readonly actQuant: { readonly scale: { readonly value: q.Tensor } } }).actQuant.scale.value.data[0]
  assert.is(valueGrad(collecting.grads), 0)
  assert.ok(valueGrad(learned.grads) !== 0)
  assert.equal([...(learned.grads.inputs as q.Tensor).data], [1, 1, 1])
})

test('the gradient of a phase is that of the branch that ran, also where a rule reads the result', () => {
  for (const [counter, name] of [
    [0, 'sigmoid'],
    [3, 'exp'],
  ] as const) {
    const steps = [{ op: 'phase:sigmoid:exp', example: 0, picks: [0, counter, 0] }]
    const recipe = { mode: 'train', steps, numbers: [0.25, -1.5, 2], wholeSums: false } as const
    const { program, args } = q.orThrow(programOfRecipe(recipe))
    const [x] = Object.values(args.inputs)
    const cotangent = q.tensorOf([3, 2], [1, -2, 3, 0.5, 4, 2])
    const [a, b] = [program as q.Program<unknown, unknown>, traced((v) => v.kit.emit(name, [v]), [3, 2])].map((p) =>
      q.orThrow(q.vjp(p, { inputs: true })),
    )
    const inPhase = q.orThrow(q.run(a, { ...args, inputs: { inputs: args.inputs, cotangent } } as never))
    const alone = q.orThrow(q.run(b, { ...(none as object), inputs: { inputs: x, cotangent } } as never))
    const [found] = Object.values(inPhase.grads.inputs as Record<string, q.Tensor>)
    assert.equal([...found.data], [...(alone.grads.inputs as q.Tensor).data], name)
  }
})

test('a phase of two results hands each rule the result that is its own', () => {
  const gradient = (f: (x: q.Value) => readonly q.Value[]): readonly number[] => {
    const program = q.orThrow(
      q.grad(
        traced((x) => q.sum(f(x).reduce((a, b) => q.mul(a, b))), [2]),
        { inputs: true },
      ),
    )
    const ran = q.orThrow(q.run(program, { ...(none as object), inputs: q.tensorOf([2], [0.5, -1]) } as never))
    return [...(ran.grads.inputs as q.Tensor).data]
  }
  const two = (v: q.Value): readonly q.Value[] => [v.kit.emit('exp', [v]), v.kit.emit('sigmoid', [v])]
  const inPhase = (x: q.Value): readonly q.Value[] => {
    const branch = ([v]: readonly q.Value[]): readonly q.Value[] => two(v)
    const [counter, args] = [x.kit.constant(0), [x]]
    return x.kit.phase({ counter, limit: 1, warnSteps: null, args, collect: branch, learned: branch })
  }
  assert.equal(gradient(inPhase), gradient(two))
})

test('a backward pass carries no metadata, and its cotangent is no parameter', () => {
  const layer = q.chain({
    act: q.QuantReLU({ returnQuantTensor: true }),
    out: q.QuantReLU({ returnQuantTensor: true }),
  })
  const forward = q.orThrow(q.trace(layer, q.tensorInput([2, 3]), { mode: 'train' }))
  const program = q.orThrow(q.vjp(forward, { inputs: true }))
  const back = program.graph.nodes.filter((n) => n.backwardOf !== undefined)
  assert.ok(back.length > 0)
  assert.equal([...new Set(back.map((n) => n.carried.tag))], ['float'])
  assert.equal(
    program.inputs.filter((i) => i.path === 'cotangent').map((i) => [i.kind, i.learned]),
    [['data', false]],
  )
})

test('a gradient rule that returns something else is a typed error', () => {
  const rules: readonly q.Vjp[] = [
    () => null as never,
    ({ g }) => [g, g],
    () => [],
    () => [1 as never],
    ({ g }) => ({ length: 1, every: () => true, g }) as never,
  ]
  for (const vjp of rules) {
    const op = q.unary({
      name: 'mine',
      doc: 'An op of a test.',
      attrs: {},
      f: (x) => x,
      carry: q.strips('an op of a test'),
      vjp,
    })
    const made = q.grad(
      traced((x) => q.sum(x.kit.apply(op, [x])), [2]),
      { inputs: true },
    )
    assert.ok(E.isLeft(made))
    if (E.isLeft(made)) assert.match(made.left[0].message, /the gradient rule of mine returned/)
  }
  const half: q.Op = { ...q.ops.add, name: 'half', vjp: ({ g }) => [g, 1 as never] }
  const made = q.grad(
    traced((x) => q.sum(x.kit.apply(half, [x, x])), [2]),
    { inputs: true },
  )
  assert.ok(E.isLeft(made))
  if (E.isLeft(made)) assert.match(made.left[0].message, /the gradient rule of half returned/)
})

test('a debug run names the first node that makes a NaN', () => {
  const program = traced((x) => q.sum(q.log(x)), [2])
  const ran = q.run(program, { ...(none as object), inputs: q.tensorOf([2], [-1, 1]) } as never, {
    debugNonFinite: true,
  })
  assert.ok(E.isLeft(ran))
  if (E.isLeft(ran)) assert.match(ran.left[0].message, 'log')
})

test.run()
