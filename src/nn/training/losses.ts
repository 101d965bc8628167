/** Losses and what is counted beside them. */
import { failure } from '../../data/error.js'
import { argumentProblems, demandArguments, func, required } from '../../data/fields.js'
import { sameShape, showShape } from '../../data/shape.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import type { Value } from '../../graph/op.js'
import { brokenLayer, isLayer, layerProblems } from '../layers/checks.js'
import type { Layer, Source } from '../layers/layer.js'
import { inputError, tensorField } from './options.js'
import { dequantize, logSoftmax, mean, mul, neg, sub, sum } from '../functions/index.js'
import { demandNoMore, demandValues } from '../functions/support.js'

/** Mean cross entropy of logits `[N, C]` and class numbers `[N]` (torch cross_entropy). */
export const crossEntropy: (logits: Value, classes: Value) => Value = (
  logits,
  classes,
  ...more: readonly unknown[]
) => {
  demandValues('crossEntropy', [logits, classes])
  demandNoMore('crossEntropy', more)
  const logs = logSoftmax(dequantize(logits, 'a loss gets bare values'), 1)
  return neg(mean(logits.kit.emit('gatherLast', [logs, classes])))
}

/** Mean squared error (torch mse_loss) of two tensors of one shape: broadcasting, of which torch only warns, would compare each with all. */
export const mseLoss: (prediction: Value, target: Value) => Value = (
  prediction,
  target,
  ...more: readonly unknown[]
) => {
  demandValues('mseLoss', [prediction, target])
  demandNoMore('mseLoss', more)
  if (!sameShape(prediction.shape, target.shape))
    return prediction.kit.fail({
      op: 'mseLoss',
      refuse: `a prediction ${showShape(prediction.shape)} can not be compared with a target ${showShape(target.shape)}, number by number`,
      fix: `give both one shape: reshape(target, ${JSON.stringify(prediction.shape)}), for instance`,
    })
  const d = sub(dequantize(prediction, 'a loss gets bare values'), dequantize(target, 'a loss gets bare values'))
  return mean(mul(d, d))
}

/** The sum over all elements of x². */
export const sumSquares = (x: Value): Value => {
  const v = dequantize(x, 'a loss gets bare values')
  return sum(mul(v, v))
}

const ACCURACY = {
  logits: required({
    ...tensorField,
    says: 'a tensor [N, C]',
    holds: (x) => tensorField.holds(x) && isTensor(x) && x.shape.length === 2,
  }),
  classes: required(tensorField),
}

/** Share of rows of logits `[N, C]` whose largest entry is that of the class; 0 … 1. */
export const accuracy = (logits: Tensor, classes: Tensor): number => {
  demandArguments('accuracy', { logits, classes }, ACCURACY)
  if (classes.data.length !== logits.shape[0])
    throw failure([
      inputError(
        'classes',
        `accuracy was given ${classes.data.length} classes for logits ${showShape(logits.shape)}`,
        'give one class for each row',
      ),
    ])
  const [n, c] = logits.shape
  let right = 0
  for (let i = 0; i < n; i++) {
    let best = 0
    for (let j = 1; j < c; j++) if (logits.data[i * c + j] > logits.data[i * c + best]) best = j
    if (best === classes.data[i]) right++
  }
  return n === 0 ? NaN : right / n
}

/** What a network and its loss are given. */
export type Supervised = { readonly x: Value; readonly target: Value }
/** What they give: the scalar to differentiate, and the network's own result. */
export type WithLoss = { readonly loss: Value; readonly y: Value }

const LOSS = {
  loss: required({ ...func, says: 'a function of values, (y, target) => loss', like: 'crossEntropy' }),
}

/** How a network was written, which is rebuilt with its loss. */
const lossBehind = (source: Source, loss: (y: Value, target: Value) => Value): Source => {
  const { rebuilt } = source
  return rebuilt === undefined ? source : { ...source, rebuilt: (layers) => withLoss(rebuilt(layers) as Layer, loss) }
}

/**
 * A network followed by its loss, with the network's own parameters and state: what training traces.
 * @example
 * ```ts
 * import { crossEntropy, orThrow, QuantLinear, tensorInput, trace, withLoss } from 'quantrace'
 *
 * const net = withLoss(QuantLinear({ inFeatures: 4, outFeatures: 3 }), crossEntropy)
 * const inputs = { x: tensorInput([8, 4]), target: tensorInput([8]) }
 * const program = orThrow(trace(net, inputs, { mode: 'train' }))
 * console.log(program.outputs.map((o) => o.path))
 * ```
 * ```text
 * [ 'loss', 'y' ]
 * ```
 */
export const withLoss = <P, S>(
  net: Layer<P, S>,
  loss: (y: Value, target: Value) => Value,
): Layer<P, S, Supervised, WithLoss> => {
  const wrong = [
    ...(isLayer(net) ? [] : layerProblems('withLoss', net)),
    ...argumentProblems('withLoss', { loss }, LOSS),
  ]
  if (wrong.length > 0) return brokenLayer('withLoss', wrong)
  return {
    layer: net.layer,
    params: net.params,
    state: net.state,
    problems: net.problems,
    config: net.config,
    ...(net.source === undefined ? {} : { source: lossBehind(net.source, loss) }),
    apply: (params, state, { x, target }, kit) => {
      const [y, after] = net.apply(params, state, x, kit)
      return [{ loss: loss(y, target), y }, after]
    },
  }
}
