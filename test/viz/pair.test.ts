/** Two programs side by side: what is paired, what is said to differ, and how both drawings stand level. No browser. */
import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import {
  BatchNorm2d,
  chain,
  Dropout,
  functionLayer,
  init,
  QuantConv2d,
  QuantIdentity,
  QuantReLU,
  relu,
  run,
  tanh,
  tensorInput,
  trace,
  type Layer,
  type Program,
  type Value,
} from '../../src/index.js'
import { alignPrograms } from '../../src/graph/align.js'
import { diffPrograms } from '../../src/graph/diff.js'
import { pairOf, toHtml, type PairOptions } from '../../viz/index.js'
import { levelled, risingAnchors } from '../../viz/pair/layout.js'
import { jointHues, pairDrawing } from '../../viz/pair/marks.js'
import { packPair, unpackPair } from '../../viz/pair/pack.js'
import { twinsOf } from '../../viz/pair/twins.js'
import { allOpen, firstOpen } from '../../viz/scene/opening.js'
import { layoutOf } from '../../viz/scene/layout.js'
import { visibleOf, type Visible } from '../../viz/scene/visible.js'
import { right } from '../graph/fixtures/programs.js'
import { suite } from '../support/suite.js'
import { expectedOf } from './expected.js'
import { programs, residual, stripped } from './programs.js'

const test = suite('pair')
const said = (a: Program, b: Program, options: PairOptions = {}): string =>
  pairOf([a, b], options)
    .sentence.map((p) => p.text)
    .join('')
const net = (returnQuantTensor: boolean, extra: boolean): Program =>
  right(
    trace(
      chain({
        input: QuantIdentity({ returnQuantTensor }),
        conv: QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 3 }),
        ...(extra ? { act: QuantReLU() } : {}),
      }) as unknown as Layer<unknown, unknown>,
      tensorInput([1, 2, 5, 5]),
      { mode: 'eval' },
    ),
  ) as Program
const of = (f: (x: Value) => Value): Program =>
  right(trace(functionLayer('f', f), tensorInput([2]), { mode: 'eval' })) as Program
const names = Object.keys(programs)

for (const [i, name] of names.entries()) {
  const [a, b] = [programs[name], programs[names[(i + 1) % names.length]]]

  test(`${name}: every node stands in the alignment once, on each side`, () => {
    const aligned = alignPrograms(a(), b())
    const found = (side: 'a' | 'b'): readonly string[] => aligned.flatMap((n) => n[side] ?? []).sort()
    assert.equal(
      [found('a'), found('b')],
      [[...expectedOf(a()).nodes.keys()].sort(), [...expectedOf(b()).nodes.keys()].sort()],
    )
  })

  test(`${name}: beside itself everything is the same, and nothing is noted`, () => {
    const pair = pairOf([a(), a()])
    const twins = twinsOf(pair)
    for (const side of twins) assert.ok([...side.status.values()].every((s) => s === 'same'))
    assert.is(said(a(), a()), 'The programs are the same, node by node.')
    assert.is(diffPrograms(a(), a()), '')
    const all = visibleOf(pair.scenes[0], allOpen(pair.scenes[0]), true)
    assert.is(pairDrawing(pair, twins, [all, all]).chips.length, 0)
  })

  test(`${name}: partners are mutual, and packing loses nothing`, () => {
    const pair = pairOf([a(), b()])
    const [left, rightSide] = twinsOf(pair)
    for (const [x, y] of left.partner) assert.is(rightSide.partner.get(y), x)
    assert.is(left.partner.size, rightSide.partner.size)
    for (const [x, y] of left.partner) assert.is(left.status.get(x), rightSide.status.get(y), `${x} and ${y}`)
    assert.equal(unpackPair(JSON.parse(JSON.stringify(packPair(pair)))), JSON.parse(JSON.stringify(pair)))
  })

  test(`${name}: levelled, nothing overlaps, order is kept, lines still reach what they end at`, () => {
    const pair = pairOf([a(), b()])
    const { partner } = twinsOf(pair)[0]
    for (const open of [firstOpen, allOpen]) {
      const vs = [
        visibleOf(pair.scenes[0], open(pair.scenes[0]), true),
        visibleOf(pair.scenes[1], open(pair.scenes[1]), true),
      ] as const
      const before = [layoutOf(vs[0]), layoutOf(vs[1])] as const
      levelled(vs, before, partner).forEach((after, side) => checkLevelled(vs[side], before[side], after))
    }
  })
}

