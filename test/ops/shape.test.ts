/** Ops that move elements or add them up: against naive definitions, their adjoints, and what they do to metadata. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { quantOf } from '../../src/data/quant.js'
import { type Shape, sizeOf } from '../../src/data/shape.js'
import { type Tensor, tensorOf } from '../../src/data/tensor.js'
import type { Attrs, Op } from '../../src/graph/op.js'
import { ops } from '../../src/ops/index.js'
import { concat } from '../../src/ops/concat.js'
import { bernoulliMask, dropout } from '../../src/ops/dropout.js'
import { gatherLast, scatterLast } from '../../src/ops/gatherLast.js'
import { pad } from '../../src/ops/pad.js'
import { padGrad } from '../../src/ops/padGrad.js'
import { permute } from '../../src/ops/permute.js'
import { pixelShuffle, pixelUnshuffle } from '../../src/ops/pixelShuffle.js'
import { reshape } from '../../src/ops/reshape.js'
import { slice } from '../../src/ops/slice.js'
import { mean, sum } from '../../src/ops/sum.js'
import { broadcastTo, sumTo } from '../../src/ops/sumTo.js'
import { suite } from '../support/suite.js'
import {
  at,
  builderWith,
  dot,
  evaluate,
  indices,
  isClose,
  quantInput,
  randomTensor,
  refusalOf,
  seeds,
  tagOf,
} from './direct.js'

const test = suite('shape')

const shapes: fc.Arbitrary<Shape> = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 })
const isSame = (a: Tensor, b: ArrayLike<number>): void => assert.deepEqual([...a.data], Array.from(b))
const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)
const counting = (shape: Shape): Tensor => tensorOf(shape, range(sizeOf(shape)))
/** <f(x), g> = <x, f'(g)>: is `back` the adjoint of a linear op? */
const areAdjoint = (x: Tensor, y: Tensor, back: (g: Tensor) => Tensor): void => {
  const g = randomTensor(y.shape, 77)
  assert.ok(Math.abs(dot(y, g) - dot(x, back(g))) < 1e-4)
}
const fails = <A extends Attrs>(op: Op<A>, args: readonly Tensor[], attrs: A, words: RegExp): void => {
  assert.throws(() => evaluate(op, args, attrs), words)
}

test('broadcastTo repeats, sumTo is its adjoint', () => {
  fc.assert(
    fc.property(
      shapes,
      fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
      fc.nat(2),
      seeds,
      (shape, ones, skip, seed) => {
        const small = shape.map((n, i) => (ones[i] ? 1 : n)).slice(Math.min(skip, shape.length))
        const x = randomTensor(small, seed)
        const y = evaluate(broadcastTo, [x], { shape })
        isSame(
          y,
          indices(shape).map((p) =>
            at(
              x,
              p.slice(p.length - small.length).map((i, d) => (small[d] === 1 ? 0 : i)),
            ),
          ),
        )
        areAdjoint(x, y, (g) => evaluate(sumTo, [g], { shape: small }))
      },
    ),
    { numRuns: 100 },
  )
  assert.match(refusalOf(sumTo, [[2, 3]], { shape: [2] }) ?? '', /\[2\] does not broadcast to \[2,3\]/)
  assert.match(refusalOf(broadcastTo, [[2, 3]], { shape: [3] }) ?? '', /does not broadcast/)
})

test('sums are accumulated in double and rounded once', () => {
  const x = tensorOf([3], [2 ** 24, 1, 1])
  isSame(evaluate(sum, [x], { dims: [0], keepdim: false }), [2 ** 24 + 2])
  isSame(evaluate(sumTo, [x], { shape: [] }), [2 ** 24 + 2])
  isSame(evaluate(mean, [tensorOf([3], [1, 0, 0])], { dims: [0], keepdim: true }), [Math.fround(1 / 3)])
})

