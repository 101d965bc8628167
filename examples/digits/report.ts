/** What a trained network looks like: accuracy, and what each quantizer really uses. */
import * as E from 'fp-ts/lib/Either.js'
import {
  accuracy,
  batches,
  crossEntropy,
  evaluate,
  explainPlan,
  grad,
  isQuantTensor,
  profile,
  run,
  tensorInput,
  trace,
  valueOf,
  withLoss,
  type Backend,
  type DataOf,
  type Layer,
  type Node,
  type Output,
  type PlanDescription,
  type Profile,
  type Program,
  type QuantErrors,
  type Tensor,
  type TensorTree,
  type Value,
} from '../../src/index.js'
import { watch } from '../../viz/index.js'
import type { Digits } from './data.js'

/** One quantizer over the held-out digits. `scale` and `zeroPoint` are lists if per channel. */
export type QuantizerReport = {
  readonly path: string
  readonly bits: number
  readonly signed: boolean
  readonly scale: number | readonly number[]
  readonly zeroPoint: number | readonly number[]
  readonly levelsUsed: number
}
/** The outcome of an evaluation. */
export type Evaluation = {
  readonly accuracy: number
  readonly quantizers: readonly QuantizerReport[]
  readonly program: Program
  readonly outputs: unknown
}

const BATCH = 250

const numbers = (t: Tensor | undefined): number | readonly number[] => {
  if (t === undefined) return NaN
  return t.data.length === 1 ? t.data[0] : [...t.data]
}

/** Adds the integers of a quantized tensor with one scale per stretch of `inner` elements. */
const addLevels = (levels: Set<number>, value: Tensor, scale: Tensor, zeroPoint: Tensor): void => {
  const channels = scale.data.length
  const axis = scale.shape.findIndex((n) => n > 1)
  const inner = axis < 0 ? value.data.length : value.shape.slice(axis + 1).reduce((p, n) => p * n, 1)
  let latest = NaN
  for (let i = 0; i < value.data.length; i++) {
    const c = channels === 1 ? 0 : Math.floor(i / inner) % channels
    const level = Math.round(value.data[i] / scale.data[c] + zeroPoint.data[zeroPoint.data.length === 1 ? 0 : c])
    // Neighbours are often equal, and a comparison costs less than the set.
    if (level !== latest) levels.add(level)
    latest = level
  }
}

/** The results of a network, and of each of its quantizers value, scale and zero point. */
type Watched = {
  readonly result: Output
  readonly quantizers: readonly (readonly [value: Output, scale: Output, zeroPoint: Output])[]
}

const quantizersOf = (program: Pick<Program, 'graph'>): readonly Node[] =>
  program.graph.nodes.filter((n) => n.op.name === 'quantize')

/** The program with the values of its quantizers among its results. */
const watching = <P, S, I>({ types: _, ...program }: Program<P, S, I, Output>): Program<P, S, I, Watched> => {
  const { graph, outputs, structure } = program
  const quantizers = quantizersOf(program)
  const nodes = quantizers.flatMap((n) => [n.id, n.inputs[1], n.inputs[2]])
  const triples = quantizers.map((_q, k) => [0, 1, 2].map((i) => outputs.length + 3 * k + i))
  return {
    ...program,
    graph: { ...graph, outputs: [...graph.outputs, ...nodes] },
    outputs: [
      ...outputs,
      ...nodes.map((node, i) => ({ kind: 'result' as const, path: `quantizers.${Math.floor(i / 3)}.${i % 3}`, node })),
    ],
    structure: { ...structure, results: { result: structure.results, quantizers: triples } },
  }
}

const copied = (x: Output): Output =>
  isQuantTensor(x)
    ? {
        ...x,
        value: copyOf(x.value),
        scale: copyOf(x.scale),
        zeroPoint: copyOf(x.zeroPoint),
        bitWidth: copyOf(x.bitWidth),
      }
    : copyOf(x)
const copyOf = (t: Tensor): Tensor => ({ shape: t.shape, data: t.data.slice() })

