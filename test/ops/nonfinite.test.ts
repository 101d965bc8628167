/**
 * Gradients at NaN and the infinities, against those that PyTorch 2.13 gives (recorded with torch.autograd on a CPU), on the
 * reference and on WebAssembly: a NaN of the forward reaches every gradient that it reaches there, and no other.
 */
import { orThrow } from '../../src/data/error.js'
import type { Shape } from '../../src/data/shape.js'
import { tensorOf, type Tensor } from '../../src/data/tensor.js'
import { vjpProgram } from '../../src/autodiff/vjp.js'
import { reference } from '../../src/evaluator/reference/reference.js'
import { wasm } from '../../src/evaluator/wasm/wasm.js'
import type { Attrs } from '../../src/graph/op.js'
import { ops } from '../../src/ops/index.js'
import { programOfBody, runBoth, assertSame } from '../evaluator/support/programs.js'
import { suite } from '../support/suite.js'

const test = suite('gradients at NaN and infinity')

const numbers = (text: string): readonly number[] => text.split(' ').map((t) => Number(t.replace('Inf', 'Infinity')))

/** The gradients of an op on the reference; WebAssembly gives the same bits. */
const gradientsOf = (
  op: string,
  attrs: Attrs,
  args: readonly Tensor[],
  result: Shape,
  cotangent: number,
): readonly Tensor[] => {
  const forward = programOfBody(
    args.map((a) => a.shape),
    (xs, kit) => [kit.apply(ops[op], xs, attrs)],
  )
  const program = orThrow(vjpProgram(ops)(forward, { cotangent: 'given', inputs: true }))
  const g = tensorOf(
    result,
    Array.from({ length: result.reduce((p, n) => p * n, 1) }, () => cotangent),
  )
  return (
    runBoth(wasm, program, [...args, g])
      .map(([a, b], k) => {
        assertSame(b, a, `${op} ${JSON.stringify(attrs)}: output ${k} on ${wasm.name} and ${reference.name}`, true)
        return a
      })
      // Behind the result, and the metadata that quantize gives it.
      .slice(-args.length)
  )
}

/** Fails where a gradient is not torch's: NaN and infinities in the same places, all else to six digits. */
const assertTorch = (ours: Tensor, theirs: readonly number[], what: (i: number) => string): void =>
  theirs.forEach((t, i) => {
    const o = ours.data[i]
    const same = Object.is(o + 0, t) || (Number.isFinite(t) && Math.abs(o - t) <= 2e-6 * (1 + Math.abs(t)))
    if (!same) throw new Error(`${what(i)}: gradient ${o}, torch gives ${t}`)
  })

const POINTS = numbers('NaN Inf -Inf 0 1 -1 3 -3 6 0.5 2')
const COTANGENTS = [1, 0, Infinity, NaN]

