/** torch's generator against every recorded `rng` case, and the laws of a generator that is a value. */
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { isLeft, isRight } from 'fp-ts/lib/Either.js'
import type { State } from 'fp-ts/lib/State.js'
import * as assert from 'uvu/assert'
import { isFailure } from '../../src/data/error.js'
import type { Generator } from '../../src/data/random.js'
import {
  bernoulli,
  dropoutMask,
  generatorFromJSON,
  generatorToJSON,
  kaimingNormal,
  kaimingUniform,
  manualSeed,
  normal,
  rand,
  randint,
  randn,
  randperm,
  uniform,
  weightAndBias,
  xavierUniform,
} from '../../src/data/random.js'
import type { Shape } from '../../src/data/shape.js'
import type { Tensor } from '../../src/data/tensor.js'
import { tensorOf } from '../../src/data/tensor.js'
import { suite } from '../support/suite.js'

// ---------------------------------------------------------------- recorded cases

type Stored = { readonly shape: Shape; readonly data?: readonly number[]; readonly f32?: string }
type Compare = { readonly mode: 'exact' } | { readonly mode: 'close'; readonly rtol: number; readonly atol: number }
type Attrs = Readonly<Record<string, number | boolean | readonly number[]>>
type Call = {
  readonly fn: string
  readonly shape?: Shape
  readonly attrs?: Attrs
  readonly compare: Compare
  readonly expect: Stored | { readonly weight: Stored; readonly bias?: Stored }
}
type Case = { readonly name: string; readonly seed: string; readonly calls: readonly Call[] }

const folder = new URL('../conformance/cases/rng/', import.meta.url)
const cases: readonly Case[] = readdirSync(folder).map((file) =>
  JSON.parse(readFileSync(new URL(file, folder), 'utf8')),
)

const decode = ({ shape, data, f32 }: Stored): Tensor => {
  if (data !== undefined) return tensorOf(shape, data)
  const bytes = Buffer.from(f32 ?? '', 'base64')
  return tensorOf(
    shape,
    Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i)),
  )
}

const number = (attrs: Attrs, key: string): number => Number(attrs[key])

const fills: Readonly<Record<string, (shape: Shape, attrs: Attrs) => State<Generator, Tensor>>> = {
  rand: (shape) => rand(shape),
  randn: (shape) => randn(shape),
  randint: (shape, attrs) => randint(number(attrs, 'low'), number(attrs, 'high'), shape),
  randperm: (shape) => randperm(shape[0]),
  bernoulli: (shape, attrs) => bernoulli(number(attrs, 'p'), shape),
  uniform_: (shape, attrs) => uniform(number(attrs, 'a'), number(attrs, 'b'), shape),
  normal_: (shape, attrs) => normal(number(attrs, 'mean'), number(attrs, 'std'), shape),
  kaiming_uniform_: (shape, attrs) => kaimingUniform({ a: number(attrs, 'a') })(shape),
  kaiming_normal_: (shape) => kaimingNormal()(shape),
  xavier_uniform_: (shape) => xavierUniform()(shape),
}

/** The shape of a layer's weight from its keyword arguments. */
const weightShape = (fn: string, attrs: Attrs): Shape => {
  if (fn.endsWith('Linear')) return [number(attrs, 'out_features'), number(attrs, 'in_features')]
  const size = attrs['kernel_size']
  const rank = Number(fn.slice(-2, -1))
  const kernel = Array.isArray(size) ? size.map(Number) : Array.from({ length: rank }, () => Number(size))
  return [number(attrs, 'out_channels'), number(attrs, 'in_channels'), ...kernel]
}

/** What a call draws, in order. */
const perform =
  ({ fn, shape, attrs = {} }: Call): State<Generator, readonly Tensor[]> =>
  (generator) => {
    const fill = fills[fn]
    if (fill !== undefined) {
      const [value, next] = fill(shape ?? [], attrs)(generator)
      return [[value], next]
    }
    const draw = weightAndBias({ weightShape: weightShape(fn, attrs), bias: attrs['bias'] !== false })
    const [{ weight, bias }, next] = draw(generator)
    return [bias === null ? [weight] : [weight, bias], next]
  }

