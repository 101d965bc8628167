/** Layers and quantizers that are frozen while the rest trains: by mode (statistics), and by mask (parameters, learned scales). */
import fc from 'fast-check'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { isTensor } from '../../src/data/tensor.js'
import { leaves } from '../../src/data/tree.js'
import { suite } from '../support/suite.js'
import { close, errorsOf, get, same, says } from './support.js'

const test = suite('nn: frozen layers')

const net = q.chain({
  input: q.QuantIdentity({ collectStatsSteps: 3, returnQuantTensor: true }),
  stem: q.chain({
    fc: q.QuantLinear({ inFeatures: 3, outFeatures: 4 }),
    bn: q.BatchNorm1d({ numFeatures: 4 }),
    drop: q.Dropout({ p: 0.5 }),
    act: q.QuantReLU({ collectStatsSteps: 3, returnQuantTensor: true }),
  }),
  shift: q.QuantIdentity({ actQuant: q.ShiftedUint8ActPerTensorFloat, collectStatsSteps: 3, returnQuantTensor: true }),
  running: q.QuantIdentity({ scalingImplType: 'STATS' }),
  head: q.chain({ fc: q.QuantLinear({ inFeatures: 4, outFeatures: 2 }), bn: q.BatchNorm1d({ numFeatures: 2 }) }),
})
const PARTS = ['input', 'stem', 'stem.bn', 'stem.drop', 'stem.act.actQuant', 'shift', 'running', 'head.bn'] as const
const task = q.withLoss(net, q.crossEntropy)
const start = get(q.init(task, 2))
type State = q.TrainState<typeof start.params, typeof start.state>
const declared = { x: q.tensorInput([6, 3]), target: q.tensorInput([6]) }
const traced = (freeze?: q.Where) =>
  get(q.trace(task, declared, { mode: 'train', ...(freeze === undefined ? {} : { freeze }) }))
const batch = { x: q.randn([6, 3])(q.manualSeed(7))[0], target: q.tensorOf([6], [0, 1, 0, 1, 1, 0]) }
const pathsIn = (path: string, parts: readonly string[]): boolean =>
  parts.some((p) => path === p || path.startsWith(`${p}.`))

/** A state in the middle of training, after so many steps. */
const after = (steps: number): State => {
  const o = q.adam({ lr: 0.01 })
  const t = get(q.trainer(get(q.grad(traced(), { output: 'loss' })), o, q.startTraining(start, o), q.wasm))
  for (let k = 0; k < steps; k++) get(t.step(batch))
  const state = t.training()
  t.dispose()
  return state
}
const [collecting, learned] = [after(1), after(6)]

for (const [name, from] of [
  ['collecting', collecting],
  ['learned', learned],
] as const)
  test(`whatever is frozen, its state stays, and every other statistic moves on: ${name}`, () => {
    fc.assert(
      fc.property(fc.subarray([...PARTS]), (parts) => {
        const ran = get(q.run(traced(parts), { params: from.params, state: from.state, inputs: batch }))
        const before = new Map(leaves(isTensor, from.state).map((l) => [l.path, l.leaf] as const))
        for (const { path, leaf } of leaves(isTensor, ran.state)) {
          const old = before.get(path)?.data ?? []
          const still = leaf.data.every((x, i) => Object.is(x, old[i]))
          if (pathsIn(path, parts)) same([path, still], [path, true])
          else if (/running(Mean|Var|Stats)$|numBatchesTracked$/.test(path)) same([path, still], [path, false])
          else if (name === 'collecting' && path.endsWith('counter')) same([path, still], [path, false])
        }
      }),
      { numRuns: 25 },
    )
  })

test('all frozen: what eval gives, with gradients', () => {
  const program = traced(() => true)
  same(program.mode, 'train')
  const evaluated = get(q.trace(task, declared, { mode: 'eval' }))
  for (const from of [collecting, learned]) {
    const args = { params: from.params, state: from.state, inputs: batch }
    const [a, b] = [get(q.run(program, args)), get(q.run(evaluated, args))]
    same([a.outputs.loss, a.state], [b.outputs.loss, b.state])
    same(a.warnings, b.warnings)
    const ran = get(q.run(get(q.grad(program, { output: 'loss' })), args))
    const asEval = get(q.run(get(q.grad(evaluated, { output: 'loss' })), args))
    same(ran.grads, asEval.grads)
  }
})

