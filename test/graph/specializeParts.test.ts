/** What specializing a program rests on, part by part: loops written out, kept nodes, zero points, inputs that are fixed, errors. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { quantOf } from '../../src/data/quant.js'
import type { Kit, Value } from '../../src/graph/op.js'
import { suite } from '../support/suite.js'

const test = suite('specialize: parts')
const none = { params: {}, state: {} }

/** A layer of named parameters. */
const withParams = (
  params: Readonly<Record<string, q.Tensor>>,
  apply: (p: Readonly<Record<string, Value>>, x: Value, kit: Kit) => Value,
): q.Layer => ({
  layer: 'mine',
  problems: [],
  config: { name: 'mine', parts: [] },
  params: Object.fromEntries(
    Object.entries(params).map(([name, t]) => [
      name,
      { shape: t.shape, learned: true, init: (g: q.Generator) => [t, g] },
    ]),
  ) as never,
  state: {},
  apply: (p: unknown, _s: unknown, x: unknown, kit: Kit) => [apply(p as never, x as Value, kit), {}] as never,
})

const specialized = (net: q.Layer, input: unknown, options: q.SpecializeOptions = {}) => {
  const program = q.orThrow(q.trace(net, input as never, { mode: 'eval' }))
  const start = q.orThrow(q.init(net, 0))
  return { program, start, fixed: q.orThrow(q.specialize(program, start as never, options)) }
}

test('a loop written out gives what the loop gives: carries, slices and stacks of other shapes', () => {
  const net = q.functionLayer('loop', (x: { readonly a: Value; readonly b: Value }) => {
    const body = (
      [h, c]: readonly Value[],
      [a, b]: readonly Value[],
    ): readonly [readonly Value[], readonly Value[]] => {
      const next = q.tanh(q.add(h, q.sum(a)))
      return [
        [next, q.mul(c, q.mean(b))],
        [q.reshape(next, [1]), q.add(a, c), q.mul(b, b)],
      ]
    }
    const kit = x.a.kit
    const [carry, ys] = q.scan(body, [kit.constant(0.5, []), kit.constant(2, [])], [x.a, x.b], { reverse: true })
    return { carry: carry[0], last: carry[1], first: ys[0], second: ys[1], third: ys[2] }
  })
  const declared = { a: q.tensorInput([3, 2]), b: q.tensorInput([3, 4]) }
  const inputs = {
    a: q.tensorOf([3, 2], [1, -2, 0.5, 0.25, -1, 3]),
    b: q.tensorOf(
      [3, 4],
      Array.from({ length: 12 }, (_, i) => ((i * 5) % 7) / 4 - 0.5),
    ),
  }
  const { program, fixed } = specialized(net as never, declared, { unroll: true })
  assert.not(fixed.program.graph.nodes.some((n) => n.op.name === 'scan'))
  assert.equal(
    q.orThrow(q.run(fixed.program, { params: fixed.constants, state: {}, inputs } as never)).outputs,
    q.orThrow(q.run(program, { ...none, inputs } as never)).outputs,
  )
})

test('a recurrent layer written out says the same of its results', () => {
  const net = q.QuantRNN({ inputSize: 3, hiddenSize: 2 })
  const { program, fixed } = specialized(net as never, { x: q.tensorInput([4, 2, 3]) }, { unroll: true })
  const said = (p: q.Program) =>
    p.outputs
      .filter((o) => o.kind === 'result')
      .map((o) => {
        const grid = quantOf(p.graph.nodes[o.node].carried)
        return [o.path, grid?.bits, grid?.signed]
      })
  assert.equal(said(fixed.program as never), said(program as never))
})