const expected = ({ expect }: Call): readonly Tensor[] =>
  'weight' in expect
    ? [expect.weight, ...(expect.bias === undefined ? [] : [expect.bias])].map(decode)
    : [decode(expect)]

const near = (compare: Compare, want: number, got: number): boolean =>
  compare.mode === 'exact' ? want === got : Math.abs(want - got) <= compare.atol + compare.rtol * Math.abs(want)

const compareTensors = (where: string, compare: Compare, want: Tensor, got: Tensor): void => {
  assert.equal(got.shape, want.shape, where)
  assert.is(got.data.length, want.data.length, where)
  want.data.forEach((w, i) =>
    assert.ok(near(compare, w, got.data[i]), `${where}[${i}]: ${got.data[i]} instead of ${w}`),
  )
}

const recorded = suite('random: recorded cases')

recorded('there are cases', () => assert.ok(cases.length >= 18))

for (const { name, seed, calls } of cases) {
  recorded(name, () => {
    let generator = manualSeed(BigInt(seed))
    calls.forEach((call, i) => {
      const [got, next] = perform(call)(generator)
      const want = expected(call)
      assert.is(got.length, want.length)
      want.forEach((w, j) => compareTensors(`${name} call ${i}`, call.compare, w, got[j]))
      generator = next
    })
  })
}

recorded('most of the numbers that may differ in their last bits do not', () => {
  let same = 0
  let all = 0
  for (const { seed, calls } of cases) {
    let generator = manualSeed(BigInt(seed))
    for (const call of calls) {
      const [got, next] = perform(call)(generator)
      expected(call).forEach((w, j) =>
        w.data.forEach((x, i) => {
          all++
          if (x === got[j].data[i]) same++
        }),
      )
      generator = next
    }
  }
  assert.ok(same / all > 0.9, `${same} of ${all}`)
})

recorded.run()

// ---------------------------------------------------------------- laws

const shapes = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 })
const draws: fc.Arbitrary<State<Generator, Tensor>> = fc.oneof(
  shapes.map(rand),
  shapes.map(randn),
  shapes.map((shape) => randint(-5, 17, shape)),
  shapes.map((shape) => randint(-(2 ** 40), 2 ** 40, shape)),
  fc.integer({ min: 0, max: 50 }).map(randperm),
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), shapes).map(([p, shape]) => bernoulli(p, shape)),
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), shapes).map(([p, shape]) => dropoutMask(p, shape)),
  shapes.map((shape) => uniform(-3, 4, shape)),
  shapes.map((shape) => normal(1, 2, shape)),
)
const generators = fc
  .tuple(fc.maxSafeInteger(), fc.integer({ min: 0, max: 700 }), fc.integer({ min: 0, max: 3 }))
  .map(([seed, skipped, normals]) => randn([normals])(rand([skipped])(manualSeed(seed))[1])[1])

const laws = suite('random: laws')

laws('the same generator draws the same, and stays as it was', () => {
  fc.assert(
    fc.property(generators, draws, (generator, draw) => {
      const before = JSON.stringify(generatorToJSON(generator))
      const [first, after] = draw(generator)
      const [second, afterAgain] = draw(generator)
      assert.equal(first, second)
      assert.equal(generatorToJSON(after), generatorToJSON(afterAgain))
      assert.is(JSON.stringify(generatorToJSON(generator)), before)
    }),
    { numRuns: 60 },
  )
})

laws('a generator survives JSON', () => {
  fc.assert(
    fc.property(generators, draws, (generator, draw) => {
      const back = generatorFromJSON(JSON.parse(JSON.stringify(generatorToJSON(generator))))
      assert.ok(isRight(back))
      if (isRight(back)) assert.equal(draw(back.right)[0], draw(generator)[0])
    }),
    { numRuns: 60 },
  )
})

