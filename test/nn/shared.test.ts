/** One quantizer in many places: Brevitas' residual networks hand a module to their blocks; here a block is handed a function that calls the layer. */
import * as q from '../../src/index.js'
import { toStateDict } from '../../src/interop/brevitas/index.js'
import { at } from '../../src/data/tree.js'
import { get, same, says } from './support.js'
import { suite } from '../support/suite.js'

const test = suite('nn: a quantizer shared by blocks')

type Act = (x: q.Value) => q.Value
type Given = { readonly x: q.Value; readonly act: Act }

/** `act(x + act(fc(x)))`, with an act that belongs to whoever calls. */
const block = () =>
  q.model({ fc: q.QuantLinear({ inFeatures: 4, outFeatures: 4 }) }, (layers, params, state, { x, act }: Given) => {
    const [y, fc] = layers.fc(params.fc, state.fc, x)
    return [act(q.add(x, act(y))), { fc }]
  })

const shared = (steps: number) =>
  q.model(
    { act: q.QuantIdentity({ collectStatsSteps: steps, returnQuantTensor: true }), one: block(), two: block() },
    (layers, params, state, x: q.Value) => {
      const [first, once] = layers.act(params.act, state.act, x)
      let act = once
      const quantize: Act = (v) => {
        const [y, next] = layers.act(params.act, act, v)
        act = next
        return y
      }
      const [y, one] = layers.one(params.one, state.one, { x: first, act: quantize })
      const [z, two] = layers.two(params.two, state.two, { x: y, act: quantize })
      return [z, { act, one, two }]
    },
  )

const x = q.tensorInput([2, 4])
const some = (): q.Tensor => q.randn([2, 4])(q.manualSeed(1))[0]

test('in eval all of its calls have one scale, so that sums of blocks carry', () => {
  const program = get(q.trace(shared(5), x, { mode: 'eval' }))
  same(
    q.lossesOf(program).map((l) => [l.path, l.tag]),
    [
      ['one.fc', 'stripped'],
      ['two.fc', 'stripped'],
    ],
  )
})

test('its nodes stand at its own path, wherever it is called from', () => {
  for (const mode of ['train', 'eval'] as const) {
    const program = get(q.trace(shared(5), x, { mode }))
    same(
      program.graph.nodes.map((n) => n.path).filter((p) => /^(one|two)\.act/.test(p)),
      [],
    )
    same(program.graph.nodes.filter((n) => n.op.name === 'quantize' && n.path === 'act.actQuant').length, 5)
  }
})

test('it collects once for each of its calls, in order, and is saved under its own name', () => {
  const net = shared(5)
  const { params, state } = get(q.init(net, 0))
  const program = get(q.trace(net, x, { mode: 'train' }))
  const ran = get(q.run(program, { params, state, inputs: some() }))
  same((at(ran.state, 'act.actQuant.scale.counter') as q.Tensor).data[0], 5)
  same(
    Object.keys(get(toStateDict(net, { params, state: ran.state }))).filter((k) => k.includes('quant')),
    ['act.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value'],
  )
})

test('while it collects each call has a scale of its own, and the loss says so', () => {
  const joined = q.functionLayer('cat', ([a, b]: readonly q.Value[]) => q.cat([a, b], 0))
  const twice = q.model(
    {
      act: q.QuantIdentity({ returnQuantTensor: true }),
      sum: q.functionLayer('sum', ([a, b]: readonly q.Value[]) => q.add(a, b)),
      joined,
    },
    (layers, params, state, v: q.Value) => {
      const [a, once] = layers.act(params.act, state.act, v)
      const [b, act] = layers.act(params.act, once, q.mul(v, 2))
      const [y] = layers.sum(params.sum, state.sum, [a, b])
      const [z] = layers.joined(params.joined, state.joined, [a, b])
      return [{ y, z }, { act }]
    },
  )
  const found = q.lossesOf(get(q.trace(twice, x, { mode: 'train' }))).filter((l) => l.tag === 'claimed')
  same(
    found.map((l) => l.path),
    ['sum', 'joined'],
  )
  for (const { why } of found) says(why, /both calls are of act\.actQuant, and in training each that collects/)
  same(
    q.lossesOf(get(q.trace(twice, x, { mode: 'eval' }))).filter((l) => l.tag === 'claimed'),
    [],
  )
})

test('scales of two layers that read the same leaves are one, whatever their paths', () => {
  const phases = (path: string, v: q.Value, kit: q.Kit, counter: q.Value, learned: number) =>
    kit.scoped(path, () =>
      kit.phase({
        counter,
        args: [v],
        limit: 3,
        warnSteps: 3,
        collect: ([a], inner) => [inner.emit('abs', [a])],
        learned: ([a], inner) => [inner.emit('mul', [a, inner.constant(learned)])],
      }),
    )
  const asked: boolean[] = []
  const net = q.functionLayer('asks', (v: q.Value, kit) => {
    const [c, d] = [kit.emit('maxAll', [v]), kit.emit('mean', [v], { dims: [0, 1], keepdim: false })]
    const ids = [
      phases('a', v, kit, c, 2),
      phases('b', v, kit, c, 2), // the same
      phases('b', v, kit, d, 2), // another counter
      phases('b', v, kit, c, 3), // another branch
    ].map(([y]) => y)
    asked.push(...ids.map((y) => kit.same(ids[0].id, y.id)))
    return ids[3]
  })
  get(q.trace(net, x, { mode: 'eval' }))
  same(asked, [true, true, false, false])
})

test.run()
