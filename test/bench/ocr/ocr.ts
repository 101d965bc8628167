/**
 * An ONNX model that people use, quantized: the text direction classifier of the PyPI package rapidocr-onnxruntime, int8 with 64 pictures, in
 * ONNX Runtime beside the float model on 500 others (of digits of which one sees whether they are turned, and of all ten); calibration beside
 * Brevitas', in seconds of the clock and of processors: run it on a quiet machine.
 *
 *   node --import tsx test/bench/ocr/ocr.ts --python PYTHON [--threads 1]      PYTHON has onnx, onnxruntime, brevitas, onnx2torch
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadDigits } from '../../../examples/digits/data.js'
import * as q from '../../../src/index.js'
import { npzToBytes } from '../../../src/interop/arrays/index.js'
import { exportOnnx, importOnnx } from '../../../src/interop/onnx/index.js'
import { calibrate, quantize, schemes, type Rule } from '../../../src/quantize/index.js'
import { root, run } from '../../support/process.js'
import { rowsOfDigits, TOLD } from './rows.js'

const { values } = parseArgs({
  options: { python: { type: 'string', default: 'python3' }, threads: { type: 'string', default: '1' } },
})
const FOLDER = join(root, 'out/ocr')
const BATCH = 16
const [SAMPLES, OTHERS, RUNS] = [64, 500, 9]
const ALL: readonly number[] = Array.from({ length: 10 }, (_, digit) => digit)

/** 8 bits everywhere. Activations behind hard swish reach a little below 0 and far above: a zero point there saves a bit; sums stay float. */
const RULES: readonly Rule[] = [
  ...schemes.int8,
  { to: { actQuant: q.ShiftedUint8ActPerTensorFloat } },
  { layer: 'Add', to: null },
]

const python = async (...args: readonly string[]): Promise<unknown> => {
  const ended = await run(values.python, [join(root, 'test/bench/ocr/ocr.py'), ...args], { limit: 600_000 })
  if (ended.code !== 0) throw new Error(ended.output)
  return JSON.parse(ended.output.trim().split('\n').at(-1) ?? 'null')
}

const stored = (name: string, t: q.Tensor): string => {
  const path = join(FOLDER, name)
  writeFileSync(path, npzToBytes({ x: { shape: [...t.shape], data: t.data, type: 'F32' } }))
  return path
}

/** Seconds of the clock, and of the processors with all that the engine does beside. */
type Seconds = { readonly clock: number; readonly processor: number }

const now = (): Seconds => {
  const { user, system } = process.cpuUsage()
  return { clock: performance.now() / 1e3, processor: (user + system) / 1e6 }
}
const since = (start: Seconds, end: Seconds): Seconds => ({
  clock: end.clock - start.clock,
  processor: end.processor - start.processor,
})
/** The least of each. */
const least = (all: readonly Seconds[]): Seconds => ({
  clock: Math.min(...all.map((s) => s.clock)),
  processor: Math.min(...all.map((s) => s.processor)),
})

/** The whole way, with its times. */
const quantized = (bytes: Uint8Array, samples: q.Tensor, backend: q.Backend) => {
  const start = now()
  const shape = [BATCH, ...samples.shape.slice(1)]
  const model = q.orThrow(importOnnx(bytes, { inputs: { x: shape } }))
  const net = q.orThrow(quantize(model.layer, q.tensorInput(shape), q.orThrow(q.init(model.layer, 0)), RULES))
  const ready = now()
  const done = q.orThrow(calibrate(net, samples, { batchSize: BATCH, backend }))
  const end = now()
  return { done, calibration: since(ready, end), whole: since(start, end) }
}

const agreement = (a: readonly number[], b: readonly number[]): number =>
  (100 * a.filter((c, i) => c === b[i]).length) / a.length

type Theirs = {
  readonly calibration: Seconds
  readonly whole: Seconds
  readonly classes: readonly (readonly number[])[]
}

const line = (what: string, a: Seconds, b: Seconds): string =>
  `${what}: ${a.clock.toFixed(2)} s, Brevitas ${b.clock.toFixed(2)} s, ${(b.clock / a.clock).toFixed(1)} ×; of processors ${a.processor.toFixed(2)} and ${b.processor.toFixed(2)} s`

const main = async (): Promise<number> => {
  mkdirSync(FOLDER, { recursive: true })
  const float = join(FOLDER, 'cls.onnx')
  if (!existsSync(float)) await python('fetch', FOLDER)
  const digits = loadDigits()
  const samples = rowsOfDigits(digits.train, SAMPLES, 1)
  const ours = stored('samples.npz', samples)
  const others = [TOLD, ALL].map((told, i) => stored(`others${i}.npz`, rowsOfDigits(digits.test, OTHERS, 2, told)))
  const bytes = readFileSync(float)
  const threads = Number(values.threads)
  const backend = q.orThrow(await q.createWasm({ threads }))
  const runs = Array.from({ length: RUNS }, () => quantized(bytes, samples, backend))
  backend.dispose()
  const { done } = runs[0]
  const program = q.orThrow(q.trace(done.net, done.inputs, { mode: 'eval' }))
  const int8 = join(FOLDER, 'cls-int8.onnx')
  writeFileSync(int8, q.orThrow(exportOnnx(program, done)))
  const classes = async (model: string) => (await python('classes', model, ...others)) as Theirs['classes']
  const [found, now] = [await classes(float), await classes(int8)]
  const brevitas = (await python('brevitas', float, ours, String(threads), ...others)) as Theirs
  const rows = [`digits ${TOLD.join(', ')}`, 'all digits'].flatMap((name, i) => [
    `${name}: float tells ${((100 * found[i].filter((c, k) => c === k % 2).length) / OTHERS).toFixed(1)} % of ${OTHERS} rows rightly; in ONNX Runtime int8 gives the same class on ${agreement(found[i], now[i]).toFixed(1)} %, Brevitas' int8 on ${agreement(found[i], brevitas.classes[i]).toFixed(1)} %`,
  ])
  const times = [
    line(
      `calibration with ${SAMPLES} pictures, ${threads} thread${threads === 1 ? '' : 's'}`,
      least(runs.map((r) => r.calibration)),
      brevitas.calibration,
    ),
    line('from the file to the calibrated network', least(runs.map((r) => r.whole)), brevitas.whole),
  ]
  console.log([...rows, ...times].join('\n'))
  return agreement(found[0], now[0]) >= 98 ? 0 : 1
}

process.exitCode = await main()
