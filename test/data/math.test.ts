/** The elementary functions against the engine's, their exact laws, and their special values. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import {
  cos,
  erf,
  exp,
  exp2,
  expm1,
  log,
  log1p,
  log2,
  pow,
  roundHalfEven,
  sigmoid,
  sin,
  tanh,
} from '../../src/data/math.js'
import { suite } from '../support/suite.js'

// ---------------------------------------------------------------- comparing

/** Distance between neighbouring doubles at x. */
const ulp = (x: number): number => 2 ** Math.max(-1074, Math.floor(Math.log2(Math.abs(x))) - 52)

/** |got - want| in ulps of `want`; 0 where both are the same special value. */
const ulps = (want: number, got: number): number =>
  Object.is(want, got) ? 0 : want === 0 ? Infinity : Math.abs(got - want) / ulp(want)

type Compared = {
  readonly name: string
  readonly mine: (x: number) => number
  readonly engine: (x: number) => number
  readonly low: number
  readonly high: number
  readonly ulps: number
}

const compared: readonly Compared[] = [
  { name: 'exp', mine: exp, engine: Math.exp, low: -745, high: 709.7, ulps: 2 },
  { name: 'exp near 0', mine: exp, engine: Math.exp, low: -1, high: 1, ulps: 2 },
  { name: 'expm1', mine: expm1, engine: Math.expm1, low: -45, high: 700, ulps: 3 },
  { name: 'expm1 near 0', mine: expm1, engine: Math.expm1, low: -1, high: 1, ulps: 3 },
  { name: 'log', mine: log, engine: Math.log, low: 0, high: 10, ulps: 2 },
  { name: 'log1p', mine: log1p, engine: Math.log1p, low: -1, high: 10, ulps: 2 },
  { name: 'log2', mine: log2, engine: Math.log2, low: 0, high: 10, ulps: 2 },
  { name: 'sin', mine: sin, engine: Math.sin, low: -1e5, high: 1e5, ulps: 2 },
  { name: 'sin near 0', mine: sin, engine: Math.sin, low: -4, high: 4, ulps: 2 },
  { name: 'cos', mine: cos, engine: Math.cos, low: -1e5, high: 1e5, ulps: 2 },
  { name: 'cos near 0', mine: cos, engine: Math.cos, low: -4, high: 4, ulps: 2 },
  { name: 'tanh', mine: tanh, engine: Math.tanh, low: -25, high: 25, ulps: 5 },
  { name: 'tanh near 0', mine: tanh, engine: Math.tanh, low: -1, high: 1, ulps: 5 },
]

/** Numbers spread over [low, high], the same ones every time. */
const spread = (low: number, high: number, n = 20000): readonly number[] =>
  Array.from({ length: n }, (_, i) => low + (high - low) * (((i + 0.5) * 0.6180339887498949) % 1))

const engine = suite('math: against the engine')

for (const { name, mine, engine: theirs, low, high, ulps: limit } of compared) {
  engine(`${name}: at most ${limit} ulp apart, equal as float32`, () => {
    const points = spread(low, high)
    for (const x of points)
      assert.ok(ulps(theirs(x), mine(x)) <= limit, `${name}(${x}) = ${mine(x)}, engine ${theirs(x)}`)
    const equal = points.filter((x) => Math.fround(mine(x)) === Math.fround(theirs(x))).length
    assert.ok(equal >= points.length - 1, `${equal} of ${points.length} agree`)
  })
}

engine('every magnitude: log, log2, log1p, exp2, sin and cos of huge numbers', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true, minExcluded: true }), (x) => {
      assert.ok(ulps(Math.log(x), log(x)) <= 2)
      assert.ok(ulps(Math.log2(x), log2(x)) <= 2)
      assert.ok(ulps(Math.log1p(x), log1p(x)) <= 2)
      assert.ok(ulps(Math.sin(x), sin(x)) <= 2)
      assert.ok(ulps(Math.cos(x), cos(x)) <= 2)
    }),
    { numRuns: 500 },
  )
})

