/** What recurrent layers, attention, embeddings and loops refuse: what was asked, where, and how to mend it. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import type { Value } from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('sequences: refused')

type Given = { readonly [name: string]: Value }
type Called = q.Layer<q.TensorTree, q.TensorTree, unknown, unknown>

/** A layer inside another, called with what is made of the inputs, traced. */
const traced = (
  layer: unknown,
  inputs: { readonly [name: string]: q.InputDecl },
  call: (given: Given) => unknown,
): E.Either<q.QuantErrors, unknown> => {
  const inner = layer as Called
  const net = q.model({ inner }, (layers, params, state, given: Given) => {
    const [out, next] = layers.inner(params.inner, state.inner, call(given))
    return [out, { inner: next }]
  })
  return q.trace(net as unknown as Called, inputs, { mode: 'eval' })
}

const f = q.tensorInput
const lstm = (o: Partial<q.LstmOptions> = {}) => q.QuantLSTM({ inputSize: 3, hiddenSize: 2, ...o })
const mha = (o: Partial<q.MultiheadOptions> = {}) => q.QuantMultiheadAttention({ embedDim: 4, numHeads: 2, ...o })
const sequence = { x: f([4, 2, 3]), h: f([1, 2, 2]) }
const tokens = { x: f([5, 2, 4]) }
const attention = q.QuantScaledDotProductAttention()

/** A loop whose carry is one number in a list. */
const looping = (body: (c: Value) => Value) =>
  q.functionLayer('loop', (x: Value) => {
    const start = q.mul(q.reshape(q.sum(x), [1]), 0)
    return q.scan((c: Value, step: Value) => [body(c), step], start, x)[0]
  })

type Refusal = readonly [what: string, of: () => E.Either<q.QuantErrors, unknown>, message: RegExp, fix: RegExp]

const LAYERS: readonly Refusal[] = [
  ['no sequence', () => traced(lstm(), { x: f([3]) }, (i) => ({ x: i.x })), /\[3\] is no sequence/, /\[T, B, 3\]/],
  ['features', () => traced(lstm(), { x: f([4, 2, 5]) }, (i) => ({ x: i.x })), /5 features.*is 3/, /\[T, B, 3\]/],
  [
    'states of another size',
    () => traced(lstm(), { ...sequence, c: f([1, 2, 5]) }, (i) => ({ x: i.x, hx: i.h, cx: i.c })),
    /a state has shape \[2,5\], but \[2,2\] is wanted/,
    /\[rows, 2, 2\]/,
  ],
  [
    'states of another batch',
    () => traced(lstm(), { ...sequence, c: f([1, 3, 2]) }, (i) => ({ x: i.x, hx: i.h, cx: i.c })),
    /a state has shape \[3,2\]/,
    /\[rows, 2, 2\]/,
  ],
  [
    'too few states',
    () => traced(lstm({ numLayers: 2 }), sequence, (i) => ({ x: i.x, hx: i.h })),
    /index 2 is out of bounds for dimension 0 with size 1/,
    /layer l takes row 2\*l/,
  ],
  [
    'too few states in a list',
    () => traced(lstm({ numLayers: 2 }), { ...sequence, h: f([2, 2]) }, (i) => ({ x: i.x, hx: [i.h] })),
    /state 2 of 1/,
    /layer l takes row 2\*l/,
  ],
  ['no states', () => traced(lstm(), sequence, (i) => ({ x: i.x, hx: null })), /hx: null/, /give hx/],
  ['a name', () => traced(lstm(), sequence, (i) => ({ x: i.x, h: i.h })), /QuantLSTM has no option "h"/, /x/],
  [
    'cell states of what has none',
    () => traced(q.QuantRNN({ inputSize: 3, hiddenSize: 2 }), sequence, (i) => ({ x: i.x, cx: i.h })),
    /QuantRNN has no option "cx"/,
    /did you mean/,
  ],
  ['a value alone', () => traced(lstm(), sequence, (i) => i.x), /a record of operands/, /write \{ x: value \}/],
  [
    'a mask of another shape',
    () => traced(mha(), { ...tokens, m: q.booleanInput([5, 4]) }, (i) => ({ query: i.x, attnMask: i.m })),
    /2D attn_mask is \[5,4\], but should be \[5,5\]/,
    /\[L, N, 4\]/,
  ],
  [
    'a mask of too few heads',
    () => traced(mha(), { ...tokens, m: f([3, 5, 5]) }, (i) => ({ query: i.x, attnMask: i.m })),
    /3D attn_mask is \[3,5,5\], but should be \[4,5,5\]/,
    /\[L, N, 4\]/,
  ],
  [
    'a padding mask of another shape',
    () => traced(mha(), { ...tokens, m: q.booleanInput([2, 4]) }, (i) => ({ query: i.x, keyPaddingMask: i.m })),
    /key_padding_mask is \[2,4\], but should be \[2,5\]/,
    /\[L, N, 4\]/,
  ],
  [
    'a mask of integers',
    () => traced(mha(), { ...tokens, m: q.integerInput([5, 5]) }, (i) => ({ query: i.x, attnMask: i.m })),
    /attnMask.*booleans or floats/,
    /booleanInput/,
  ],
  [
    'a mask of integers for plain attention',
    () =>
      traced(attention, { x: f([2, 5, 4]), m: q.integerInput([5, 5]) }, (i) => ({
        query: i.x,
        key: i.x,
        value: i.x,
        attnMask: i.m,
      })),
    /attnMask.*booleans or floats/,
    /booleanInput/,
  ],
  [
    'a mask that does not broadcast',
    () =>
      traced(attention, { x: f([2, 5, 4]), m: f([4, 5]) }, (i) => ({
        query: i.x,
        key: i.x,
        value: i.x,
        attnMask: i.m,
      })),
    /\[4,5\] does not broadcast over the scores \[2,5,5\]/,
    /\[5,5\]/,
  ],
  ['no key', () => traced(attention, tokens, (i) => ({ query: i.x, value: i.x })), /key/, /key/],
  ['embedDim', () => traced(mha(), { x: f([5, 2, 3]) }, (i) => ({ query: i.x })), /dimension of 4, but got 3/, /4/],
  [
    'floats for indices',
    () => traced(q.QuantEmbedding({ numEmbeddings: 5, embeddingDim: 2 }), { x: f([3]) }, (i) => i.x),
    /given a tensor of floats/,
    /integerInput/,
  ],
  [
    'heads that do not divide embedDim',
    () => traced(mha({ numHeads: 3 }), tokens, (i) => ({ query: i.x })),
    /4 features can't be split among 3 heads/,
    /a number of heads that divides embedDim/,
  ],
  [
    'a padding index outside the table',
    () =>
      traced(
        q.QuantEmbedding({ numEmbeddings: 5, embeddingDim: 2, paddingIdx: 7 }),
        { x: q.integerInput([3]) },
        (i) => i.x,
      ),
    /5 rows, and row 7 was named/,
    /name a row from -5 to 4/,
  ],
  [
    'a body that changes the shape of a carry',
    () =>
      traced(
        looping((c) => q.cat([c, c], 0)),
        { x: f([3, 2]) },
        (i) => i.x,
      ),
    /its carry has shape \[1\], but the body hands it back as \[2\]/,
    /in the shapes in which it was given them/,
  ],
]

