import * as assert from 'uvu/assert'
import { sceneOf, watch } from '../../viz/index.js'
import { walkOf } from '../../viz/scene/causes.js'
import { identities } from '../../viz/scene/identity.js'
import { costOf, birthsOf, indexOf } from '../../viz/scene/reach.js'
import { allOpen, firstOpen } from '../../viz/scene/opening.js'
import { foldedInto } from '../../viz/scene/fold.js'
import { layoutOf } from '../../viz/scene/layout.js'
import { piecesOf } from '../../viz/scene/text.js'
import { pack, unpack } from '../../viz/scene/pack.js'
import { visibleOf } from '../../viz/scene/visible.js'
import * as q from '../../src/index.js'
import { deep, right } from '../graph/fixtures/programs.js'
import { suite } from '../support/suite.js'
import { expectedOf } from './expected.js'
import { kept, layers, named, plain, programs, residual, stripped } from './programs.js'

const test = suite('scene')
const said = (program: Parameters<typeof sceneOf>[0]): string =>
  sceneOf(program)
    .sentence.map((p) => p.text)
    .join('')

for (const [name, make] of Object.entries(programs)) {
  test(`${name}: every node and operand of the program, and no other`, () => {
    const scene = sceneOf(make())
    const { nodes, edges } = expectedOf(make())
    assert.equal(new Map(scene.nodes.map((n) => [n.id, n.op])), nodes)
    assert.equal(
      scene.edges.map((e) => [e.from, e.to, e.slot].join()).sort(),
      edges.map((e) => [e.from, e.to, e.slot].join()).sort(),
    )
    const boxes = new Set(['', ...scene.boxes.map((b) => b.id)])
    assert.ok(scene.nodes.every((n) => boxes.has(n.box)) && scene.boxes.every((b) => boxes.has(b.parent)))
  })

  test(`${name}: packing loses nothing`, () => {
    assert.equal(unpack(JSON.parse(JSON.stringify(pack(sceneOf(make()))))), JSON.parse(JSON.stringify(sceneOf(make()))))
  })

  test(`${name}: nodes lie inside their boxes and do not overlap; lines run from border to border`, () => {
    const scene = sceneOf(make())
    for (const open of [firstOpen(scene), allOpen(scene)]) {
      const v = visibleOf(scene, open, true)
      const { rects, ways, width, height } = layoutOf(v)
      const items = [...v.at.values()]
      for (const i of items) {
        const [r, p] = [rects.get(i.id), rects.get(i.parent) ?? { x: 0, y: 0, width, height }]
        assert.ok(
          r !== undefined &&
            r.x >= p.x - 0.01 &&
            r.y >= p.y - 0.01 &&
            r.x + r.width <= p.x + p.width + 0.01 &&
            r.y + r.height <= p.y + p.height + 0.01,
          i.id,
        )
        for (const j of items) {
          const o = rects.get(j.id)
          if (j.parent !== i.parent || j.id <= i.id || o === undefined || r === undefined) continue
          assert.ok(
            r.x + r.width <= o.x + 0.01 ||
              o.x + o.width <= r.x + 0.01 ||
              r.y + r.height <= o.y + 0.01 ||
              o.y + o.height <= r.y + 0.01,
            `${i.id} and ${j.id} overlap`,
          )
        }
      }
      for (const l of v.lines) assert.ok((ways.get(l.id) ?? []).length >= 2, l.id)
    }
  })
}

test('open boxes show all; closed ones hide what is inside and tell of its losses', () => {
  const scene = sceneOf(stripped())
  const all = visibleOf(scene, allOpen(scene), true)
  assert.is(all.lines.filter((l) => !l.tail).length, scene.edges.length)
  const none = visibleOf(scene, new Set(), false)
  assert.equal(none.items.map((i) => i.label).sort(), ['act', 'conv1', 'conv2', 'input', 'input', 'output'])
  assert.is(none.at.get('act')?.hidden.stripped, 1)
  assert.ok(none.lines.some((l) => l.from === 'act' && l.to === 'conv2' && l.source.carry === 'stripped'))
})

test('the sentence says where, and what it costs', () => {
  assert.match(said(stripped()), /stripped at act, so 1 of 2 convolutions runs in float: conv2\./)
  assert.match(said(kept()), /survives everywhere/)
  assert.match(said(plain()), /No value .* ever quantized/)
})