/** Functions that `Math` lacks, and arguments that some engines reduce badly, from mpmath with 40 digits. */
const known: readonly (readonly [string, (x: number) => number, number, number])[] = [
  ['sin', sin, 1e22, -0.8522008497671888],
  ['cos', cos, 1e22, 0.5232147853951389],
  ['exp2', exp2, 0.5, 1.4142135623730951],
  ['exp2', exp2, -0.3, 0.8122523963562356],
  ['exp2', exp2, 10.7, 1663.4929077375696],
  ['exp2', exp2, -1030.25, 7.30881496599e-311],
  ['exp2', exp2, 1023.9, 1.6773070034857416e308],
  ['sigmoid', sigmoid, 0.1, 0.52497918747894],
  ['sigmoid', sigmoid, -3.7, 0.024127021417669196],
  ['sigmoid', sigmoid, 12.5, 0.9999962733607158],
  ['sigmoid', sigmoid, -700.0, 9.85967654375977e-305],
  ['sigmoid', sigmoid, -30.0, 9.357622968839299e-14],
  ['sigmoid', sigmoid, 36.0, 0.9999999999999998],
  ['erf', erf, 1e-9, 1.1283791670955127e-9],
  ['erf', erf, 0.1, 0.1124629160182849],
  ['erf', erf, -0.5, -0.5204998778130465],
  ['erf', erf, 0.99, 0.8385080695553698],
  ['erf', erf, 1.0, 0.8427007929497149],
  ['erf', erf, 1.7, 0.9837904585907745],
  ['erf', erf, -2.5, -0.999593047982555],
  ['erf', erf, 4.0, 0.9999999845827421],
  ['erf', erf, 5.8, 0.9999999999999998],
]

engine('values from mpmath', () => {
  for (const [name, f, x, want] of known) assert.ok(ulps(want, f(x)) <= 2, `${name}(${x}) = ${f(x)}, not ${want}`)
})

engine.run()

// ---------------------------------------------------------------- exact laws

const anyDouble = fc.double()
const exponents = fc.integer({ min: -1074, max: 1023 })

const laws = suite('math: laws')

laws('exp2 of an integer and log2 of a power of two are exact', () => {
  for (let k = -1074; k <= 1023; k++) {
    assert.is(exp2(k), 2 ** k)
    assert.is(log2(2 ** k), k)
  }
})

laws('log2 of x 2^k is near k + log2 x, and never on the wrong side of an integer', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1, max: 2, noNaN: true, maxExcluded: true }),
      fc.integer({ min: -1000, max: 1000 }),
      (x, k) => {
        const y = log2(x * 2 ** k)
        assert.ok(y >= k && y <= k + 1)
        assert.ok(Math.abs(y - (k + log2(x))) <= 2 * ulp(Math.abs(k) + 1))
      },
    ),
  )
})

laws('odd and even symmetries are exact', () => {
  fc.assert(
    fc.property(anyDouble, (x) => {
      for (const f of [sin, tanh, erf, roundHalfEven]) assert.ok(Object.is(f(-x), -f(x)))
      assert.ok(Object.is(cos(-x), cos(x)))
    }),
  )
})

laws('sigmoid(x) + sigmoid(-x) = 1 but for rounding', () => {
  fc.assert(
    fc.property(fc.double({ min: -800, max: 800, noNaN: true }), (x) => {
      assert.ok(Math.abs(sigmoid(x) + sigmoid(-x) - 1) <= 2 ** -51)
    }),
  )
})

laws('exp, exp2, log, log2, tanh, sigmoid and erf do not fall on float32 neighbours', () => {
  const next = (x: number): number => {
    const bits = new Int32Array(new Float32Array([x]).buffer)
    bits[0] += x >= 0 ? 1 : -1
    return new Float32Array(bits.buffer)[0]
  }
  fc.assert(
    fc.property(fc.float({ min: Math.fround(-80), max: 80, noNaN: true }), (x) => {
      for (const f of [exp, exp2, expm1, tanh, sigmoid, erf])
        assert.ok(Math.fround(f(next(x))) >= Math.fround(f(x)) || Object.is(x, -0))
      if (x > 0) for (const f of [log, log2, log1p]) assert.ok(f(next(x)) >= f(x))
    }),
    { numRuns: 500 },
  )
})

laws('sin^2 + cos^2 = 1', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (x) => {
      assert.ok(Math.abs(sin(x) ** 2 + cos(x) ** 2 - 1) < 1e-15)
    }),
  )
})

laws('whole powers: exact where the result is a double, by multiplication elsewhere', () => {
  for (const [x, y, want] of [
    [3, 33, 5559060566555523],
    [10, 15, 1e15],
    [1.5, 10, 57.6650390625],
    [-2, 3, -8],
    [-2, 4, 16],
    [2, -3, 0.125],
    [7, 1, 7],
    [-3, -1, -1 / 3],
  ] as const)
    assert.is(pow(x, y), want)
  fc.assert(fc.property(exponents, (k) => assert.is(pow(2, k), 2 ** k)))
  fc.assert(
    fc.property(fc.double({ min: 0, noNaN: true }), (x) => {
      assert.is(pow(x, 0.5), Math.sqrt(x))
      assert.is(pow(x, 2), x * x)
    }),
  )
})

laws("powers are close to the engine's", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1e-5, max: 1e5, noNaN: true }),
      fc.double({ min: -50, max: 50, noNaN: true }),
      (x, y) => {
        assert.ok(Math.abs(pow(x, y) / Math.pow(x, y) - 1) < 1e-14)
      },
    ),
  )
})

