/** The pages as reducers, without a document: what is shown behind each act of a reader. */
import * as assert from 'uvu/assert'
import { pairOf } from '../../viz/pair/scene.js'
import { firstPair, pairFactsOf, reducePair, type PairAction, type PairState } from '../../viz/pair/page/state.js'
import { firstState, reduce, type Action, type PageState } from '../../viz/page/state.js'
import { storeOf } from '../../viz/page/store.js'
import { allOpen } from '../../viz/scene/opening.js'
import { sceneOf } from '../../viz/index.js'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { layers, residual, stripped } from './programs.js'

const test = suite('pages as reducers')

const all = (): boolean => true
const never = (): boolean => false
const behind = (first: PageState, ...actions: readonly Action[]): PageState => actions.reduce(reduce(all), first)
const layerBoxes = (s: PageState): readonly string[] =>
  s.facts.scene.boxes.filter((b) => b.kind === 'layer').map((b) => b.id)

const trained = (): q.Program => {
  const net = q.chain({ fc: q.QuantLinear({ inFeatures: 2, outFeatures: 2 }), act: q.QuantReLU() })
  const task = q.withLoss(net, q.crossEntropy)
  const inputs = { x: q.tensorInput([2, 2]), target: q.tensorInput([2]) }
  return q.orThrow(q.grad(q.orThrow(q.trace(task, inputs, { mode: 'train' })), { output: 'loss' }))
}

test('a box opens and closes, selected each time; all boxes are no longer open', () => {
  const first = firstState(sceneOf(layers(2)), true, all)
  const [box] = layerBoxes(first)
  const closed = behind(first, { do: 'toggle', box })
  assert.not(closed.open.has(box))
  assert.is(closed.selected, box)
  const open = behind(closed, { do: 'toggle', box })
  assert.ok(open.open.has(box))
  assert.equal([first.isAll, closed.isAll], [true, true])
  assert.is(behind(first, { do: 'openAll', all: false }).isAll, false)
})

test('whoever goes to a node opens what hides it, selects it, and lights everything again', () => {
  const scene = sceneOf(residual())
  const closed: PageState = { ...firstState(scene, false, all), open: new Set(), lit: ['1'] }
  const hidden = scene.nodes.find((n) => n.box !== '' && n.flow)
  const there = behind(closed, { do: 'go', id: hidden?.id ?? '' })
  assert.ok(
    there.facts
      .up(hidden?.id ?? '')
      .slice(1)
      .every((box) => there.open.has(box)),
  )
  assert.equal([there.selected, there.lit], [hidden?.id, null])
  const again = behind(there, { do: 'go', id: hidden?.id ?? '' })
  assert.is(again.open, there.open)
  const detail = scene.nodes.find((n) => !n.flow)
  assert.equal([there.details, behind(there, { do: 'go', id: detail?.id ?? '' }).details], [false, true])
})

test('losses are walked around, forwards and backwards; without one nothing changes', () => {
  const first = firstState(sceneOf(stripped()), false, all)
  const { walk } = first.facts
  assert.ok(walk.length > 0)
  assert.is(behind(first, { do: 'loss', step: 1 }).selected, walk[0])
  assert.is(behind(first, { do: 'loss', step: -1 }).selected, walk[walk.length - 1])
  const round = Array.from({ length: walk.length + 1 }, (): Action => ({ do: 'loss', step: 1 }))
  assert.is(behind(first, ...round).selected, walk[0])
  const none = { ...first, facts: { ...first.facts, walk: [] } }
  assert.is(behind(none, { do: 'loss', step: 1 }), none)
})

test('each pass has its scene; going to the pass that is not shown shows both', () => {
  const scene = sceneOf(trained())
  const first = firstState(scene, false, all)
  assert.ok(first.seen.nodes.every((n) => n.side === undefined))
  const back = behind(first, { do: 'select', id: '1' }, { do: 'side', side: 'backward' })
  assert.ok(back.seen.nodes.every((n) => n.side === 'backward'))
  assert.is(back.selected, null)
  const forward = scene.nodes.find((n) => n.side === undefined && n.flow)
  const both = behind(back, { do: 'go', id: forward?.id ?? '' })
  assert.equal([both.side, both.seen.nodes.length], ['both', scene.nodes.length])
})