test('a frozen batch norm uses its running statistics: (x - mean)/sqrt(var + eps)·w + b, and takes one sample', () => {
  const one = q.chain({ bn: q.BatchNorm1d({ numFeatures: 2 }) })
  const { params } = get(q.init(one, 0))
  const state = {
    bn: {
      runningMean: q.tensorOf([2], [1, -1]),
      runningVar: q.tensorOf([2], [4, 0.25]),
      numBatchesTracked: q.scalar(3),
    },
  }
  const program = get(q.trace(one, q.tensorInput([1, 2]), { mode: 'train', freeze: 'bn' }))
  const ran = get(q.run(program, { params, state, inputs: q.tensorOf([1, 2], [3, 0]) }))
  const y = q.valueOf(ran.outputs).data
  close(y[0], 2 / Math.sqrt(4 + 1e-5), 1e-6)
  close(y[1], 1 / Math.sqrt(0.25 + 1e-5), 1e-6)
  leaves(isTensor, state).forEach((l, i) => same(leaves(isTensor, ran.state)[i].leaf.data, l.leaf.data))
  errorsOf(q.trace(one, q.tensorInput([1, 2]), { mode: 'train' }))
})

test('a quantizer that is frozen while it collects says so, in each step, on each backend', () => {
  const program = get(q.grad(traced(['input']), { output: 'loss' }))
  const o = q.sgd({ lr: 0.01 })
  for (const backend of [q.reference, q.wasm])
    for (const [from, count] of [
      [collecting, 1],
      [learned, 0],
    ] as const) {
      const t = get(q.trainer(program, o, { ...from, optim: o.init() }, backend))
      for (let k = 0; k < 2; k++) {
        const { warnings } = get(t.step(batch))
        same(
          warnings.map((w) => [w.tag, w.path]),
          Array.from({ length: count }, () => ['StillCollecting', 'input.actQuant']),
        )
      }
      t.dispose()
    }
})

test('with the mask of the same paths nothing in them moves by a bit, and the rest learns', async () => {
  const where: q.Where = ['input', 'stem.bn', 'stem.act']
  for (const backend of [q.reference, q.wasm])
    for (const make of [
      (mask: q.Mask) => q.adam({ lr: 0.01, weightDecay: 0.1, mask }),
      (mask: q.Mask) => q.withEma({ decay: 0.9 })(q.sgd({ lr: 0.01, momentum: 0.9, mask })),
    ]) {
      const o = make(q.freezing(where))
      const walk = q.train(
        {
          program: () => q.grad(traced(where), { output: 'loss' }),
          data: [batch, batch],
          epochs: 2,
          optimizer: o,
          backend,
          accumulate: 2,
          inputs: (b: typeof batch) => b,
          measure: (out: { readonly loss: q.Output }) => ({ loss: q.valueOf(out.loss).data[0] }),
        },
        { ...learned, optim: o.init(), position: { epoch: 0, batch: 0 } },
      )
      let next = await walk.next()
      while (next.done !== true) next = await walk.next()
      const end = get(next.value)
      for (const [before, now] of [
        [learned.params, end.params],
        [learned.state, end.state],
      ] as const) {
        const old = new Map(leaves(isTensor, before).map((l) => [l.path, l.leaf] as const))
        for (const { path, leaf } of leaves(isTensor, now)) {
          const still = leaf.data.every((x, i) => Object.is(x, old.get(path)?.data[i]))
          if (pathsIn(path, where)) same([path, still], [path, true])
          else if (/weight$|runningMean$/.test(path)) same([path, still], [path, false])
        }
      }
    }
})