test('sum and mean are their definitions', () => {
  fc.assert(
    fc.property(shapes, fc.nat(2), fc.boolean(), seeds, (shape, d, keepdim, seed) => {
      const dim = d % shape.length
      const x = randomTensor(shape, seed)
      const rest = shape.map((n, i) => (i === dim ? 1 : n))
      const wanted = indices(rest).map((p) =>
        range(shape[dim]).reduce(
          (s, k) =>
            s +
            at(
              x,
              p.map((q, i) => (i === dim ? k : q)),
            ),
          0,
        ),
      )
      const y = evaluate(sum, [x], { dims: [dim], keepdim })
      assert.deepEqual(y.shape, keepdim ? rest : rest.filter((_, i) => i !== dim))
      assert.ok(
        isClose(y, wanted) &&
          isClose(
            evaluate(mean, [x], { dims: [dim], keepdim }),
            wanted.map((s) => s / shape[dim]),
          ),
      )
    }),
    { numRuns: 100 },
  )
  isSame(evaluate(mean, [tensorOf([0], [])], { dims: [0], keepdim: false }), [NaN])
  isSame(evaluate(sum, [tensorOf([2, 0], [])], { dims: [1], keepdim: false }), [0, 0])
  assert.match(refusalOf(sum, [[2, 3]], { dims: [2], keepdim: false }) ?? '', /no axis 2/)
  assert.match(refusalOf(mean, [[2, 3]], { dims: [1, 1], keepdim: false }) ?? '', /twice/)
})

test('reshape and permute move elements', () => {
  isSame(evaluate(reshape, [counting([2, 3])], { shape: [3, 1, 2] }), range(6))
  isSame(evaluate(permute, [counting([2, 3])], { dims: [1, 0] }), [0, 3, 1, 4, 2, 5])
  fc.assert(
    fc.property(fc.shuffledSubarray([0, 1, 2], { minLength: 3 }), seeds, (dims, seed) => {
      const x = randomTensor([2, 3, 4], seed)
      const y = evaluate(permute, [x], { dims })
      isSame(
        y,
        indices(y.shape).map((p) =>
          at(
            x,
            dims.map((_, d) => p[dims.indexOf(d)]),
          ),
        ),
      )
    }),
    { numRuns: 20 },
  )
  assert.match(refusalOf(reshape, [[2, 3]], { shape: [5] }) ?? '', /do not fill/)
  assert.match(refusalOf(reshape, [[2, 3]], { shape: [-2, -3] }) ?? '', /shape is \[-2,-3\]/)
  assert.match(refusalOf(permute, [[2, 3]], { dims: [0, 0] }) ?? '', /no permutation/)
})

test('concat and slice take each other back', () => {
  fc.assert(
    fc.property(
      shapes,
      fc.nat(2),
      fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
      seeds,
      (shape, d, lengths, seed) => {
        const dim = d % shape.length
        const parts = lengths.map((n, k) =>
          randomTensor(
            shape.map((m, i) => (i === dim ? n : m)),
            seed + k,
          ),
        )
        const whole = evaluate(concat, parts, { dim })
        lengths.reduce((start, n, k) => {
          isSame(evaluate(slice, [whole], { dim, start, end: start + n }), parts[k].data)
          return start + n
        }, 0)
      },
    ),
    { numRuns: 100 },
  )
  isSame(evaluate(concat, [counting([2, 1]), counting([2, 2])], { dim: 1 }), [0, 0, 1, 1, 2, 3])
  assert.match(
    refusalOf(
      concat,
      [
        [2, 3],
        [2, 4],
      ],
      { dim: 0 },
    ) ?? '',
    /cannot be joined along axis 0/,
  )
  assert.match(refusalOf(slice, [[3]], { dim: 0, start: 2, end: 4 }) ?? '', /no stretch/)
})

