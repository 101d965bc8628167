/** What trains behind the demo's page, without a page: the file of digits, the watched program, and a training that takes orders. */
import * as assert from 'uvu/assert'
import { loadDigits } from '../../examples/digits/data.js'
import { allAt } from '../../examples/digits/network.js'
import { countDigits, decodeDigits, encodeDigits } from '../../examples/demo/digitsFile.js'
import { drawnProgram, initialOf, type Params, type State } from '../../examples/demo/programs.js'
import type { Order, Report } from '../../examples/demo/protocol.js'
import { startTrainer } from '../../examples/demo/trainer.js'
import { watchedIn, watching } from '../../examples/demo/watch.js'
import { compile, isQuantTensor, reference, type Program, type Tensor } from '../../src/index.js'
import type { LiveFrame } from '../../viz/index.js'
import { get } from '../nn/support.js'
import { suite } from '../support/suite.js'

const test = suite('examples: demo')
const patient = { timeout: 60_000 }
const digits = loadDigits(32, 8)

test('the file of digits loses nothing of what mnist holds, and knows itself', () => {
  const all = loadDigits(8000, 2000).train
  const bytes = encodeDigits(all)
  assert.is(countDigits(bytes), 8000)
  const [head, tail] = [decodeDigits(bytes, 0, 3), decodeDigits(bytes, 7990, 9000)]
  assert.equal([...head.images.data], [...all.images.data.subarray(0, 3 * 784)])
  assert.equal([tail.labels.data.length, [...tail.labels.data]], [10, [...all.labels.data.subarray(7990)]])
  const back = decodeDigits(bytes, 0, 8000).images.data
  assert.ok(all.images.data.every((x, i) => x === back[i]))
  for (const bad of [bytes.subarray(0, 5), bytes.subarray(0, 100), new Uint8Array(100)])
    assert.is(countDigits(bad), null)
})

test(
  'a watched program gives each quantizer exactly what the program itself computes there',
  () => {
    const program = get(drawnProgram(allAt(4), 4)) as Program<Params, State, Tensor>
    const initial = get(initialOf(allAt(4), 1))
    const inputs = { shape: [4, 1, 28, 28], data: digits.train.images.data.subarray(0, 4 * 784) }
    const args = { params: initial.params, state: initial.state, inputs }
    const seen = new Map<number, Tensor>()
    get(
      get(compile(program, reference)).run(args, {
        observe: (node, value) => {
          seen.set(node.id, value)
        },
      }),
    )
    const watched = watchedIn(program)
    const ran = get(get(compile(watching(program), reference)).run(args))
    assert.equal(
      watched.map((w) => [w.path, w.phase?.limit ?? 0]),
      [
        ['input.actQuant', 30],
        ['conv1.weightQuant', 0],
        ['relu1.actQuant', 30],
        ['conv2.weightQuant', 0],
        ['relu2.actQuant', 30],
        ['fc1.weightQuant', 0],
        ['relu3.actQuant', 30],
        ['fc2.weightQuant', 0],
      ],
    )
    for (const { node } of watched) {
      const x = ran.outputs[String(node)]
      assert.ok(isQuantTensor(x))
      assert.equal([...x.value.data], [...(seen.get(node)?.data ?? [])])
      assert.equal([...x.scale.data], [...(seen.get(program.graph.nodes[node].inputs[1])?.data ?? [])])
    }
  },
  patient,
)

/** Runs a training, answers its reports with orders, and gives all reports. Ends when it says so. */
const runTrainer = async (
  paused: boolean,
  answer: (report: Report, frames: readonly LiveFrame[]) => Order | null,
  epochs = 1,
): Promise<readonly Report[]> => {
  const reports: Report[] = []
  const queue: Order[] = []
  const trainer = startTrainer({
    backend: reference,
    recipe: { limit: 32, held: 8, epochs, seed: 1, batchSize: 4, lr: 1e-3 },
    edition: { run: 0, version: 0, bits: allAt(8) },
    train: digits.train,
    held: digits.test,
    paused,
    now: () => performance.now(),
    post: (r) => {
      reports.push(r)
      const order = answer(r, framesOf(reports))
      if (order !== null) queue.push(order)
      // As a worker would: an order arrives when the loop yields.
      setTimeout(() => {
        for (const o of queue.splice(0)) trainer.tell(o)
      }, 0)
    },
  })
  await trainer.done
  return reports
}
const framesOf = (reports: readonly Report[]): readonly LiveFrame[] =>
  reports.flatMap((r) => (r.tag === 'frame' ? [r.frame] : []))
const pointsOf = (reports: readonly Report[]): readonly unknown[] => framesOf(reports).flatMap((f) => f.points)
const untilFinished = (r: Report): Order | null =>
  r.tag === 'status' && r.status === 'finished' ? { tag: 'stop' } : null