test('compiled on WebAssembly a frozen net trains as on the reference', () => {
  const program = get(q.grad(traced(['stem', 'shift']), { output: 'loss' }))
  // Not Adam: a bias in front of a batch norm has gradient 0 but for rounding, which Adam would blow up.
  const o = q.sgd({ lr: 0.01 })
  const ends = [q.reference, q.wasm].map((backend) => {
    const t = get(q.trainer(program, o, { ...collecting, optim: o.init() }, backend))
    for (let k = 0; k < 5; k++) get(t.step(batch))
    const end = t.training()
    t.dispose()
    return leaves(isTensor, [end.params, end.state])
  })
  ends[0].forEach((l, i) => l.leaf.data.forEach((x, k) => close(ends[1][i].leaf.data[k], x, 1e-4)))
})

test('names, lists and functions; a function is asked for what lies around, too', () => {
  const counters = (freeze: q.Where): readonly string[] => {
    const ran = get(q.run(traced(freeze), { params: start.params, state: start.state, inputs: batch }))
    return leaves(isTensor, ran.state).flatMap((l) =>
      l.path.endsWith('numBatchesTracked') && l.leaf.data[0] === 0 ? [l.path] : [],
    )
  }
  const [stem, head] = ['stem.bn.numBatchesTracked', 'head.bn.numBatchesTracked']
  same(counters('stem'), [stem])
  same(counters(['stem.bn', 'head.bn']), [stem, head])
  same(
    counters((path) => path.endsWith('bn')),
    [stem, head],
  )
  same(
    counters((path) => path === 'head'),
    [head],
  )
  same(counters([]), [])
})

test('names that are no part of the network, and what names nothing', () => {
  const refused = (freeze: unknown): string =>
    q.explainAll(errorsOf(q.trace(task, declared, { mode: 'train', freeze } as unknown as q.TraceOptions)))
  says(refused(['stem.bm']), /freeze "stem.bm", which is no part of this network\n {2}fix: did you mean "stem.bn"\?/)
  says(refused('bn'), /no part of this network/)
  says(refused('stem.fc.weight'), /no part of this network/)
  says(refused(7), /freeze: 7; it must be paths of layers/)
  says(refused([7]), /freeze: \[7\]/)
  let said = ''
  try {
    q.freezing(7 as unknown as q.Where)
  } catch (e) {
    said = String(e)
  }
  says(said, /freezing was given 7/)
})

test('a mask that names no part of the network is refused wherever a network is trained, and freezes nothing in silence', async () => {
  const program = get(q.grad(traced([]), { output: 'loss' }))
  const walked = async (optimizer: q.Optimizer, more: object): Promise<string> => {
    const config = {
      program: () => q.grad(traced([]), { output: 'loss' }),
      data: [batch],
      epochs: 1,
      optimizer,
      inputs: (b: typeof batch) => b,
      measure: () => ({ loss: 0 }),
      ...more,
    }
    const end = await q.finish(q.train(config, { ...learned, optim: optimizer.init() }))
    return E.isLeft(end) ? q.explainAll(end.left) : 'accepted'
  }
  for (const mask of [q.freezing(['stem.bm']), q.freezing('head', q.freezing('stem.bm'))]) {
    const optimizer = q.withEma({ decay: 0.9 })(q.adam({ mask }))
    const told =
      /freezing was told to freeze "stem.bm", which is no part of this network\n {2}fix: did you mean "stem.bn"\?/
    says(q.explainAll(errorsOf(q.withUpdate(program, optimizer))), told)
    says(q.explainAll(errorsOf(q.trainer(program, optimizer, { ...learned, optim: optimizer.init() }))), told)
    says(await walked(optimizer, {}), told)
    says(await walked(optimizer, { transform: q.clipGradNorm(1) }), told)
  }
  // What has no leaves of its own, quantizers, leaves, and the whole network are parts of it.
  for (const part of ['stem.act', 'input.actQuant', 'stem.fc.weight', ''])
    get(q.withUpdate(program, q.sgd({ lr: 0.1, mask: q.freezing(part) })))
})

test('freezing leaves other leaves to the rules of another mask', () => {
  const mask = q.freezing('stem', ({ kind }) => (kind === 'state' ? { weightDecay: 0 } : {}))
  same(
    (['stem.fc.weight', 'stemmed', 'head.fc.weight'] as const).map((path) => mask({ kind: 'param', path })),
    [{ frozen: true }, {}, {}],
  )
  same(mask({ kind: 'state', path: 'input.actQuant.scale.value' }), { weightDecay: 0 })
})

test.run()