laws('broken JSON is refused with a reason', () => {
  const good = generatorToJSON(manualSeed(3))
  const bad: readonly unknown[] = [
    null,
    7,
    [],
    {},
    { ...good, algorithm: 'pcg' },
    { ...good, words: [1, 2] },
    { ...good, words: good.words.map(() => -1) },
    { ...good, words: good.words.map(() => 0.5) },
    { ...good, index: 625 },
    { ...good, index: -1 },
    { ...good, kept: '1' },
    { ...good, kept: NaN },
  ]
  for (const json of bad) {
    const back = generatorFromJSON(json)
    assert.ok(isLeft(back) && back.left[0].message.startsWith('generator: '), JSON.stringify(json)?.slice(0, 60))
  }
})

laws('rand in two parts is rand in one', () => {
  fc.assert(
    fc.property(generators, fc.nat(700), fc.nat(700), (generator, m, n) => {
      const [a, next] = rand([m])(generator)
      const [b] = rand([n])(next)
      assert.equal([...a.data, ...b.data], [...rand([m + n])(generator)[0].data])
    }),
    { numRuns: 20 },
  )
})

laws('mt19937: the 10000th number after the seed 5489 is 4123659995', () => {
  const [, near] = rand([9999])(manualSeed(5489))
  assert.is(rand([1])(near)[0].data[0], (4123659995 % 2 ** 24) / 2 ** 24)
})

laws('only the low 32 bits of a seed count', () => {
  const words = (seed: number | bigint) => generatorToJSON(manualSeed(seed)).words
  assert.equal(words(2n ** 32n + 5n), words(5))
  assert.equal(words(-1), words(2n ** 64n - 1n))
  assert.equal(words(2 ** 53 - 1), words(2n ** 53n - 1n))
})

laws('randint stays in its range, randperm is a permutation', () => {
  fc.assert(
    fc.property(
      generators,
      fc.integer({ min: -1000, max: 1000 }),
      fc.integer({ min: 1, max: 2000 }),
      (generator, low, width) => {
        const [drawn] = randint(low, low + width, [50])(generator)
        assert.ok(drawn.data.every((x) => Number.isInteger(x) && x >= low && x < low + width))
        const [order] = randperm(width)(generator)
        assert.equal(
          [...order.data].sort((a, b) => a - b),
          Array.from({ length: width }, (_, i) => i),
        )
      },
    ),
    { numRuns: 20 },
  )
})

/** The 32-bit numbers to come: their low 24 bits from `rand`, and the high 8 from their remainder by 257. */
const coming = (n: number, generator: Generator): readonly bigint[] => {
  const low = rand([n])(generator)[0].data.map((x) => x * 2 ** 24)
  const remainder = randint(0, 257, [n])(generator)[0].data
  const high = (i: number) =>
    Array.from({ length: 256 }, (_, top) => top).findIndex((top) => (top * 2 ** 24 + low[i]) % 257 === remainder[i])
  return Array.from({ length: n }, (_, i) => BigInt(high(i) * 2 ** 24 + low[i]))
}

laws('a randint of a range from 2^28 on takes two numbers, the first as the high half', () => {
  const words = coming(8, manualSeed(9))
  for (const range of [2 ** 28, 3 * 2 ** 27, 2 ** 33 + 1, 2 ** 53 - 1]) {
    const want = [0, 1, 2, 3].map((i) =>
      Math.fround(Number(((words[2 * i] * 2n ** 32n + words[2 * i + 1]) % BigInt(range)) - 5n)),
    )
    assert.equal([...randint(-5, range - 5, [4])(manualSeed(9))[0].data], want)
  }
})

laws('bernoulli and dropout at their ends; dropout keeps 1 - p', () => {
  const generator = manualSeed(1)
  assert.ok(bernoulli(0, [40])(generator)[0].data.every((x) => x === 0))
  assert.ok(bernoulli(1, [40])(generator)[0].data.every((x) => x === 1))
  const [all, afterAll] = dropoutMask(0, [4])(generator)
  const [none, afterNone] = dropoutMask(1, [4])(generator)
  assert.equal(
    [[...all.data], [...none.data]],
    [
      [1, 1, 1, 1],
      [0, 0, 0, 0],
    ],
  )
  assert.equal(generatorToJSON(afterAll), generatorToJSON(generator))
  assert.equal(generatorToJSON(afterNone), generatorToJSON(generator))
  const [mask] = dropoutMask(0.25, [10000])(generator)
  assert.ok(Math.abs(mask.data.reduce((a, b) => a + b, 0) / 10000 - 0.75) < 0.02)
})

