/** From the bytes of an ONNX model to those of a quantized one. Knows nothing of pages and workers. */
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../../src/index.js'
import { parseNpz } from '../../../src/interop/arrays/index.js'
import { exportOnnx, importOnnx, type Imported } from '../../../src/interop/onnx/index.js'
import { calibrate, quantize, schemes, showQuantize, type Quantized } from '../../../src/quantize/index.js'
import { toHtml } from '../../../viz/index.js'
import type { Port, Report } from './protocol.js'

type Failed = E.Either<q.QuantErrors, never>
type Tensors = { readonly [key: string]: q.Tensor }

/** A model that was read. */
export type Opened = {
  readonly name: string
  readonly imported: Imported
  readonly program: q.Program
  readonly numbers: { readonly params: q.TensorTree; readonly state: q.TensorTree }
}

const wrong = (input: string, message: string, fix: string): Failed =>
  E.left([{ tag: 'InputError', input, path: '', message, fix }])

/** `x=1,3,48,192; y=1,4` as shapes by name. */
const shapesIn = (text: string): E.Either<q.QuantErrors, Readonly<Record<string, readonly number[]>>> => {
  const out: Record<string, readonly number[]> = {}
  for (const part of text.split(';').filter((p) => p.trim() !== '')) {
    const [, name, sizes] = /^\s*(.+?)\s*=\s*([\d,\s]+)$/.exec(part) ?? []
    if (name === undefined || sizes === undefined)
      return wrong('shapes', `${part.trim()} is no shape of an input`, 'write x=1,3,48,192, several with semicolons')
    out[name] = sizes.split(',').map(Number)
  }
  return E.right(out)
}

const programOf = (layer: Imported['model'], declared: Imported['declared']): E.Either<q.QuantErrors, q.Program> =>
  E.map((p: unknown) => p as q.Program)(q.trace(layer, declared as never, { mode: 'eval' }))

/** Reads a model. */
export const opened = (name: string, bytes: Uint8Array, shapes: string): E.Either<q.QuantErrors, Opened> => {
  const inputs = shapesIn(shapes)
  if (E.isLeft(inputs)) return inputs
  const imported = importOnnx(bytes, { inputs: inputs.right })
  if (E.isLeft(imported)) return imported
  const numbers = q.init(imported.right.model, 0)
  if (E.isLeft(numbers)) return numbers
  const { params, state } = numbers.right
  return E.map((program: q.Program): Opened => ({
    name: name.replace(/\.onnx$/, ''),
    imported: imported.right,
    program,
    numbers: { params, state },
  }))(programOf(imported.right.model, imported.right.declared))
}

/** What to show of it. */
export const shown = ({ name, imported, program }: Opened): Report => {
  const inputs: readonly Port[] = imported.inputs.map((i) => ({ name: i.name, shape: i.shape }))
  const said = imported.inputs.map((i) => `${i.name} [${i.shape.join(', ')}]`).join('; ')
  const words = `${imported.producer === '' ? 'a model' : imported.producer}, opset ${imported.opset}, ${imported.format ?? 'float'}: ${program.graph.nodes.length} nodes; inputs ${said}`
  return { tag: 'opened', inputs, words, page: toHtml(program, { title: name }) }
}

/** How many samples are drawn where none are given. */
const DRAWN = 64

/** Normal noise for each input. */
const noise = ({ imported }: Opened): Tensors => {
  let generator: q.Generator = q.manualSeed(0)
  const out: Record<string, q.Tensor> = {}
  for (const i of imported.inputs) {
    const [t, next] = q.randn([DRAWN, ...i.shape.slice(1)])(generator)
    generator = next
    out[i.key] = t
  }
  return out
}

/** Samples of a file, by name; of a single input the single array, whatever its name. */
const samplesIn = ({ imported }: Opened, bytes: Uint8Array): E.Either<q.QuantErrors, Tensors> => {
  const arrays = parseNpz(bytes)
  if (E.isLeft(arrays)) return arrays
  const names = Object.keys(arrays.right)
  const plain = ({ shape, data }: q.Tensor): q.Tensor => ({ shape, data })
  if (names.length === 1 && imported.inputs.length === 1)
    return E.right({ [imported.inputs[0].key]: plain(arrays.right[names[0]]) })
  const missing = imported.inputs.find((i) => !names.includes(i.name))
  return missing === undefined
    ? E.right(Object.fromEntries(imported.inputs.map((i) => [i.key, plain(arrays.right[i.name])] as const)))
    : wrong(
        missing.name,
        `the file holds no array ${missing.name}: it holds ${names.join(', ')}`,
        `call it so: numpy.savez(file, ${missing.name}=…)`,
      )
}

/** Samples that are run at once: as many as the network takes, where it takes any number. */
const batchOf = ({ net, inputs }: Net): number => {
  const many = Object.fromEntries(
    Object.entries(inputs as Imported['declared']).map(([k, d]) => [k, { ...d, shape: [BATCH, ...d.shape.slice(1)] }]),
  )
  return E.isRight(q.trace(net, many as never, { mode: 'eval' }))
    ? BATCH
    : (Object.values(inputs as Imported['declared'])[0]?.shape[0] ?? 1)
}
const BATCH = 16

type Values = { readonly [key: string]: q.Value }
type Net = Quantized<Values, Values>

const finished = (from: Opened, done: Net): E.Either<q.QuantErrors, Report> => {
  const program = programOf(done.net, from.imported.declared)
  if (E.isLeft(program)) return program
  const float = programOf(done.float.net, from.imported.declared)
  if (E.isLeft(float)) return float
  const bytes = exportOnnx(program.right, done, { names: from.imported.names })
  const { products } = done.report
  const on = products.filter((p) => p.integers).length
  return E.map((b: Uint8Array): Report => ({
    tag: 'quantized',
    bytes: b,
    name: `${from.name}-quantized.onnx`,
    words: `${on} of ${products.length} products run on integers; ${(b.length / 1000).toFixed(0)} kB`,
    report: showQuantize(done.report),
    page: toHtml([float.right, program.right], {
      title: from.name,
      sides: [{ title: 'float' }, { title: 'quantized' }],
    }),
  }))(bytes)
}

/** Quantizes a model, and tells how far it is. */
export const quantized = (
  from: Opened,
  scheme: string,
  file: Uint8Array | null,
  tell: (report: Report) => void,
): E.Either<q.QuantErrors, Report> => {
  const rules = Object.entries(schemes).find(([name]) => name === scheme)?.[1] ?? schemes.int8
  const samples = file === null ? E.right(noise(from)) : samplesIn(from, file)
  if (E.isLeft(samples)) return samples
  tell({ tag: 'progress', words: 'finding layers', done: 0, total: 1 })
  const { imported, numbers } = from
  const net = quantize(imported.model, imported.declared as never, numbers, rules)
  if (E.isLeft(net)) return net
  const done = calibrate(net.right, samples.right as never, {
    batchSize: batchOf(net.right),
    onProgress: ({ batch, total }) =>
      tell({ tag: 'progress', words: 'calibrating', done: batch, total: total ?? batch }),
  })
  return E.isLeft(done) ? done : finished(from, done.right)
}
