/** What a calibration has to say of quantizers that learned from nothing but zeros. */
import { at } from '../data/tree.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import type { AnyLayer, TensorTree } from '../nn/layers/layer.js'
import { wantedOfLayer } from '../nn/program/wanted.js'
import { LEARNED } from '../quantizers/collection.js'
import { placed } from './plan.js'
import type { CalibrationNote } from './types.js'

/** The least statistic that each quantizer keeps (`scalingMinVal`), by its path: what is no larger was 0. */
const leastOf = (net: AnyLayer): ReadonlyMap<string, number> =>
  new Map(
    placed(net).flatMap(({ path, layer }) =>
      Object.entries(layer.source?.quantizers ?? {}).flatMap(([place, q]) =>
        q === null || q.use === 'trunc'
          ? []
          : [[path === '' ? place : `${path}.${place}`, Math.fround(q.scalingMinVal ?? 0)] as const],
      ),
    ),
  )

const tensorAt = (state: TensorTree, path: string): Tensor | null => {
  const found = at(state, path)
  return isTensor(found) ? found : null
}

/**
 * Quantizers whose collection ended between two states, and that were given zeros alone: their scale says nothing of
 * what is to come.
 */
export const notesOf = (net: AnyLayer, before: TensorTree, after: TensorTree): readonly CalibrationNote[] => {
  const least = leastOf(net)
  return wantedOfLayer(net).flatMap(({ which, path, collection }): readonly CalibrationNote[] => {
    if (which !== 'state' || collection === undefined || !path.endsWith('.scale.counter')) return []
    const scale = path.slice(0, path.lastIndexOf('.'))
    const [was, now] = [before, after].map((state) => tensorAt(state, path)?.data[0] ?? 0)
    const owner = scale.slice(0, scale.lastIndexOf('.'))
    const buffer = tensorAt(after, `${scale}.buffer`)
    if (was >= LEARNED || now < LEARNED || buffer === null) return []
    if (buffer.data.some((x) => x > (least.get(owner) ?? 0))) return []
    return [
      {
        path: owner,
        why: 'it was given nothing but zeros, so its scale is the least there is, and any other number would be cut to nearly 0',
        fix: 'give samples on which something else comes there; where nothing ever does, the layers before it are dead',
      },
    ]
  })
}