test('what a loop gives on a grid still lies on it once the loop is written out', () => {
  const attrs = {
    bits: 4,
    signed: true,
    narrow: false,
    rounding: 'ROUND',
    clamp: 'mask',
    training: false,
    zero: 'zero',
  } as const
  const net = q.functionLayer('loop', (x: Value, kit: Kit) => {
    const [scale, zero] = [kit.constant(0.5), kit.constant(0)]
    const onGrid = (v: Value): Value => kit.emit('quantize', [v, scale, zero], attrs)
    const body = ([h]: readonly Value[], [row]: readonly Value[]): readonly [readonly Value[], readonly Value[]] => {
      const next = h.kit.emit('quantize', [q.add(q.dequantize(h), row), scale, zero], attrs)
      return [[next], [q.dequantize(next)]]
    }
    const [[last], [ys]] = q.scan(body, [onGrid(kit.constant(0, [2]))], [x])
    return { last, ys }
  })
  const { program, fixed } = specialized(net as never, q.tensorInput([3, 2]), { unroll: true })
  for (const p of [program, fixed.program] as readonly q.Program[])
    assert.equal(
      p.outputs.filter((o) => o.kind === 'result').map((o) => [o.path, quantOf(p.graph.nodes[o.node].carried)?.bits]),
      [
        ['last', 4],
        ['ys', undefined],
      ],
    )
})

test('nothing is kept unless it is asked for; what reads a kept node is kept with it', () => {
  const params = { w: q.tensorOf([2], [0.3, -0.7]), k: q.tensorOf([2], [2, 3]) }
  const net = withParams(params, (p, x, kit) => {
    const attrs = {
      bits: 4,
      signed: true,
      narrow: false,
      rounding: 'ROUND',
      clamp: 'mask',
      training: false,
      zero: 'zero',
    } as const
    const on = q.dequantize(kit.emit('quantize', [p.w, kit.constant(0.1), kit.constant(0)], attrs))
    return q.add(x, q.mul(on, p.k))
  })
  const inputs = q.tensorOf([2], [1, 2])
  const names = (options: q.SpecializeOptions): readonly string[] => {
    const { program, start, fixed } = specialized(net, q.tensorInput([2]), options)
    assert.equal(
      q.orThrow(q.run(fixed.program, { params: fixed.constants, state: {}, inputs } as never)).outputs,
      q.orThrow(q.run(program, { ...start, inputs } as never)).outputs,
    )
    assert.is(fixed.program.version, 1)
    return fixed.program.graph.nodes.map((n) => n.op.name).filter((n) => n === 'quantize' || n === 'mul')
  }
  assert.equal(names({}), [])
  assert.equal(names({ keep: (n) => n.op.name === 'quantize' }), ['quantize', 'mul'])
})

test('a zero point is 0, whole or neither in all its channels', () => {
  const zeroOf = (zeros: readonly number[]): string | undefined => {
    const net = withParams({ z: q.tensorOf([2], zeros) }, (p, x, kit) => {
      const attrs = {
        bits: 4,
        signed: true,
        narrow: false,
        rounding: 'ROUND',
        clamp: 'mask',
        training: false,
        zero: 'any',
      } as const
      return kit.emit('quantize', [x, kit.constant(0.1), p.z], attrs)
    })
    const { fixed } = specialized(net, q.tensorInput([3, 2]))
    const [result] = fixed.program.outputs
    return quantOf(fixed.program.graph.nodes[result.node].carried)?.zero
  }
  assert.is(zeroOf([0, 0]), 'zero')
  assert.is(zeroOf([0, 3]), 'integer')
  assert.is(zeroOf([-8, 7]), 'integer')
  assert.is(zeroOf([0, 0.5]), 'any')
  assert.is(zeroOf([0, 8]), 'any')
  assert.is(zeroOf([-9, 0]), 'any')
})