laws('a dropout mask compares the 53-bit numbers that a small randn starts from', () => {
  const generator = manualSeed(4)
  const [, afterMask] = dropoutMask(0.5, [6])(generator)
  const [, afterNormals] = randn([6])(generator)
  assert.equal(generatorToJSON(afterMask).index, generatorToJSON(afterNormals).index)
})

laws('normal numbers have the mean and spread asked for', () => {
  const [{ data }] = normal(3, 2, [20001])(manualSeed(2))
  const mean = data.reduce((a, b) => a + b, 0) / data.length
  const spread = Math.sqrt(data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length)
  assert.ok(Math.abs(mean - 3) < 0.05 && Math.abs(spread - 2) < 0.05, `${mean} ${spread}`)
})

laws('layers: bounds, missing bias, size of a transposed bias, empty weights', () => {
  const generator = manualSeed(0)
  const [{ weight, bias }] = weightAndBias({ weightShape: [4, 9, 3, 3], bias: true, biasSize: 9 })(generator)
  assert.ok([...weight.data, ...(bias?.data ?? [])].every((x) => Math.abs(x) <= 1 / 9))
  assert.equal(bias?.shape, [9])
  assert.is(weightAndBias({ weightShape: [4, 9], bias: false })(generator)[0].bias, null)
  assert.equal(
    weightAndBias({ weightShape: [2, 9], fanIn: 9, bias: true })(generator),
    weightAndBias({ weightShape: [2, 9], bias: true })(generator),
  )
  assert.equal(
    [...(weightAndBias({ weightShape: [3, 0], bias: true })(generator)[0].bias?.data ?? [])].map(Math.abs),
    [0, 0, 0],
  )
})

laws('bad arguments are refused by name, value and range', () => {
  const bad: readonly (readonly [() => unknown, RegExp])[] = [
    [() => manualSeed(1.5), /^manualSeed: seed is 1.5, but must be an integer/],
    [() => manualSeed(NaN), /NaN/],
    [() => manualSeed(2n ** 64n), /18446744073709551616/],
    [() => rand([2, -1]), /^rand: shape is \[2,-1\]/],
    [() => randn([0.5]), /^randn: shape/],
    [() => rand([2 ** 20, 2 ** 20]), /^rand: shape .* at most 2.0 GiB, not 4.0 TiB/],
    [() => randint(3, 3, [1]), /^randint: high is 3, but must be an integer above low = 3/],
    [() => randint(0.5, 3, [1]), /^randint: low/],
    [() => randperm(-1), /^randperm: n is -1/],
    [() => bernoulli(1.01, [1]), /^bernoulli: p is 1.01, but must be in 0 … 1/],
    [() => bernoulli(NaN, [1]), /^bernoulli: p is NaN/],
    [() => dropoutMask(-0.1, [1]), /^dropoutMask: p/],
    [() => uniform(1, 0, [1]), /^uniform: b is 0/],
    [() => uniform(-Infinity, 0, [1]), /^uniform: a/],
    [() => uniform(-3e38, 3e38, [1]), /^uniform: b - a/],
    [() => normal(0, -1, [1]), /^normal: std is -1/],
    [() => normal(NaN, 1, [1]), /^normal: mean/],
    [() => kaimingUniform({ a: NaN })([2, 2]), /^kaimingUniform: a/],
    [() => kaimingNormal()([2]), /^kaimingNormal: shape is \[2\], but must be of two axes or more/],
    [() => xavierUniform({ gain: -1 })([2, 2]), /^xavierUniform: gain/],
    [() => weightAndBias({ weightShape: [2, 2], fanIn: 0, bias: true }), /^weightAndBias: fanIn/],
    [() => weightAndBias({ weightShape: [2], bias: true }), /^weightAndBias: shape/],
  ]
  for (const [run, message] of bad) {
    assert.throws(run, (error: unknown) => isFailure(error) && message.test(error.errors[0].message), String(message))
  }
})

laws.run()
