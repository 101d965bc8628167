/** What a step does to the layers before its program runs (`before`), and in which mode each layer is (`modes`). */
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import type { Action, Case, Statement, Step } from './format.js'
import type { Nested, Trees } from './state.js'

/** The layers of a case as they are now. */
export type LayersNow = { readonly [id: string]: q.AnyLayer }
/** Layers and their numbers. */
export type Now = { readonly layers: LayersNow; readonly trees: Trees }

const trained = ({ layers, trees }: Now, id: string): q.TrainedLayer => ({
  layer: layers[id],
  params: trees.params[id] as Nested,
  state: trees.state[id] as Nested,
})

const put = ({ layers, trees }: Now, id: string, { layer, params, state }: q.TrainedLayer): Now => ({
  layers: { ...layers, [id]: layer },
  trees: { params: { ...trees.params, [id]: params }, state: { ...trees.state, [id]: state } },
})

/** Brevitas' `merge_bn` needs a weight and a bias, and the axis from its caller; ours needs neither. The format asks for Brevitas'. */
const mergeBn = (now: Now, { layer, bn, channel_dim: dim = 0 }: Action): E.Either<q.QuantErrors, Now> =>
  (now.trees.params[bn] as Nested).weight === undefined
    ? E.left([
        {
          tag: 'LayerError',
          layer: bn,
          path: '',
          message: 'merge_bn of Brevitas takes affine batch norms',
          fix: 'mergeBatchNormInto takes the others too',
        },
      ])
    : E.map((merged: q.TrainedLayer) => put(now, layer, merged))(
        q.mergeBatchNormInto(trained(now, layer), trained(now, bn), { outputChannelDim: dim }),
      )

const loadBn = (c: Case, now: Now, { layer, bn }: Action): Now => {
  const own = { ...(now.trees.params[bn] as Nested), ...(now.trees.state[bn] as Nested) } as never
  const { eps } = c.layers[layer].kwargs
  const folded = q.foldBatchNorm(own, typeof eps === 'number' ? eps : 1e-5)
  return put(now, layer, { ...trained(now, layer), params: folded })
}

/** The layers and their numbers after a step's actions. */
export const acted = (c: Case, now: Now, step: Step): E.Either<q.QuantErrors, Now> =>
  (step.before ?? []).reduce(
    (so: E.Either<q.QuantErrors, Now>, action) =>
      E.chain((n: Now) => (action.do === 'merge_bn' ? mergeBn(n, action) : E.right(loadBn(c, n, action))))(so),
    E.right(now),
  )

/** The program of a step. */
export const programOf = (c: Case, step: Step): readonly Statement[] => step.program ?? c.program

/** How a step is traced: in training if anything trains, with all that is in evaluation frozen. */
export const tracedAs = (c: Case, step: Step): q.TraceOptions => {
  const modes = step.modes ?? {}
  const modeOf = (id: string): 'train' | 'eval' => modes[id] ?? step.mode
  const ids = Object.keys(c.layers)
  const trains = step.mode === 'train' || ids.some((id) => modeOf(id) === 'train')
  const frozen = ids.filter((id) => modeOf(id) === 'eval')
  return trains && frozen.length > 0 ? { mode: 'train', freeze: frozen } : { mode: trains ? 'train' : 'eval' }
}
