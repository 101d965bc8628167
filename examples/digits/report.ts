/** What a trained network looks like: accuracy, and what each quantizer really uses. */
import * as E from 'fp-ts/lib/Either.js'
import { accuracy, compile, crossEntropy, grad, run, tensorInput, trace, withLoss, valueOf, type Layer, type Program, type QuantErrors, type Tensor, type TensorTree } from '../../src/index.js'
import { watch } from '../../viz/index.js'
import type { Digits } from './data.js'

/** One quantizer over the held-out digits. `scale` and `zeroPoint` are lists if per channel. */
export type QuantizerReport = { readonly path: string; readonly bits: number; readonly signed: boolean; readonly scale: number | readonly number[]; readonly zeroPoint: number | readonly number[]; readonly levelsUsed: number }
/** The outcome of an evaluation. */
export type Evaluation = { readonly accuracy: number; readonly quantizers: readonly QuantizerReport[]; readonly program: Program; readonly outputs: unknown }

const BATCH = 250

const numbers = (t: Tensor | undefined): number | readonly number[] => (t === undefined ? NaN : t.data.length === 1 ? t.data[0] : [...t.data])

/** Adds the integers of a quantized tensor with one scale per stretch of `inner` elements. */
const addLevels = (levels: Set<number>, value: Tensor, scale: Tensor, zeroPoint: Tensor): void => {
  const channels = scale.data.length
  const axis = scale.shape.findIndex((n) => n > 1)
  const inner = axis < 0 ? value.data.length : value.shape.slice(axis + 1).reduce((p, n) => p * n, 1)
  for (let i = 0; i < value.data.length; i++) {
    const c = channels === 1 ? 0 : Math.floor(i / inner) % channels
    levels.add(Math.round(value.data[i] / scale.data[c] + zeroPoint.data[zeroPoint.data.length === 1 ? 0 : c]))
  }
}

/** Runs the network in eval over the digits, in batches, and watches every quantizer. */
export const evaluateNet = <P, S>(net: Layer<P, S>, params: P, state: S, digits: Digits): E.Either<QuantErrors, Evaluation> => {
  const total = digits.labels.data.length
  const size = Math.min(BATCH, total)
  const program = trace(net, tensorInput([size, 1, 28, 28]), { mode: 'eval' })
  if (E.isLeft(program)) return program
  const compiled = compile(program.right)
  if (E.isLeft(compiled)) return compiled
  const quantize = program.right.graph.nodes.filter((n) => n.op.name === 'quantize')
  const levels = new Map(quantize.map((n) => [n.id, new Set<number>()] as const))
  const seen = new Map<number, Tensor>()
  let right = 0
  let outputs: unknown = null
  for (let start = 0; start + size <= total; start += size) {
    const images = { shape: [size, 1, 28, 28], data: digits.images.data.subarray(start * 784, (start + size) * 784) }
    const ran = compiled.right.run({ params, state, inputs: images }, {
      observe: (node, value) => {
        if (value.data.length <= 4096) seen.set(node.id, value)
        const set = levels.get(node.id)
        const [scale, zero] = [seen.get(node.inputs[1] ?? -1), seen.get(node.inputs[2] ?? -1)]
        if (set !== undefined && scale !== undefined && zero !== undefined) addLevels(set, value, scale, zero)
      },
    })
    if (E.isLeft(ran)) return ran
    outputs = ran.right.outputs
    right += accuracy(valueOf(ran.right.outputs), { shape: [size], data: digits.labels.data.subarray(start, start + size) }) * size
  }
  const quantizers = quantize.map((n): QuantizerReport => ({
    path: n.path, bits: Number(n.attrs.bits), signed: n.attrs.signed === true, scale: numbers(seen.get(n.inputs[1])), zeroPoint: numbers(seen.get(n.inputs[2])), levelsUsed: levels.get(n.id)?.size ?? 0,
  }))
  return E.right({ accuracy: right / (Math.floor(total / size) * size), quantizers, program: program.right as Program, outputs })
}

/** What the page shows: the program of a training step, backward pass included, and the values of one such step. */
export type StepReport = { readonly program: Program; readonly values: ReadonlyMap<number, Tensor> }

const PAGE_BATCH = 100

/** Runs one training step over held-out digits, watches every node, and keeps nothing of its outcome but the numbers. */
export const observeStep = <P, S>(net: Layer<P, S>, params: P, state: S, digits: Digits): E.Either<QuantErrors, StepReport> => {
  const size = Math.min(PAGE_BATCH, digits.labels.data.length)
  const inputs = { x: { shape: [size, 1, 28, 28], data: digits.images.data.subarray(0, size * 784) }, target: { shape: [size], data: digits.labels.data.subarray(0, size) } }
  const traced = trace(withLoss(net, crossEntropy), { x: tensorInput([size, 1, 28, 28]), target: tensorInput([size]) } as never, { mode: 'train' })
  const program = E.isLeft(traced) ? traced : grad(traced.right as Program, { output: 'loss' })
  if (E.isLeft(program)) return program
  const args = { params, state, inputs }
  const watched = watch(program.right, args)
  const ran = run(program.right, args as never, { observe: watched.observe })
  return E.isLeft(ran) ? ran : E.right({ program: program.right, values: watched.values })
}

/** The parameters of any layer. */
export type AnyTree = TensorTree

const first = (x: number | readonly number[]): string => (typeof x === 'number' ? x.toPrecision(4) : `${x.length} values`)

/** The table at the end. */
export const table = (quantizers: readonly QuantizerReport[]): string => {
  const rows = [['quantizer', 'bits', 'scale', 'zero point', 'levels used'], ...quantizers.map((q) => [q.path, `${q.bits}${q.signed ? ' signed' : ' unsigned'}`, first(q.scale), first(q.zeroPoint), `${q.levelsUsed} of ${2 ** q.bits}`])]
  const widths = rows[0].map((_, c) => Math.max(...rows.map((r) => r[c].length)))
  return rows.map((r) => r.map((cell, c) => cell.padEnd(widths[c])).join('  ').trimEnd()).join('\n')
}
