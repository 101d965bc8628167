/**
 * Training logs: plain records of what quantizers did, step by step, made from training events by a pure fold.
 * State is read at every step only where statistics are collected at first; later at every tenth.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../src/data/error.js'
import {
  allOf,
  anyNumber,
  count,
  demandArguments,
  fraction,
  func,
  oneOf,
  orNull,
  record,
  shaped,
  text,
  whole,
} from '../src/data/fields.js'
import { gridOf, isFloatGrid, type Grid } from '../src/data/quant.js'
import { isTensor, type Tensor } from '../src/data/tensor.js'
import { leaves } from '../src/data/tree.js'
import type { Program } from '../src/graph/program.js'
import { recordsField } from './border.js'
import { compile, type RunArgs } from '../src/nn/program/program.js'

/** One quantizer after one step. Per channel: the mean. `statistic`: of that step's batch, where two states in a row were seen. */
export type QuantizerRecord = {
  readonly scale?: number
  readonly zeroPoint?: number
  readonly counter?: number
  readonly buffer?: number
  readonly statistic?: number
  /** The bit width, where it is learned. */
  readonly bits?: number
}

/** What is kept of a step; loss and accuracy are means over the `over` steps since the record before. */
export type LogRecord = {
  readonly step: number
  readonly epoch: number
  readonly over: number
  readonly loss: number
  readonly accuracy: number | null
  readonly lr: number | null
  /** By the path of the quantizer: `relu1.actQuant`. */
  readonly quantizers: { readonly [path: string]: QuantizerRecord }
}

/** What the fold needs of a `TrainEvent`. `training` may be costly to read, and is read seldom. */
export type LogEvent<P, S> = {
  readonly tag: 'step' | 'epoch'
  readonly step: number
  readonly epoch: number
  readonly lr: number | null
  readonly loss: number
  readonly accuracy: number | null
  readonly training: { readonly params: P; readonly state: S }
}

/** Scales, zero points and learned bit widths by the path of the quantizer. */
export type Scales = { readonly [path: string]: Pick<QuantizerRecord, 'scale' | 'zeroPoint' | 'bits'> }

/** How events become a log. */
export type LogOptions<P, S> = {
  /** Scales, zero points and learned bit widths of a state: `scaleProbe` makes such a function. Without it a log has statistics alone. */
  readonly scales?: (training: { readonly params: P; readonly state: S }) => Scales
  /** Momentum of the running statistics (default 0.1, Brevitas' `scaling_stats_momentum`). */
  readonly momentum?: number
  /** How many records are kept (default 300). */
  readonly most?: number
}

/** A log in the making. `records` is what `toHtml` takes. */
export type TrainLog = {
  readonly records: readonly LogRecord[]
  readonly pending: { readonly over: number; readonly loss: number; readonly accuracy: number | null }
  readonly seen: { readonly step: number; readonly quantizers: LogRecord['quantizers'] } | null
}

const NOTHING: TrainLog['pending'] = { over: 0, loss: 0, accuracy: null }

/** A log without records. */
export const emptyLog: TrainLog = { records: [], pending: NOTHING, seen: null }

const EVERY = 10
/** Steps at the beginning of which each is read while statistics are collected, and afterwards pairs. */
const DENSE = 60
const PAIR = 20

const meanOf = (data: Float32Array): number => data.reduce((sum, x) => sum + x, 0) / Math.max(1, data.length)
const isRecord = (x: unknown): x is { readonly [key: string]: unknown } =>
  typeof x === 'object' && x !== null && !isTensor(x) && !ArrayBuffer.isView(x)

/** Counters and buffers of scales in a tree of state, by the path of their quantizer. */
export const statisticsIn = (state: unknown, path = ''): LogRecord['quantizers'] => {
  demandArguments('statisticsIn', { path }, { path: text })
  // A state that holds itself is refused here.
  leaves(isTensor, state)
  return statisticsBelow(state, path)
}

const statisticsBelow = (state: unknown, path: string): LogRecord['quantizers'] => {
  if (!isRecord(state)) return {}
  return Object.fromEntries(
    Object.entries(state).flatMap(([key, child]) => {
      const inside = Object.entries(statisticsBelow(child, path === '' ? key : `${path}.${key}`))
      if (key !== 'scale' || !isRecord(child) || !isTensor(child.counter) || !isTensor(child.buffer)) return inside
      return [...inside, [path, { counter: child.counter.data[0], buffer: meanOf(child.buffer.data) }]]
    }),
  )
}

/** The statistic of a batch, from the running statistic before and after it: `after = (1 - m)·before + m·batch`, the first time the product. */
const statisticOf = (
  before: QuantizerRecord | undefined,
  after: QuantizerRecord,
  momentum: number,
): number | undefined => {
  if (
    before?.buffer === undefined ||
    after.buffer === undefined ||
    before.counter === after.counter ||
    before.buffer === after.buffer
  )
    return undefined
  return before.counter === 0
    ? after.buffer / before.buffer
    : (after.buffer - (1 - momentum) * before.buffer) / momentum
}

const collecting = (log: TrainLog, before: LogRecord | undefined): boolean => {
  const now = log.seen?.quantizers ?? {}
  return before === undefined || Object.entries(now).some(([path, q]) => q.counter !== before.quantizers[path]?.counter)
}

/** Is the state after this step worth reading, and worth a record? */
const interest = (log: TrainLog, step: number): 'record' | 'glance' | 'none' => {
  const before = log.records[log.records.length - 2]
  if (log.records.length < 3 || (collecting(log, before) && step <= DENSE)) return 'record'
  if (collecting(log, before)) {
    if (step % PAIR === 0) return 'record'
    return step % PAIR === PAIR - 1 ? 'glance' : 'none'
  }
  return step % EVERY === 0 ? 'record' : 'none'
}

