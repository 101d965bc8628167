/** Models: state that can't be forgotten or used twice, names, nesting, sharing, and "the same scale". */
import * as q from '../../src/index.js'
import { errorsOf, get, same, says } from './support.js'
import { suite } from '../support/suite.js'

const test = suite('nn: model')

const quant = (steps = 5) => q.QuantIdentity({ collectStatsSteps: steps, returnQuantTensor: true })
const linear = (inFeatures: number, outFeatures: number) =>
  q.QuantLinear({ inFeatures, outFeatures, returnQuantTensor: true })
const x4 = q.tensorInput([2, 4])
const some = (shape: q.Shape, seed = 0): q.Tensor => q.uniform(-1, 1, shape)(q.manualSeed(seed))[0]

/** The first StateError of a layer whose trace must fail, for reasons of state alone. */
const stateErrorOf = (layer: q.AnyLayer): Extract<q.QuantError, { readonly tag: 'StateError' }> => {
  const [e, ...more] = errorsOf(q.trace(layer as q.Layer, x4, { mode: 'train' }))
  if (e.tag !== 'StateError' || more.some((m) => m.tag !== 'StateError'))
    throw new Error(`not StateErrors alone: ${q.explainAll([e, ...more])}`)
  return e
}
const namesTwoPlaces = (e: ReturnType<typeof stateErrorOf>): void => {
  says(e.first, /model\.test\.ts:\d+/)
  says(e.second, /model\.test\.ts:\d+/)
  same(e.first === e.second, false)
  same(e.message.includes(e.first) && e.message.includes(e.second), true)
  says(e.fix, /thread the state/)
}

test('a forward that hands back every new state traces and runs', () => {
  const net = q.model({ a: quant(), fc: linear(4, 3) }, (layers, params, state, x: q.Value) => {
    const [y, a] = layers.a(params.a, state.a, x)
    const [z, fc] = layers.fc(params.fc, state.fc, y)
    return [z, { a, fc }]
  })
  const { params, state } = get(q.init(net, 0))
  same(params.fc.weight?.shape, [3, 4])
  const ran = get(q.run(get(q.trace(net, x4, { mode: 'train' })), { params, state, inputs: some([2, 4]) }))
  same(q.valueOf(ran.outputs).shape, [2, 3])
  same(Object.keys(ran.state), ['a', 'fc'])
})

test('old state handed back is a compile error, and an error of the trace', () => {
  // @ts-expect-error the state that went in is not the state that came out
  const net = q.model({ a: quant() }, (layers, params, state, x: q.Value) => {
    const [y] = layers.a(params.a, state.a, x)
    return [y, { a: state.a }]
  })
  says(stateErrorOf(net).message, /the state of a that the forward hands back is not the last one/)
})

test('a forgotten layer is a compile error, and an error of the trace', () => {
  const layers = { a: quant(), b: quant() }
  // @ts-expect-error the new state of b is missing
  const net = q.model(layers, (l, params, state, x: q.Value) => {
    const [y, a] = l.a(params.a, state.a, x)
    const [z] = l.b(params.b, state.b, y)
    return [z, { a }]
  })
  same(stateErrorOf(net).path, 'b')
})

test('old state spread over the new is a compile error, and an error of the trace', () => {
  // @ts-expect-error what ...state brings for b is old
  const net = q.model({ a: quant(), b: quant() }, (layers, params, state, x: q.Value) => {
    const [y, a] = layers.a(params.a, state.a, x)
    const [z] = layers.b(params.b, state.b, y)
    return [z, { ...state, a }]
  })
  same(stateErrorOf(net).path, 'b')
})

test('a new state that is spread is a compile error', () => {
  // @ts-expect-error what is put together by hand carries no brand
  const net = q.model({ a: quant() }, (layers, params, state, x: q.Value) => {
    const [y, a] = layers.a(params.a, state.a, x)
    return [y, { a: { actQuant: a.actQuant, inputQuant: a.inputQuant } }]
  })
  same(stateErrorOf(net).path, 'a')
})

