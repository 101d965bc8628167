/** Batch norms merged into the layers beside them: by hand, and in whole networks. */
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { exportOnnx } from '../../src/interop/onnx/index.js'
import { fromBinary } from '@bufbuild/protobuf'
import { ModelProtoSchema } from '../../src/interop/onnx/proto/onnx_pb.js'
import { isTensor } from '../../src/data/tensor.js'
import { at, leaves, mapTree } from '../../src/data/tree.js'
import { suite } from '../support/suite.js'
import { errorsOf, get, same, says } from './support.js'

const test = suite('nn: merging batch norms')

type Net = q.Layer<unknown, unknown>
type Trained = { readonly params: unknown; readonly state: unknown }

/** A fresh network whose batch norms look as if it had been trained: factors of both signs, and one of 0. */
const trained = (net: Net, seed: number): Trained => {
  const { params, state } = get(q.init(net, seed))
  let g = q.manualSeed(seed + 1)
  const draw = (t: q.Tensor, low: number, high: number): q.Tensor => {
    const [u, next] = q.rand(t.shape)(g)
    g = next
    return { ...t, data: u.data.map((x) => low + (high - low) * x) }
  }
  const isNorm = (tree: unknown, path: string): boolean => {
    const above = path.split('.').slice(0, -1).join('.')
    return (
      at(get(q.init(net, seed)).state, above === '' ? 'runningVar' : `${above}.runningVar`) !== undefined &&
      tree !== undefined
    )
  }
  const moved = (t: q.Tensor, path: string): q.Tensor => {
    if (path.endsWith('runningVar')) return draw(t, 0.3, 3)
    if (path.endsWith('runningMean')) return draw(t, -1, 1)
    if (!isNorm(params, path) || path.endsWith('numBatchesTracked')) return t
    const w = draw(t, -1.5, 1.5)
    return path.endsWith('weight') && w.data.length > 2 ? { ...w, data: w.data.map((x, i) => (i === 1 ? 0 : x)) } : w
  }
  return { params: mapTree(isTensor, params, moved), state: mapTree(isTensor, state, moved) }
}

const evaluated = (net: Net, { params, state }: Trained, x: q.Tensor): q.Tensor => {
  const program = get(q.trace(net, q.tensorInput(x.shape), { mode: 'eval' }))
  return q.valueOf(get(q.run(program, { params, state, inputs: x })).outputs as q.Output)
}

const input = (shape: readonly number[], seed: number): q.Tensor => q.randn(shape)(q.manualSeed(seed))[0]

/** Within rounding: relative to the largest number that comes out. */
const near = (a: q.Tensor, b: q.Tensor, tolerance = 2e-5): void => {
  same(a.shape, b.shape)
  const size = b.data.reduce((m, v) => Math.max(m, Math.abs(v)), 1)
  const off = b.data.findIndex((v, i) => !(Math.abs(v - a.data[i]) <= tolerance * size))
  same([off, a.data[off]], [-1, undefined])
}

const merged = (net: Net, shape: readonly number[], t: Trained, options: q.MergeOptions = {}) =>
  get(q.mergeBatchNorm(net, q.tensorInput(shape), t, options))

const normOf = { 2: q.BatchNorm1d, 3: q.BatchNorm1d, 4: q.BatchNorm2d, 5: q.BatchNorm3d } as const
type Rank = keyof typeof normOf

/** A block that keeps the spatial size, of convolutions of any kind; from `i` to `o` channels. */
const arbLayer = (rank: Rank, i: number, o: number, weightQuant: q.Quantizer | null): fc.Arbitrary<Net> =>
  rank === 2
    ? fc.boolean().map((bias) => q.QuantLinear({ inFeatures: i, outFeatures: o, bias, weightQuant }) as Net)
    : fc
        .record({
          bias: fc.boolean(),
          kernelSize: fc.constantFrom(1, 3),
          groups: fc.constantFrom(1, ...(i % 2 === 0 && o % 2 === 0 ? [2] : [])),
          transposed: fc.boolean(),
          paddingMode: fc.constantFrom('zeros' as const, 'replicate' as const, 'circular' as const),
        })
        .map(({ transposed, paddingMode, ...c }) => {
          const n = rank - 3
          const options = { inChannels: i, outChannels: o, padding: (c.kernelSize - 1) / 2, weightQuant, ...c }
          const plain = [q.QuantConv1d, q.QuantConv2d, q.QuantConv3d][n]
          const up = [q.QuantConvTranspose1d, q.QuantConvTranspose2d, q.QuantConvTranspose3d][n]
          return (transposed ? up(options) : plain({ ...options, paddingMode })) as Net
        })

