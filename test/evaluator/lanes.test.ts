/** Expressions of elements: compiled to lanes and functions they give the bits of JavaScript, whatever they are made of. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { erf, exp, exp2, expm1, log, log2, roundHalfEven, sigmoid, tanh } from '../../src/data/math.js'
import type { Shape } from '../../src/data/shape.js'
import { newExprs } from '../../src/evaluator/wasm/elementwise/exprs.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import { wasm } from '../../src/evaluator/wasm/wasm.js'
import { newLanes, type LaneExpr, type LaneRule, type Lanes, type LaneMask, type Lane } from '../../src/graph/lanes.js'
import type { Op } from '../../src/graph/op.js'
import { surrogate } from '../../src/graph/chosenSurrogate.js'
import { ops, primitiveOps } from '../../src/ops/index.js'
import { asFirst, noPath, strips, unary } from '../../src/ops/support/elementwise.js'
import { suite } from '../support/suite.js'
import { numbers } from './support/kernels.js'
import { assertSame, programOfBody, runBoth } from './support/programs.js'

const test = suite('wasm: lanes')

/** Float32 numbers of all signs, exponents and many mantissas, subnormals, infinities and NaN among them. */
const everywhere = (n: number, seed: number): Float32Array => {
  const bits = Uint32Array.from({ length: n }, (_, i) => Math.imul(i * 2 + 1 + seed, 2654435761) >>> 0)
  return new Float32Array(bits.buffer)
}

/** Numbers where the functions bend: -110 … 110 and the neighbourhood of 0. */
const near = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => {
    const u = (Math.imul(i + seed, 2246822519) >>> 0) / 2 ** 31 - 1
    return i % 3 === 0 ? u * 110 : i % 3 === 1 ? u * 3 : u * u * u * 0.01
  })

const compare = (op: Op, attrs: Op['examples'][number]['attrs'], args: readonly Float32Array[]): void => {
  const program = programOfBody(
    args.map((a) => [a.length]),
    (inputs, kit) => [kit.apply(op, inputs, attrs)],
  )
  for (const [a, b] of runBoth(
    wasm,
    program,
    args.map((data) => ({ shape: [data.length], data })),
  ))
    assertSame(b, a, op.name)
}

test('each op of one operand gives the bits of its reference, everywhere', () => {
  const taken = primitiveOps.filter((op) => op.lanes !== undefined && op.examples[0].args.length === 1)
  assert.ok(taken.length > 40, `only ${taken.length} ops`)
  for (const op of taken)
    for (const { attrs } of op.layout === 'move' ? [] : op.examples)
      for (const x of [
        everywhere(20000, 7),
        near(20000, 3),
        Float32Array.of(0, -0, NaN, Infinity, -Infinity, 1, -1, 3, -3, 0.5, -0.5),
      ])
        compare(op, attrs, [x])
})

test('bounds that are no float32 numbers, or that cross', () => {
  const x = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 10)
  for (const [least, most] of [
    [-0.1, 0.3],
    [0.3, -0.1],
    [1, -1],
    [null, 0.7],
    [-0.7, null],
    [null, null],
  ]) {
    for (const name of ['clamp', 'tensorClamp', 'within', 'between', 'inside'] as const)
      compare(ops[name], { min: least, max: most }, [x])
    compare(ops.hardtanh, { minVal: least, maxVal: most }, [x])
  }
})

// ---------------------------------------------------------------- random expressions

