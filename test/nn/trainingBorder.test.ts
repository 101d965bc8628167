/** Every function of training, called with anything at all: the library's own error, or a result; never a TypeError, and never for ever. */
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { isFailure } from '../../src/data/error.js'
import { suite } from '../support/suite.js'
import { get, says } from './support.js'

const test = suite('nn: training called with anything')

const net = q.chain({
  i: q.QuantIdentity({ returnQuantTensor: true }),
  fc: q.QuantLinear({ inFeatures: 2, outFeatures: 2 }),
})
const start = get(q.init(net, 0))
const program = get(
  q.grad(
    get(
      q.trace(
        q.withLoss(net, q.crossEntropy),
        { x: q.tensorInput([2, 2]), target: q.tensorInput([2]) },
        { mode: 'train' },
      ),
    ),
    {
      output: 'loss',
    },
  ),
)
const batch = { x: q.tensorOf([2, 2], [1, -2, 3, 0.5]), target: q.tensorOf([2], [0, 1]) }
const sgd = q.sgd({ lr: 0.1 })
const begin = q.startTraining(start, sgd)
const ran = get(q.run(program, { ...start, inputs: batch }))
const config = {
  program: () => E.right(program),
  data: batch,
  loader: { batchSize: 2 },
  epochs: 1,
  optimizer: sgd,
  inputs: (b: unknown) => b,
  measure: () => ({ loss: 0 }),
}
const evaluation = { ...start, inputs: (b: unknown) => b }

/** Functions, with arguments that are right, some of which are then replaced. */
const CALLS: Readonly<Record<string, readonly unknown[]>> = {
  adam: [{ lr: 0.1 }],
  adamW: [{ lr: 0.1 }],
  sgd: [{ lr: 0.1, momentum: 0.9 }],
  withEma: [{ decay: 0.9 }],
  averaged: [begin],
  meanGrads: [[ran.grads], [1]],
  freezing: ['fc', () => ({})],
  clipGradNorm: [1],
  clipGradValue: [1],
  gradNorm: [ran.grads],
  startTraining: [start, sgd],
  applyStep: [begin, ran, ran.grads, sgd, 0.1, { epoch: 0, batch: 1 }],
  trainer: [program, sgd, begin, q.reference, { accumulate: 2 }],
  withUpdate: [program, sgd, { checked: true, accumulating: true }],
  train: [config, begin],
  evaluate: [() => E.right(program), [batch], evaluation],
  batches: [batch, { batchSize: 1, seed: 3 }, { epoch: 0, batch: 0 }],
  batchesPerEpoch: [7, { batchSize: 2 }],
  collect: [[batch, batch]],
  countOf: [batch],
  epochOrder: [7, 0, 3],
  gather: [batch.x, [0, 1]],
  constantLr: [0.1],
  stepDecay: [0.1, 5, 0.5],
  cosineDecay: [0.1, 5, 0.01],
  linearWarmup: [3, q.constantLr(0.1)],
  accuracy: [q.zeros([2, 3]), q.zeros([2])],
  crossEntropy: [],
  mseLoss: [],
  sumSquares: [],
  withLoss: [net, q.mseLoss],
  BatchNorm1d: [{ numFeatures: 2 }],
  BatchNorm2d: [{ numFeatures: 2, momentum: null }],
  LayerNorm: [{ normalizedShape: 2 }],
}

const wrong = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    0,
    -1,
    NaN,
    1.5,
    'x',
    true,
    [],
    {},
    () => undefined,
    () => 1,
    [1, 2],
    [undefined],
    E.right(program),
    E.left([]),
    Symbol('s'),
    new Map(),
    Promise.resolve(1),
    batch.x,
    batch,
    start,
    begin,
    sgd,
    q.adam,
    program,
    q.reference,
    { x: null },
    { data: new Float32Array(2) },
    { shape: [2], data: new Float32Array(3) },
    { lr: 'a', betas: 3 },
    { batchSize: 1e9 },
  ),
  fc.integer({ min: -3, max: 50 }),
)

