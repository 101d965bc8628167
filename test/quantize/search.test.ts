/** Equalisation changes nothing but ranges; sensitivities never grow with bits; bits under a budget are the best there are. */
import fc from 'fast-check'
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import {
  AvgPool2d,
  BatchNorm2d,
  chain,
  Conv2d,
  explainAll,
  Flatten,
  init,
  Linear,
  MaxPool2d,
  orThrow,
  reference,
  ReLU,
  residual,
  run,
  Sigmoid,
  tensorInput,
  trace,
  type Backend,
  type Layer,
  type Tensor,
} from '../../src/index.js'
import { equalize, quantize, schemes, searchBits, sensitivity } from '../../src/quantize/index.js'
import { frontOf } from '../../src/quantize/knapsack.js'
import { suite } from '../support/suite.js'

const test = suite('quantize: equalize and search')

const conv = (inChannels: number, outChannels: number, groups = 1) =>
  Conv2d({ inChannels, outChannels, kernelSize: 3, padding: 1, groups })

const net = chain({
  stem: conv(1, 4),
  norm: BatchNorm2d({ numFeatures: 4 }),
  relu: ReLU(),
  depthwise: conv(4, 4, 4),
  relu2: ReLU(),
  pool: MaxPool2d({ kernelSize: 2 }),
  block: residual(chain({ a: conv(4, 4), relu: ReLU(), b: conv(4, 4) })),
  relu3: ReLU(),
  mean: AvgPool2d({ kernelSize: 2 }),
  flat: Flatten(),
  fc: Linear({ inFeatures: 16, outFeatures: 3 }),
})
const inputs = tensorInput([4, 1, 8, 8])
const fresh = orThrow(init(net, 2))
/** With channels of very different sizes. */
const trained = {
  ...fresh,
  params: {
    ...fresh.params,
    stem: {
      ...fresh.params.stem,
      weight: {
        shape: [4, 1, 3, 3],
        data: fresh.params.stem.weight?.data.map((w, i) => w * 8 ** Math.floor(i / 9)) ?? new Float32Array(36),
      },
    },
  },
}
const samples: Tensor = { shape: [16, 1, 8, 8], data: Float32Array.from({ length: 1024 }, (_, i) => Math.sin(i * 0.7)) }
const out = (n: { net: Layer; params: unknown; state: unknown }): Float32Array =>
  (
    orThrow(
      run(orThrow(trace(n.net, tensorInput([16, 1, 8, 8]), { mode: 'eval' })), { ...n, inputs: samples } as never),
    ).outputs as Tensor
  ).data

test('ranges become alike through ReLU, pools, depthwise layers and sums, and no result moves', () => {
  const e = orThrow(equalize(net, inputs, trained))
  assert.equal(
    e.equalized.map((r) => [r.sources.join(), [...r.sinks].sort().join()]),
    [
      ['stem', 'depthwise'],
      // The sum ties what comes in to what the block gives: one region.
      ['depthwise,block.body.b', 'block.body.a,fc'],
      ['block.body.a', 'block.body.b'],
    ],
  )
  const before = orThrow(quantize(net, inputs, trained, schemes.int8)).float
  assert.equal(out(e as never), out(before as never))
  const spread = (params: unknown): number => {
    const w = (params as { stem: { weight: Tensor } }).stem.weight.data
    const most = [0, 1, 2, 3].map((c) => Math.max(...w.slice(c * 9, c * 9 + 9).map(Math.abs)))
    return Math.max(...most) / Math.min(...most)
  }
  assert.ok(spread(e.params) < spread(before.params) / 4)
  assert.equal(orThrow(equalize(e.net, inputs, e)).params, e.params)
})

test('nothing is scaled where somebody would notice', () => {
  const curved = chain({ a: conv(1, 4), act: Sigmoid(), b: conv(4, 2) })
  assert.equal(orThrow(equalize(curved, inputs, orThrow(init(curved, 0)))).equalized, [])
  const got = equalize(net, inputs, trained, { iteration: 3 } as never)
  assert.match(E.isLeft(got) ? explainAll(got.left) : '', 'did you mean iterations?')
})

const q = orThrow(quantize(net, inputs, trained, schemes.int8))
const measured = orThrow(sensitivity(q, samples, { bits: [2, 3, 4, 8] }))

test('each layer has its losses, its weights and its multiplications', () => {
  assert.equal(
    measured.layers.map((l) => [l.path, l.weights, l.multiplications, l.actBits]),
    [
      ['stem', 36, 36 * 64, 8],
      ['depthwise', 36, 36 * 64, 8],
      ['block.body.a', 144, 144 * 16, 8],
      ['block.body.b', 144, 144 * 16, 8],
      ['fc', 48, 48, 8],
    ],
  )
  for (const { losses } of measured.layers) {
    assert.equal(
      losses.map((l) => l.bits),
      [2, 3, 4, 8],
    )
    losses.forEach((l, i) => assert.ok(l.loss >= (losses[i + 1]?.loss ?? 0)))
  }
  assert.is(measured.float, 0)
})

