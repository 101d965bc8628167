/**
 * An ONNX model that people use, quantized: the text direction classifier of the PyPI package rapidocr-onnxruntime, int8 with 64 pictures, in
 * ONNX Runtime beside the float model on 500 others; calibration beside Brevitas', in processor seconds.
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
import { rowsOfDigits } from './rows.js'

const { values } = parseArgs({
  options: { python: { type: 'string', default: 'python3' }, threads: { type: 'string', default: '1' } },
})
const FOLDER = join(root, 'out/ocr')
/** All at once: a percentile of many numbers is a better one. */
const BATCH = 64
const [SAMPLES, OTHERS] = [64, 500]

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

/** Processor seconds of this process: on a busy machine the clock tells how busy it was. */
const processor = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** The whole way, with its times in processor seconds. */
const quantized = (bytes: Uint8Array, samples: q.Tensor, backend: q.Backend) => {
  const start = processor()
  const shape = [BATCH, ...samples.shape.slice(1)]
  const model = q.orThrow(importOnnx(bytes, { inputs: { x: shape } }))
  const net = q.orThrow(quantize(model.layer, q.tensorInput(shape), q.orThrow(q.init(model.layer, 0)), RULES))
  const ready = processor()
  const done = q.orThrow(calibrate(net, samples, { batchSize: BATCH, backend }))
  const end = processor()
  return { done, calibration: end - ready, whole: end - start }
}

const agreement = (a: readonly number[], b: readonly number[]): number =>
  (100 * a.filter((c, i) => c === b[i]).length) / a.length

const main = async (): Promise<number> => {
  mkdirSync(FOLDER, { recursive: true })
  const float = join(FOLDER, 'cls.onnx')
  if (!existsSync(float)) await python('fetch', FOLDER)
  const digits = loadDigits()
  const samples = rowsOfDigits(digits.train, SAMPLES, 1)
  const others = rowsOfDigits(digits.test, OTHERS, 2)
  const [ours, theirs] = [stored('samples.npz', samples), stored('others.npz', others)]
  const bytes = readFileSync(float)
  const threads = Number(values.threads)
  const backend = q.orThrow(await q.createWasm({ threads }))
  const runs = [0, 1, 2].map(() => quantized(bytes, samples, backend))
  backend.dispose()
  const { done } = runs[0]
  const program = q.orThrow(q.trace(done.net, done.inputs, { mode: 'eval' }))
  const int8 = join(FOLDER, 'cls-int8.onnx')
  writeFileSync(int8, q.orThrow(exportOnnx(program, done)))
  const found = (await python('classes', float, theirs)) as readonly number[]
  const now = (await python('classes', int8, theirs)) as readonly number[]
  const brevitas = (await python('brevitas', float, ours, theirs, String(threads))) as {
    readonly calibration: number
    readonly whole: number
    readonly classes: readonly number[]
  }
  const least = (which: 'calibration' | 'whole'): number => Math.min(...runs.map((r) => r[which]))
  const turned = found.filter((c, i) => c === i % 2).length
  const line = (what: string, a: number, b: number): string =>
    `${what}: ${a.toFixed(2)} s, Brevitas ${b.toFixed(2)} s, ${(b / a).toFixed(1)} ×`
  console.log(
    [
      `float: ${((100 * turned) / OTHERS).toFixed(1)} % of ${OTHERS} rows told upright from turned`,
      `int8 in ONNX Runtime: the same class on ${agreement(found, now).toFixed(1)} %; Brevitas' int8: ${agreement(found, brevitas.classes).toFixed(1)} %`,
      line(
        `calibration with ${SAMPLES} pictures, ${threads} thread${threads === 1 ? '' : 's'}`,
        least('calibration'),
        brevitas.calibration,
      ),
      line('from the file to the calibrated network', least('whole'), brevitas.whole),
    ].join('\n'),
  )
  return agreement(found, now) >= 98 ? 0 : 1
}

process.exitCode = await main()