/** Op, attributes, and its gradients at POINTS for each of COTANGENTS. */
const UNARY: readonly (readonly [string, Attrs, string, string, string, string])[] = [
  [
    'relu',
    {},
    '1 1 0 0 1 0 1 0 1 1 1',
    '0 0 0 0 0 0 0 0 0 0 0',
    'Inf Inf 0 0 Inf 0 Inf 0 Inf Inf Inf',
    'NaN NaN 0 0 NaN 0 NaN 0 NaN NaN NaN',
  ],
  [
    'relu6',
    {},
    '1 0 0 0 1 0 1 0 0 1 1',
    '0 0 0 0 0 0 0 0 0 0 0',
    'Inf 0 0 0 Inf 0 Inf 0 0 Inf Inf',
    'NaN 0 0 0 NaN 0 NaN 0 0 NaN NaN',
  ],
  [
    'hardtanh',
    { minVal: -1, maxVal: 1 },
    '1 0 0 1 0 0 0 0 0 1 0',
    '0 0 0 0 0 0 0 0 0 0 0',
    'Inf 0 0 Inf 0 0 0 0 0 Inf 0',
    'NaN 0 0 NaN 0 0 0 0 0 NaN 0',
  ],
  [
    'hardtanh',
    { minVal: 0, maxVal: 1 },
    '1 0 0 0 0 0 0 0 0 1 0',
    '0 0 0 0 0 0 0 0 0 0 0',
    'Inf 0 0 0 0 0 0 0 0 Inf 0',
    'NaN 0 0 0 0 0 0 0 0 NaN 0',
  ],
  [
    'sigmoid',
    {},
    'NaN 0 0 0.25 0.1966119 0.1966119 0.04517666 0.04517666 0.002466466 0.2350037 0.1049936',
    'NaN 0 0 0 0 0 0 0 0 0 0',
    'NaN NaN NaN Inf Inf Inf Inf Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'tanh',
    {},
    'NaN 0 0 1 0.4199743 0.4199743 0.009865982 0.009865982 2.455696e-05 0.7864477 0.07065082',
    'NaN 0 0 0 0 0 0 0 0 0 0',
    'NaN NaN NaN Inf Inf Inf Inf Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'leakyRelu',
    { negativeSlope: 0.125 },
    '0.125 1 0.125 0.125 1 0.125 1 0.125 1 1 1',
    '0 0 0 0 0 0 0 0 0 0 0',
    'Inf Inf Inf Inf Inf Inf Inf Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'elu',
    { alpha: 0.5 },
    '1 1 0 0.5 1 0.1839397 1 0.02489353 1 1 1',
    '0 0 0 0 0 0 0 0 0 0 0',
    'Inf Inf NaN Inf Inf Inf Inf Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'gelu',
    {},
    'NaN NaN NaN 0.5 1.083315 -0.08331543 1.011946 -0.01194561 1 0.8674951 1.085232',
    'NaN NaN NaN 0 0 0 0 0 0 0 0',
    'NaN NaN NaN Inf Inf -Inf Inf -Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'hardswish',
    {},
    '1 1 0 0.5 0.8333334 0.1666667 1 0 1 0.6666667 1.166667',
    '0 0 0 0 0 0 0 0 0 0 0',
    'Inf Inf 0 Inf Inf Inf Inf 0 Inf Inf Inf',
    'NaN NaN 0 NaN NaN NaN NaN 0 NaN NaN NaN',
  ],
  [
    'exp',
    {},
    'NaN Inf 0 1 2.718282 0.3678795 20.08554 0.04978707 403.4288 1.648721 7.389056',
    'NaN NaN 0 0 0 0 0 0 0 0 0',
    'NaN Inf NaN Inf Inf Inf Inf Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'exp2',
    {},
    'NaN Inf 0 0.6931472 1.386294 0.3465736 5.545177 0.0866434 44.36142 0.9802581 2.772589',
    'NaN NaN 0 0 0 0 0 0 0 0 0',
    'NaN Inf NaN Inf Inf Inf Inf Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'log',
    {},
    'NaN 0 0 Inf 1 -1 0.3333333 -0.3333333 0.1666667 2 0.5',
    'NaN 0 0 NaN 0 0 0 0 0 0 0',
    'NaN NaN NaN Inf Inf -Inf Inf -Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'log2',
    {},
    'NaN 0 0 Inf 1.442695 -1.442695 0.4808984 -0.4808984 0.2404492 2.88539 0.7213475',
    'NaN 0 0 NaN 0 0 0 0 0 0 0',
    'NaN NaN NaN Inf Inf -Inf Inf -Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'sqrt',
    {},
    'NaN 0 NaN Inf 0.5 NaN 0.2886751 NaN 0.2041241 0.7071068 0.3535534',
    'NaN 0 NaN NaN 0 NaN 0 NaN 0 0 0',
    'NaN NaN NaN Inf Inf NaN Inf NaN Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'abs',
    {},
    '0 1 -1 0 1 -1 1 -1 1 1 1',
    '0 0 0 0 0 0 0 0 0 0 0',
    'NaN Inf -Inf NaN Inf -Inf Inf -Inf Inf Inf Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'neg',
    {},
    '-1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1',
    '0 0 0 0 0 0 0 0 0 0 0',
    '-Inf -Inf -Inf -Inf -Inf -Inf -Inf -Inf -Inf -Inf -Inf',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'softsign',
    {},
    'NaN NaN NaN 1 0.25 0.25 0.0625 0.0625 0.02040817 0.4444445 0.1111111',
    'NaN NaN NaN 0 0 0 0 0 0 0 0',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
    'NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN',
  ],
  [
    'clamp',
    { min: -1, max: 2 },
    '0 0 0 1 1 1 0 0 0 1 1',
    '0 0 0 0 0 0 0 0 0 0 0',
    '0 0 0 Inf Inf Inf 0 0 0 Inf Inf',
    '0 0 0 NaN NaN NaN 0 0 0 NaN NaN',
  ],
  [
    'clamp',
    { min: null, max: 0.5 },
    '0 0 1 1 0 1 0 1 0 1 0',
    '0 0 0 0 0 0 0 0 0 0 0',
    '0 0 Inf Inf 0 Inf 0 Inf 0 Inf 0',
    '0 0 NaN NaN 0 NaN 0 NaN 0 NaN 0',
  ],
  [
    'clamp',
    { min: 0.5, max: null },
    '0 1 0 0 1 0 1 0 1 1 1',
    '0 0 0 0 0 0 0 0 0 0 0',
    '0 Inf 0 0 Inf 0 Inf 0 Inf Inf Inf',
    '0 NaN 0 0 NaN 0 NaN 0 NaN NaN NaN',
  ],
  [
    'clamp',
    { min: 1, max: -1 },
    '0 0 0 0 0 0 0 0 0 0 0',
    '0 0 0 0 0 0 0 0 0 0 0',
    '0 0 0 0 0 0 0 0 0 0 0',
    '0 0 0 0 0 0 0 0 0 0 0',
  ],
]