const errorsOf = (r: E.Either<q.QuantErrors, unknown>, what: string): q.QuantErrors => {
  if (E.isRight(r)) throw new Error(`${what} is not refused`)
  return r.left
}

for (const [what, of, message, fix] of LAYERS)
  test(`refused when it is traced, with its path: ${what}`, () => {
    const [first] = errorsOf(of(), what)
    assert.match(first.message, message)
    assert.match(first.fix, fix)
    assert.is(first.path, 'inner')
  })

test('an index beyond the table, below it, fractional or none', () => {
  const table = q.chain({ words: q.QuantEmbedding({ numEmbeddings: 5, embeddingDim: 2 }) })
  const program = q.orThrow(q.trace(table, q.integerInput([3]), { mode: 'eval' }))
  const start = q.orThrow(q.init(table, 0))
  // What the table refuses is said of its layer, what is no index of the input.
  const cases: readonly (readonly [given: readonly number[], message: RegExp, path: string, fix: RegExp])[] = [
    [
      [0, 1, 5],
      /index 2 is 5, and the table has rows 0 to 4/,
      'words',
      /numEmbeddings\) as large as the largest index/,
    ],
    [[0, -1, 2], /index 1 is -1/, 'words', /count rows from 0/],
    [[0, 1.5, 2], /element 1 is 1.5, which is not a whole number/, '', /give numbers of that kind/],
    [[NaN, 1, 2], /element 0 is NaN, which is not a whole number/, '', /give numbers of that kind/],
  ]
  for (const backend of [q.wasm, q.reference])
    for (const [data, message, path, fix] of cases) {
      const compiled = q.orThrow(q.compile(program, backend))
      const ran = compiled.run({ ...start, inputs: q.tensorOf([3], data) })
      compiled.dispose()
      const [first] = errorsOf(ran, String(data))
      assert.match(first.message, message)
      assert.match(first.fix, fix)
      assert.is(first.path, path)
    }
})

test('a body that changes the shape, or the number, of its carries', () => {
  const loop = (body: (c: never, x: Value) => never, start: (x: Value) => unknown) =>
    q.trace(
      q.functionLayer('loop', (x: Value) => q.scan(body, start(x) as never, x as never)[0] as never),
      f([3, 2]),
      { mode: 'eval' },
    )
  const zeros = (x: Value): Value => q.mul(q.reshape(q.sum(x), [1]), 0)
  const [shape] = errorsOf(
    loop((c, x) => [q.cat([c, c], 0), x] as never, zeros),
    'shape',
  )
  assert.match(shape.message, /scan: its carry has shape \[1\], but the body hands it back as \[2\]/)
  const [count] = errorsOf(
    loop(
      (c: never, x) => [[c[0]], x] as never,
      (x) => [zeros(x), zeros(x)],
    ),
    'count',
  )
  assert.match(count.message, /the carry consists of 0, 1, but the body hands back 0/)
  assert.match(count.fix, /every part of the carry/)
})

test.run()
