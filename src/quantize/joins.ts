/** Sums and concatenations as layers of their own, so that a quantizer can stand at them. */
import { add, cat } from '../nn/functions/index.js'
import { functionLayer } from '../nn/layers/functionLayer.js'
import type { CatInput } from '../nn/layers/joinLayers.js'
import type { AnyLayer, Layer, None } from '../nn/layers/layer.js'
import { model, type Layers } from '../nn/layers/model.js'
import type { Value } from '../graph/op.js'
import { netOf } from './trees.js'

/** `a + b`; its quantized form is QuantEltwiseAdd. */
export const Add = (): Layer<None, None, readonly [Value, Value]> =>
  functionLayer<readonly [Value, Value]>('Add', ([a, b]) => add(a, b), {}, [], {
    layer: 'Add',
    options: {},
    takes: [],
    twin: { layer: 'QuantEltwiseAdd', options: {} },
  })

/** Values one after the other along an axis; its quantized form is QuantCat. */
export const Cat = (): Layer<None, None, CatInput> =>
  functionLayer<CatInput>('Cat', ({ values, dim = 1 }) => cat(values, dim), {}, [], {
    layer: 'Cat',
    options: {},
    takes: [],
    twin: { layer: 'QuantCat', options: {} },
  })

const isResidual = (layer: AnyLayer): boolean =>
  layer.layer === 'residual' && layer.source?.within?.body !== undefined && layer.source.options.join === undefined

/** `x + body(x)` with the sum as a layer: body stands under its old name, so its numbers stay where they are. */
const withAdd = (body: AnyLayer): AnyLayer =>
  model(
    { body: netOf<Value, Value>(body), add: netOf<readonly [Value, Value], Value>(Add()) },
    (l, params, state, x: Value) => {
      const [y, bodyState] = l.body(params.body, state.body, x)
      const [sum, addState] = l.add(params.add, state.add, [x, y])
      return [sum, { body: bodyState, add: addState }]
    },
  )

/** A network in which the sum of each residual is a layer (`add`, beside `body`). */
export const withJoins = (layer: AnyLayer): AnyLayer => {
  const { within, rebuilt } = layer.source ?? {}
  if (within === undefined || rebuilt === undefined) return layer
  const inner: Layers = Object.fromEntries(Object.entries(within).map(([name, l]) => [name, withJoins(l)] as const))
  if (isResidual(layer)) return withAdd(inner.body)
  return Object.entries(within).every(([name, l]) => inner[name] === l) ? layer : rebuilt(inner)
}