for (const [op, attrs, ...rows] of UNARY)
  test(`${op} ${JSON.stringify(attrs)}`, () => {
    const x = tensorOf([POINTS.length], POINTS)
    rows.forEach((row, k) => {
      const [dx] = gradientsOf(op, attrs, [x], x.shape, COTANGENTS[k])
      assertTorch(dx, numbers(row), (i) => `${op} at ${POINTS[i]}, cotangent ${COTANGENTS[k]}`)
    })
  })

const PAIRS = 'NaN NaN, NaN Inf, NaN 1, 1 NaN, Inf Inf, Inf -Inf, Inf 1, 1 Inf, -Inf 0, 0 Inf, 0 0, 1 -1, 1 0'
  .split(', ')
  .map(numbers)
/** Op, and its gradients to the first and the second operand at PAIRS for the cotangent 1. */
const BINARY: readonly (readonly [string, string, string])[] = [
  ['add', '1 1 1 1 1 1 1 1 1 1 1 1 1', '1 1 1 1 1 1 1 1 1 1 1 1 1'],
  ['sub', '1 1 1 1 1 1 1 1 1 1 1 1 1', '-1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1'],
  ['mul', 'NaN Inf 1 NaN Inf -Inf 1 Inf 0 Inf 0 -1 0', 'NaN NaN NaN 1 Inf Inf Inf 1 -Inf 0 0 1 1'],
  ['div', 'NaN 0 1 NaN 0 0 1 0 Inf 0 Inf -1 Inf', 'NaN NaN NaN NaN NaN NaN -Inf 0 Inf 0 NaN -1 -Inf'],
  ['maximum', '1 1 1 1 0.5 1 1 0 0 0 0.5 1 1', '1 1 1 1 0.5 0 0 1 1 1 0.5 0 0'],
  ['minimum', '1 1 1 1 0.5 0 0 1 1 1 0.5 0 0', '1 1 1 1 0.5 1 1 0 0 0 0.5 1 1'],
]

for (const [op, first, second] of BINARY)
  test(op, () => {
    const [a, b] = [0, 1].map((k) =>
      tensorOf(
        [PAIRS.length],
        PAIRS.map((p) => p[k]),
      ),
    )
    gradientsOf(op, {}, [a, b], a.shape, 1).forEach((d, k) =>
      assertTorch(d, numbers([first, second][k]), (i) => `${op} of ${PAIRS[i].join()}, operand ${k}`),
    )
  })

const ROWS = 'NaN NaN NaN, NaN Inf 1, 1 NaN 0, Inf Inf 1, Inf -Inf 1, -Inf -Inf -Inf, -Inf 1 0, 1 0 1, 1 NaN NaN'.split(
  ', ',
)
const ALL = 'NaN NaN NaN'
/** Op, attributes, and its gradients at each of ROWS, taken as a matrix of one row, for the cotangent 1. */
const LINES: readonly (readonly [string, Attrs, Shape, readonly string[]])[] = [
  ['softmax', { dim: 1 }, [1, 3], [ALL, ALL, ALL, ALL, ALL, ALL, '0 0 0', '0 0 0', ALL]],
  [
    'logSoftmax',
    { dim: 1 },
    [1, 3],
    [ALL, ALL, ALL, ALL, ALL, ALL, '1 -1.193176 0.1931757', '-0.2669564 0.5339128 -0.2669564', ALL],
  ],
  ['maxLast', {}, [1], ['1 0 0', '1 0 0', '0 1 0', '1 0 0', '1 0 0', '1 0 0', '0 1 0', '1 0 0', '0 1 0']],
  [
    'maxAll',
    {},
    [],
    [
      '0.3333333 0.3333333 0.3333333',
      // torch gives all of it to the NaN; here an infinity beside one shares it (largest.ts says why).
      '0.5 0.5 0',
      '0 1 0',
      '0.5 0.5 0',
      '1 0 0',
      '0.3333333 0.3333333 0.3333333',
      '0 1 0',
      '0.5 0 0.5',
      '0 0.5 0.5',
    ],
  ],
]