test('pad fills as torch does', () => {
  const x = tensorOf([1, 3], [1, 2, 3])
  const padded = (
    mode: 'constant' | 'reflect' | 'replicate' | 'circular',
    before: number,
    after: number,
  ): readonly number[] => [
    ...evaluate(pad, [x], {
      pad: [
        [0, 0],
        [before, after],
      ],
      mode,
      value: 9,
    }).data,
  ]
  assert.deepEqual(padded('constant', 1, 2), [9, 1, 2, 3, 9, 9])
  assert.deepEqual(padded('constant', -1, 1), [2, 3, 9])
  assert.deepEqual(padded('reflect', 2, 1), [3, 2, 1, 2, 3, 2])
  assert.deepEqual(padded('replicate', 2, 1), [1, 1, 1, 2, 3, 3])
  assert.deepEqual(padded('circular', 2, 3), [2, 3, 1, 2, 3, 1, 2, 3])
  assert.match(
    refusalOf(pad, [[1, 3]], {
      pad: [
        [0, 0],
        [3, 0],
      ],
      mode: 'reflect',
      value: 0,
    }) ?? '',
    /too wide/,
  )
  for (const mode of ['constant', 'reflect', 'replicate', 'circular'] as const) {
    const attrs = {
      pad: [
        [1, 0],
        [1, 2],
      ],
      mode,
      value: 0,
    } as const
    const y = randomTensor([3, 4], 5)
    areAdjoint(y, evaluate(pad, [y], attrs), (g) => evaluate(padGrad, [g], { ...attrs, inputShape: y.shape }))
  }
})