laws('roundHalfEven: the nearest integer, ties to even', () => {
  for (const [x, want] of [
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [3.5, 4],
    [-0.5, -0],
    [-1.5, -2],
    [-2.5, -2],
    [0.49999999999999994, 0],
    [-0.2, -0],
    [2 ** 52 - 0.5, 2 ** 52],
    [2 ** 52 + 1, 2 ** 52 + 1],
    [1e300, 1e300],
  ] as const) {
    assert.ok(Object.is(roundHalfEven(x), want), `${x} -> ${roundHalfEven(x)}`)
  }
  fc.assert(
    fc.property(fc.double({ min: -(2 ** 53), max: 2 ** 53, noNaN: true }), (x) => {
      const y = roundHalfEven(x)
      assert.ok(Number.isInteger(y) && Math.abs(x - y) <= 0.5)
      assert.ok(Math.abs(x - y) < 0.5 || y % 2 === 0)
    }),
  )
})

laws.run()

// ---------------------------------------------------------------- special values

type Special = readonly [string, (x: number) => number, readonly (readonly [number, number])[]]

const specials: readonly Special[] = [
  [
    'exp',
    exp,
    [
      [0, 1],
      [-0, 1],
      [Infinity, Infinity],
      [-Infinity, 0],
      [710, Infinity],
      [-746, 0],
      [-745.1332191019411, 5e-324],
    ],
  ],
  [
    'expm1',
    expm1,
    [
      [0, 0],
      [-0, -0],
      [Infinity, Infinity],
      [-Infinity, -1],
      [5e-324, 5e-324],
      [1e-300, 1e-300],
    ],
  ],
  [
    'exp2',
    exp2,
    [
      [0, 1],
      [-0, 1],
      [Infinity, Infinity],
      [-Infinity, 0],
      [1024, Infinity],
      [-1074, 5e-324],
      [-1074.9, 5e-324],
      [-1075, 0],
    ],
  ],
  [
    'log',
    log,
    [
      [1, 0],
      [0, -Infinity],
      [-0, -Infinity],
      [-1, NaN],
      [-Infinity, NaN],
      [Infinity, Infinity],
      [5e-324, -744.4400719213812],
    ],
  ],
  [
    'log1p',
    log1p,
    [
      [0, 0],
      [-0, -0],
      [-1, -Infinity],
      [-2, NaN],
      [Infinity, Infinity],
      [5e-324, 5e-324],
    ],
  ],
  [
    'log2',
    log2,
    [
      [1, 0],
      [0, -Infinity],
      [-0, -Infinity],
      [-1, NaN],
      [Infinity, Infinity],
      [5e-324, -1074],
    ],
  ],
  [
    'sin',
    sin,
    [
      [0, 0],
      [-0, -0],
      [Infinity, NaN],
      [-Infinity, NaN],
      [5e-324, 5e-324],
    ],
  ],
  [
    'cos',
    cos,
    [
      [0, 1],
      [-0, 1],
      [Infinity, NaN],
      [-Infinity, NaN],
    ],
  ],
  [
    'tanh',
    tanh,
    [
      [0, 0],
      [-0, -0],
      [Infinity, 1],
      [-Infinity, -1],
      [5e-324, 5e-324],
    ],
  ],
  [
    'sigmoid',
    sigmoid,
    [
      [0, 0.5],
      [-0, 0.5],
      [Infinity, 1],
      [-Infinity, 0],
      [-745, 5e-324],
    ],
  ],
  [
    'erf',
    erf,
    [
      [0, 0],
      [-0, -0],
      [Infinity, 1],
      [-Infinity, -1],
      [5e-324, 5e-324],
    ],
  ],
  [
    'roundHalfEven',
    roundHalfEven,
    [
      [0, 0],
      [-0, -0],
      [Infinity, Infinity],
      [-Infinity, -Infinity],
      [5e-324, 0],
      [-5e-324, -0],
    ],
  ],
]

const special = suite('math: special values')

for (const [name, f, pairs] of specials) {
  special(name, () => {
    assert.ok(Object.is(f(NaN), NaN))
    for (const [x, want] of pairs) assert.ok(Object.is(f(x), want), `${name}(${x}) = ${f(x)}, not ${want}`)
  })
}

special("pow is IEEE 754's: Math.pow, but 1 for a base of 1 and for -1 to an infinite power", () => {
  const values = [0, -0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 4.5, 1e300, -1e300, 5e-324, Infinity, -Infinity, NaN]
  for (const x of values) {
    for (const y of values) {
      const want = x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : Math.pow(x, y)
      const got = pow(x, y)
      assert.ok(Object.is(got, want) || Math.abs(got / want - 1) < 1e-14, `pow(${x}, ${y}) = ${got}, not ${want}`)
    }
  }
})

special.run()