const arbNet = (
  weightQuant: q.Quantizer | null,
): fc.Arbitrary<{ readonly net: Net; readonly shape: readonly number[] }> =>
  fc.constantFrom<Rank[]>(2, 3, 4, 5).chain((rank) => {
    const norm = (numFeatures: number): fc.Arbitrary<Net> =>
      fc
        .record({ affine: fc.boolean(), eps: fc.constantFrom(1e-5, 0.01) })
        .map((o) => normOf[rank]({ numFeatures, ...o }) as Net)
    const between = (c: number): fc.Arbitrary<readonly Net[]> =>
      fc.array(fc.oneof(norm(c), fc.constant(q.ReLU() as Net)), { maxLength: 2 })
    const block = (i: number, o: number): fc.Arbitrary<readonly Net[]> =>
      fc.tuple(between(i), arbLayer(rank, i, o, weightQuant), between(o)).map(([a, l, b]) => [...a, l, ...b])
    const chained = (layers: readonly Net[]): Net =>
      q.chain(Object.fromEntries(layers.map((l, k) => [`l${k}`, l])) as never) as Net
    /** The same layers in a model, one after the other, whose forward also uses what lies between the first two. */
    const modelled = (layers: readonly Net[], skips: boolean): Net => {
      const names = layers.map((_, k) => `l${k}`)
      const forward = (l: never, p: never, s: never, x: q.Value): unknown => {
        const [bound, params, state]: readonly Record<string, (...a: readonly unknown[]) => [q.Value, unknown]>[] = [
          l,
          p,
          s,
        ]
        const after: Record<string, unknown> = {}
        let [y, kept] = [x, x]
        names.forEach((name, k) => {
          ;[y, after[name]] = bound[name](params[name], state[name], y)
          if (k === 0) kept = y
        })
        return [skips ? q.add(q.sum(kept), y) : y, after]
      }
      return q.model(Object.fromEntries(layers.map((l, k) => [names[k], l])) as never, forward as never) as Net
    }
    const [c, size] = [4, rank === 2 ? [] : [3, 4, 3].slice(0, rank - 2)]
    return fc
      .tuple(block(2, c), block(c, c), block(c, 3), fc.boolean(), fc.boolean(), fc.boolean())
      .map(([first, body, last, res, asModel, skips]) => {
        const inner = res ? [q.residual(chained(body) as never) as Net] : body
        const layers = [...first, ...inner, ...last]
        const net = asModel ? modelled(layers, skips) : chained(layers)
        return { net, shape: [2, 2, ...size], [fc.toStringMethod]: () => q.printConfig(net.config) }
      })
  })

const normsIn = (net: q.AnyLayer): number =>
  /^BatchNorm\dd$/.test(net.layer) ? 1 : Object.values(net.source?.within ?? {}).reduce((n, l) => n + normsIn(l), 0)

test('in evaluation a merged float network gives what it gave with its batch norms, each of which is merged or told', () => {
  const counts = { merged: 0, kept: 0 }
  fc.assert(
    fc.property(arbNet(null), fc.nat(1000), ({ net, shape }, seed) => {
      const t = trained(net, seed)
      const m = merged(net, shape, t)
      const x = input(shape, seed + 2)
      near(evaluated(m.net as Net, m, x), evaluated(net, t, x))
      same(m.merged.length + m.kept.length, normsIn(net))
      same(normsIn(m.net), m.kept.length)
      counts.merged += m.merged.length
      counts.kept += m.kept.length
      for (const k of m.kept) same([k.why.length > 0, k.fix.length > 0], [true, true])
    }),
    { numRuns: 60, seed: 5 },
  )
  same([counts.merged > 60, counts.kept > 10], [true, true])
})

test('what stays can be folded into a scale and a bias of its own, at any rank: the same numbers where that is not quantized', () => {
  let folded = 0
  fc.assert(
    fc.property(arbNet(null), fc.nat(1000), ({ net, shape }, seed) => {
      const t = trained(net, seed)
      const m = merged(net, shape, t, { fold: { weightQuant: null }, strict: true })
      same([m.kept, normsIn(m.net)], [[], 0])
      same(
        m.folded,
        merged(net, shape, t).kept.map((k) => k.path),
      )
      folded += m.folded.length
      const x = input(shape, seed + 2)
      near(evaluated(m.net as Net, m, x), evaluated(net, t, x))
      near(
        evaluated(merged(net, shape, t, { fold: true }).net as Net, merged(net, shape, t, { fold: true }), x),
        evaluated(net, t, x),
        0.2,
      )
    }),
    { numRuns: 25, seed: 8 },
  )
  same(folded > 10, true)
})