test('scale and zero point of an input can be fixed: its value is left, a plain tensor', () => {
  const net = q.functionLayer('f', (x: Value) => q.relu(x))
  const declared = q.quantInput([3], { bits: 4, signed: true, zeroPoint: 'integer' })
  const program = q.orThrow(q.trace(net, declared as never, { mode: 'eval' }))
  const given = { scale: q.scalar(0.5), zeroPoint: q.scalar(2) }
  const fixed = q.orThrow(q.specialize(program, none as never, { quantInputs: { '': given } }))
  assert.equal(
    fixed.program.inputs.filter((i) => i.kind === 'data').map((i) => [i.part, i.quant]),
    [['tensor', undefined]],
  )
  const grid = quantOf(fixed.program.graph.nodes[fixed.program.outputs[0].node].carried)
  assert.equal(
    [grid?.scale, grid?.zeroPoint].map((id) => [...(fixed.valueOf(id ?? -1)?.data ?? [])]),
    [[0.5], [2]],
  )
  const wrong = q.specialize(program, none as never, { quantInputs: { '': { ...given, scale: q.zeros([3]) } } })
  assert.ok(E.isLeft(wrong) && wrong.left.length === 1)
  if (E.isLeft(wrong)) assert.match(wrong.left[0].message, /^scale of .* has shape \[3\]/)
})

test('of two quant inputs one can be fixed, and the other keeps its declaration', () => {
  const net = q.functionLayer('f', (x: { readonly a: Value; readonly b: Value }) => ({
    a: q.relu(x.a),
    b: q.relu(x.b),
  }))
  const declared = q.quantInput([3], { bits: 4, signed: true })
  const program = q.orThrow(q.trace(net, { a: declared, b: declared } as never, { mode: 'eval' }))
  const given = { scale: q.scalar(0.5), zeroPoint: q.scalar(0) }
  const fixed = q.orThrow(q.specialize(program, none as never, { quantInputs: { a: given } }))
  const said = (p: q.Program) => p.inputs.filter((i) => i.kind === 'data').map((i) => [i.path, i.part, i.quant?.bits])
  assert.equal(said(fixed.program as never), [
    ['a', 'tensor', undefined],
    ['b', 'value', 4],
    ['b', 'scale', undefined],
    ['b', 'zeroPoint', undefined],
  ])
})

test('one leaf that is missing is an error that names it; a constant stands in the layer that it comes from', () => {
  const net = q.chain({ block: q.chain({ fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2 }) }) })
  const { program, start, fixed } = specialized(net as never, q.tensorInput([1, 3]))
  const { weight } = (start.params as { readonly block: { readonly fc: { readonly weight: q.Tensor } } }).block.fc
  const missing = q.specialize(program, { params: { block: { fc: { weight } } }, state: start.state } as never)
  assert.ok(E.isLeft(missing) && missing.left.length === 1)
  if (E.isLeft(missing)) assert.match(missing.left[0].message, /no parameter block\.fc\.bias/)
  const paths = fixed.program.graph.nodes
    .filter((n) => n.op.name === 'input' && n.attrs.kind === 'param')
    .map((n) => n.path)
  assert.ok(paths.length > 0 && paths.every((p) => p.startsWith('block.fc')), paths.join())
})

test('what an optimizer keeps belongs to no network, and leaves must have their shape', () => {
  const net = withParams({ w: q.tensorOf([2, 3], [1, 2, 3, 4, 5, 6]) }, (p, x) => q.mul(x, p.w))
  const { program } = specialized(net, q.tensorInput([2, 3]))
  const given = (w: unknown, kind: q.Program['inputs'][number]['kind'] = 'param') =>
    q.specialize(
      { ...program, inputs: program.inputs.map((i) => (i.kind === 'param' ? { ...i, kind } : i)) } as typeof program,
      { params: { w }, state: { w } } as never,
    )
  const says = (made: ReturnType<typeof given>): string =>
    E.isLeft(made) ? `${made.left[0].message}; ${made.left[0].fix}` : 'made'
  assert.is(says(given(q.zeros([2, 3]))), 'made')
  assert.match(
    says(given(q.zeros([3, 2]))),
    /parameter w has shape \[3,2\], but the program has \[2,3\]; give params and state/,
  )
  assert.match(says(given({ shape: [2, 3], data: new Float32Array(5) })), /parameter w/)
  assert.match(says(given(undefined)), /there is no parameter w/)
  assert.match(says(given(undefined, 'state')), /there is no leaf of state w; give params and state/)
  for (const kind of ['slot', 'hyper'] as const)
    assert.match(
      says(given(q.zeros([2, 3]), kind)),
      new RegExp(`takes the ${kind} w of an optimizer.*; give the program of a forward`),
    )
})