test('a tall drawing folds into columns that fit: nothing lost, nothing overlaps, one line from column to column', () => {
  const scene = sceneOf(layers(30))
  const v = visibleOf(scene, firstOpen(scene), false)
  const flat = layoutOf(v)
  const room = { width: 1060, height: 560 }
  const folded = foldedInto(v, flat, room)
  const scale = (l: typeof flat): number => Math.min(room.width / l.width, room.height / l.height)
  assert.ok(scale(folded) > 2 * scale(flat), `${scale(flat)} → ${scale(folded)}`)
  assert.equal([...folded.rects.keys()].sort(), [...flat.rects.keys()].sort())
  const rects = v.items.map((i) => folded.rects.get(i.id) ?? { x: NaN, y: NaN, width: NaN, height: NaN })
  for (const [k, r] of rects.entries()) {
    assert.ok(r.x >= 0 && r.y >= 0 && r.x + r.width <= folded.width && r.y + r.height <= folded.height)
    for (const o of rects.slice(k + 1))
      assert.ok(
        r.x + r.width <= o.x || o.x + o.width <= r.x || r.y + r.height <= o.y + 0.01 || o.y + o.height <= r.y + 0.01,
      )
  }
  const columns = new Set(v.lines.filter((l) => folded.across.has(l.id)).map((l) => folded.rects.get(l.to)?.x))
  assert.is(columns.size, folded.across.size)
  for (const l of v.lines)
    assert.ok(
      (folded.ways.get(l.id) ?? []).every(([x, y]) => x >= 0 && x <= folded.width && y >= 0 && y <= folded.height),
    )
  assert.is(foldedInto(v, flat, { width: flat.width, height: flat.height }), flat)
})

test('a loss is a place to change, free, or a consequence; boxes tell how they multiply and what leaves them', () => {
  const scene = sceneOf(stripped())
  const losses = scene.nodes.filter((n) => n.flow && n.carry === 'stripped').map((n) => `${n.box} ${n.loss ?? ''}`)
  assert.equal(losses, ['act costly', 'conv2 behind'])
  const { at } = visibleOf(scene, new Set(), false)
  const texts = Object.fromEntries(
    [...at].flatMap(([id, i]) =>
      i.kind === 'box'
        ? [
            [
              id,
              piecesOf(i)
                .map((p) => p.text)
                .join(' · '),
            ],
          ]
        : [],
    ),
  )
  assert.equal(texts, { input: '1×4×6×6', conv1: 'int · 1×4×6×6', act: '1 claimed', conv2: 'float · 1×2×4×4' })
  assert.is(
    sceneOf(kept()).nodes.some((n) => n.loss !== undefined),
    false,
  )
})

test('advice in code stands under the name of the layer only where the layer is that one function', () => {
  const net = (f: (x: q.Value) => q.Value): q.Program =>
    right(
      q.trace(
        q.chain({ input: q.QuantIdentity({ returnQuantTensor: true }), squash: q.functionLayer('squash', f) }) as never,
        q.tensorInput([2, 3]) as never,
        { mode: 'eval' },
      ),
    ) as q.Program
  const code = (program: q.Program): string | undefined => sceneOf(program).losses[0]?.advice[0]?.code
  assert.is(code(net((x) => q.plain.relu(x))), 'squash: QuantReLU({ returnQuantTensor: true })')
  const twice = code(net((x) => q.add(q.plain.relu(x), q.plain.relu(x))))
  assert.is(twice, 'requant: QuantIdentity({ returnQuantTensor: true })')
})

test('places to change are walked first, then doubts; what is lost at no cost, or exact in integers, comes last', () => {
  const keep = { returnQuantTensor: true }
  const conv = { inChannels: 4, outChannels: 4, kernelSize: 3, padding: 1 }
  const net = q.chain({
    input: q.QuantIdentity(keep),
    free: q.QuantConv2d(conv),
    act: q.QuantReLU(keep),
    wide: q.QuantConv2d({ ...conv, ...keep }),
    doubt: q.QuantReLU(),
    last: q.QuantConv2d(conv),
  })
  const index = indexOf(sceneOf(right(q.trace(net, q.tensorInput([1, 4, 6, 6]), { mode: 'eval' })) as q.Program))
  const boxes = walkOf(index).map((id) => index.node.get(id)?.box)
  assert.equal([...new Set(boxes)], ['doubt', 'free', 'wide', 'last'])
  assert.is(index.node.get(walkOf(index)[0])?.loss, 'costly')
  const wide = index.scene.nodes.filter((n) => n.box === 'wide' && n.carry === 'claimed' && n.flow)
  assert.ok(wide.length > 0 && wide.every((n) => n.calm === 'exact' && n.loss === undefined))
  assert.match(index.scene.sentence.map((p) => p.text).join(''), /Exact in integers, beyond float32, from .*wide/)
})

