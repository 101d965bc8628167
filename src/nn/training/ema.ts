/** Moving averages of weights, kept beside them by the optimizer: in the same compiled step, and in the same checkpoint. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { fieldProblems, fraction, required, type Fields } from '../../data/fields.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { mapTree } from '../../data/tree.js'
import { slotKey } from './memory.js'
import { optimizer, sgd, type Optimizer } from './optim.js'
import { inputError, optimizerProblems, trainStateProblems } from './options.js'
import type { TrainState } from './trainState.js'
import type { UpdateRule } from './updateRules.js'

const EMA = 'ema'

/** Options of `withEma`: `decay`, from 0 to 1, is what remains of the old average in each update. */
export type EmaOptions = { readonly decay: number }

const EMA_FIELDS: Fields<EmaOptions> = { decay: required({ ...fraction, like: '0.999' }) }

const averaging = (rule: UpdateRule, decay: number): UpdateRule => ({
  ...rule,
  slots: [...rule.slots, { name: EMA, start: 'leaf' }],
  apply: (leaf) => {
    const { kit, slots } = leaf
    const next = rule.apply(leaf)
    const step = kit.emit('mul', [kit.emit('sub', [next.p, slots[EMA]]), kit.constant(1 - decay)])
    return { p: next.p, slots: { ...next.slots, [EMA]: kit.emit('add', [slots[EMA], step]) } }
  },
})

/**
 * An optimizer that also keeps the exponential moving average of every leaf that it updates: `e += (p − e)·(1 − decay)` behind
 * each update, starting with the leaf as it was before its first one (torch's AveragedModel with get_ema_multi_avg_fn, started
 * with the model). The averages are slots of the optimizer's memory, `ema:param.conv1.weight`, so checkpoints hold them, and they stay in the
 * backend's memory; training itself is not changed by a bit. `averaged` reads them.
 */
export const withEma =
  (options: EmaOptions) =>
  (inner: Optimizer): Optimizer => {
    const wrong = optimizerProblems('withEma', inner)
    const base = wrong.length > 0 ? sgd({ lr: 0 }) : inner
    const own = fieldProblems('withEma', options, EMA_FIELDS)
    const decay = own.length > 0 ? 0 : options.decay
    return optimizer(base.name, averaging(base.rule, decay), [...own, ...wrong], base)
  }

/**
 * Parameters and state of a training with the averages of `withEma` in the place of what was averaged; what was never updated
 * (frozen leaves, running statistics, counters) as it stands. An error where training went on without averages.
 */
export const averaged = <P, S>(
  t: TrainState<P, S>,
): E.Either<QuantErrors, { readonly params: P; readonly state: S }> => {
  const wrong = trainStateProblems('averaged', t)
  if (wrong.length > 0) return E.left(wrong)
  const { step, slots } = t.optim
  if (step > 0 && !Object.keys(slots).some((k) => k.startsWith(`${EMA}:`)))
    return E.left([
      inputError(
        'training',
        `averaged was asked of a training whose optimizer kept no averages in ${step} steps`,
        'train with withEma({ decay: 0.999 })(adam({ lr: 0.001 })), for instance',
      ),
    ])
  const read =
    (kind: 'param' | 'state') =>
    (leaf: Tensor, path: string): Tensor => {
      const average = slots[slotKey(EMA, `${kind}.${path}`)]
      return average === undefined ? leaf : { ...leaf, data: average.data }
    }
  return E.right({
    params: mapTree(isTensor, t.params, read('param')) as P,
    state: mapTree(isTensor, t.state, read('state')) as S,
  })
}
