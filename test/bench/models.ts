/**
 * What models cost on their way out and in: `models.ts JOB FILE` does one job and prints its figures as JSON; `modelsTable` runs all, each in a process of
 * its own, so that the memory of one is not another's.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  chain,
  init,
  Linear,
  orThrow,
  QuantConv2d,
  QuantIdentity,
  QuantLinear,
  QuantReLU,
  ReLU,
  tensorInput,
  trace,
  type Layer,
  type Program,
  type Tensor,
} from '../../src/index.js'
import { exportOnnx, importOnnx } from '../../src/interop/onnx/index.js'
import { root, run } from '../support/process.js'
import { columns } from './table.js'

/** Figures of a job: milliseconds, the least of some repetitions; bytes of the file; bytes of memory beside what was there before. */
export type ModelReport = { readonly ms: number; readonly size: number; readonly memory: number | null }

const REPEATS = 5

const stack = (pairs: number, of: (i: number) => { readonly [name: string]: Layer }): Layer =>
  chain<{ readonly [name: string]: Layer }>(
    Object.assign({}, ...Array.from({ length: pairs }, (_, i) => of(i))),
  ) as Layer

/** A network of 100 layers: convolutions and activations, all quantized. */
const deep = (): Layer =>
  stack(50, (i) => ({
    [`conv${i}`]: QuantConv2d({ inChannels: 16, outChannels: 16, kernelSize: 3, padding: 1 }),
    [`act${i}`]: QuantReLU({ returnQuantTensor: true }),
  }))

const WIDTHS = { float: 2048, int8: 4096 } as const
type Kind = keyof typeof WIDTHS

/** Six products, whose weights take 100 MB as they are stored; `width` 1 has the same state. */
const wide = (kind: Kind, width: number): Layer =>
  stack(6, (i) =>
    kind === 'float'
      ? { [`fc${i}`]: Linear({ inFeatures: width, outFeatures: width }), [`act${i}`]: ReLU() }
      : {
          [`act${i}`]: QuantIdentity({ returnQuantTensor: true }),
          [`fc${i}`]: QuantLinear({ inFeatures: width, outFeatures: width }),
        },
  )

/** Weights that differ, made faster than a hundred million are drawn. */
const spread = (shape: readonly number[]): Tensor => {
  const data = new Float32Array(shape.reduce((n, k) => n * k, 1))
  for (let i = 0; i < data.length; i++) data[i] = ((Math.imul(i, 2654435761) >>> 8) / 2 ** 24 - 0.5) / 32
  return { shape, data }
}

const make = (kind: Kind, file: string): void => {
  const width = WIDTHS[kind]
  const { state } = orThrow(init(wide(kind, 1), 0))
  const layer = { weight: [width, width], bias: [width] }
  const params = Object.fromEntries(
    Array.from(
      { length: 6 },
      (_, i) => [`fc${i}`, { weight: spread(layer.weight), bias: spread(layer.bias) }] as const,
    ),
  )
  const program = orThrow(trace(wide(kind, width), tensorInput([1, width]), { mode: 'eval' })) as Program
  writeFileSync(file, orThrow(exportOnnx(program, { params, state })))
}

const least = (body: () => void): number => {
  const times = Array.from({ length: REPEATS }, () => {
    const start = performance.now()
    body()
    return performance.now() - start
  })
  return Math.min(...times)
}

const exported = (file: string): ModelReport => {
  const net = deep()
  const { params, state } = orThrow(init(net, 0))
  const program = orThrow(trace(net, tensorInput([1, 16, 16, 16]), { mode: 'eval' })) as Program
  const ms = least(() => writeFileSync(file, orThrow(exportOnnx(program, { params, state }))))
  return { ms, size: statSync(file).size, memory: null }
}

const imported = (file: string): ModelReport => {
  const before = process.memoryUsage().rss
  const body = (): void => void orThrow(importOnnx(readFileSync(file)))
  body()
  const memory = process.resourceUsage().maxRSS * 1024 - before
  return { ms: least(body), size: statSync(file).size, memory }
}

/** The jobs by name; those that make a file have nothing to tell. */
const JOBS: { readonly [name: string]: (file: string) => ModelReport | null } = {
  export: exported,
  import: imported,
  'make float': (file) => (make('float', file), null),
  'make int8': (file) => (make('int8', file), null),
}

const job = async (name: string, file: string): Promise<string> => {
  const script = join(root, 'test', 'bench', 'models.ts')
  const ended = await run(process.execPath, ['--import', 'tsx', script, name, file], { limit: 180_000 })
  return ended.code === 0
    ? ended.output
    : `${name}: ${ended.output.trim().split('\n').slice(-2).join(' ').slice(0, 300)}`
}

const reportIn = (output: string): ModelReport | null => {
  const line = output.split('\n').find((l) => l.startsWith('{"ms"'))
  return line === undefined ? null : JSON.parse(line)
}

const ROWS = [
  { label: 'export of 100 layers as QCDQ', make: null, name: 'export', most: { ms: 1000, times: null } },
  { label: 'import of a float model', make: 'make float', name: 'import', most: { ms: 3000, times: 3 } },
  // Parameters are float32: the weights alone take four times their size as int8.
  { label: 'import of a QCDQ model, weights int8', make: 'make int8', name: 'import', most: { ms: 3000, times: null } },
] as const

type Row = (typeof ROWS)[number]

const lineOf = ({ label, most }: Row, { ms, size, memory }: ModelReport): readonly string[] => {
  const times = memory === null ? null : memory / size
  const holds = ms < most.ms && (most.times === null || (times !== null && times < most.times))
  const wanted = `< ${most.ms} ms${most.times === null ? '' : `, < ${most.times} × its size`}`
  return [
    label,
    `${(size / 1e6).toFixed(1)} MB`,
    `${ms.toFixed(0)} ms`,
    times === null ? '-' : `${times.toFixed(1)} × its size`,
    holds ? 'yes' : 'NO',
    wanted,
  ]
}

/** The table over all rows, or what went wrong. */
export const modelsTable = async (): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-models-'))
  const lines: (readonly string[])[] = [['models out and in', 'file', 'least time', 'memory', 'holds', 'wanted']]
  const problems: string[] = []
  try {
    for (const row of ROWS) {
      const file = join(folder, 'model.onnx')
      const made = row.make === null ? '' : await job(row.make, file)
      const output = await job(row.name, file)
      const report = reportIn(output)
      if (report === null) problems.push(`${made}${output}`)
      else lines.push(lineOf(row, report))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return [columns(lines, 1), ...problems].join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const report = JOBS[process.argv[2] ?? '']?.(process.argv[3] ?? '')
  console.log(JSON.stringify(report ?? 'made'))
}
