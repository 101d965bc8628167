/** Options of schedules, optimizers, loaders, `trainer` and `train`: what is wrong is carried, named with its mend, and reported. */
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { errorsOf, get, same, says } from './support.js'

const test = suite('nn: options of training')

/** Calls as plain JavaScript makes them. */
const js = <A extends readonly unknown[], B>(f: (...args: A) => B) => f as unknown as (...args: readonly unknown[]) => B
const problemsOf = (x: { readonly problems?: readonly q.QuantError[] }): string => q.explainAll(x.problems ?? [])
/** The message of what a call throws; an error of the library's own. */
const thrown = (f: () => unknown): string => {
  try {
    f()
  } catch (e) {
    if (!(e instanceof Error)) throw e
    same(e.name, 'QuantFailure')
    return e.message
  }
  throw new Error('nothing was thrown')
}

const WRONG_SCHEDULES: readonly (readonly [string, () => q.Schedule, RegExp])[] = [
  [
    'stepDecay(0.1, 0)',
    () => q.stepDecay(0.1, 0),
    /stepDecay was given every: 0; it must be a whole number of steps above 0/,
  ],
  ['stepDecay(0.1, 0.5)', () => q.stepDecay(0.1, 0.5), /every: 0.5/],
  ['stepDecay(0.1, -3)', () => q.stepDecay(0.1, -3), /every: -3/],
  ['stepDecay(-1, 5)', () => q.stepDecay(-1, 5), /lr: -1/],
  ['stepDecay(0.1, 5, NaN)', () => q.stepDecay(0.1, 5, NaN), /gamma: NaN/],
  ['stepDecay()', () => js(q.stepDecay)(), /needs lr[^]*needs every/],
  ['cosineDecay(0.1, 0)', () => q.cosineDecay(0.1, 0), /total: 0; it must be a whole number of steps/],
  ['cosineDecay(0.1, Infinity)', () => q.cosineDecay(0.1, Infinity), /total: Infinity/],
  ["cosineDecay('0.1', 5)", () => js(q.cosineDecay)('0.1', 5), /lr: "0.1"/],
  ['cosineDecay(0.1, 5, -1)', () => q.cosineDecay(0.1, 5, -1), /least: -1/],
  ['linearWarmup(-1, …)', () => q.linearWarmup(-1, q.constantLr(1)), /steps: -1/],
  ['linearWarmup(4, 0.1)', () => js(q.linearWarmup)(4, 0.1), /after: 0.1; it must be a schedule/],
  ['linearWarmup of a faulty one', () => q.linearWarmup(4, q.stepDecay(0.1, 0)), /stepDecay was given every: 0/],
  ['constantLr(NaN)', () => q.constantLr(NaN), /constantLr was given lr: NaN/],
]
for (const [name, make, words] of WRONG_SCHEDULES)
  test(`${name} carries what is wrong, and a call throws it`, () => {
    const schedule = make()
    says(problemsOf(schedule), words)
    says(
      thrown(() => schedule(3)),
      words,
    )
  })

test('any numbers: a schedule carries a problem, or gives a rate from 0 on for every step', () => {
  const number = fc.oneof(
    fc.double({ min: 0, max: 2 }),
    fc.integer({ min: -3, max: 40 }),
    fc.constantFrom(NaN, Infinity, -0),
  )
  fc.assert(
    fc.property(number, number, number, fc.nat(1e9), (a, b, c, step) => {
      for (const s of [q.stepDecay(a, b, c), q.cosineDecay(a, b, c), q.linearWarmup(b, q.cosineDecay(a, c))])
        if ((s.problems ?? []).length === 0) same(s(step) >= 0 && s(step) < Infinity, true)
        else thrown(() => s(step))
    }),
  )
})

