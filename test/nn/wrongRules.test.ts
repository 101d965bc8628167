/** Ops of users' own whose rules answer wrongly: told by the op's name, before anything computes with the answer. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('nn: wrong rules of own ops')

const twice = (rules: object): q.Op =>
  q.unary({
    name: 'twice',
    doc: '2x',
    attrs: {},
    f: (x: number) => 2 * x,
    carry: q.strips('twice a number'),
    vjp: q.scaledBy((x) => x.kit.constant(2)),
    smooth: true,
    ...rules,
  } as never) as q.Op
const net = (op: q.Op) =>
  q.chain({
    i: q.QuantIdentity({ returnQuantTensor: true }),
    f: q.functionLayer('f', (x: q.Value) => q.apply(op, [x])),
  })
const told = (op: q.Op): string => {
  const program = q.trace(net(op), q.tensorInput([3]), { mode: 'train' })
  const made = E.isLeft(program) ? program : q.vjp(program.right, { inputs: true })
  return E.isLeft(made) ? q.explainAll(made.left) : 'accepted'
}
type Args = readonly q.Value[]
const gridOf = (x: q.Value) => ('quant' in x.carried ? x.carried.quant : null)

test('what a rule says a result carries is looked at', () => {
  const wrong: readonly ((args: Args) => unknown)[] = [
    () => undefined,
    () => null,
    () => 'carries',
    () => ({ tag: 'caries' }),
    () => ({ tag: 'carries' }),
    () => ({ tag: 'carries', quant: null }),
    () => ({ tag: 'carries', quant: { scale: 'x' } }),
    () => ({ tag: 'stripped' }),
    () => ({ tag: 'stripped', why: '' }),
    ([x]) => ({ tag: 'claimed', quant: gridOf(x) }),
    ([x]) => ({ tag: 'carries', quant: { ...gridOf(x), scale: 99_999 } }),
    ([x]) => ({ tag: 'carries', quant: { ...gridOf(x), zeroPoint: -1 } }),
    ([x]) => ({ tag: 'carries', quant: { ...gridOf(x), bitWidth: 0.5 } }),
    ([x]) => ({ tag: 'carries', quant: { ...gridOf(x), bits: '8' } }),
    ([x]) => ({ tag: 'carries', quant: { ...gridOf(x), signed: 1 } }),
  ]
  for (const carry of wrong) assert.match(told(twice({ carry })), /^ConfigError in f: the carry rule of twice returned/)
  assert.is(told(twice({ carry: ([x]: Args) => x.carried })), 'accepted')
  assert.is(told(twice({ carry: ([x]: Args) => ({ tag: 'claimed', quant: gridOf(x), why: 'so' }) })), 'accepted')
})

test('a cotangent has the shape of its operand', () => {
  const wrong: readonly ((g: q.Value) => q.Value)[] = [
    (g) => q.sum(g),
    (g) => q.reshape(g, [1, 3]),
    (g) => q.cat([g, g], 0),
    (g) => g.kit.constant(2),
  ]
  for (const made of wrong)
    assert.match(
      told(twice({ vjp: ({ g }: { readonly g: q.Value }) => [made(g)] })),
      /the gradient rule of twice returned a cotangent of shape .* for operand 0, which has \[3\]/,
    )
  assert.is(told(twice({ vjp: () => [null] })), 'accepted')
})

test('a surrogate differentiates as an op of as many operands', () => {
  assert.throws(() => q.surrogate(q.ops.round, q.ops.add), /round takes 1 operands \(x\), and add 2/)
  assert.throws(() => q.surrogate(q.ops.mul, q.ops.relu as never), /mul takes 2 operands/)
  assert.is(told(q.surrogate(q.ops.round, q.ops.tanh)), 'accepted')
  assert.is(told(q.surrogate(q.surrogate(q.ops.round, q.ops.tanh), q.ops.identity)), 'accepted')
})

test.run()