const FUNCTIONS = { exp, exp2, expm1, log, log2, tanh, sigmoid, erf } as const
const ONE = {
  neg: (x: number) => -x,
  abs: Math.abs,
  sqrt: Math.sqrt,
  nearest: roundHalfEven,
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
  fround: Math.fround,
  ...FUNCTIONS,
} as const
const TWO = {
  add: (a: number, b: number) => a + b,
  sub: (a: number, b: number) => a - b,
  mul: (a: number, b: number) => a * b,
  div: (a: number, b: number) => a / b,
  min: Math.min,
  max: Math.max,
  pmin: (a: number, b: number) => (b < a ? b : a),
  pmax: (a: number, b: number) => (a < b ? b : a),
} as const
const COMPARE = {
  lt: (a: number, b: number) => a < b,
  le: (a: number, b: number) => a <= b,
  gt: (a: number, b: number) => a > b,
  ge: (a: number, b: number) => a >= b,
  eq: (a: number, b: number) => a === b,
  ne: (a: number, b: number) => a !== b,
} as const
const has = <T extends object>(t: T, k: string): k is Extract<keyof T, string> => Object.hasOwn(t, k)

/** An expression as JavaScript computes it: the oracle. */
const evaluated = (list: readonly LaneExpr[], root: number, operands: readonly number[]): number => {
  const of = (i: number): number => {
    const { op, args, value = 0 } = list[i]
    const [a, b, c] = args
    if (op === 'const') return value
    if (op === 'load') return operands[value]
    if (op === 'select') return of(a) !== 0 ? of(b) : of(c)
    if (op === 'and') return of(a) !== 0 && of(b) !== 0 ? 1 : 0
    if (op === 'or') return of(a) !== 0 || of(b) !== 0 ? 1 : 0
    if (op === 'not') return of(a) === 0 ? 1 : 0
    if (has(ONE, op)) return ONE[op](of(a))
    if (has(TWO, op)) return TWO[op](of(a), of(b))
    if (has(COMPARE, op)) return COMPARE[op](of(a), of(b)) ? 1 : 0
    throw new Error(`no ${op} here`)
  }
  return of(root)
}

type Made = (e: Lanes, args: readonly Lane[]) => Lane
type MadeMask = (e: Lanes, args: readonly Lane[]) => LaneMask
const keysOf = <T extends object>(t: T): readonly (keyof T)[] => Object.keys(t) as (keyof T)[]

const { expression } = fc.letrec<{ expression: Made; mask: MadeMask }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 5, depthSize: 'medium' },
    fc.constantFrom(0, 1).map(
      (k): Made =>
        (_e, args) =>
          args[k],
    ),
    fc.constantFrom(0, -0, 1, 0.5, 3, -2, 0.1, 1 / 3, 1e-3, 100).map(
      (value): Made =>
        (e) =>
          e.constant(value),
    ),
    fc.tuple(fc.constantFrom(...keysOf(ONE)), tie('expression')).map(
      ([op, x]): Made =>
        (e, args) =>
          e[op](x(e, args)),
    ),
    fc.tuple(fc.constantFrom(...keysOf(TWO)), tie('expression'), tie('expression')).map(
      ([op, a, b]): Made =>
        (e, args) =>
          e[op](a(e, args), b(e, args)),
    ),
    fc.tuple(tie('mask'), tie('expression'), tie('expression')).map(
      ([m, a, b]): Made =>
        (e, args) =>
          e.select(m(e, args), a(e, args), b(e, args)),
    ),
    tie('mask').map(
      (m): Made =>
        (e, args) =>
          e.flag(m(e, args)),
    ),
  ),
  mask: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.tuple(fc.constantFrom(...keysOf(COMPARE)), tie('expression'), tie('expression')).map(
      ([op, a, b]): MadeMask =>
        (e, args) =>
          e[op](a(e, args), b(e, args)),
    ),
    fc.tuple(fc.constantFrom('and' as const, 'or' as const), tie('mask'), tie('mask')).map(
      ([op, a, b]): MadeMask =>
        (e, args) =>
          e[op](a(e, args), b(e, args)),
    ),
    tie('mask').map(
      (m): MadeMask =>
        (e, args) =>
          e.not(m(e, args)),
    ),
    tie('expression').map(
      (x): MadeMask =>
        (e, args) =>
          e.truth(x(e, args)),
    ),
  ),
}))

