/** What a beginner does wrong is said: what was asked, what is missing, how to mend it; and nothing is computed. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import {
  chain,
  compile,
  crossEntropy,
  explainAll,
  orThrow,
  grad,
  init,
  QuantIdentity,
  QuantLinear,
  reference,
  run,
  sgd,
  startTraining,
  tensor,
  tensorInput,
  tensorOf,
  trace,
  train,
  trainer,
  valueOf,
  wasm,
  withLoss,
  zeros,
  type QuantErrors,
} from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('misuse')
const refused = (e: E.Either<QuantErrors, unknown>, tag: string, words: RegExp): void => {
  assert.ok(E.isLeft(e), `accepted, but ${words} was to be said`)
  if (E.isRight(e)) return
  assert.is(e.left[0].tag, tag)
  assert.match(explainAll(e.left), words)
}

const net = chain({
  input: QuantIdentity({ returnQuantTensor: true }),
  fc: QuantLinear({ inFeatures: 2, outFeatures: 2 }),
})
const start = orThrow(init(net, 0))
const program = orThrow(trace(net, tensorInput([3, 2]), { mode: 'eval' }))
const args = { ...start, inputs: tensorOf([3, 2], [0, 1, 2, 3, 4, 5]) }
const differentiated = orThrow(
  pipe(
    trace(withLoss(net, crossEntropy), { x: tensorInput([3, 2]), target: tensorInput([3]) }, { mode: 'train' }),
    E.chain((p) => grad(p, { output: 'loss' })),
  ),
)
const batch = { x: args.inputs, target: tensorOf([3], [0, 1, 0]) }
const optimizer = sgd({ lr: 0.1 })

for (const backend of [reference, wasm]) {
  test(`what was disposed of computes nothing more: ${backend.name}`, () => {
    const compiled = orThrow(compile(program, backend))
    const [first, second] = [orThrow(compiled.resident(args)), orThrow(compiled.resident(args))]
    orThrow(first.execute())
    first.dispose()
    refused(first.execute(), 'BackendError', /this resident program was disposed of/)
    refused(first.load(args), 'BackendError', /disposed of/)
    assert.throws(() => first.results(), /RangeError|disposed of/)
    assert.throws(() => first.inputs(), /disposed of/)
    orThrow(second.execute())
    compiled.dispose()
    refused(second.execute(), 'BackendError', /disposed of/)
    refused(compiled.run(args), 'BackendError', /this compiled program was disposed of/)
    refused(compiled.resident(args), 'BackendError', /disposed of/)
    compiled.dispose()
  })

  test(`a trainer that was disposed of takes no steps, and tells where it stood last: ${backend.name}`, () => {
    const t = orThrow(trainer(differentiated, optimizer, startTraining(start, optimizer), backend))
    orThrow(t.step(batch))
    const last = t.training()
    t.dispose()
    refused(t.step(batch), 'BackendError', /this trainer was disposed of/)
    refused(t.load(startTraining(start, optimizer)), 'BackendError', /disposed of/)
    assert.equal(t.training(), last)
  })

  test(`a learning rate that isn't a finite number is refused before the step: ${backend.name}`, () => {
    const t = orThrow(trainer(differentiated, optimizer, startTraining(start, optimizer), backend))
    for (const lr of [NaN, Infinity])
      refused(t.step(batch, lr), 'InputError', /the learning rate of this step is (NaN|Infinity)/)
    assert.equal(t.training().params, start.params)
    t.dispose()
  })

  test(`a class that the network has no logit for: ${backend.name}`, () => {
    const t = orThrow(trainer(differentiated, optimizer, startTraining(start, optimizer), backend))
    refused(
      t.step({ ...batch, target: tensorOf([3], [0, 1, 2]) }),
      'CheckFailed',
      /class 2 of row 2 .*\n.*count classes from 0/,
    )
    t.dispose()
  })
}

test('train refuses such a rate, with and without a transform', async () => {
  for (const transform of [{}, { transform: <A>(grads: A): A => grads }]) {
    const events = train(
      {
        program: () => E.right(differentiated),
        data: batch,
        loader: { batchSize: 3, seed: 0 },
        epochs: 1,
        optimizer,
        schedule: () => NaN,
        inputs: (b) => b,
        measure: () => ({ loss: 0 }),
        ...transform,
      },
      startTraining(start, optimizer),
    )
    const next = await events.next()
    assert.is(next.done, true)
    if (next.done === true) refused(next.value, 'InputError', /the learning rate of this step is NaN/)
  }
})

test('what stands where a tensor should is named', () => {
  const given = (inputs: unknown) => run(program, { ...args, inputs } as never)
  refused(
    given([[1, 2]]),
    'InputError',
    /data input is an array: a tensor of shape \[3,2\] was declared\n.*tensorOf\(\[3,2\], numbers\)/,
  )
  refused(given({ shape: [3, 2], data: [1, 2, 3, 4, 5, 6] }), 'InputError', /an object whose data is no Float32Array/)
  refused(given(E.right(args.inputs)), 'InputError', /an Either, whose value is its right/)
  refused(given(undefined), 'InputError', /data input is missing/)
})

test('a debug run names an input with a NaN', () => {
  const nan = tensor([3, 2], Float32Array.of(0, 1, NaN, 3, 4, 5))
  refused(
    run(program, { ...args, inputs: nan }, { debugNonFinite: true }),
    'NonFinite',
    /the data input, was given with a NaN: element 2 of 6/,
  )
  refused(
    run(
      program,
      { ...args, params: { ...start.params, fc: { ...start.params.fc, bias: tensorOf([2], [NaN, 0]) } } },
      { debugNonFinite: true },
    ),
    'NonFinite',
    /the param fc.bias, was given with a NaN/,
  )
  assert.is(valueOf(orThrow(run(program, args, { debugNonFinite: true })).outputs).data.some(Number.isNaN), false)
  orThrow(run(program, { ...args, inputs: zeros([3, 2]) }, { debugNonFinite: true }))
})

test.run()
