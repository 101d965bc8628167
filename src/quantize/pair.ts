/** A float network and a quantized one side by side. */
import type { Layer, TensorTree } from '../nn/layers/layer.js'
import { tracedBranch } from './trees.js'
import type { Trained } from './types.js'

/** Two networks side by side in one trace. */
export const pairOf = <I, O>(
  float: Trained<I, O>,
  quant: Trained<I, O>,
): Layer<TensorTree, TensorTree, I, readonly O[]> => ({
  layer: 'pair',
  params: { float: float.net.params, quant: quant.net.params },
  state: { float: float.net.state, quant: quant.net.state },
  problems: [],
  config: { name: 'pair', parts: [] },
  apply: (params, state, x, kit) => {
    const both = (['float', 'quant'] as const).map((name) =>
      kit.scoped(name, () =>
        (name === 'float' ? float : quant).net.apply(tracedBranch(params, name), tracedBranch(state, name), x, kit),
      ),
    )
    return [both.map(([y]) => y), state]
  },
})

/** The parameters and states of both. */
export const bothNumbers = <I, O>(float: Trained<I, O>, quant: Trained<I, O>) => ({
  params: { float: float.params, quant: quant.params },
  state: { float: float.state, quant: quant.state },
})