test('what fits decides how much is open at first, and after the details were closed', () => {
  const scene = sceneOf(layers(3))
  const [much, little] = [firstState(scene, false, all), firstState(scene, false, never)]
  assert.ok(much.open.size >= little.open.size)
  const closed = reduce(never)(firstState(scene, true, all), { do: 'openAll', all: false })
  assert.equal(closed.open, little.open)
  assert.equal(behind(much, { do: 'openAll', all: true }).open, allOpen(scene))
})

test('another scene keeps what is open and selected as far as it is there; new numbers draw nothing anew', () => {
  const scene = sceneOf(layers(2))
  const first = behind(firstState(scene, true, all), { do: 'overlay', id: 'error' }, { do: 'step', at: 3 })
  const [box] = layerBoxes(first)
  const chosen = behind(first, { do: 'toggle', box })
  const same = behind(chosen, { do: 'scene', scene: sceneOf(layers(2)) })
  assert.equal([same.selected, same.open.has(box), same.overlay, same.at], [box, false, 'error', 3])
  const other = behind({ ...chosen, selected: 'gone' }, { do: 'scene', scene })
  assert.is(other.selected, null)
  const numbered = behind(chosen, { do: 'numbers', numbers: {} })
  assert.is(numbered.seen, chosen.seen)
  assert.equal(numbered.facts.scene.numbers, {})
})

test('a store hands its renderer the state before, the state behind, and the action', () => {
  const seen: (readonly [number, number, string])[] = []
  const store = storeOf(
    1,
    (n, a: string) => n + a.length,
    (before, now, a) => seen.push([before, now, a]),
  )
  store.dispatch('ab')
  store.dispatch('c')
  assert.equal(
    [store.state(), seen],
    [
      4,
      [
        [1, 3, 'ab'],
        [3, 4, 'c'],
      ],
    ],
  )
})

const pairBehind = (first: PairState, ...actions: readonly PairAction[]): PairState =>
  actions.reduce(
    reducePair({
      fits: all,
      notes: () => [
        ['a', null],
        [null, 'b'],
      ],
    }),
    first,
  )

test('two programs: a box and its twin open together, and are selected together', () => {
  const pair = pairOf([layers(2), layers(2)])
  const first = firstPair(pairFactsOf(pair), false, all)
  const box = pair.scenes[0].boxes.find((b) => b.kind === 'layer' && first.visible[0].at.has(b.id))?.id ?? ''
  const twin = first.facts.twins[0].partner.get(box)
  const was = first.open[0].has(box)
  const next = pairBehind(first, { do: 'toggle', side: 0, box })
  assert.equal([next.open[0].has(box), next.open[1].has(twin ?? '')], [!was, !was])
  assert.equal([next.ids, next.side], [[box, twin], 0])
  const plain = pairBehind(next, { do: 'details', details: true })
  assert.equal([plain.ids, plain.details], [[null, null], true])
  assert.is(pairBehind(next, { do: 'overlay', id: 'error' }, { do: 'overlay', id: 'error' }).overlay, null)
})

test('two programs: notes between the halves are walked around, the side with something selected', () => {
  const first = firstPair(pairFactsOf(pairOf([layers(1), layers(2)])), false, all)
  const [one, two] = [
    pairBehind(first, { do: 'difference', step: 1 }),
    pairBehind(first, { do: 'difference', step: -1 }),
  ]
  assert.equal([one.ids, one.side, two.ids, two.side], [['a', null], 0, [null, 'b'], 1])
  assert.equal(pairBehind(two, { do: 'difference', step: 1 }).ids, ['a', null])
})

test.run()