/** Runs the network in eval over the digits, in batches, and counts what every quantizer uses. */
export const evaluateNet = async <P, S>(
  net: Layer<P, S>,
  params: P,
  state: S,
  digits: Digits,
  backend: Backend,
): Promise<E.Either<QuantErrors, Evaluation>> => {
  const programFor = (size: number) => trace(net, tensorInput([size, 1, 28, 28]), { mode: 'eval' })
  const total = digits.labels.data.length
  const size = Math.min(BATCH, total)
  const program = programFor(size)
  if (E.isLeft(program)) return program
  const found = quantizersOf(program.right as Program)
  const levels = found.map(() => new Set<number>())
  let ends: readonly (readonly [Tensor, Tensor])[] = []
  let right = 0
  let outputs: unknown = null
  const walk = evaluate(
    (n) => E.map(watching<P, S, DataOf<Value>>)(programFor(n)),
    batches(digits, { batchSize: size }),
    { params, state, backend, total, views: true, inputs: (b) => b.tensors.images },
  )
  for (;;) {
    const next = await walk.next()
    if (next.done === true) {
      if (E.isLeft(next.value)) return next.value
      break
    }
    const { given, outputs: o } = next.value
    o.quantizers.forEach(([value, scale, zero], k) =>
      addLevels(levels[k], valueOf(value), valueOf(scale), valueOf(zero)),
    )
    ends = o.quantizers.map(([, scale, zero]) => [copyOf(valueOf(scale)), copyOf(valueOf(zero))] as const)
    if (given.size === size) outputs = copied(o.result)
    right += accuracy(valueOf(o.result), given.tensors.labels) * given.size
  }
  const quantizers = found.map((n, k): QuantizerReport => ({
    path: n.path,
    bits: Number(n.attrs.bits),
    signed: n.attrs.signed === true,
    scale: numbers(ends[k]?.[0]),
    zeroPoint: numbers(ends[k]?.[1]),
    levelsUsed: levels[k].size,
  }))
  return E.right({ accuracy: right / total, quantizers, program: program.right as Program, outputs })
}

/**
 * What the page shows: the program of a training step, backward pass included, the values of one such step, where its time
 * goes, and what the compiler made of it (the last two only where the engine has SIMD).
 */
export type StepReport = {
  readonly program: Program
  readonly values: ReadonlyMap<number, Tensor>
  readonly profile?: Profile
  readonly plan?: PlanDescription
}

const PAGE_BATCH = 100
/** Enough to be past the first, slow calls; the page need not wait for more. */
const PROFILE = { rounds: 5, warmUpMs: 100 }

/** Runs one training step over held-out digits, watches every node, and keeps nothing of its outcome but the numbers. */
export const observeStep = <P, S>(
  net: Layer<P, S>,
  params: P,
  state: S,
  digits: Digits,
): E.Either<QuantErrors, StepReport> => {
  const size = Math.min(PAGE_BATCH, digits.labels.data.length)
  const inputs = {
    x: { shape: [size, 1, 28, 28], data: digits.images.data.subarray(0, size * 784) },
    target: { shape: [size], data: digits.labels.data.subarray(0, size) },
  }
  const traced = trace(
    withLoss(net, crossEntropy),
    { x: tensorInput([size, 1, 28, 28]), target: tensorInput([size]) },
    { mode: 'train' },
  )
  const program = E.isLeft(traced) ? traced : grad(traced.right, { output: 'loss' })
  if (E.isLeft(program)) return program
  const args = { params, state, inputs }
  // Every node's own value is wanted, which only the reference backend makes.
  const watched = watch(program.right as Program, args)
  const ran = run(program.right, args, { observe: watched.observe })
  if (E.isLeft(ran)) return ran
  const plan = explainPlan(program.right, args)
  const times = profile(program.right, args, PROFILE)
  return E.right({
    program: program.right as Program,
    values: watched.values,
    ...(E.isRight(times) ? { profile: times.right } : {}),
    ...(E.isRight(plan) ? { plan: plan.right } : {}),
  })
}

/** The parameters of any layer. */
export type AnyTree = TensorTree

const first = (x: number | readonly number[]): string =>
  typeof x === 'number' ? x.toPrecision(4) : `${x.length} values`

/** The table at the end. */
export const table = (quantizers: readonly QuantizerReport[]): string => {
  const rows = [
    ['quantizer', 'bits', 'scale', 'zero point', 'levels used'],
    ...quantizers.map((q) => [
      q.path,
      `${q.bits}${q.signed ? ' signed' : ' unsigned'}`,
      first(q.scale),
      first(q.zeroPoint),
      `${q.levelsUsed} of ${2 ** q.bits}`,
    ]),
  ]
  const widths = rows[0].map((_, c) => Math.max(...rows.map((r) => r[c].length)))
  return rows
    .map((r) =>
      r
        .map((cell, c) => cell.padEnd(widths[c]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