const isIterator = (x: unknown): x is { next: () => unknown } =>
  typeof x === 'object' && x !== null && 'next' in x && typeof x.next === 'function'

/** Calls, walks what it gives, and calls what it gives again: what is thrown must be a failure of the library. */
const survive = async (name: string, args: readonly unknown[], again: unknown): Promise<void> => {
  const f: unknown = Reflect.get(q, name)
  if (typeof f !== 'function') throw new Error(`there is no ${name}`)
  try {
    const made: unknown = Reflect.apply(f, undefined, args)
    if (isIterator(made))
      for (let k = 0; k < 4; k++) {
        const next: unknown = await made.next()
        if (typeof next === 'object' && next !== null && 'done' in next && next.done === true) break
      }
    if (typeof made === 'function') Reflect.apply(made, undefined, [again])
    if (typeof made === 'object' && made !== null && '_tag' in made && made._tag === 'Left' && 'left' in made)
      q.explainAll(made.left as q.QuantErrors)
    if (typeof made === 'object' && made !== null && 'update' in made && typeof made.update === 'function')
      Reflect.apply(made.update, undefined, [again, again, again, again])
  } catch (e) {
    if (!isFailure(e)) throw e
  }
}

for (const [name, right] of Object.entries(CALLS))
  test(`${name} with anything for some of its arguments`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(wrong, { minLength: 1, maxLength: 6 }),
        fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
        wrong,
        (given, keep, again) =>
          survive(
            name,
            Array.from({ length: Math.max(right.length, given.length) }, (_, i) =>
              keep[i] && i < right.length ? right[i] : given[i % given.length],
            ),
            again,
          ),
      ),
      { numRuns: 150 },
    )
  })

/** Records with one field replaced by anything. */
const RECORDS: Readonly<Record<string, (record: object) => unknown>> = {
  train: (record) => q.train({ ...config, ...record }, begin),
  'a training state': (record) => q.trainer(program, sgd, { ...begin, ...record }, q.reference),
  evaluate: (record) => q.evaluate(() => E.right(program), [batch], { ...evaluation, ...record } as never),
  'an optimizer': (record) => q.trainer(program, { ...sgd, ...record }, begin, q.reference),
}
const FIELDS: Readonly<Record<string, object>> = {
  train: {
    ...config,
    schedule: 1,
    transform: 1,
    accumulate: 1,
    nonFinite: 'skip',
    backend: q.wasm,
    signal: 1,
    trusted: true,
  },
  'a training state': begin,
  evaluate: { ...evaluation, backend: 1, signal: 1, total: 1, views: 1 },
  'an optimizer': { mask: 1, lr: 1, weightDecay: 1 },
}
for (const [name, call] of Object.entries(RECORDS))
  test(`${name} with anything in one field`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...Object.keys(FIELDS[name])), wrong, async (field, given) => {
        try {
          const made = call({ [field]: given })
          if (isIterator(made)) for (let k = 0; k < 3; k++) await made.next()
        } catch (e) {
          if (!isFailure(e)) throw e
        }
      }),
      { numRuns: 300 },
    )
  })

test('what callbacks give back is looked at, too', async () => {
  const refused = async (given: object): Promise<string> => {
    const next = await q.train({ ...config, ...given }, begin).next()
    return next.done === true && E.isLeft(next.value) ? q.explainAll(next.value.left) : 'accepted'
  }
  says(await refused({ program: () => program }), /program\(2\) gave .*; it must be an Either/)
  says(await refused({ program: () => undefined }), /program\(2\) gave undefined/)
  says(
    await refused({
      program: () => {
        throw get(E.right(new Error('x')))
      },
    }).catch(String),
    /Error: x/,
  )
  says(
    await refused({ program: () => q.orThrow(q.trace(net, q.tensorInput([2, 3]), { mode: 'train' })) as never }),
    /ShapeError/,
  )
  says(await refused({ measure: () => undefined }), /measure gave undefined; it must be \{ loss \}/)
  says(await refused({ measure: () => ({ loss: q.scalar(1) }) }), /measure/)
  says(await refused({ transform: () => undefined }), /transform gave undefined/)
})

test.run()