test('merging is idempotent, and strict refuses what would stay', () => {
  fc.assert(
    fc.property(arbNet(null), fc.nat(1000), ({ net, shape }, seed) => {
      const t = trained(net, seed)
      const once = merged(net, shape, t)
      const twice = merged(once.net as Net, shape, once)
      same(twice.merged, [])
      same([twice.params, twice.state, twice.kept], [once.params, once.state, once.kept])
      same(twice.net.config, once.net.config)
      const strict = q.mergeBatchNorm(net, q.tensorInput(shape), t, { strict: true })
      same(E.isLeft(strict), once.kept.length > 0)
      if (E.isLeft(strict))
        same(
          strict.left.map((e) => e.path),
          once.kept.map((k) => k.path),
        )
    }),
    { numRuns: 25, seed: 6 },
  )
})

test('with a scale per channel the integers stay, but for the sign of their channel; the network gives the same within a rounding', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.boolean(), (seed, bias) => {
      const conv = q.QuantConv2d({
        inChannels: 2,
        outChannels: 3,
        kernelSize: 2,
        bias,
        weightQuant: q.Int8WeightPerChannelFloat,
      })
      const net = q.chain({ conv, bn: q.BatchNorm2d({ numFeatures: 3 }) })
      const t = trained(net as Net, seed) as { params: q.ParamsOf<typeof net>; state: q.StateOf<typeof net> }
      const m = get(q.mergeBatchNorm(net, q.tensorInput([2, 2, 3, 3]), t))
      const before = get(q.integerWeights(conv, t.params.conv, t.state.conv))
      const after = get(q.integerWeights(conv, m.params.conv as q.WeightParams, m.state.conv as never))
      const factor = [0, 1, 2].map((c) => t.params.bn.weight.data[c])
      const signed = before.int.data.map((i, k) => Math.sign(factor[Math.floor(k / 8)]) * i)
      // A product on the edge between two integers may fall to either side.
      same(
        after.int.data.filter((i, k) => Math.abs(i - signed[k]) > 1).length +
          (after.int.data.filter((i, k) => i !== signed[k]).length > 1 ? 1 : 0),
        0,
      )
      const x = input([2, 2, 3, 3], seed)
      near(evaluated(m.net as Net, m, x), evaluated(net as Net, t, x), 5e-2)
    }),
    { numRuns: 20, seed: 7 },
  )
})

test('ONNX of a merged network has nothing left of its batch norms', () => {
  const net = q.chain({
    input: q.QuantIdentity({ returnQuantTensor: true }),
    conv: q.QuantConv2d({ inChannels: 1, outChannels: 4, kernelSize: 3, bias: false }),
    bn: q.BatchNorm2d({ numFeatures: 4 }),
    act: q.QuantReLU({ returnQuantTensor: true }),
    up: q.QuantConvTranspose2d({ inChannels: 4, outChannels: 2, kernelSize: 2 }),
    norm: q.BatchNorm2d({ numFeatures: 2, affine: false }),
    flat: q.Flatten(),
    fc: q.QuantLinear({ inFeatures: 50, outFeatures: 3 }),
    last: q.BatchNorm1d({ numFeatures: 3 }),
  }) as Net
  const t = trained(net, 3)
  const m = merged(net, [2, 1, 6, 6], t)
  same(m.kept, [])
  const names = (layer: Net, numbers: Trained): readonly string[] => {
    const program = get(q.trace(layer, q.tensorInput([2, 1, 6, 6]), { mode: 'eval' }))
    const bytes = get(exportOnnx(program, numbers as never))
    return (fromBinary(ModelProtoSchema, bytes).graph?.node ?? []).map((n) => `${n.opType} ${n.name}`)
  }
  const [before, after] = [names(net, t), names(m.net as Net, m)]
  const ofNorms = /BatchNormalization|\bbn\b|\bnorm\b|\blast\b/
  same([before.some((n) => ofNorms.test(n)), after.some((n) => ofNorms.test(n))], [true, false])
})