type Drawn = ReturnType<typeof layoutOf>
const checkLevelled = (v: Visible, before: Drawn, after: Drawn): void => {
  const items = [...v.at.values()]
  for (const i of items) {
    const [old, r, p] = [before.rects.get(i.id), after.rects.get(i.id), after.rects.get(i.parent)]
    assert.ok(
      old !== undefined && r !== undefined && r.x === old.x && r.y >= old.y - 0.01 && r.height >= old.height - 0.01,
      i.id,
    )
    if (p !== undefined && r !== undefined)
      assert.ok(r.y >= p.y - 0.01 && r.y + r.height <= p.y + p.height + 0.01, `${i.id} left its box`)
    for (const j of items) {
      const o = after.rects.get(j.id)
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
  for (const l of v.lines) {
    const [from, to, way] = [after.rects.get(l.from), after.rects.get(l.to), after.ways.get(l.id) ?? []]
    const near = (y: number, r: typeof from): boolean =>
      r !== undefined && (Math.abs(y - r.y) < 0.6 || Math.abs(y - r.y - r.height) < 0.6)
    assert.ok(near(way[0][1], from) && near(way[way.length - 1][1], to), `${l.id} hangs loose`)
  }
}

test('anchors: a longest rising chain, as trying all of them finds it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 })), { maxLength: 8 }),
      (anchors) => {
        const found = risingAnchors(anchors)
        for (let k = 1; k < found.length; k++) assert.ok(found[k][0] > found[k - 1][0] && found[k][1] > found[k - 1][1])
        let best = 0
        for (let mask = 0; mask < 2 ** anchors.length; mask++) {
          const chosen = anchors.filter((_, i) => (mask >> i) % 2 === 1).sort((x, y) => x[0] - y[0])
          if (chosen.every((c, k) => k === 0 || (c[0] > chosen[k - 1][0] && c[1] > chosen[k - 1][1])))
            best = Math.max(best, chosen.length)
        }
        assert.is(found.length, best)
      },
    ),
  )
})

test('partners of the longest chain stand at one height', () => {
  const pair = pairOf([net(false, true), net(true, false)])
  const twins = twinsOf(pair)
  const vs = [visibleOf(pair.scenes[0], new Set(), false), visibleOf(pair.scenes[1], new Set(), false)] as const
  const { layouts } = pairDrawing(pair, twins, vs)
  for (const id of ['input', 'conv'])
    assert.ok(Math.abs((layouts[0].rects.get(id)?.y ?? 0) - (layouts[1].rects.get(id)?.y ?? 1)) < 0.01, id)
  const results = [0, 1].map((s) => layouts[s].rects.get('=0')?.y ?? 0)
  assert.ok(Math.abs(results[0] - results[1]) < 0.01)
})

test('the sentence says what differs, on which side, and what it costs', () => {
  const text = said(net(false, true), net(true, false), { sides: [{ title: 'old' }, { title: 'new' }] })
  assert.match(text, /In “old” its product runs in float, in “new” its product runs on integers/)
  assert.match(text, /They part at .*input \(stripped ≠ int8\)/)
  assert.match(text, /Only “old” has act/)
  assert.match(
    said(
      of((x) => tanh(relu(x))),
      of((x) => relu(tanh(x))),
    ),
    /Only “left” has .*Only “right” has /,
  )
})

