/** Functions of values called as torch's, or nearly: what would be passed over or guessed is refused, in words that say how to write it. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('nn: calls of functions')

type Call = (...args: readonly unknown[]) => q.Value
/** The functions as JavaScript sees them. */
const js = q as unknown as { readonly [name: string]: Call }
const plain = q.plain as unknown as { readonly [name: string]: Call }

const said = (f: (x: q.Value) => q.Value, shape: q.Shape): string => {
  const made = q.trace(q.functionLayer('f', f), q.tensorInput(shape), { mode: 'train' })
  return E.isLeft(made) ? q.explainAll(made.left) : 'accepted'
}

const REFUSED: readonly (readonly [string, (x: q.Value) => q.Value, q.Shape, RegExp])[] = [
  ['an axis for max', (x) => js.max(x, 1), [2, 3], /max was given 1, which is one argument more than it takes/],
  ['an axis that is kept', (x) => js.max(x, 1, true), [2, 3], /max was given 1/],
  ['approximate', (x) => js.gelu(x, 'tanh'), [3], /gelu was given "tanh"/],
  ['decimals', (x) => js.round(x, 2), [3], /round was given 2/],
  ['a rounding mode', (x) => js.div(x, 2, 'floor'), [3], /div was given "floor"/],
  ['alpha', (x) => js.add(x, x, { alpha: 2 }), [3], /add was given \{ alpha: 2 \}/],
  ['alpha of sub', (x) => js.sub(x, 1, 2), [3], /sub was given 2/],
  ['a reduction', (x) => js.mseLoss(x, x, 'sum'), [3], /mseLoss was given "sum"/],
  ['label smoothing', (x) => js.crossEntropy(x, q.max(x), { labelSmoothing: 0.1 }), [2, 3], /crossEntropy was given/],
  [
    'a column and a row',
    (x) => q.mseLoss(x, q.reshape(x, [4])),
    [4, 1],
    /mseLoss: .*\[4,1\].*\[4\][^]*reshape\(target, \[4,1\]\)/,
  ],
  [
    'axes in the wrong order',
    (x) => q.flatten(x, 2, 1),
    [2, 3, 4],
    /startDim 2 comes after endDim 1[^]*flatten\(x, 1, 2\)/,
  ],
  ['the same, from the back', (x) => q.flatten(x, -1, 0), [2, 3, 4], /startDim -1 comes after endDim 0/],
  ['-1 of nothing', (x) => q.reshape(x, [0, -1]), [0, 3], /-1 may stand for any size/],
  [
    'bounds in the wrong order',
    (x) => q.hardtanh(x, 1, -1),
    [3],
    /minVal 1 is above maxVal -1[^]*hardtanh\(x, -1, 1\)/,
  ],
  [
    'a size and a factor',
    (x) => q.upsampleNearest(x, { size: 2, scaleFactor: 2 }),
    [1, 1, 2, 2],
    /either size or scaleFactor/,
  ],
  ['neither', (x) => q.upsampleLinear(x, {}), [1, 1, 2, 2], /either size or scaleFactor/],
  ['neither, exactly', (x) => q.upsampleNearestExact(x, {}), [1, 1, 2, 2], /either size or scaleFactor/],
  ['no axis to stack along', (x) => js.stack([x, x]), [2], /^ConfigError: stack needs dim/],
  [
    'one of another shape',
    (x) => q.stack([x, q.reshape(x, [3, 2])], 0),
    [2, 3],
    /\[2,3\] and \[3,2\] can not be stacked/,
  ],
  ['an axis beyond the new one', (x) => q.stack([x, x], 3), [2, 3], /stack: there is no axis 3 among 3/],
  ['values without a list', (x) => js.cat(x, x), [2], /put it in a list: \[x\]/],
  ['no axis', (x) => js.unsqueeze(x), [2], /unsqueeze needs dim/],
  ['axes as texts', (x) => js.transpose(x, '0', '1'), [2, 3], /transpose was given dim0: "0"/],
  ['a mode before the fill', (x) => js.pad(x, [1, 1], 'reflect'), [1, 1, 3], /pad\(x, pads, 0, "reflect"\)/],
  [
    'a pool over no axes',
    (x) => q.maxPool(x, { kernelSize: 2 }),
    [4, 4],
    /\[4,4\] has no axes to walk over[^]*maxPool\(x, …, 2\)/,
  ],
]

test('what a call asks for and does not get is refused, once', () => {
  for (const [what, f, shape, words] of REFUSED) assert.match(said(f, shape), words, what)
})

test('functions may be handed to map and reduce', () => {
  const { relu, max, gelu, exp, detach } = q
  for (const [name, f] of Object.entries({ relu, max, gelu, exp, detach }))
    assert.is(
      said((x) => [x, x].map(f).reduce(q.add), [3]),
      'accepted',
      name,
    )
  assert.is(
    said((x) => [x, x, x].reduce(q.mul), [3]),
    'accepted',
  )
  assert.is(
    said((x) => [x, x].map(plain.relu).reduce(q.sub), [3]),
    'accepted',
  )
})

test('functionLayer hands over its kit, too', () => {
  for (const f of [q.relu, q.max, q.detach])
    q.orThrow(q.trace(q.functionLayer('f', f), q.tensorInput([3]), { mode: 'eval' }))
})

test('what is right stays right', () => {
  const right: readonly (readonly [(x: q.Value) => q.Value, q.Shape, q.Shape])[] = [
    [(x) => q.flatten(x, 1, 1), [2, 3, 4], [2, 3, 4]],
    [(x) => q.flatten(x, -2), [2, 3, 4], [2, 12]],
    [(x) => q.reshape(x, [-1]), [0, 3], [0]],
    [(x) => q.hardtanh(x, 1, 1), [3], [3]],
    [(x) => q.stack([x, x], -1), [2, 3], [2, 3, 2]],
    [(x) => q.maxPool(x, { kernelSize: 2 }, 2), [1, 4, 4], [1, 2, 2]],
    [(x) => q.mseLoss(x, x), [4, 1], []],
  ]
  for (const [f, shape, result] of right) {
    const program = q.orThrow(q.trace(q.functionLayer('f', f), q.tensorInput(shape), { mode: 'eval' }))
    assert.equal(program.graph.nodes[program.outputs[0].node].shape, result)
  }
})

test.run()