test('a merged network trains on: a learned scale is taken from the merged weights, activations keep theirs', () => {
  const net = q.chain({
    input: q.QuantIdentity({ collectStatsSteps: 1, returnQuantTensor: true }),
    fc: q.QuantLinear({
      inFeatures: 3,
      outFeatures: 4,
      weightScalingImplType: 'PARAMETER_FROM_STATS',
      biasQuant: q.Int32Bias,
    }),
    bn: q.BatchNorm1d({ numFeatures: 4 }),
    act: q.QuantReLU({ collectStatsSteps: 1 }),
  })
  const loss = q.withLoss(net, q.mseLoss)
  const start = get(q.init(loss, 1))
  const declared = { x: q.tensorInput([6, 3]), target: q.tensorInput([6, 4]) }
  const batch = { x: input([6, 3], 2), target: input([6, 4], 3) }
  const steps = get(
    q.trainer(
      get(q.grad(get(q.trace(loss, declared, { mode: 'train' })), { output: 'loss' })),
      q.sgd({ lr: 0.1 }),
      q.startTraining(start, q.sgd({ lr: 0.1 })),
    ),
  )
  for (let k = 0; k < 3; k++) get(steps.step(batch))
  const now = steps.training()
  steps.dispose()
  const m = get(q.mergeBatchNorm(loss, declared, now))
  same(m.merged, [{ batchNorm: 'bn', into: 'fc', side: 'behind', newBias: false, scaleAnew: true }])
  same(at(m.state, 'fc.weightQuant.scale.initDone'), { ...q.scalar(0), means: 'a count' })
  same(at(m.state, 'input'), at(now.state, 'input'))
  same(at(m.state, 'act'), at(now.state, 'act'))
  const ran = get(
    q.run(get(q.grad(get(q.trace(m.net, declared, { mode: 'train' })), { output: 'loss' })), { ...m, inputs: batch }),
  )
  const weight = at(m.params, 'fc.weight') as q.Tensor
  const largest = weight.data.reduce((a, x) => Math.max(a, Math.abs(x)), 0)
  same((at(ran.state, 'fc.weightQuant.scale.value') as q.Tensor).data[0], largest)
  same(
    leaves(isTensor, ran.grads.params).map((l) => l.path),
    ['fc.weight', 'fc.bias'],
  )
})

const conv = (o: Partial<q.ConvOptions & q.WeightQuantizers> = {}) =>
  q.QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 3, ...o })
const bn = q.BatchNorm2d({ numFeatures: 2 })
const chained = (layers: { readonly [name: string]: q.AnyLayer }): Net => q.chain(layers as never) as Net
const NCHW = [2, 2, 6, 6] as const

const KEPT: readonly (readonly [string, Net, readonly number[], RegExp])[] = [
  [
    'an output quantizer',
    chained({ conv: conv({ outputQuant: q.Int8ActPerTensorFloat }), bn }),
    NCHW,
    /behind QuantConv2d conv: its outputQuant stands between/,
  ],
  [
    'an input quantizer',
    chained({ bn, conv: conv({ inputQuant: q.Int8ActPerTensorFloat }) }),
    NCHW,
    /before QuantConv2d conv: its inputQuant stands between/,
  ],
  ['zeros padded behind it', chained({ bn, conv: conv({ padding: 1 }) }), NCHW, /zeros are padded/],
  [
    'a constant scale',
    chained({ conv: conv({ weightScalingImplType: 'CONST', weightScalingConst: 1 }), bn }),
    NCHW,
    /starts from a number \(scalingImplType CONST\)/,
  ],
  [
    'binary weights',
    chained({ conv: conv({ weightQuant: q.SignedBinaryWeightPerTensorConst, weightScalingConst: 0.1 }), bn }),
    NCHW,
    /binary|starts from a number/,
  ],
  ['an activation between', chained({ conv: conv(), act: q.ReLU(), bn }), NCHW, /beside no layer with weights/],
  [
    'another axis',
    chained({ fc: q.Linear({ inFeatures: 3, outFeatures: 4 }), bn: q.BatchNorm1d({ numFeatures: 5 }) }),
    [2, 5, 3],
    /axis 1 of 3 axes, and the channels of the layer stand at axis 2/,
  ],
  [
    'no statistics',
    chained({ conv: conv(), bn: q.BatchNorm2d({ numFeatures: 2, trackRunningStats: false }) }),
    NCHW,
    /keeps no running statistics/,
  ],
]
for (const [name, net, shape, why] of KEPT)
  test(`a batch norm stays, with the reason and the fix: ${name}`, () => {
    const m = merged(net, shape, trained(net, 1))
    same([m.merged.length, m.kept.length], [0, 1])
    says(m.kept[0].why, why)
    says(q.showMerge(m), /stays: .*\n {2}fix: /)
    same(m.net, net)
  })