test('a layer without state need not be handed back', () => {
  const net = q.model(
    { flat: q.functionLayer('Flatten', (x: q.Value) => q.flatten(x, 1)), a: quant() },
    (layers, params, state, x: q.Value) => {
      const [y] = layers.flat(params.flat, state.flat, x)
      const [z, a] = layers.a(params.a, state.a, y)
      return [z, { a }]
    },
  )
  get(q.trace(net, q.tensorInput([2, 2, 2]), { mode: 'train' }))
})

test('the same state used twice names both calls', () => {
  const e = stateErrorOf(
    q.model({ a: quant() }, (layers, params, state, x: q.Value) => {
      const [y] = layers.a(params.a, state.a, x)
      const [z, a] = layers.a(params.a, state.a, y)
      return [z, { a }]
    }),
  )
  says(e.message, /the same state of a was used twice/)
  namesTwoPlaces(e)
})

test('a stale state handed back names where it and the last one were made', () => {
  const e = stateErrorOf(
    q.model({ a: quant() }, (layers, params, state, x: q.Value) => {
      const [y, first] = layers.a(params.a, state.a, x)
      const [z] = layers.a(params.a, first, y)
      return [z, { a: first }]
    }),
  )
  says(e.message, /not the last one/)
  namesTwoPlaces(e)
})

test('errors of state carry the path of the layer', () => {
  const inner = q.model({ a: quant() }, (layers, params, state, x: q.Value) => {
    layers.a(params.a, state.a, x)
    const [z, a] = layers.a(params.a, state.a, x)
    return [z, { a }]
  })
  same(stateErrorOf(q.chain({ first: quant(), block: inner })).path, 'block.a')
})