test('a leaf stands in the layer that it is of', () => {
  const mine = withParams({ w: q.tensorOf([2], [1, 2]) }, (p, x) => q.mul(x, p.w))
  const { fixed } = specialized(q.chain({ outer: q.chain({ block: q.chain({ mine }) }) }) as never, q.tensorInput([2]))
  const paths = fixed.program.graph.nodes.filter((n) => n.attrs.kind === 'param').map((n) => n.path)
  assert.equal(paths, ['outer.block.mine'])
})

test('constants are inputs behind those of data, none of them learned', () => {
  const params = { a: q.tensorOf([2], [1, 2]), b: q.tensorOf([2], [3, 4]) }
  const { fixed } = specialized(
    withParams(params, (p, x) => q.add(q.mul(x, p.a), p.b)),
    q.tensorInput([2]),
  )
  const { inputs, structure } = fixed.program
  assert.equal(
    Object.entries(structure.params as Record<string, number>).map(([key, i]) => inputs[i].path === key),
    [true, true],
  )
  assert.ok(inputs.every((i) => !i.learned))
})

test('a phase that data decides can not be decided beforehand', () => {
  const net = q.functionLayer('f', (x: Value, kit: Kit) => {
    const branch = ([v]: readonly Value[]): readonly Value[] => [q.neg(v)]
    return (kit as never as { phase: (p: object) => readonly Value[] }).phase({
      counter: q.sum(x),
      limit: 1,
      warnSteps: null,
      args: [x],
      collect: branch,
      learned: ([v]: readonly Value[]) => [q.abs(v)],
    })[0]
  })
  const program = q.orThrow(q.trace(net, q.tensorInput([2]), { mode: 'eval' }))
  const fixed = q.specialize(program, none as never)
  assert.ok(E.isLeft(fixed))
  if (E.isLeft(fixed)) assert.is(fixed.left[0].tag, 'StateError')
})

test('a check that nobody reads is made all the same', () => {
  const net = q.functionLayer('f', (x: Value, kit: Kit) => {
    kit.emit('checkFinite', [x], { names: ['x'] })
    return q.neg(x)
  })
  const { program, fixed } = specialized(net as never, q.tensorInput([1]))
  for (const p of [program, fixed.program])
    assert.is(E.isLeft(q.run(p as q.Program, { ...none, inputs: q.tensorOf([1], [NaN]) } as never)), true)
})

test('a path that no quant input has is refused, with the one that was meant; names of Object.prototype are none', () => {
  const net = q.functionLayer('f', (x: { readonly image: Value; readonly plain: Value }) => q.add(x.image, x.plain))
  const declared = { image: q.quantInput([3], { bits: 4, signed: true }), plain: q.tensorInput([3]) }
  const program = q.orThrow(q.trace(net, declared as never, { mode: 'eval' }))
  const given = { scale: q.scalar(0.5), zeroPoint: q.scalar(0) }
  for (const [path, fix] of [
    ['imgae', /did you mean "image"\?/],
    ['plain', /known: "image"/],
    ['toString', /known: "image"/],
  ] as const) {
    const e = q.specialize(program, none as never, { quantInputs: { [path]: given } })
    assert.ok(E.isLeft(e) && e.left.length === 1, path)
    if (E.isLeft(e)) assert.match(q.explainAll(e.left), fix)
  }
  const odd = q.functionLayer('f', (x: { readonly constructor: Value }) => q.relu(x.constructor))
  const own = q.orThrow(q.trace(odd, { constructor: declared.image } as never, { mode: 'eval' }))
  q.orThrow(q.specialize(own, none as never, { quantInputs: {} }))
})

test.run()