for (const [op, attrs, shape, rows] of LINES)
  test(op, () =>
    rows.forEach((row, k) => {
      const [dx] = gradientsOf(op, attrs, [tensorOf([1, 3], numbers(ROWS[k]))], shape, 1)
      assertTorch(dx, numbers(row), (i) => `${op} of ${ROWS[k]}, element ${i}`)
    }),
  )

test('the forward where torch makes a NaN of an infinity: hardswish below, a weight or a mask of 0', () => {
  const out = (op: string, attrs: Attrs, args: readonly Tensor[]): readonly number[] => {
    const program = programOfBody(
      args.map((a) => a.shape),
      (xs, kit) => [kit.apply(ops[op], xs, attrs)],
    )
    const [[a, b]] = runBoth(wasm, program, args)
    assertSame(b, a, op, true)
    return [...a.data]
  }
  const check = (ours: readonly number[], theirs: string): void => {
    const t = numbers(theirs)
    if (ours.length !== t.length || !ours.every((v, i) => Object.is(v + 0, t[i])))
      throw new Error(`${ours.join(' ')}, torch gives ${theirs}`)
  }
  check(out('hardswish', {}, [tensorOf([4], numbers('-Inf -4 Inf NaN'))]), 'NaN 0 Inf NaN')
  const line = (x: string, size: number, alignCorners: boolean) =>
    out('upsampleLinear', { size: [size], scales: [null], alignCorners }, [
      tensorOf([1, 1, numbers(x).length], numbers(x)),
    ])
  // F.interpolate(x, size, mode='linear'): the weights 1 and 0 of the first and of aligned elements multiply both neighbours.
  check(line('1 Inf', 4, false), 'NaN Inf Inf Inf')
  check(line('Inf 1', 4, true), 'Inf Inf Inf 1')
  check(line('1 Inf', 4, true), 'NaN Inf Inf NaN')
  check(out('dropout', { p: 0.5 }, [tensorOf([3], numbers('Inf 1 NaN')), tensorOf([3], [0, 0, 0])]), 'NaN 0 NaN')
})

test('quantize: a scale without steps makes every gradient NaN, an infinite element that of the scale', () => {
  const attrs = { bits: 4, signed: true, narrow: false, rounding: 'ROUND', training: true, zero: 'integer' }
  const grads = (clamp: 'mask' | 'ste', x: string, s: string): readonly string[] =>
    gradientsOf(
      'quantize',
      { ...attrs, clamp },
      [tensorOf([3], numbers(x)), tensorOf([], numbers(s)), tensorOf([], [0])],
      [3],
      1,
    ).map((t) => [...t.data].map((v) => String(Number(v.toFixed(3)))).join(' '))
  const nan = 'NaN NaN NaN'
  for (const s of ['NaN', 'Inf', '0']) {
    assertSameText(grads('mask', '1 2 -3', s).slice(0, 2), [nan, 'NaN'])
    assertSameText(grads('ste', '1 2 -3', s).slice(0, 1), [nan])
  }
  assertSameText(grads('mask', '1 NaN -3', '1'), ['1 1 1', 'NaN', '0'])
  assertSameText(grads('mask', '1 Inf -3', '1'), ['1 0 1', 'NaN', '-1'])
  assertSameText(grads('mask', '1 -Inf 9', '1'), ['1 0 0', 'NaN', '-2'])
  assertSameText(grads('mask', '1 2 9', '1'), ['1 1 0', '7', '-1'])
})

const assertSameText = (a: readonly string[], b: readonly string[]): void => {
  if (a.join(' | ') !== b.join(' | ')) throw new Error(`${a.join(' | ')}, not ${b.join(' | ')}`)
}

test.run()