test('numbers of two runs are compared element by element', () => {
  const layer = chain({ quant: QuantIdentity({ returnQuantTensor: true }) })
  const program = right(trace(layer, tensorInput([4]), { mode: 'train' })) as Program
  const start = right(init(layer, 0))
  const ran = (data: readonly number[]): unknown =>
    right(run(program as never, { ...start, inputs: { shape: [4], data: Float32Array.from(data) } } as never)).outputs
  const compared = (x: unknown, y: unknown) => pairOf([program, program], { sides: [{ outputs: x }, { outputs: y }] })
  assert.equal(compared(ran([1, 2, 3, 4]), ran([1, 2, 3, 4])).compared, [
    { name: 'output', count: 4, equal: 4, largest: 0 },
  ])
  const [changed] = compared(ran([1, 2, 3, 4]), ran([1, 2, 3, -4])).compared
  assert.ok(changed.equal >= 3 && changed.equal < 4 && Math.abs(changed.largest - 8) < 0.1)
  assert.match(compared(ran([1, 2, 3, 4]), ran([1, 2, 3, -4])).sentence[0].text, /^1 of 4 results differ, by at most /)
  assert.equal(pairOf([program, program]).compared, [])
})

test('one program in training and in eval: what the mode changes is said once, and notes that only follow are left out', () => {
  const keep = { returnQuantTensor: true }
  const conv = { inChannels: 4, outChannels: 4, kernelSize: 3, padding: 1, ...keep }
  const layer = chain({
    input: QuantIdentity(keep),
    conv1: QuantConv2d(conv),
    bn: BatchNorm2d({ numFeatures: 4 }),
    act1: QuantReLU(keep),
    conv2: QuantConv2d(conv),
    act2: QuantReLU(keep),
    drop: Dropout({ p: 0.5 }),
    act3: QuantIdentity(keep),
  })
  const traced = (mode: 'train' | 'eval'): Program =>
    right(trace(layer, tensorInput([1, 4, 6, 6]), { mode })) as Program
  for (const order of [['train', 'eval'] as const, ['eval', 'train'] as const]) {
    const pair = pairOf([traced(order[0]), traced(order[1])])
    const text = pair.sentence.map((x) => x.text).join('')
    assert.match(
      text,
      /is traced for train, “\w+” for eval\. What the mode changes: 4 quantizers \(input, act1 and 2 more\)/,
    )
    assert.match(text, /bn \(BatchNorm2d\), drop \(Dropout\), which compute otherwise/)
    assert.not.match(text, /differs inside/)
    const twins = twinsOf(pair)
    const vs = [visibleOf(pair.scenes[0], new Set(), false), visibleOf(pair.scenes[1], new Set(), false)] as const
    const notes = pairDrawing(pair, twins, vs).chips.map((c) => c.text)
    assert.equal(
      notes.filter((t) => t === 'differs inside'),
      [],
    )
    assert.ok(notes.length < 8, notes.join(', '))
  }
  // Another program is no other mode of this one.
  assert.not.match(
    said(
      traced('train'),
      right(trace(chain({ input: QuantIdentity(keep) }), tensorInput([2]), { mode: 'eval' })) as Program,
    ),
    /What the mode changes/,
  )
})

test('rewired operands differ though nothing stands alone', () => {
  const swap = (flip: boolean): Program => of((x) => x.kit.emit('sub', flip ? [tanh(x), relu(x)] : [relu(x), tanh(x)]))
  assert.not.match(said(swap(false), swap(true)), /are the same/)
})

test('a layer that holds less than its twin differs too', () => {
  const layer = (f: (x: Value) => Value): Program =>
    right(trace(chain({ a: functionLayer('a', f) }), tensorInput([2]), { mode: 'eval' })) as Program
  const twins = twinsOf(pairOf([layer(relu), layer((x) => tanh(relu(x)))]))
  assert.equal(
    twins.map((t) => t.status.get('a')),
    ['differs', 'differs'],
  )
})

test('a scale has the hue of its twin; others have hues of their own', () => {
  const pair = pairOf([residual(), residual()])
  const [left, other] = jointHues(pair, twinsOf(pair))
  assert.equal(left, other)
  const a = pairOf([stripped(), residual()])
  const b = twinsOf(a)
  const [x, y] = jointHues(a, b)
  assert.is(new Set(y.values()).size, y.size)
  for (const [scale, hue] of y) if (!b[1].partner.has(scale)) assert.ok(![...x.values()].includes(hue))
})

test('a page of two programs is the same text every time, and says no more than its policy allows', () => {
  const make = (): string => toHtml([stripped(), residual()])
  assert.ok(make() === make())
  assert.not.match(make(), /\sstyle="|\son\w+="/)
})

test.run()
