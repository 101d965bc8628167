/** How far a quantized network is from the float one, layer by layer, and what each step of a quantization gained. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import {
  anything,
  count,
  demandArguments,
  listOf,
  nonNegative,
  required,
  shaped,
  text,
  type Fields,
} from '../data/fields.js'
import { leaves } from '../data/tree.js'
import type { Backend } from '../evaluator/backend.js'
import type { Value } from '../graph/op.js'
import { isValue } from '../graph/trace.js'
import type { Layer, TensorTree } from '../nn/layers/layer.js'
import { askedProblems } from './asked.js'
import { bothNumbers, pairOf } from './pair.js'
import { passOver } from './runner.js'
import { feedOf, type Cut, type Samples } from './samples.js'
import { emittedBy, probing, weightedAmong, type Weighted } from './taps.js'
import { tensorsOf } from './trees.js'
import type { Quantized, Trained } from './types.js'

/** Samples that are looked at, and where. */
export type ErrorOptions = Cut & { readonly backend?: Backend }

const OPTIONS: Fields<ErrorOptions> = { batches: count, batchSize: count, backend: anything }

/** How far the results of one layer are from those of the same layer in the float network. */
export type LayerError = {
  /** Path of the layer; the empty one: the results of the network. */
  readonly path: string
  /** Squared error over samples, in parts of the squares of what the float network gives. */
  readonly error: number
}

/** Squared error and squares of two values, as two numbers. */
const compared = (float: Value, quant: Value): readonly Value[] => {
  const { kit } = float
  const squares = (v: Value): Value =>
    kit.emit('sum', [kit.emit('mul', [v, v])], { dims: v.shape.map((_, d) => d), keepdim: false })
  return [squares(kit.emit('sub', [quant, float])), squares(float)]
}

type Both = { readonly path: string; readonly float: Weighted; readonly quant: Weighted }

/** Both networks in one trace, whose results are the errors of their layers. */
const comparing = <I, O>(
  float: Trained<I, O>,
  quant: Trained<I, O>,
  told: (paths: readonly string[]) => void,
): Layer<TensorTree, TensorTree, I, readonly Value[]> =>
  probing(pairOf(float, quant), (kit, results) => {
    const nodes = emittedBy(kit)
    const theirs = weightedAmong(nodes, float.net, 'float')
    const both = weightedAmong(nodes, quant.net, 'quant').flatMap((q): readonly Both[] => {
      const f = theirs.find((w) => w.path === q.path)
      return f === undefined ? [] : [{ path: q.path, float: f, quant: q }]
    })
    const [theirResults, ourResults] = results.map((r) => leaves(isValue, r))
    told([...both.flatMap(({ path, quant: q }) => q.products.map(() => path)), ...theirResults.map(() => '')])
    const inside = both.flatMap(({ float: f, quant: q }) =>
      q.products.flatMap((p, k) => compared(kit.value(f.products[k].node), kit.value(p.node))),
    )
    return [...inside, ...theirResults.flatMap(({ leaf }, k) => compared(leaf, ourResults[k].leaf))]
  })

/**
 * The error of each layer with weights (of its products, before the bias) and of the results of the network, over samples, against a float network
 * whose layers stand under the same paths: `quantized.float` as a rule.
 * @example orThrow(layerErrors(q, q.float, images)).map(({ path, error }) => `${path} ${error}`)
 */
export const layerErrors = <I, O>(
  quantized: Quantized<I, O>,
  float: Trained<I, O>,
  data: Samples<I>,
  options: ErrorOptions = {},
): E.Either<QuantErrors, readonly LayerError[]> => {
  const wrong = askedProblems('layerErrors', quantized, options, OPTIONS, float)
  if (wrong.length > 0) return E.left(wrong)
  const feed = feedOf<I>('layerErrors', quantized.inputs, data, options)
  if (E.isLeft(feed)) return feed
  const sums = new Map<string, readonly [number, number]>()
  let paths: readonly string[] = []
  const errorsOf = comparing(float, quantized, (found) => {
    paths = found
  })
  const looking = { inputs: quantized.inputs, feed: feed.right, backend: options.backend }
  const done = passOver(errorsOf, looking, bothNumbers(float, quantized), (outputs) => {
    const results = tensorsOf(outputs)
    paths.forEach((path, k) => {
      const [off, all] = sums.get(path) ?? [0, 0]
      sums.set(path, [off + results[2 * k].data[0], all + results[2 * k + 1].data[0]])
    })
  })
  return E.map(() => [...sums].map(([path, [off, all]]) => ({ path, error: all > 0 ? off / all : off })))(done)
}

/** One step of a quantization and the errors behind it. */
export type StepErrors = { readonly step: string; readonly errors: readonly LayerError[] }

const inDecibels = (error: number): string => (error > 0 ? (-10 * Math.log10(error)).toFixed(1) : '∞')

const anError = shaped('the error of a layer', { path: required(text), error: required(nonNegative) })
const STEPS = {
  steps: {
    ...required(listOf(shaped('a step', { step: required(text), errors: required(listOf(anError)) }))),
    says: 'a list of steps with their errors',
    like: "[{ step: 'calibrated', errors }]",
  },
}

/**
 * What each step of a quantization gained, as a table: a row per layer, a column per step, signal to noise in decibels (more is better; 6 are a bit).
 * Throws a `QuantFailure` for what are no steps.
 * @example console.log(showSteps([{ step: 'calibrated', errors: a }, { step: 'corrected', errors: b }]))
 */
export const showSteps = (steps: readonly StepErrors[]): string => {
  demandArguments('showSteps', { steps }, STEPS)
  const paths = [...new Set(steps.flatMap(({ errors }) => errors.map((e) => e.path)))]
  const rows = [
    ['dB', ...steps.map((s) => s.step)],
    ...paths.map((path) => [
      path === '' ? 'results' : path,
      ...steps.map(({ errors }) => {
        const found = errors.find((e) => e.path === path)
        return found === undefined ? '' : inDecibels(found.error)
      }),
    ]),
  ]
  const widths = rows[0].map((_, c) => Math.max(...rows.map((r) => r[c].length)))
  return rows
    .map((r) =>
      r
        .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
