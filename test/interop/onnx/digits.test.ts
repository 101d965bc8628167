/** The network that `npm start` trains: its ONNX model in ONNX Runtime, and the model brought back and trained on. */
import * as assert from 'uvu/assert'
import { pipe } from 'fp-ts/lib/function.js'
import * as E from 'fp-ts/lib/Either.js'
import { env, InferenceSession, Tensor as OrtTensor } from 'onnxruntime-web'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as q from '../../../src/index.js'
import { importOnnx } from '../../../src/interop/onnx/index.js'
import { loadDigits, type Digits } from '../../../examples/digits/data.js'
import { quantNet } from '../../../examples/digits/network.js'
import { run } from '../../support/process.js'
import { suite } from '../../support/suite.js'

const test = suite('digits.onnx')
env.wasm.numThreads = 1

const LIMIT = 640
/** Half a minute each on a quiet machine; others may be at work beside them. */
const SLOW = { timeout: 240_000 }

/** The files of a short `npm start`. */
const started = async (): Promise<{ readonly model: Uint8Array; readonly checkpoint: Uint8Array }> => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-digits-onnx-'))
  try {
    const args = ['--epochs', '2', '--limit', String(LIMIT), '--threads', '1', '--out', folder]
    const ended = await run(process.execPath, ['--import', 'tsx', 'examples/digits/main.ts', ...args], {
      limit: 120_000,
    })
    assert.is(ended.code, 0, ended.output)
    assert.match(ended.output, /written: .*digits\.onnx/)
    return {
      model: readFileSync(join(folder, 'digits.onnx')),
      checkpoint: readFileSync(join(folder, `checkpoint-8bit-seed1-epochs2-limit${LIMIT}.qtrc`)),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const files = started()
const { train, test: held } = loadDigits(LIMIT)

/** What ONNX Runtime makes of all held-out digits. */
const byOrt = async (model: Uint8Array, { images }: Digits): Promise<Float32Array> => {
  const session = await InferenceSession.create(model, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
  })
  const { output } = await session.run({ input: new OrtTensor('float32', images.data, [...images.shape]) })
  await session.release()
  if (!(output.data instanceof Float32Array)) throw new TypeError('the result is no float tensor')
  return output.data
}

/** A network over the held-out digits, here. */
const byUs = <P, S>(net: q.Layer<P, S>, trained: { readonly params: P; readonly state: S }): q.Tensor => {
  const program = q.orThrow(q.trace(net, q.tensorInput(held.images.shape), { mode: 'eval' }))
  // On WebAssembly: it is tested elsewhere that it gives the numbers of the reference, which takes half a minute here.
  const compiled = q.orThrow(q.compile(program))
  const outputs = q.orThrow(compiled.run({ ...trained, inputs: held.images as never })).outputs as q.Output
  const { shape, data } = q.valueOf(outputs)
  compiled.dispose()
  return { shape, data: data.slice() }
}

const largest = (row: Float32Array): number => row.indexOf(Math.max(...row))
const digitsOf = (scores: Float32Array): readonly number[] =>
  Array.from({ length: scores.length / 10 }, (_, i) => largest(scores.subarray(10 * i, 10 * i + 10)))

test(
  'ONNX Runtime sees the same digit in all 2,000, from scores that are the same but for rounding',
  async () => {
    const { model, checkpoint } = await files
    const net = quantNet(8)
    const fresh = q.startTraining(q.orThrow(q.init(net, 0)), q.adam({ lr: 1e-3 }))
    const ours = byUs(net, q.orThrow(pipe(E.right(checkpoint), E.chain(q.parseCheckpoint(fresh, net)))))
    const theirs = await byOrt(model, held)
    assert.equal(digitsOf(theirs), digitsOf(ours.data))
    // A score of the last layer changes by one step of its inputs' grid times a weight; 1e-3 of the largest is far below that.
    const most = ours.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
    const off = theirs.filter((v, i) => !(Math.abs(v - ours.data[i]) <= 1e-3 * most)).length
    assert.ok(off <= theirs.length / 1000, `${off} of ${theirs.length} scores differ`)
  },
  SLOW,
)

test(
  'brought back from its model and trained one epoch more, the network gets better',
  async () => {
    const { layer } = q.orThrow(importOnnx((await files).model))
    const start = q.orThrow(q.init(layer, 0))
    const right = (trained: Pick<typeof start, 'params' | 'state'>): number =>
      q.accuracy(byUs(layer, trained), held.labels)
    const before = right(start)
    const events = q.train(
      layer,
      q.crossEntropy,
      { x: train.images, target: train.labels },
      { start: q.startTraining(start, q.adam({ lr: 1e-3 })), optimizer: q.adam({ lr: 1e-3 }), epochs: 1 },
    )
    const after = right(q.orThrow(await q.finish(events)))
    assert.ok(after > before + 0.05, `${before} as imported, ${after} after an epoch`)
  },
  SLOW,
)

test.run()