test('a shared quantizer is judged by all of its calls, and a waste in front of a ReLU where it begins', () => {
  const keep = { returnQuantTensor: true }
  const net = q.model(
    { input: q.QuantIdentity(keep), act: q.QuantReLU(keep), join: q.QuantEltwiseAdd(keep), out: q.QuantReLU(keep) },
    (layers, params, state, x: q.Value) => {
      const [a, input] = layers.input(params.input, state.input, x)
      const [b, act] = layers.act(params.act, state.act, a)
      // The first call sees no negative number, the second many.
      const [sum, join] = layers.join(params.join, state.join, [b, a])
      const [y, out] = layers.out(params.out, state.out, sum)
      return [y, { input, act, join, out }]
    },
  )
  const program = right(q.trace(net, q.tensorInput([8192]), { mode: 'train' })) as q.Program
  const start = right(q.init(net, 0))
  const args = { params: start.params, state: start.state, inputs: q.randn([8192])(q.manualSeed(0))[0] }
  const w = watch(program, args as never)
  right(q.run(program, args as never, { observe: w.observe }))
  const scene = sceneOf(program, { values: w.values })
  assert.equal(
    scene.wasted.map((x) => x.advice[0].edits),
    [[{ do: 'set', path: 'join', options: [['outputQuant', 'Uint8ActPerTensorFloat']] }]],
  )
  assert.is(
    scene.wasted[0].advice[0].code,
    'join: QuantEltwiseAdd({ returnQuantTensor: true, outputQuant: Uint8ActPerTensorFloat })',
  )
})