test(
  'pausing and stepping change nothing: the same losses, each step told once',
  async () => {
    const straight = await runTrainer(false, untilFinished)
    const stepped = await runTrainer(
      true,
      (r, frames) =>
        untilFinished(r) ?? (r.tag === 'frame' ? (frames.length < 4 ? { tag: 'step' } : { tag: 'go' }) : null),
    )
    assert.is(pointsOf(straight).length, 8)
    assert.equal(pointsOf(stepped), pointsOf(straight))
    assert.equal(
      framesOf(stepped)
        .slice(0, 4)
        .map((f) => [f.step, f.points.length]),
      [
        [0, 0],
        [1, 1],
        [2, 1],
        [3, 1],
      ],
    )
    const last = framesOf(straight).at(-1)
    assert.ok(
      last?.held !== null &&
        last?.held !== undefined &&
        last.held.step === 8 &&
        last.held.accuracy >= 0 &&
        last.held.accuracy <= 1,
    )
    assert.equal(straight.at(-1), { tag: 'status', status: 'stopped' })
  },
  patient,
)

test(
  'each order for a step brings one, also over the end of an epoch',
  async () => {
    let told = -1
    const reports = await runTrainer(
      true,
      (r, frames) => {
        const step = frames.at(-1)?.step ?? -1
        if (r.tag !== 'frame' || step <= told) return untilFinished(r)
        told = step
        return step < 12 ? { tag: 'step' } : { tag: 'stop' }
      },
      2,
    )
    assert.equal(
      [...new Set(framesOf(reports).map((f) => f.step))],
      Array.from({ length: 13 }, (_, i) => i),
    )
  },
  patient,
)

test(
  'other bits go on with the same weights at once; a restart begins anew',
  async () => {
    const scaleOf = (f: LiveFrame | undefined, path: string): number | undefined =>
      f?.quantizers.find((q) => q.path === path)?.numbers.scales?.[0]
    const rangeOf = (f: LiveFrame | undefined): number | undefined =>
      f?.quantizers.find((q) => q.path === 'relu1.actQuant')?.numbers.to
    const orders: readonly Order[] = [
      { tag: 'step' },
      { tag: 'step' },
      { tag: 'edition', edition: { run: 0, version: 1, bits: { ...allAt(8), relu1: 2 } } },
      { tag: 'step' },
      { tag: 'edition', edition: { run: 1, version: 1, bits: allAt(8) } },
      { tag: 'stop' },
    ]
    const reports = await runTrainer(true, (r, frames) =>
      r.tag === 'frame' ? (orders[frames.length - 1] ?? null) : null,
    )
    const frames = framesOf(reports)
    assert.equal(
      frames.map((f) => [f.step, rangeOf(f)]),
      [
        [0, 255],
        [1, 255],
        [2, 255],
        [2, 3],
        [3, 3],
        [0, 255],
      ],
    )
    assert.equal(
      reports.flatMap((r) => (r.tag === 'frame' ? [`${r.edition.run}.${r.edition.version}`] : [])),
      ['0.0', '0.0', '0.0', '0.1', '0.1', '1.1'],
    )
    assert.is(scaleOf(frames[3], 'conv1.weightQuant'), scaleOf(frames[2], 'conv1.weightQuant'))
    assert.is.not(scaleOf(frames[4], 'conv1.weightQuant'), scaleOf(frames[3], 'conv1.weightQuant'))
    assert.is(scaleOf(frames[5], 'conv1.weightQuant'), scaleOf(frames[0], 'conv1.weightQuant'))
  },
  patient,
)

test(
  'it stops within a step, and a training that fails says why and can be restarted',
  async () => {
    const stopped = await runTrainer(false, (r, frames) =>
      r.tag === 'frame' && frames.length === 2 ? { tag: 'stop' } : null,
    )
    const told = framesOf(stopped)[1].step
    assert.ok((framesOf(stopped).at(-1)?.step ?? 0) <= told + 1)
    assert.equal(stopped.at(-1), { tag: 'status', status: 'stopped' })
    const failing = await runTrainer(true, (r, frames) => {
      if (r.tag === 'failed') return { tag: 'edition', edition: { run: 2, version: 2, bits: allAt(8) } }
      if (r.tag !== 'frame') return null
      return frames.length === 1
        ? { tag: 'edition', edition: { run: 1, version: 1, bits: { ...allAt(8), relu1: 0.5 } } }
        : { tag: 'stop' }
    })
    assert.match(failing.flatMap((r) => (r.tag === 'failed' ? [r.message] : [])).join(), /bitWidth/)
    assert.is(framesOf(failing).length, 2)
  },
  patient,
)

test.run()
