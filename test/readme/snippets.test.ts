/** README's further snippets, as they stand there, with what they leave out around them: they type-check and run. */
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { pipe } from 'fp-ts/lib/function.js'
import * as E from 'fp-ts/lib/Either.js'
import {
  accuracy,
  adam,
  chain,
  compile,
  createWasm,
  crossEntropy,
  orThrow,
  explainPlan,
  Flatten,
  grad,
  init,
  model,
  profile,
  QuantConv2d,
  QuantIdentity,
  QuantLinear,
  showPlan,
  showProfile,
  startTraining,
  tensorInput,
  trace,
  train,
  valueOf,
  withLoss,
  zeros,
  type Value,
} from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('README')

/** README's ts blocks after the first, which test/support/pack.ts runs as a user would. */
const blocks = [...readFileSync(new URL('../../README.md', import.meta.url), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)]
  .map((m) => m[1])
  .slice(1)
/** Code without what a formatter may change: white space, and commas in front of a closing bracket. */
const bare = (code: string): string => code.replace(/\s+/g, '').replace(/,(?=[)\]}])/g, '')
const own = bare(readFileSync(new URL(import.meta.url), 'utf8'))

test('what is tested below is what README says', () => {
  assert.is(blocks.length, 3)
  for (const line of blocks
    .flatMap((b) => b.split('\n'))
    .map((l) => l.replace(/\/\/.*/, '').trim())
    .filter((l) => l !== ''))
    assert.ok(own.includes(bare(line).replace(/,$/, '')), `README has a line that is not tested: ${line}`)
})

test('a model by hand', () => {
  const net = model(
    { q: QuantIdentity({ returnQuantTensor: true }), fc: QuantLinear({ inFeatures: 4, outFeatures: 2 }) },
    (layers, params, state, x: Value) => {
      const [a, q] = layers.q(params.q, state.q, x)
      const [y, fc] = layers.fc(params.fc, state.fc, a)
      return [y, { q, fc }]
    },
  )
  orThrow(trace(net, tensorInput([1, 4]), { mode: 'train' }))
})

test('training', async () => {
  const net = chain({ conv: QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 28 }), flat: Flatten() })
  const start = orThrow(init(net, 0))
  const [images, labels] = [zeros([33, 1, 28, 28]), zeros([33])]
  const loss = withLoss(net, crossEntropy)
  const optimizer = adam({ lr: 1e-3 })
  const events = train(
    {
      program: (n) =>
        pipe(
          trace(loss, { x: tensorInput([n, 1, 28, 28]), target: tensorInput([n]) }, { mode: 'train' }),
          E.chain((p) => grad(p, { output: 'loss' })),
        ),
      data: { x: images, target: labels },
      loader: { batchSize: 32, seed: 1 },
      epochs: 6,
      optimizer,
      inputs: (batch) => batch,
      measure: (out, batch) => ({ loss: valueOf(out.loss).data[0], accuracy: accuracy(valueOf(out.y), batch.target) }),
    },
    startTraining(start, optimizer),
  )
  let next = await events.next()
  while (next.done !== true) next = await events.next()
  assert.is(orThrow(next.value).step, 12)
})

test('running fast', async () => {
  const net = chain({ conv: QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 28 }), flat: Flatten() })
  const start = orThrow(init(net, 0))
  const made = await createWasm({ threads: 2 })
  const backend = orThrow(made)
  const program = orThrow(trace(net, tensorInput([8, 1, 28, 28]), { mode: 'eval' }))
  const args = { ...start, inputs: zeros([8, 1, 28, 28]) }
  const compiled = orThrow(compile(program, backend))
  const ran = orThrow(compiled.run(args))
  const resident = orThrow(compiled.resident(args))
  orThrow(resident.execute())
  assert.equal(valueOf(resident.results().outputs), valueOf(ran.outputs))
  const printed: string[] = []
  const console = {
    log: (text: string): void => {
      printed.push(text)
    },
  }
  console.log(showPlan(orThrow(explainPlan(program, args))))
  console.log(showProfile(orThrow(profile(program, args))))
  assert.match(printed[0], /products:/)
  assert.match(printed[1], /GFLOP/)
  compiled.dispose()
  backend.dispose()
})

test.run()