test('the cost of a loss ends at the next quantizer; births are the quantizers behind a value', () => {
  const index = indexOf(sceneOf(stripped()))
  const loss = index.scene.nodes.find((n) => n.box === 'act' && n.carry === 'stripped')
  assert.ok(loss !== undefined)
  const { products, results } = costOf(index, loss.id)
  assert.equal(
    products.map((id) => index.node.get(id)?.box),
    ['conv2'],
  )
  assert.equal(results, ['output'])
  const conv1 = index.scene.nodes.find((n) => n.box === 'conv1' && n.op === 'conv')
  assert.equal(
    birthsOf(index, conv1?.id ?? '')
      .map((id) => index.node.get(id)?.box)
      .sort(),
    ['conv1.weightQuant', 'input.actQuant'],
  )
  assert.match(
    index.scene.losses.find((l) => l.node === loss.id)?.advice[0].code ?? '',
    /^act: QuantReLU\(.*returnQuantTensor: true/,
  )
})

test('equal expressions are one scale, two quantizers are two', () => {
  const program = residual()
  const same = identities(program.graph)
  program.graph.nodes.forEach((n) => assert.ok(same[n.id] <= n.id))
  const scales = new Set(
    sceneOf(program)
      .nodes.filter((n) => n.flow && n.scale !== undefined && n.box.endsWith('actQuant'))
      .map((n) => n.scale),
  )
  assert.is(scales.size, 3)
})

test('named values: inputs and results, each once, under any naming', () => {
  const values = sceneOf(named(), { nameOf: (path) => path.toUpperCase() }).values
  assert.equal(
    values.map((v) => [v.name, v.role]),
    [
      ['A', 'input'],
      ['B', 'input'],
      ['SUM', 'result'],
      ['PLAIN', 'result'],
    ],
  )
})

test('10,000 nodes in a row make a scene', () => {
  assert.is(sceneOf(deep(10_000)).edges.length, 15_000)
})

test('a loop is a box that says its steps and states, with its body once, whose inputs say what they are', () => {
  const net = q.functionLayer('sums', (x: q.Value) => {
    const [last] = q.scan((h: q.Value, s: q.Value) => [q.tanh(q.add(h, s)), {}], q.mean(x, 0), x, { reverse: true })
    return last
  })
  const scene = sceneOf(right(q.trace(net, q.tensorInput([7, 2]), { mode: 'eval' })))
  const [loop, body] = scene.boxes.filter((b) => b.loop !== undefined)
  assert.is(loop.label, 'loop')
  assert.equal(loop.loop, { steps: 7, states: 1, reverse: true })
  assert.is(body.parent, loop.id)
  const closed = visibleOf(scene, firstOpen(scene), true).at.get(loop.id)
  assert.ok(closed !== undefined)
  assert.is(closed === undefined ? '' : piecesOf(closed)[0].text, '7 steps back, 1 state')
  const inputs = scene.nodes.filter((n) => n.box === body.id && n.op === 'input')
  assert.equal(
    inputs.map((n) => n.label),
    ['state 0', 'slice 0'],
  )
  assert.match(inputs[0].origin ?? '', /of the step before gave/)
  assert.equal(unpack(JSON.parse(JSON.stringify(pack(scene)))), JSON.parse(JSON.stringify(scene)))
})

/** An LSTM whose states are `h` and `c`. */
const recurrent = (mode: 'train' | 'eval') => {
  const lstm = q.QuantLSTM({ inputSize: 2, hiddenSize: 2 })
  const net = q.model({ lstm }, (layers, params, state, x: q.Value) => {
    const [out, after] = layers.lstm(params.lstm, state.lstm, { x })
    return [out.y, { lstm: after }]
  })
  return sceneOf(right(q.trace(net, q.tensorInput([5, 1, 2]), { mode })))
}
const openAll = (scene: ReturnType<typeof sceneOf>) =>
  new Set(scene.boxes.filter((b) => b.kind === 'layer' || b.loop !== undefined).map((b) => b.id))

test('in the body of a loop values are drawn as values, and each state leads back, by its name, from what a step hands back to where the next begins', () => {
  const scene = recurrent('eval')
  const v = visibleOf(scene, openAll(scene), false)
  const backs = v.lines.filter((l) => l.back !== undefined)
  assert.equal(
    backs.map((l) => l.back?.name),
    ['h', 'c'],
  )
  for (const l of backs) {
    assert.is(v.at.get(l.to)?.node?.op, 'input')
    assert.is(v.at.get(l.to)?.label, l.back?.name)
    assert.is(l.source.box, l.back?.box)
  }
  // What only computes scales is not drawn without details, and the states of quantizers lead back with them.
  const details = visibleOf(recurrent('train'), openAll(recurrent('train')), true)
  const all = details.lines.flatMap((l) => (l.back === undefined ? [] : [l.back.name]))
  assert.ok(all.includes('h') && all.some((n) => /counter/.test(n)), all.join())
  // Nothing leads back where the body is closed; and a scene keeps its states when it is packed.
  assert.ok(visibleOf(scene, firstOpen(scene), false).lines.every((l) => l.back === undefined || v.at.has(l.back.box)))
  assert.equal(unpack(JSON.parse(JSON.stringify(pack(scene)))), JSON.parse(JSON.stringify(scene)))
})

test('a line that leads back keeps clear of all items of its body: down, up at the right, and in at the top', () => {
  for (const scene of [recurrent('eval'), recurrent('train')])
    for (const details of [false, true]) {
      const v = visibleOf(scene, openAll(scene), details)
      const layout = layoutOf(v)
      const backs = v.lines.filter((l) => l.back !== undefined)
      assert.ok(backs.length >= 2)
      for (const l of backs) {
        const way = layout.ways.get(l.id) ?? []
        const [from, to, body] = [layout.rects.get(l.from), layout.rects.get(l.to), layout.rects.get(l.back?.box ?? '')]
        if (from === undefined || to === undefined || body === undefined) throw new Error(l.id)
        assert.equal(way.at(-1), [to.x + to.width / 2, to.y])
        // The stretch at the right is between the items and the border of the body.
        const right = Math.max(...way.map(([x]) => x))
        assert.ok(right <= body.x + body.width, `${right} and ${body.x + body.width}`)
        for (const i of v.at.values()) {
          const r = layout.rects.get(i.id)
          if (i.parent !== l.back?.box || r === undefined) continue
          assert.ok(r.x + r.width < right, i.id)
          const [low, high] = [Math.max(...way.map(([, y]) => y)), Math.min(...way.map(([, y]) => y))]
          assert.ok(r.y > high && r.y + r.height < low, i.id)
        }
      }
    }
})

test.run()