const accuracyOf = (a: number | null, n: number, b: number | null, m: number): number | null => {
  if (a === null) return b
  return b === null ? a : (a * n + b * m) / (n + m)
}

/** Two stretches of steps as one. */
const joined = (
  a: Pick<LogRecord, 'over' | 'loss' | 'accuracy'>,
  b: Pick<LogRecord, 'over' | 'loss' | 'accuracy'>,
): Pick<LogRecord, 'over' | 'loss' | 'accuracy'> => ({
  over: a.over + b.over,
  loss: (a.loss * a.over + b.loss * b.over) / (a.over + b.over),
  accuracy: accuracyOf(a.accuracy, a.over, b.accuracy, b.over),
})

/** Drops the record that is missed least on an axis of square roots; its steps go to the next one. The ends stay. */
const thinned = (records: readonly LogRecord[]): readonly LogRecord[] => {
  let [least, at] = [Infinity, 1]
  for (let i = 1; i < records.length - 1; i++) {
    const gap = Math.sqrt(records[i + 1].step) - Math.sqrt(records[i - 1].step)
    if (gap < least) [least, at] = [gap, i]
  }
  return records.flatMap((r, i) => {
    if (i === at) return []
    return i === at + 1 ? [{ ...r, ...joined(records[at], r) }] : [r]
  })
}

const EVENT = allOf({
  options: shaped('options, { scales, momentum, most }', { scales: func, momentum: fraction, most: count }),
  log: shaped('a log, as emptyLog or addEvent gave it', allOf({ records: recordsField, pending: record })),
  event: shaped(
    'an event of train',
    allOf({
      tag: oneOf('step', 'epoch'),
      step: whole,
      epoch: whole,
      lr: orNull(anyNumber),
      loss: anyNumber,
      accuracy: orNull(anyNumber),
    }),
  ),
})

/** Adds an event to a log. Events of the tag `epoch` are passed over: they repeat a step. */
export const addEvent =
  <P, S>(options: LogOptions<P, S> = {}) =>
  (log: TrainLog, event: LogEvent<P, S>): TrainLog => {
    demandArguments('addEvent', { options, log, event }, EVENT)
    if (event.tag === 'epoch') return log
    const pending = joined(log.pending, { over: 1, loss: event.loss, accuracy: event.accuracy })
    const wanted = interest(log, event.step)
    if (wanted === 'none') return { ...log, pending }
    const { training } = event
    const state = statisticsIn(training.state)
    const seen = { step: event.step, quantizers: state }
    if (wanted === 'glance') return { ...log, pending, seen }
    const scales = options.scales?.(training) ?? {}
    const before = log.seen?.step === event.step - 1 ? log.seen.quantizers : {}
    const paths = [...new Set([...Object.keys(state), ...Object.keys(scales)])]
    const quantizers = Object.fromEntries(
      paths.map((path): [string, QuantizerRecord] => {
        const statistic =
          state[path] === undefined ? undefined : statisticOf(before[path], state[path], options.momentum ?? 0.1)
        return [path, { ...state[path], ...scales[path], ...(statistic === undefined ? {} : { statistic }) }]
      }),
    )
    const records = [...log.records, { step: event.step, epoch: event.epoch, lr: event.lr, ...pending, quantizers }]
    return { records: records.length > (options.most ?? 300) ? thinned(records) : records, pending: NOTHING, seen }
  }

/** The nodes of what a record says of a quantizer: a bit width only where it is learned. */
const saidBy = (q: Grid | null): { readonly [said in keyof Scales[string]]: number | undefined } => ({
  scale: q?.scale,
  zeroPoint: q?.zeroPoint,
  bits: q !== null && !isFloatGrid(q) && q.learned === true ? q.bitWidth : undefined,
})

/**
 * Reads the scales, zero points and learned bit widths that a program (traced in eval, best for one sample) uses in a state: it is run once
 * over `inputs`, and what its quantizers are given is noted. Errors as `compile`; a run that fails gives no scales.
 */
export const scaleProbe = <P, S, I, O>(
  program: Program<P, S, I, O>,
  inputs: I,
): E.Either<QuantErrors, (training: { readonly params: P; readonly state: S }) => Scales> =>
  E.map(
    (compiled: {
      readonly run: (
        args: RunArgs<P, S, I>,
        options: { readonly observe: (node: { readonly id: number }, value: Tensor) => void },
      ) => unknown
    }) =>
      (training: { readonly params: P; readonly state: S }): Scales => {
        const born = program.graph.nodes.filter((n) => n.op.births === true)
        const wanted = new Set(born.flatMap((n) => Object.values(saidBy(gridOf(n.carried)))))
        const means = new Map<number, number>()
        compiled.run(
          { params: training.params, state: training.state, inputs },
          {
            observe: (node, value) => {
              if (wanted.has(node.id)) means.set(node.id, meanOf(value.data))
            },
          },
        )
        return Object.fromEntries(
          born.flatMap((n) => {
            const read = Object.entries(saidBy(gridOf(n.carried))).flatMap(([said, id]) => {
              const mean = id === undefined ? undefined : means.get(id)
              return mean === undefined ? [] : [[said, mean] as const]
            })
            return read.some(([said]) => said === 'scale') ? [[n.path, Object.fromEntries(read)]] : []
          }),
        )
      },
  )(compile(program))