test('a loss of the user counts, and so does rounding to nearest', () => {
  const s = orThrow(
    sensitivity(q, samples, { bits: [2, 8], rounding: 'nearest', loss: (y, k) => k + Math.abs((y as Tensor).data[0]) }),
  )
  assert.ok(s.float > 0)
  const near = orThrow(sensitivity(q, samples, { bits: [2], rounding: 'nearest' }))
  const sum = (x: typeof near): number => x.layers.reduce((n, l) => n + l.losses[0].loss, 0)
  assert.ok(sum(measured) < sum(near), `${sum(measured)} ${sum(near)}`)
})

test('activations are measured too where widths are given; what multiplies the same ones has one width', () => {
  const told: string[] = []
  const onProgress = ({ layer, total, path }: { layer: number; total: number; path: string }) =>
    void told.push(`${layer}/${total} ${path}`)
  const s = orThrow(sensitivity(q, samples, { bits: [3, 8], activations: [8, 2, 4], onProgress }))
  // Who quantizes what each layer multiplies, pools in between.
  assert.equal(
    s.layers.map((l) => [l.path, l.reads]),
    [
      ['stem', 'stem'],
      ['depthwise', 'relu'],
      ['block.body.a', 'relu2'],
      ['block.body.b', 'block.body.relu'],
      ['fc', 'fc'],
    ],
  )
  assert.equal(
    s.activations?.map((a) => a.path),
    ['stem', 'relu', 'relu2', 'block.body.relu', 'fc'],
  )
  for (const { losses } of s.activations ?? []) {
    assert.equal(
      losses.map((l) => l.bits),
      [2, 4, 8],
    )
    losses.forEach((l, i) => assert.ok(l.loss >= (losses[i + 1]?.loss ?? 0)))
    assert.ok(losses[0].loss > losses[2].loss)
  }
  assert.is(told.at(-1), '10/10 fc')
})

test('without a bias to move, the mean error of few bits counts', () => {
  const two = (bias: boolean): number =>
    orThrow(sensitivity(q, samples, { bits: [2], rounding: 'nearest', bias })).layers.reduce(
      (n, l) => n + l.losses[0].loss,
      0,
    )
  assert.ok(two(true) < two(false), `${two(true)} ${two(false)}`)
})

const brute = (parts: readonly (readonly { bits: number; cost: number; loss: number }[])[], most: number): number =>
  parts.length === 0
    ? 0
    : Math.min(
        ...parts[0].map((c) => (c.cost > most ? Infinity : c.loss + brute(parts.slice(1), most - c.cost))),
        Infinity,
      )