test('numeric names are rejected by type and by the trace', () => {
  const named = q.chain({
    // @ts-expect-error a name may not be a number
    '1': quant(),
  })
  const hand = q.model(
    {
      // @ts-expect-error a name may not be a number
      '0': quant(),
    },
    (_layers, _params, _state, x: q.Value) => [x, {} as never],
  )
  for (const layer of [named, hand]) {
    const [e] = errorsOf(q.trace(layer as unknown as q.Layer, x4, { mode: 'train' }))
    same(e.tag, 'ConfigError')
    says(e.message, /can't be named "[01]"/)
    says(e.fix, /name it l[01]/)
    errorsOf(q.init(layer as unknown as q.Layer, 0))
  }
})

test('names with dots and empty names are rejected', () => {
  for (const name of ['a.b', '', '__proto__'])
    same(errorsOf(q.init(q.chain(Object.fromEntries([[name, quant()]])), 0))[0].tag, 'ConfigError')
})

test('nested models thread state at any depth', () => {
  const block = q.chain({ fc: linear(4, 4), act: q.QuantReLU({ returnQuantTensor: true, collectStatsSteps: 5 }) })
  const net = q.model(
    { one: block, body: q.residual(q.chain({ deep: block })) },
    (layers, params, state, x: q.Value) => {
      const [y, one] = layers.one(params.one, state.one, x)
      const [z, body] = layers.body(params.body, state.body, y)
      return [z, { one, body }]
    },
  )
  const start = get(q.init(net, 0))
  const program = get(q.trace(q.chain({ q: quant(), net }), x4, { mode: 'train' }))
  const outer = get(q.init(q.chain({ q: quant(), net }), 0))
  const { state } = get(q.run(program, { ...outer, inputs: some([2, 4]) }))
  same(start.state.body.body.deep.act.actQuant.scale !== undefined, true)
  same([counter(state.net.one.act.actQuant), counter(state.net.body.body.deep.act.actQuant)], [1, 1])
})

const counter = (state: q.TensorTree): number => {
  const { scale } = state
  const c = 'data' in scale ? scale : (scale as q.TensorTree).counter
  return 'data' in c ? (c as q.Tensor).data[0] : NaN
}

test('residual adds the input to the body', () => {
  const layer = q.residual(q.functionLayer('twice', (x: q.Value) => q.mul(x, 2)))
  const program = get(q.trace(layer, q.tensorInput([3]), { mode: 'train' }))
  same(
    [...q.valueOf(get(q.run(program, { ...get(q.init(layer, 0)), inputs: q.tensorOf([3], [1, 2, -3]) })).outputs).data],
    [3, 6, -9],
  )
})

test('one layer value under two names is two layers', () => {
  const shared = q.QuantLinear({ inFeatures: 4, outFeatures: 4 })
  const net = q.chain({ q: quant(), a: shared, b: shared })
  const { params, state } = get(q.init(net, 0))
  same(params.a === params.b, false)
  same([...(params.a.weight?.data ?? [])].join() === [...(params.b.weight?.data ?? [])].join(), false)
  const paths = get(q.trace(net, x4, { mode: 'train' })).inputs.map((i) => i.path)
  same(paths.includes('a.weight') && paths.includes('b.weight'), true)
  same(Object.keys(state), ['q', 'a', 'b'])
})

/** Two calls of one quantizer, and the sum of what they give. */
const twice = (steps: number) =>
  q.model({ a: quant(steps) }, (layers, params, state, [x, y]: readonly [q.Value, q.Value]) => {
    const [u, once] = layers.a(params.a, state.a, x)
    const [v, a] = layers.a(params.a, once, y)
    return [{ u, v, sum: q.add(u, v) }, { a }]
  })
const two = [x4, x4] as const
const inputs = [some([2, 4], 1), some([2, 4], 2)] as const

test('a shared quantizer that is used twice in one forward counts twice', () => {
  const net = twice(3)
  const program = get(q.trace(net, two, { mode: 'train' }))
  let at = get(q.init(net, 0)).state
  const seen: number[] = []
  for (let k = 0; k < 4; k++) {
    at = get(q.run(program, { params: { a: {} }, state: at, inputs })).state
    seen.push(counter(at.a.actQuant))
  }
  same(seen, [2, q.LEARNED, q.LEARNED, q.LEARNED])
})

const resultOf = (program: q.Program, path: string): q.Node => {
  const o = program.outputs.find((r) => r.kind === 'result' && r.path === path)
  return program.graph.nodes[o?.node ?? -1]
}
const scaleNode = (program: q.Program, path: string): q.NodeId =>
  program.outputs.find((r) => r.path === path)?.quant?.scale ?? -1

test('in eval the two calls have one scale node, and their sum carries', () => {
  const program = get(q.trace(twice(3), two, { mode: 'eval' }))
  same(scaleNode(program, 'u'), scaleNode(program, 'v'))
  same(resultOf(program, 'sum').carried.tag, 'carries')
})

test('in train each call has a scale node of its own, and their sum is only claimed', () => {
  const program = get(q.trace(twice(3), two, { mode: 'train' }))
  same(scaleNode(program, 'u') === scaleNode(program, 'v'), false)
  const { carried } = resultOf(program, 'sum')
  same(carried.tag, 'claimed')
  same(carried.tag === 'claimed' && carried.why.length > 10, true)
  const strict = resultOf(get(q.trace(twice(3), two, { mode: 'train', strict: true })), 'sum').carried
  same(strict.tag, 'stripped')
})

test('a model is a value: tracing it twice gives the same program', () => {
  const net = twice(3)
  const [a, b] = [get(q.trace(net, two, { mode: 'train' })), get(q.trace(net, two, { mode: 'train' }))]
  same(
    a.graph.nodes.map((n) => `${n.op.name} ${n.inputs}`),
    b.graph.nodes.map((n) => `${n.op.name} ${n.inputs}`),
  )
  same(Object.isFrozen(a) && Object.isFrozen(a.graph.nodes), true)
})

test.run()