const WRONG_OPTIMIZERS: readonly (readonly [string, () => q.Optimizer, RegExp])[] = [
  [
    'adam(0.01)',
    () => js(q.adam)(0.01),
    /adam takes a record of options, and was given 0.01\n {2}fix: write adam\(\{ lr: 0.01 \}\)/,
  ],
  ['sgd(0.1)', () => js(q.sgd)(0.1), /write sgd\(\{ lr: 0.1 \}\)/],
  ['sgd()', () => js(q.sgd)(), /sgd takes a record of options, and was given undefined/],
  ['sgd({})', () => js(q.sgd)({}), /sgd needs lr/],
  ['adam(null)', () => js(q.adam)(null), /was given null/],
  ['adam({ learningRate })', () => js(q.adam)({ learningRate: 1 }), /"learningRate"\n {2}fix: did you mean lr\?/],
  ['sgd({ momentun })', () => js(q.sgd)({ lr: 1, momentun: 0.9 }), /did you mean momentum\?/],
  ['adamW({ weight_decay })', () => js(q.adamW)({ weight_decay: 0.1 }), /did you mean weightDecay\?/],
  ['adam({ beta })', () => js(q.adam)({ beta: [0.9, 0.9] }), /did you mean betas\?/],
  ['betas of 1', () => q.adam({ betas: [1, 0.999] }), /betas: \[1,0.999\]; it must be two numbers from 0 to below 1/],
  ['negative betas', () => q.adamW({ betas: [0.9, -0.1] }), /betas/],
  ['one beta', () => js(q.adam)({ betas: [0.9] }), /betas/],
  ['a negative rate', () => q.sgd({ lr: -0.1 }), /lr: -0.1; it must be a number from 0 on/],
  ['a rate as text', () => js(q.adam)({ lr: '1e-3' }), /lr: "1e-3"/],
  ['a rate of NaN', () => q.adam({ lr: NaN }), /lr: NaN/],
  ['an infinite rate', () => q.sgd({ lr: Infinity }), /lr: Infinity/],
  ['a negative eps', () => q.adam({ eps: -1 }), /eps: -1/],
  ['negative decay', () => q.adamW({ weightDecay: -1 }), /weightDecay: -1/],
  ['negative momentum', () => q.sgd({ lr: 1, momentum: -1 }), /momentum: -1/],
  ['Nesterov without momentum', () => q.sgd({ lr: 1, nesterov: true }), /needs momentum/],
  ['Nesterov, dampened', () => q.sgd({ lr: 1, momentum: 0.9, dampening: 0.1, nesterov: true }), /no dampening/],
  ['a mask that is no function', () => js(q.adam)({ mask: { frozen: true } }), /mask/],
  ['averages without decay', () => js(q.withEma)({})(q.adam()), /withEma needs decay/],
  ['averages of decay 2', () => q.withEma({ decay: 2 })(q.adam()), /decay: 2/],
  ['averages of adam(0.01)', () => q.withEma({ decay: 0.9 })(js(q.adam)(0.01)), /adam takes a record/],
  ['averages of an optimizer that was not called', () => js(q.withEma({ decay: 0.9 }))(q.adam), /call it: adam\(/],
]

const net = q.chain({ bn: q.BatchNorm1d({ numFeatures: 2 }), fc: q.QuantLinear({ inFeatures: 2, outFeatures: 2 }) })
const task = q.withLoss(net, q.crossEntropy)
const start = get(q.init(task, 0))
const traceFor = (n: number) =>
  E.chain((p: ReturnType<typeof traced>) => q.grad(p, { output: 'loss' }))(
    q.trace(task, { x: q.tensorInput([n, 2]), target: q.tensorInput([n]) }, { mode: 'train' }),
  )
const traced = (n: number) =>
  get(q.trace(task, { x: q.tensorInput([n, 2]), target: q.tensorInput([n]) }, { mode: 'train' }))
const program = get(traceFor(4))
const n = 9
const data = { x: q.randn([n, 2])(q.manualSeed(1))[0], target: q.zeros([n]) }
const ok = q.sgd({ lr: 0.1 })
const config = (given: object = {}) => ({
  program: traceFor,
  data,
  loader: { batchSize: 3 },
  epochs: 1,
  optimizer: ok,
  inputs: (b: typeof data) => b,
  measure: (out: { readonly loss: q.Output }) => ({ loss: q.valueOf(out.loss).data[0] }),
  ...given,
})
const trained = async (given: object): Promise<E.Either<q.QuantErrors, unknown>> => {
  const walk = js(q.train)(config(given), q.startTraining(start, ok)) as unknown as AsyncGenerator<
    unknown,
    E.Either<q.QuantErrors, unknown>
  >
  for (;;) {
    const next = await walk.next()
    if (next.done === true) return next.value
  }
}

for (const [name, make, words] of WRONG_OPTIMIZERS)
  test(`${name}: trainer, train and withUpdate report it, update throws it`, async () => {
    const o = make()
    says(problemsOf(o), words)
    const begin = q.startTraining(start, o)
    says(q.explainAll(errorsOf(q.trainer(program, o, begin, q.reference))), words)
    says(q.explainAll(errorsOf(q.withUpdate(program, o))), words)
    says(q.explainAll(errorsOf(await trained({ optimizer: o }))), words)
    says(
      thrown(() => o.update({ params: {}, state: {} }, o.init(), {}, {})),
      words,
    )
  })

const WRONG_MASKS: readonly (readonly [string, unknown, RegExp])[] = [
  ['nothing', undefined, /the mask of sgd, asked for param bn.weight, said undefined; it must be a record/],
  ['a misspelt name', { frozn: true }, /did you mean frozen\?/],
  ['a negative scale', { lrScale: -1 }, /lrScale: -1/],
  ['a text', { frozen: 'yes' }, /frozen: "yes"/],
]
for (const [name, answer, words] of WRONG_MASKS)
  test(`a mask that says ${name}`, () => {
    const o = q.sgd({ lr: 0.1, mask: js(() => answer) as q.Mask })
    const errors = errorsOf(q.trainer(program, o, q.startTraining(start, o), q.reference))
    says(q.explainAll(errors), words)
    same(errors[0].path, 'bn.weight')
    const ran = get(q.run(program, { ...start, inputs: { x: q.zeros([4, 2]), target: q.zeros([4]) } }))
    says(
      thrown(() => o.update(ran.grads, o.init(), start.params, start.state)),
      words,
    )
  })

const WRONG_TRAININGS: readonly (readonly [string, object, RegExp])[] = [
  ['a schedule that is a number', { schedule: 0.01 }, /schedule: 0.01; it must be a schedule/],
  ['a faulty schedule', { schedule: q.stepDecay(0.1, 0) }, /every: 0/],
  ['faulty clipping', { transform: q.clipGradNorm(-1) }, /clipGradNorm was given maxNorm: -1/],
  ['an optimizer that was not called', { optimizer: q.adam }, /was given the function adam\n {2}fix: call it: adam\(/],
  ['no epochs', { epochs: undefined }, /needs epochs/],
  ['epochs of 1.5', { epochs: 1.5 }, /epochs: 1.5/],
  ['a misspelt option', { optimiser: ok }, /did you mean optimizer\?/],
  ['a batch size of 0', { loader: { batchSize: 0 } }, /batchSize: 0/],
  ['a misspelt batch size', { loader: { batch_size: 4 } }, /did you mean batchSize\?/],
  ['a seed as text', { loader: { batchSize: 3, seed: 'a' } }, /seed: "a"/],
  ['no loader', { loader: undefined }, /loader/],
  ['a loader for batches', { data: [data] }, /leave the loader out/],
  ['data that are no tensors', { data: { x: [1, 2] } }, /x is none/],
  ['data of two lengths', { data: { ...data, target: q.zeros([8]) } }, /9 of x, 8 of target/],
  ['no samples', { data: { x: q.zeros([0, 2]), target: q.zeros([0]) } }, /no samples/],
  [
    'fewer samples than a batch',
    { loader: { batchSize: 32, dropLast: true } },
    /9 samples, fewer than one batch of 32/,
  ],
  ['accumulate 0', { accumulate: 0 }, /accumulate: 0/],
  ['an unknown way with NaN', { nonFinite: 'stopp' }, /nonFinite/],
  ['a backend that was not unwrapped', { backend: q.createWasm }, /takes a backend/],
]
for (const [name, given, words] of WRONG_TRAININGS)
  test(`train with ${name}`, async () => says(q.explainAll(errorsOf(await trained(given))), words))

test('a trainer with wrong options, an Either for a program, no training state', () => {
  const begin = q.startTraining(start, ok)
  const made = (...args: readonly unknown[]) => q.explainAll(errorsOf(js(q.trainer)(...args)))
  says(made(program, ok, begin, q.wasm, { accumulat: 2 }), /did you mean accumulate\?/)
  says(made(program, ok, begin, q.wasm, { accumulate: 1.5 }), /accumulate: 1.5/)
  says(made(E.right(program), ok, begin, q.wasm), /an Either that holds one/)
  says(made(program, ok, start, q.wasm), /needs a training state/)
  says(made(program, ok, begin, {}), /takes a backend/)
  const t = get(q.trainer(program, ok, begin, q.wasm))
  const batch = { x: q.zeros([4, 2]), target: q.zeros([4]) }
  says(q.explainAll(errorsOf(js(t.step)(batch, 0.1, { close: true }))), /did you mean closes\?/)
  for (const lr of [NaN, -1, Infinity, '0.1'])
    says(q.explainAll(errorsOf(js(t.step)(batch, lr))), /learning rate of this step/)
  get(t.step(batch, 0))
  t.dispose()
})

test('a schedule that gives NaN, a negative rate or a text ends training with an error', async () => {
  for (const transform of [{}, { transform: <A>(g: A): A => g }])
    for (const rate of [NaN, -0.1, Infinity, 'x'])
      says(
        q.explainAll(errorsOf(await trained({ schedule: () => rate, ...transform }))),
        /the learning rate of this step is/,
      )
})

for (const make of [q.BatchNorm1d, q.BatchNorm2d]) {
  const shape = (batch: number): readonly number[] => (make === q.BatchNorm1d ? [batch, 3] : [batch, 3, 1, 1])
  const name = make === q.BatchNorm1d ? 'BatchNorm1d' : 'BatchNorm2d'
  test(`${name}: one value per channel has no variance in training`, () => {
    const layer = make({ numFeatures: 3 })
    const [e] = errorsOf(q.trace(q.chain({ bn: layer }), q.tensorInput(shape(1)), { mode: 'train' }))
    same([e.tag, e.path], ['ShapeError', 'bn'])
    says(q.explainAll([e]), /one value per channel in training[^]*dropLast/)
    errorsOf(q.trace(layer, q.tensorInput(shape(0)), { mode: 'train' }))
    get(q.trace(layer, q.tensorInput(shape(2)), { mode: 'train' }))
    get(q.trace(layer, q.tensorInput(shape(1)), { mode: 'eval' }))
  })
}
test('batch norms of several positions train on one sample', () => {
  get(q.trace(q.BatchNorm1d({ numFeatures: 3 }), q.tensorInput([1, 3, 2]), { mode: 'train' }))
  get(q.trace(q.BatchNorm2d({ numFeatures: 3 }), q.tensorInput([1, 3, 1, 2]), { mode: 'train' }))
})
test('options of normalisations', () => {
  says(problemsOf(js(q.BatchNorm1d)({ numFeature: 3 })), /did you mean numFeatures\?[^]*needs numFeatures/)
  says(problemsOf(q.BatchNorm2d({ numFeatures: 3, momentum: 2 })), /momentum: 2/)
  says(problemsOf(q.BatchNorm2d({ numFeatures: 3, eps: -1 })), /eps: -1/)
  says(problemsOf(q.LayerNorm({ normalizedShape: [] })), /normalizedShape/)
  same(problemsOf(q.BatchNorm1d({ numFeatures: 3, momentum: null })), '')
})

test('a last batch of one sample is found before the first step, and dropLast named', async () => {
  let steps = 0
  const events = q.train(config({ loader: { batchSize: 4 } }), q.startTraining(start, ok))
  for (;;) {
    const next = await events.next()
    if (next.done === true) {
      const [e] = errorsOf(next.value)
      says(e.message, /the last batch of an epoch holds 1 of 4 samples/)
      says(e.fix, /dropLast: true/)
      break
    }
    steps++
  }
  same(steps, 0)
  get(await trained({ loader: { batchSize: 4, dropLast: true } }))
})

test('what looks like a schedule, a signal or a start and is none is refused, not passed over', async () => {
  const net = q.Linear({ inFeatures: 2, outFeatures: 2 })
  const data = { x: q.tensorOf([2, 2], [1, 2, 3, 4]), target: q.tensorOf([2], [0, 1]) }
  const optimizer = q.sgd({ lr: 0.1 })
  const walked = async (more: object, loss = q.crossEntropy): Promise<string> => {
    const end = await q.finish(q.train(net, loss, data, { optimizer, epochs: 1, batchSize: 2, ...more }))
    return E.isLeft(end) ? q.explainAll(end.left) : 'accepted'
  }
  for (const transform of [{}, { transform: q.clipGradNorm(1) }]) {
    says(await walked({ schedule: () => undefined, ...transform }), /learning rate of this step is undefined/)
    for (const signal of [{}, new AbortController(), { aborted: 'no' }])
      says(await walked({ signal, ...transform }), /it must be an AbortSignal/)
    same(await walked({ signal: new AbortController().signal, schedule: () => 0, ...transform }), 'accepted')
    for (const idle of [
      (_y: q.Value, target: q.Value) => q.mean(target),
      (y: q.Value) => q.mean(q.detach(y)),
      (y: q.Value, target: q.Value) => q.mean(q.equal(q.sum(y, 1), target)),
    ])
      says(await walked(transform, idle), /no parameter and no learned state reaches the loss/)
  }
  says(
    thrown(() => q.startTraining(q.init(net, 0) as never, optimizer)),
    /startTraining takes what init holds, and was given an Either[^]*orThrow\(init\(net, 0\)\)/,
  )
})

test('a training that was walked already has nothing to finish', async () => {
  const net = q.Linear({ inFeatures: 2, outFeatures: 2 })
  const data = { x: q.tensorOf([2, 2], [1, 2, 3, 4]), target: q.tensorOf([2], [0, 1]) }
  const events = q.train(net, q.crossEntropy, data, { optimizer: q.sgd({ lr: 0.1 }), epochs: 1, batchSize: 2 })
  for await (const event of events) same(event.epoch, 0)
  const told = await q.finish(events).then(() => 'accepted', String)
  says(told, /walked already[^]*for await/)
})

test.run()