/** An op of a user's own, of two operands, that computes an expression; its reference is the oracle. */
const opOf = (lanes: LaneRule): Op => ({
  name: 'own',
  doc: 'An expression of a user.',
  operands: ['a', 'b'],
  attributes: {},
  shape: asFirst,
  carry: strips('it is on no grid'),
  vjp: noPath,
  lanes,
  evaluate: ([a, b], attrs, out) => {
    const { list, lanes: e, load } = newLanes()
    const root = lanes(e, [load(0), load(1)], attrs)
    for (let i = 0; i < out.data.length; i++) out.data[i] = evaluated(list, root, [a.data[i], b.data[i]])
    return null
  },
  examples: [{ args: [{ shape: [3] }, { shape: [3] }], attrs: {} }],
  smooth: false,
})

test(
  'random expressions give the bits of JavaScript',
  () => {
    fc.assert(
      fc.property(expression, fc.nat(1000), (made, seed) => {
        const [a, b] = [numbers(61, seed, 'wild'), near(61, seed)]
        compare(opOf(made), {}, [a, b])
      }),
      { numRuns: 300 },
    )
  },
  { timeout: 60_000 },
)

test('what float32 lanes can do is done by them: one operation on lanes for one of the expression', () => {
  const operationsOf = (rule: LaneRule): readonly string[] => {
    const e = newExprs()
    e.lower(rule(e.lanes, [e.load(0), e.load(1)], {}))
    return e.list.map((x) => x.op).filter((op) => op !== 'load' && op !== 'const')
  }
  assert.deepEqual(
    operationsOf((e, [a, b]) => e.add(a, b)),
    ['add'],
  )
  assert.deepEqual(
    operationsOf((e, [a, b]) => e.add(e.fround(e.div(a, b)), b)),
    ['div', 'add'],
  )
  assert.deepEqual(
    operationsOf((e, [a, b]) => e.add(e.div(a, b), b)),
    ['call'],
  )
  assert.deepEqual(
    operationsOf((e, [a]) => e.select(e.gt(a, e.zero), a, e.mul(e.constant(0.125), a))),
    ['gt', 'mul', 'select'],
  )
  assert.deepEqual(
    operationsOf((e, [a, b]) => e.neg(e.mul(a, b))),
    ['mul', 'neg'],
  )
})

// ---------------------------------------------------------------- users' ops

const cube = unary({
  name: 'cube',
  doc: 'x times x times x, rounded once.',
  attrs: {},
  f: (x) => x * x * x,
  lanes: (e, [x]) => e.mul(e.mul(x, x), x),
  carry: strips('a cube is on no grid'),
  vjp: ({ g }) => [g],
})

const hostSteps = (op: Op, shapes: readonly Shape[]): number => {
  const program = programOfBody(shapes, (inputs, kit) => [
    kit.emit('mul', [kit.apply(op, inputs, op.examples[0].attrs), kit.constant(3)]),
  ])
  const plan = planOf(program, (i) => new Float32Array(shapes[i].reduce((n, m) => n * m, 1)), [], newMath())
  assert.equal(plan.steps.length, 1, `${op.name} is not in one loop with the product`)
  return plan.steps.filter((step) => step.kernel === null).length
}

test("a user's op with lanes is fused into loops, and so is a surrogate of it", () => {
  for (const op of [cube, surrogate(cube, ops.identity), surrogate(ops.round, cube)]) {
    assert.equal(hostSteps(op, [[33]]), 0)
    compare(op, {}, [everywhere(5000, 3)])
  }
})

test("an op's lanes that give no number, or throw, leave the op to its reference", () => {
  const broken: readonly LaneRule[] = [
    () => undefined as never,
    (e, [x]) => e.lt(x, e.zero) as never,
    () => {
      throw new Error('no')
    },
    (e, [x]) => e.add(x, 77 as never),
  ]
  for (const lanes of broken) compare({ ...cube, lanes }, {}, [everywhere(100, 3)])
})

test.run()