test('the front is exact: for each budget it has what trying all combinations finds', () => {
  const choice = fc.record({ bits: fc.integer({ min: 2, max: 8 }), cost: fc.nat(40), loss: fc.nat(1000) })
  fc.assert(
    fc.property(
      fc.array(fc.array(choice, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
      fc.nat(200),
      (parts, most) => {
        const front = frontOf(parts)
        const best = front.filter((p) => p.cost <= most).at(-1)?.loss ?? Infinity
        assert.is(best, brute(parts, most))
        front.forEach((p, i) => assert.ok(i === 0 || (p.cost > front[i - 1].cost && p.loss < front[i - 1].loss)))
        for (const p of front)
          assert.ok(p.bits.length === parts.length && p.bits.every((b, k) => parts[k].some((c) => c.bits === b)))
      },
    ),
  )
})

test('layers that multiply the same activations share their bits, and no combination is better', () => {
  const losses = fc
    .array(fc.nat(50), { minLength: 2, maxLength: 3 })
    .map((xs) => xs.map((loss, k) => ({ bits: k + 2, loss })))
  const layer = fc.record({
    multiplications: fc.integer({ min: 1, max: 9 }),
    reads: fc.constantFrom('a', 'b', 'none'),
    losses,
  })
  fc.assert(
    fc.property(fc.array(layer, { minLength: 1, maxLength: 4 }), losses, losses, fc.nat(400), (all, a, b, most) => {
      const layers = all.map((l, k) => ({ ...l, path: `l${k}`, weights: 1, actBits: 8 }))
      const activations = [
        { path: 'a', losses: a },
        { path: 'b', losses: b },
      ].filter(({ path }) => layers.some((l) => l.reads === path))
      const s = { float: 0, layers, activations, kept: [] }
      const got = searchBits(q, samples, { budget: { bitOperations: most + 1 }, sensitivity: s })
      // All combinations of the activations' bits, then of each layer's by itself.
      const acts = activations.reduce<readonly (readonly [ReadonlyMap<string, number>, number])[]>(
        (before, { path, losses: ls }) =>
          before.flatMap(([at, sum]) => ls.map((l) => [new Map([...at, [path, l.bits]]), sum + l.loss] as const)),
        [[new Map(), 0]],
      )
      const least = acts.map(([at, sum]) => {
        const parts = layers.map((l) =>
          l.losses.map((x) => ({ ...x, cost: l.multiplications * x.bits * (at.get(l.reads) ?? l.actBits) })),
        )
        return sum + brute(parts, most + 1)
      })
      const expected = Math.min(...least)
      if (E.isLeft(got)) return assert.is(expected, Infinity)
      assert.is(got.right.loss, expected)
      assert.ok(got.right.cost <= most + 1)
      assert.equal(
        Object.keys(got.right.bits),
        layers.map((l) => l.path),
      )
      assert.equal(
        Object.keys(got.right.actBits ?? {}).sort(),
        activations.map((x) => x.path),
      )
    }),
  )
})

/** A backend that counts the programs it is asked to run. */
const counting = () => {
  let programs = 0
  const backend: Backend = {
    ...reference,
    prepare: (program) => {
      programs++
      return reference.prepare(program)
    },
  }
  return { backend, programs: () => programs }
}

test('a budget below the least possible is refused before anything runs, and so is a loss that is no number', () => {
  const { backend, programs } = counting()
  const got = searchBits(q, samples, { budget: { bytes: 20 }, backend })
  assert.match(E.isLeft(got) ? explainAll(got.left) : '', 'below what the fewest bits cost, 102')
  const wide = searchBits(q, samples, { budget: { bytes: 100 }, bits: [4, 8], backend })
  assert.match(E.isLeft(wide) ? explainAll(wide.left) : '', 'below what the fewest bits cost, 204')
  assert.is(programs(), 0)
  assert.ok(E.isRight(searchBits(q, samples, { budget: { bytes: 250 }, bits: [4, 8], batches: 1, backend })))
  assert.ok(programs() > 0)
  const nan = sensitivity(q, samples, { bits: [2], rounding: 'nearest', loss: () => NaN })
  assert.match(E.isLeft(nan) ? explainAll(nan.left) : '', 'the loss of the samples is NaN')
})

test('weights and activations together: no plan of the front is beaten by equal bits, and rules bring both', () => {
  const options = { bits: [2, 4, 8], activations: [2, 4, 8] }
  const s = orThrow(sensitivity(q, samples, options))
  const full = s.layers.reduce((n, l) => n + l.multiplications * 64, 0)
  const found = orThrow(searchBits(q, samples, { ...options, budget: { bitOperations: full / 2 }, sensitivity: s }))
  for (const w of options.bits)
    for (const a of options.activations) {
      const bitsOf = (l: (typeof s.layers)[number]): number => (l.reads === undefined ? l.actBits : a)
      const cost = s.layers.reduce((n, l) => n + l.multiplications * w * bitsOf(l), 0)
      const lost = [...s.layers.map((l) => [l, w] as const), ...(s.activations ?? []).map((x) => [x, a] as const)]
      const loss = lost.reduce((n, [{ losses }, b]) => n + (losses.find((x) => x.bits === b)?.loss ?? NaN), 0)
      assert.ok(found.front.some((p) => p.cost <= cost && p.loss <= loss * (1 + 1e-12)))
      // What the fewest bits cost is known before anything runs.
      const { backend, programs } = counting()
      const got = searchBits(q, samples, { bits: [w], activations: [a], budget: { bitOperations: 1 }, backend })
      assert.match(E.isLeft(got) ? explainAll(got.left) : '', `below what the fewest bits cost, ${cost}`)
      assert.is(programs(), 0)
    }
  const again = orThrow(quantize(net, inputs, trained, [...schemes.int8, ...found.rules]))
  const now = orThrow(sensitivity(again, samples, { bits: [8], batches: 1, rounding: 'nearest', bias: false }))
  for (const l of now.layers) if (l.reads !== undefined) assert.is(l.actBits, found.actBits?.[l.reads])
  const cost = now.layers.reduce((n, l) => n + l.multiplications * (found.bits[l.path] ?? NaN) * l.actBits, 0)
  assert.is(cost, found.cost)
  assert.ok(found.cost <= full / 2)
})

test('bits fit the budget, and are rules', () => {
  const full = measured.layers.reduce((n, l) => n + l.multiplications * 64, 0)
  const found = orThrow(searchBits(q, samples, { budget: { bitOperations: full / 2 }, sensitivity: measured }))
  assert.ok(found.cost <= full / 2 && found.front.length > 3)
  const again = orThrow(quantize(net, inputs, trained, [...schemes.int8, ...found.rules]))
  for (const l of again.report.layers)
    if (found.bits[l.path] !== undefined) assert.match(l.quantizers.weightQuant, `${found.bits[l.path]} bits`)
  const bytes = orThrow(searchBits(q, samples, { budget: { bytes: 110 }, sensitivity: measured }))
  assert.ok(bytes.cost <= 110)
  const refused = (options: unknown): string => {
    const got = searchBits(q, samples, options as never)
    return E.isLeft(got) ? explainAll(got.left) : ''
  }
  assert.match(refused({ budget: { bytes: 20 }, sensitivity: measured }), 'below what the fewest bits cost, 102')
  assert.match(refused({ budget: { byts: 20 } }), '{ bytes } or { bitOperations }')
  assert.match(refused({}), 'needs budget')
})

test.run()