test('a layer called twice, or whose result is used elsewhere, keeps its batch norm', () => {
  const layers = { conv: q.Conv2d({ inChannels: 2, outChannels: 2, kernelSize: 1 }), bn }
  const twice = q.model(layers, (l, p, s, x: q.Value) => {
    const [a, c1] = l.conv(p.conv, s.conv, x)
    const [b, c2] = l.conv(p.conv, c1, a)
    const [y, n] = l.bn(p.bn, s.bn, b)
    return [y, { conv: c2, bn: n }]
  }) as Net
  says(merged(twice, NCHW, trained(twice, 1)).kept[0].why, /conv is called 2 times/)
  const other = q.model(layers, (l, p, s, x: q.Value) => {
    const [a, c1] = l.conv(p.conv, s.conv, x)
    const [y, n] = l.bn(p.bn, s.bn, a)
    return [
      { y, a },
      { conv: c1, bn: n },
    ]
  }) as unknown as Net
  says(merged(other, NCHW, trained(other, 1)).kept[0].why, /also used by a result of the network/)
})

test('where a quant tensor went into the batch norm, an Identity keeps what follows plain', () => {
  const net = chained({
    input: q.QuantIdentity({ returnQuantTensor: true }),
    conv: conv({ returnQuantTensor: true, bias: false }),
    bn,
    act: q.ReLU(),
  })
  const m = merged(net, NCHW, trained(net, 1))
  same(Object.keys(m.net.source?.within ?? {}), ['input', 'conv', 'bn', 'act'])
  same(m.net.source?.within?.bn.layer, 'Identity')
  same(at(m.params, 'bn'), {})
  same(normsIn(m.net), 0)
})

test('what is given wrong is told', () => {
  const net = chained({ conv: conv(), bn })
  const t = trained(net, 1)
  const told = (e: E.Either<q.QuantErrors, unknown>): string => q.explainAll(errorsOf(e))
  says(told(q.mergeBatchNorm(net, q.tensorInput(NCHW), { params: {}, state: {} })), /no params\.conv\.weight/)
  says(told(q.mergeBatchNorm(net, q.tensorInput(NCHW), t, { strickt: true } as never)), /strict/)
  says(told(q.mergeBatchNorm(net, q.tensorInput([2, 3, 6, 6]), t)), /channels/)
  says(told(q.mergeBatchNorm(q.chain as never, q.tensorInput(NCHW), t)), /takes a layer/)
  const one = { layer: conv(), params: at(t.params, 'conv') as never, state: at(t.state, 'conv') as never }
  const norm = { layer: bn, params: at(t.params, 'bn') as never, state: at(t.state, 'bn') as never }
  says(told(q.mergeBatchNormInto(one, one)), /is no batch norm/)
  says(told(q.mergeBatchNormInto(norm, norm)), /no weights/)
  says(told(q.mergeBatchNormInto(one, norm, { outputChannelDim: 1 })), /stand at axis 0 of its weight, not at 1/)
  says(told(q.mergeBatchNormInto(one, norm, { side: 'over' as never })), /side/)
  const three = get(q.init(q.BatchNorm2d({ numFeatures: 3 }), 0))
  says(
    told(q.mergeBatchNormInto(one, { layer: q.BatchNorm2d({ numFeatures: 3 }), ...three })),
    /has 2 output channels, and the batch norm has 3/,
  )
  const dead = { ...norm, state: { ...(norm.state as object), runningVar: q.full([2], -1) } as never }
  says(told(q.mergeBatchNormInto(one, dead)), /running variance -1/)
})

test('without affine parameters a fold has weight 1 and bias 0', () => {
  const [runningMean, runningVar] = [q.tensorOf([2], [1, -2]), q.tensorOf([2], [4, 0.25])]
  const ones = q.foldBatchNorm({ weight: q.full([2], 1), bias: q.full([2], 0), runningMean, runningVar })
  same(q.foldBatchNorm({ runningMean, runningVar }), ones)
})

test.run()