test('pixelShuffle is its definition, pixelUnshuffle its inverse', () => {
  const x = counting([2, 8, 2, 3])
  const y = evaluate(pixelShuffle, [x], { factor: 2 })
  assert.deepEqual(y.shape, [2, 2, 4, 6])
  isSame(
    y,
    indices(y.shape).map(([n, c, h, w]) => at(x, [n, c * 4 + (h % 2) * 2 + (w % 2), h >> 1, w >> 1])),
  )
  isSame(evaluate(pixelUnshuffle, [y], { factor: 2 }), x.data)
  assert.match(refusalOf(pixelShuffle, [[1, 6, 2, 2]], { factor: 2 }) ?? '', /can't be shuffled/)
  assert.match(refusalOf(pixelShuffle, [[1, 9, 2, 2]], { factor: 1.5 }) ?? '', /factor is 1.5/)
})

test('dropout scales what its mask keeps; masks depend on seed, step and place alone', () => {
  isSame(evaluate(dropout, [tensorOf([4], [1, 3, -2, NaN]), tensorOf([4], [1, 0, 1, 0])], { p: 0.75 }), [4, 0, -8, NaN])
  const mask = (seed: number, step: number, p = 0.25): Tensor =>
    evaluate(bernoulliMask, [tensorOf([2], [seed, step])], { p, shape: [100, 100] })
  isSame(mask(1, 2), mask(1, 2).data)
  for (const m of [mask(1, 2), mask(1, 3), mask(2, 2), mask(0, 0)]) {
    const kept = m.data.reduce((a, b) => a + b, 0)
    assert.ok(Math.abs(kept / 1e4 - 0.75) < 0.02, String(kept))
    assert.ok(m.data.every((v) => v === 0 || v === 1))
  }
  // Independent masks agree where both keep or both drop: 0.75² + 0.25².
  for (const other of [mask(1, 3), mask(2, 2), mask(2, 1)]) {
    const agree = mask(1, 2).data.filter((v, i) => v === other.data[i]).length
    assert.ok(Math.abs(agree / 1e4 - 0.625) < 0.02, String(agree))
  }
  assert.ok(mask(1, 2, 0).data.every((v) => v === 1))
})

test('gatherLast picks, scatterLast puts back, both refuse a wrong class', () => {
  const [x, classes] = [counting([3, 4]), tensorOf([3], [2, 0, 3])]
  const y = evaluate(gatherLast, [x, classes], {})
  isSame(y, [2, 4, 11])
  areAdjoint(x, y, (g) => evaluate(scatterLast, [g, classes], { columns: 4 }))
  for (const bad of [4, -1, 0.5, NaN]) {
    fails(gatherLast, [x, tensorOf([3], [0, bad, 0])], {}, /class .* of row 1 is not a whole number from 0 to 3/)
    fails(scatterLast, [y, tensorOf([3], [0, bad, 0])], { columns: 4 }, /class .* of row 1/)
  }
})

test('metadata: kept, claimed or stripped', () => {
  const b = builderWith([])
  const q = quantInput(b, 'q', [2, 4, 2, 2], 4, true)
  const perChannel = quantInput(b, 'c', [2, 4, 2, 2], 4, true, [1, 4, 1, 1])
  const tag = (op: string, args: Parameters<typeof b.emit>[1], attrs: Attrs): string =>
    tagOf(b.apply(ops[op], args, attrs).carried)
  assert.equal(tag('reshape', [q], { shape: [2, 16] }), 'carries')
  assert.match(tag('reshape', [perChannel], { shape: [2, 16] }), /^claimed: a per-channel scale/)
  assert.equal(tag('pixelShuffle', [q], { factor: 2 }), 'carries')
  assert.match(tag('pixelShuffle', [perChannel], { factor: 2 }), /^claimed: a per-channel scale/)
  assert.match(tag('slice', [q], { dim: 0, start: 0, end: 1 }), /^stripped/)
  assert.match(tag('mean', [q], { dims: [0], keepdim: false }), /^stripped/)
  const zeros = {
    pad: [
      [0, 0],
      [0, 0],
      [1, 1],
      [0, 0],
    ],
    mode: 'constant',
    value: 0,
  }
  assert.equal(tag('pad', [q], zeros), 'carries')
  assert.match(tag('pad', [q], { ...zeros, value: 1 }), /^claimed: the value 1/)
  assert.equal(tag('pad', [perChannel], zeros), 'carries')
  assert.match(
    tag('pad', [perChannel], {
      ...zeros,
      pad: [
        [0, 0],
        [1, 0],
        [0, 0],
        [0, 0],
      ],
    }),
    /^claimed: the scale \[1,4,1,1\] varies along padded axis 1/,
  )
  assert.match(
    tag('pad', [quantInput(b, 'f', [2, 4, 2, 2], 4, true, [], { zero: 'any' })], zeros),
    /^claimed: its zero point/,
  )
  assert.match(tag('dropout', [q, b.input('data', 'mask', q.shape)], { p: 0.5 }), /^claimed: in training/)
  assert.equal(tag('dropout', [q, b.input('data', 'mask', q.shape)], { p: 0 }), 'carries')
  assert.deepEqual(b.errors, [])
})

test('permute takes a scale of the same rank along, and claims one that it cannot', () => {
  const b = builderWith([])
  const moved = b.emit('permute', [quantInput(b, 'c', [2, 3], 4, true, [1, 3])], { dims: [1, 0] }).carried
  assert.equal(moved.tag, 'carries')
  assert.deepEqual(b.value(quantOf(moved)?.scale ?? -1).shape, [3, 1])
  assert.match(
    tagOf(b.emit('permute', [quantInput(b, 'd', [2, 3], 4, true, [3])], { dims: [1, 0] }).carried),
    /^claimed: a scale/,
  )
})

test('concat: one grid is carried, two are claimed, other widths and signs refused', () => {
  const b = builderWith([])
  const q = quantInput(b, 'q', [2, 3], 4, true)
  const scale = quantOf(q.carried)?.scale ?? -1
  const join = (name: string, bits: number, signed: boolean, more: object = {}): string =>
    tagOf(b.emit('concat', [q, quantInput(b, name, [2, 3], bits, signed, [], more)], { dim: 0 }).carried)
  assert.equal(tagOf(b.emit('concat', [q, q], { dim: 0 }).carried), 'carries')
  assert.equal(join('same', 4, true, { scale }), 'carries')
  assert.match(join('other', 4, true), /^claimed: two scales/)
  assert.match(join('training', 4, true, { training: true }), /^claimed: two scales.*mean/)
  assert.match(
    tagOf(b.emit('concat', [q, b.input('data', 'plain', [2, 3])], { dim: 0 }).carried),
    /^stripped: member 1 is a plain tensor/,
  )
  assert.equal(b.errors.length, 0)
  join('wide', 8, true)
  join('unsigned', 4, false)
  assert.deepEqual(
    b.errors.map((e) => [e.tag, /Bit widths are different|Signs are different/.test(e.message)]),
    [
      ['MetadataError', true],
      ['MetadataError', true],
    ],
  )
})

test.run()
