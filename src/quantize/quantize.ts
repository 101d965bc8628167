/** A float network into a quantized one, by rules. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { layerProblems } from '../nn/layers/checks.js'
import type { Layer } from '../nn/layers/layer.js'
import { flowOf } from '../nn/merging/flow.js'
import type { Merged } from '../nn/merging/mergeBatchNorm.js'
import type { InputsOf } from '../nn/program/program.js'
import { numbersFrom } from './numbers.js'
import { prepared, type Prepared } from './prepare.js'
import { nothingDone, placed, planOf } from './plan.js'
import { layerReports, productsOf } from './report.js'
import { idleRules, rulesProblems, type Rule } from './rules.js'
import { settled } from './settle.js'
import { trainedOf } from './trees.js'
import type { Quantized, QuantizeReport, Trained } from './types.js'

const finished = <I, O>(
  { net, params, state, merged, kept }: Merged<I, O>,
  lifted: QuantizeReport['lifted'],
  inputs: InputsOf<I>,
  rules: readonly Rule[],
): E.Either<QuantErrors, Quantized<I, O>> => {
  const float: Trained<I, O> = { net, params, state }
  const sites = placed(net).map(({ path, layer }) => ({ path, layer: layer.layer }))
  const idle = idleRules(rules, sites)
  if (idle.length > 0) return E.left(idle)
  const plan = planOf(net, rules)
  const nothing = nothingDone(plan)
  if (nothing.length > 0) return E.left(nothing)
  const done = settled(net, inputs, plan)
  if (E.isLeft(done)) return done
  const problems = layerProblems('quantize', done.right.net)
  if (problems.length > 0) return E.left(problems)
  const flow = flowOf(done.right.net, inputs)
  if (E.isLeft(flow)) return flow
  return E.map((trained: Trained<I, O>): Quantized<I, O> => ({
    ...trained,
    inputs,
    float,
    report: {
      layers: layerReports(net, trained.net, done.right.plan, flow.right),
      products: productsOf(flow.right.graph),
      merged,
      kept,
      lifted,
    },
  }))(numbersFrom(done.right.net, float))
}

/**
 * Quantizes a trained float network by rules, in order, of which later ones win field by field. Batch norms are merged
 * first. Convolutions, linear layers and embeddings get weight quantizers; ReLU, ReLU6, sigmoid and tanh become their
 * quantized forms where somebody reads them on integers (unsigned where the sign is known); a layer with weights whose
 * input is not quantized by then quantizes it itself; the operands of sums and concatenations get one common scale
 * (`residual` gains a layer `add`). Shared layers stay shared. What can't be rewritten layer by layer (an imported
 * model, own layers, a forward that uses functions) is made a model of layers first, as by `lift`. The result is an
 * ordinary layer, whose activation quantizers have seen no data yet: `calibrate` comes next. The report says what
 * stayed float and why, and which products will run on integers.
 * Errors: rules that contradict themselves or are about no layer, numbers of another network, inputs that don't fit.
 * @example
 * ```ts
 * import { chain, init, Linear, orThrow, ReLU, tensorInput } from 'quantrace'
 * import { quantize, schemes } from 'quantrace/quantize'
 *
 * const float = chain({ fc1: Linear({ inFeatures: 2, outFeatures: 8 }), act: ReLU(), fc2: Linear({ inFeatures: 8, outFeatures: 1 }) })
 * const trained = orThrow(init(float, 0))
 * const { report } = orThrow(quantize(float, tensorInput([4, 2]), trained, schemes.int8))
 * console.log(report.products.length)
 * ```
 * ```text
 * 2
 * ```
 */
export const quantize = <P, S, I, O>(
  net: Layer<P, S, I, O>,
  inputs: InputsOf<I>,
  trained: { readonly params: P; readonly state: S },
  rules: readonly Rule[],
): E.Either<QuantErrors, Quantized<I, O>> => {
  const given = trainedOf('quantize', net, trained)
  const wrong = [...(E.isLeft(given) ? given.left : []), ...rulesProblems(rules)]
  if (E.isLeft(given) || wrong.length > 0) return E.left(wrong)
  return E.chain(({ merged, lifted }: Prepared<I, O>) => finished(merged, lifted, inputs, rules))(
    prepared(given.right, inputs),
  )
}
